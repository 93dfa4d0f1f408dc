"""The claims of notebook 03, with the rule of each verdict, written before any classifier of it was trained.

The paper claims better saliency maps (C1), better accuracy (C2) and no cost at inference (C3); neither its body nor its tables could be
had. C1 and C2 are two-sided: "holds" means better, "fails" means worse, each with its whole 95 % interval, and they are asked of the
paper's setting and of the tuned one. What the paper does not ask, whether language is the reason, is asked of the controls, which were
tuned as often. All are differences between classifiers that share initial weights, the order of pictures and augmentation, seed by seed.

The rules were changed after the first run of `quick` (one seed) and a review, and before `study` was run. Insertion less deletion measures
how sure of itself a classifier is as much as its maps: C1 and what names do for maps are now judged by what is beyond a random map of the
same picture, over the probability of the whole picture. The order of bounds got an interval over pictures, and so did accuracy. Names and
controls are compared on pictures that both get right, in pairs. Seeds with fewer than ten pictures in common do not count. Reliance on the
background is asked of wrong answers, and only of classifiers at least half as accurate as plain training: one that has learned nothing
relies on nothing. Accuracy with few labels became a claim. Shares of the published comparisons, nine of three networks each, are no longer
claims. Two rows say that they are so by construction.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from lib.claims import Claim
from lib.experiments.evidence import TOO_LITTLE, all_of, over_seeds
from lib.experiments.lico.arms import CONTROLS, PLAIN, TUNED
from lib.experiments.lico.runs import gain
from lib.experiments.lico.saliency import RANDOM_MAP, TRUE_MASK, beside
from lib.statistics import Estimate, paired_difference, student_mean

PAPER = "paper"
BEYOND = "insertion - deletion beyond that of a random map, over the probability of the whole picture"
SIMILAR = 0.9  # a mean cosine above this is one direction
ABOVE_0 = float(np.nextafter(0, 1))


def claims(
    settings, *, answers: pd.DataFrame, beside: pd.DataFrame, bounds: pd.DataFrame, history: pd.DataFrame, weights: pd.DataFrame,
    limited: pd.DataFrame, relied: pd.DataFrame, released: pd.DataFrame,
) -> list[Claim]:  # fmt: skip
    """Build the claims from what the notebook has found.

    Args:
        settings: of the notebook.
        answers: `answers`.
        beside: `beside` of every arm over plain training, for saliency.
        bounds: rows of `judged` with arm and seed.
        history: `histories`.
        weights: one row an arm: arm, parameters of what is left after training.
        limited: `answers` with few labels, with their number as the column labels; or an empty table.
        relied: `pull_beside` plain training, or an empty table.
        released: rows of `defects`.
    """
    seeds = len(settings.seeds)
    return [
        *_accuracy(answers),
        *_few_labels(limited),
        *_saliency(settings, beside, seeds),
        *_cost(weights),
        *_language(answers, bounds, settings, seeds),
        *_works(bounds, history, released, settings.explainers[0], seeds),
        *_reliance(relied),
    ]


def _accuracy(answers, *, where="", trained="", paper="yes"):
    rows = []
    for name in (PAPER, TUNED):
        found = gain(answers, name, PLAIN) if len(answers) else None
        rows.append(Claim(
            f"LICO, {name}, is more accurate{where} (C2)", paper,
            f"test accuracy{trained}, LICO - plain training, paired by picture and seed, above 0", _told(found), low=ABOVE_0,
            trained_seeds=found.count if found else None,
        ))  # fmt: skip
    return rows


def _few_labels(limited):
    if limited.empty:
        return _accuracy(limited, where=" with few labels")
    counts = sorted(limited["labels"].unique())
    return [
        claim
        for count in counts
        for claim in _accuracy(limited[limited["labels"] == count], where=f" with {count} labels", trained=" of the same few labels")
    ]


def _told(estimate: Estimate | None) -> Estimate | None:
    """The same; but where both are alike in every seed, nothing is decided in either direction."""
    if estimate is not None and estimate.low == estimate.high == 0:
        return replace(estimate, low=-ABOVE_0, high=ABOVE_0)
    return estimate


def _saliency(settings, beside, seeds):
    rows = []
    for name in (PAPER, TUNED):
        for explainer in settings.explainers:
            better, behind = _of(beside, settings, name, explainer, "above random", seeds)
            rows.append(Claim(
                f"LICO, {name}, has better {explainer} maps by insertion - deletion (C1)", "yes",
                f"on pictures that both classify rightly, {BEYOND}, LICO - plain training, above 0", better, low=ABOVE_0,
                trained_seeds=behind,
            ))  # fmt: skip
            inside, behind = _of(beside, settings, name, explainer, "energy", seeds)
            rows.append(Claim(
                f"its {explainer} maps lie more on the object ({name})", "shown in pictures", "the same of the energy in the true mask",
                inside, low=ABOVE_0, trained_seeds=behind,
            ))  # fmt: skip
    return rows


def _cost(weights):
    counts = weights.set_index("arm")["parameters"]
    here = None
    if PLAIN in counts and PAPER in counts:
        more = float(counts[PAPER] - counts[PLAIN])
        here = Estimate(more, more, more, len(counts))
    rule = "weights of the classifier, LICO - plain training, exactly 0"
    return [Claim("nothing is added at inference (C3)", "yes, by construction", rule, here, low=0, high=0)]


def _language(answers, judged, settings, seeds):
    first = settings.explainers[0]
    rows = []
    for control in [one for one in CONTROLS if {one, TUNED} <= set(settings.arms)]:
        rows.append(Claim(
            f"names help accuracy more than {control}", "not asked",
            "test accuracy, tuned - control, tuned as often, paired by picture and seed, above 0",
            _told(gain(answers, TUNED, control)), low=ABOVE_0, trained_seeds=seeds,
        ))  # fmt: skip
        of_both = beside(judged[judged["arm"].isin([TUNED, control])], over=control)
        here, behind = _of(of_both, settings, TUNED, first, "above random", seeds)
        rows.append(Claim(
            f"names help {first} maps more than {control}", "not asked",
            f"on pictures that both classify rightly, {BEYOND}, tuned - control, above 0", here, low=ABOVE_0, trained_seeds=behind,
        ))  # fmt: skip
    return rows


def _works(bounds, history, released, explainer, seeds):
    last = history.sort_values("step").groupby(["arm", "seed"]).last().reset_index()
    cosine = None
    if "token cosine" in last:
        of_paper = last.loc[last["arm"] == PAPER, "token cosine"].dropna().to_numpy()
        cosine = student_mean(of_paper) if len(of_paper) else None
    orders = [
        Claim(
            f"{better} inserts better than {worse} in every arm", "not asked",
            "least difference in insertion, paired by picture, mean over seeds, above 0", _order(bounds, better, worse), low=ABOVE_0,
            trained_seeds=seeds,
        )
        for better, worse in ((TRUE_MASK, explainer), (explainer, RANDOM_MAP))
    ]  # fmt: skip
    none = released.loc[released["error"].str.contains("without gradient"), "wrong"].iloc[0]
    return [
        Claim(
            "the released transport loss moves the maps", "yes; its code cannot", "length of its gradient, above 0",
            Estimate(none, none, none, 1), low=ABOVE_0,
        ),
        Claim(
            "tokens stay apart under the paper's setting", "not asked",
            f"mean cosine between the mapped tokens of a class at the end of training, below {SIMILAR:g}", cosine, high=SIMILAR,
            trained_seeds=seeds,
        ),
        *orders,
    ]  # fmt: skip


def _order(bounds, better, worse):
    wide = bounds.pivot_table(index=["arm", "seed", "picture"], columns="map", values="insertion")
    if not {better, worse} <= set(wide):
        return None
    each = [
        over_seeds([paired_difference(one[better], one[worse]) for _, one in of_arm.groupby("seed")]) for _, of_arm in wide.groupby("arm")
    ]  # fmt: skip
    return all_of(each)


def _reliance(relied):
    rows = []
    for name in (PAPER, TUNED):
        found, seeds = None, None
        if len(relied) and name in set(relied["arm"]):
            one = relied.set_index("arm").loc[name]
            found, seeds = Estimate(*one[["difference", "low", "high"]].astype(float), int(one["seeds"])), int(one["seeds"])
        rows.append(Claim(
            f"LICO, {name}, relies less on the background that a shortcut ties to the class", "not asked",
            "share of wrong answers that go to classes of the background shown, less chance, LICO - plain training, below 0", _told(found),
            high=-ABOVE_0, trained_seeds=seeds,
        ))  # fmt: skip
    return rows


def _of(beside: pd.DataFrame, settings, arm: str, explainer: str, metric: str, seeds: int) -> tuple[Estimate | None, int]:
    """A difference, and the seeds behind it.

    None where the profile has no such arm or metric; TOO_LITTLE where too few pictures are classified rightly by both.
    """
    if arm not in settings.arms or (len(beside) and metric not in set(beside["metric"])):
        return None, seeds
    rows = beside[(beside["arm"] == arm) & (beside["map"] == explainer) & (beside["metric"] == metric)]
    if rows.empty:
        return TOO_LITTLE, seeds
    one = rows.iloc[0]
    found = Estimate(float(one["difference"]), float(one["low"]), float(one["high"]), int(one["pictures"]))
    return _told(found), int(one["seeds"])
