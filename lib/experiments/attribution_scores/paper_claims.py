"""The claims of notebook 02, with the rule of each verdict, written before the numbers of `study` and `cifar10` were seen.

No number of the paper could be established (specs/attribution_scores.md, 0), so the claims are its statements C1 to C5, the relations T1
to T5 of the specification's section 6, and what a reader would want to know before using the scores. When the rules were written, trials
had shown: that planted codes score as derived; that without smoothing noise, at the picture, gradient x activation of one trained and one
untrained auto-encoder look alike; that replacing half of the units by their mean may raise the disentanglement; that blur changes
informativeness and noise hardly does (16 digits); and that training for 100 steps under the scores changes nothing visible.

After a quick run (one seed) and a review, and before `study` and `cifar10` were run, rules were changed: detection learns directions and
rivals on other pictures; drift, redundancy and noise of units' own are judged over all auto-encoders; the map that does not depend on the
parameters is looked for without smoothing noise, as the specification has it, and with it as a second row; the gradient has to fall below
the same bound; and planted rows say that they are so by construction.

After another review, still before them: a tie no longer counts as above 0; areas without any spread get Wilson's interval; gains rest on
the seeds at which they are defined; and the row on DCI's informativeness is new, since a probe of the class is near chance for most
encoders.

After `study` had been seen, the rows on unchanged encoders were added: half copies lower both disentanglement and what knows the factors,
so that changed codes bring about part of a correlation. And intervals of correlations and shares were cut at what there is,
and claims on all encoders need three seeds, as the others did (no verdict of `study` changed).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from lib.claims import Claim
from lib.experiments.attribution_scores.constrained import BOTH, NORMAL, SHAM, paired_gain
from lib.experiments.attribution_scores.drifting import ADVANTAGE
from lib.experiments.evidence import TOO_LITTLE, all_of, over_seeds, rank_correlation, trainings
from lib.statistics import Estimate, proportion, student_mean

SAME = 0.8  # a rank similarity above this is the same map
RISING = 0.7  # of drift and strength (T3)
OFTEN = 0.9  # of pictures
HALF = 0.5
ABOVE_0 = float(np.nextafter(0, 1))  # a tie is not above 0
MIXED = 0.2  # of pi, the angle at which planted units are compared
STRENGTH = 0.5  # of drift, at which numbers are compared as detectors
WEIGHT = "0.1"  # lambda of the paper's code


def claims(
    settings, *, rotation: pd.DataFrame, looks: pd.DataFrame, scores: pd.DataFrame, quiet: pd.DataFrame, similarity: pd.DataFrame,
    redundancy: pd.DataFrame, changes: pd.DataFrame, detections: pd.DataFrame, copies: pd.DataFrame, blind: pd.DataFrame,
    factors: pd.DataFrame, constrained: pd.DataFrame,
) -> list[Claim]:  # fmt: skip
    """Build the claims from what the notebook has found.

    Args:
        settings: of the notebook.
        rotation: `rotation_sweep`.
        looks: `share_on_object`, or an empty table.
        scores: `scores_table` of auto-encoders with the columns key (their seed) and state ("trained", "untrained").
        quiet: the same without smoothing noise.
        similarity: `similarity_to_trained` with the column key.
        redundancy: `redundancy_table`.
        changes: `changes` of informativeness under drift.
        detections: `detections`.
        copies: `identical_units` with the column key.
        blind: `blind_spot`.
        factors: `against_known_factors`, or an empty table.
        constrained: `trained`.
    """
    seeds = len(settings.autoencoder_seeds)
    return [
        *_planted(rotation, blind),
        *_looking(looks, trainings(settings.encoders, settings.seeds)),
        *_sanity(similarity, seeds),
        *_informative(scores, quiet, seeds),
        *_redundancy(redundancy, copies, seeds),
        *_drift(changes, detections, seeds),
        *_factors(factors, len(settings.compared_seeds)),
        *_constrained(constrained, len(settings.constrained_seeds)),
    ]


def _planted(rotation, blind):
    falls = stats.spearmanr(rotation["S_D*"], rotation["DCI disentanglement"]).statistic
    mixed = rotation.loc[(rotation["angle"] / np.pi - MIXED).abs().idxmin()]
    told = blind.set_index("code")
    wrong = told.loc["one unit a half of the object"] - told.loc["one unit a factor"]
    return [
        Claim(
            "S_D* falls with DCI as planted units are mixed", "by construction", "Spearman over angles, above 0.99",
            Estimate(falls, falls, falls, len(rotation)), low=0.99,
        ),
        Claim(
            "scaling each unit to its range hides the mixing (P2)", "by construction",
            f"what is left of the scaled score at an angle of {MIXED:g} pi - what is left of S_D*, above {HALF:g}",
            _exact(mixed["scaled"] - mixed["S_D*"], len(rotation)), low=HALF,
        ),
        Claim(
            "factors that share places are not seen by S_D*", "by construction",
            f"of two codes of one object: S_D* is higher for the one with the lower MIG, by more than {OFTEN:g}",
            _exact(wrong["disentanglement"] if wrong["MIG"] < 0 else 0.0, 2), low=OFTEN,
        ),
    ]  # fmt: skip


def _looking(looks, behind):
    """Where trained and untrained encoders look, picture by picture."""
    gains = None
    if len(looks):
        by_state = looks.pivot_table(index=["encoder", "picture"], columns="state", values="concentration")
        each = (by_state["trained"] - by_state["untrained"]).groupby("encoder")
        gains = all_of([student_mean(values.to_numpy()) for _, values in each])
    return [Claim(
        "a trained encoder looks at the object more than an untrained one (C1)", "shown in pictures",
        "share of the map on the object over its share of the picture, trained - untrained, in every encoder, above 0", gains, low=ABOVE_0,
        trained_seeds=behind,
    )]  # fmt: skip


def _sanity(similarity, seeds):
    ranks = similarity[similarity["similarity"] == "rank"]

    def of(strategy, other, layer="picture"):
        rows = ranks[(ranks["strategy"] == strategy) & (ranks["other"] == other) & (ranks["layer"] == layer)]
        return rows.set_index(["key", "picture"])["value"]

    def mean(values):
        values = values.dropna()
        return _seeds_mean([student_mean(one.to_numpy()) for _, one in values.groupby("key")])

    def correlation(values):
        return _within(mean(values), -1.0, 1.0)

    product, gradient = (of(f"plain {name}", "untrained") for name in ("gradient x activation", "gradient"))
    top = next(other for other in ranks["other"] if other.startswith("from "))  # the first of the cascade: the top layer
    guided, plain = (of(name, top) for name in ("guided backpropagation", "plain gradient"))
    rule = f"Spearman of trained and untrained maps, mean over pictures and seeds, above {SAME:g}"
    return [
        Claim(
            "at the picture, gradient x activation shows the same map before training (C4, T2)", "some strategies ignore the parameters",
            f"without smoothing noise: {rule}", correlation(product), low=SAME, trained_seeds=seeds,
        ),
        Claim(
            "it does so with smoothing noise", "not asked", rule, correlation(of("gradient x activation", "untrained")), low=SAME,
            trained_seeds=seeds,
        ),
        Claim(
            "the gradient alone does not (C4, T5)", "others pass", f"the same without noise, below {SAME:g}", correlation(gradient),
            high=SAME, trained_seeds=seeds,
        ),
        Claim(
            "the gradient depends more on the parameters than gradient x activation", "others pass",
            "the two Spearman correlations without noise, second - first, by picture, above 0", mean(product - gradient), low=ABOVE_0,
            trained_seeds=seeds,
        ),
        Claim(
            "guided backpropagation notices a lost top layer less than the gradient does", "known from Adebayo et al.",
            "Spearman before and after, guided - gradient, by picture, above 0", mean(guided - plain), low=ABOVE_0, trained_seeds=seeds,
        ),
    ]  # fmt: skip


def _informative(scores, quiet, seeds):
    """Excess over the noise floor, trained against the same network before training."""

    def gain(table, layer):
        rows = table[(table["layer"] == layer) & (table["strategy"] == "gradient")].set_index(["key", "state"])
        return _seeds_mean([
            _difference(rows.loc[(key, "trained")], rows.loc[(key, "untrained")], "excess") for key in rows.index.unique("key")
        ])  # fmt: skip

    deeper = [layer for layer in scores["layer"].drop_duplicates() if layer != "picture"]
    rule = "excess over the noise floor, gradient, trained - untrained, by seed, above 0"
    return [
        *[
            Claim(
                f"training raises informativeness in {layer} (C3, T1)", "scores correlate with the properties", rule,
                gain(scores, layer), low=ABOVE_0, trained_seeds=seeds,
            )
            for layer in deeper
        ],
        *[
            Claim(
                f"it does so without smoothing noise in {layer}", "not asked", f"{rule}, with sigma = 0", gain(quiet, layer), low=ABOVE_0,
                trained_seeds=seeds,
            )
            for layer in deeper
        ],
    ]  # fmt: skip


def _redundancy(redundancy, copies, seeds):
    found = []
    for change, label in (("copied", "copies of a unit"), ("replaced", "the mean of all units")):
        shares = [proportion(int((one[change] < one["intact"]).sum()), len(one)) for _, one in redundancy.groupby("key")]
        found.append(Claim(
            f"S_D* falls when half of the units become {label} (C3, T4)", "a control in early code",
            f"share of pictures, mean over seeds, above {OFTEN:g}", _within(_seeds_mean(shares), 0.0, 1.0), low=OFTEN,
            trained_seeds=seeds,
        ))  # fmt: skip
    single = copies[copies["samples"] == copies["samples"].min()]
    single = single.pivot(index=["key", "draw"], columns=["units", "noise"], values="scaled")
    ratios = (single["copies", "own"] / single["different", "shared"]).groupby("key")
    found.append(Claim(
        "noise of their own makes copies of a unit look disentangled (P3)", "not asked",
        f"scaled S_D of copies with noise of their own over that of different units with shared noise, one sample, above {HALF:g}",
        _seeds_mean([_mean(one.to_numpy()) for _, one in ratios]), low=HALF, trained_seeds=seeds,
    ))  # fmt: skip
    return found


def _drift(changes, detections, seeds):
    found = []
    for name, of_drift in changes[changes["strength"] > 0].groupby("drift", sort=False):
        found.append(Claim(
            f"informativeness falls as pictures drift: {name} (E4, T3)",
            "relative loss grows with the strength" if name == "noise" else "not asked",
            f"Spearman of strength and median relative loss, pictures resampled, mean over seeds, above {RISING:g}",
            _within(_seeds_mean([_rise(one) for _, one in of_drift.groupby("key")]), -1.0, 1.0), low=RISING, trained_seeds=seeds,
        ))  # fmt: skip
    strengths = detections["strength"].unique()
    at = strengths[np.abs(strengths - STRENGTH).argmin()]
    gained = detections[(detections["strength"] == at) & (detections["number"] == ADVANTAGE)]
    for name, one in gained.groupby("drift", sort=False):
        found.append(Claim(
            f"informativeness detects {name} better than simple numbers do", "not asked",
            f"area under the curve at strength {at:g} - the best of mean, spread, reconstruction error and distance of the code, above 0",
            _seeds_mean([Estimate(row.area, row.low, row.high, seeds) for row in one.itertuples()]), low=ABOVE_0, trained_seeds=seeds,
        ))  # fmt: skip
    return found


def _within(mean, low, high):
    """No interval of a correlation or a share reaches beyond what there is."""
    return mean and Estimate(mean.value, max(mean.low, low), min(mean.high, high), mean.count)


def _mean(values):
    """Student's, of values that are all known; else NaN."""
    return student_mean(values) if np.isfinite(values).all() else Estimate(np.nan, np.nan, np.nan, len(values))


def _seeds_mean(several):
    """Over seeds; None of none, TOO_LITTLE if one of them cannot be told."""
    if not several:
        return None
    return over_seeds(several) if all(np.isfinite(one.value) for one in several) else TOO_LITTLE


def _rise(changes, resamples: int = 1000):
    wide = changes.pivot(index="picture", columns="strength", values="change").dropna().to_numpy()

    if not len(wide):
        return Estimate(np.nan, np.nan, np.nan, 0)

    def correlation(rows):
        return stats.spearmanr(np.arange(wide.shape[1]), np.median(rows, axis=0)).statistic

    rng = np.random.default_rng(0)
    found = [correlation(wide[rng.integers(0, len(wide), len(wide))]) for _ in range(resamples)]
    low, high = np.nanquantile(found, (0.025, 0.975))
    return Estimate(float(correlation(wide)), float(low), float(high), len(wide))


def _difference(one, other, number):
    """Of two scores, as if their errors were independent, though they share pictures and references."""
    value = one[number] - other[number]
    below = np.hypot(one[number] - one[f"{number}_low"], other[f"{number}_high"] - other[number])
    above = np.hypot(one[f"{number}_high"] - one[number], other[number] - other[f"{number}_low"])
    return Estimate(float(value), float(value - below), float(value + above), 2)


def _factors(factors, seeds):
    named = factors.set_index("encoder") if len(factors) else factors
    unchanged = named[~named.index.str.contains("@")] if len(factors) else factors
    pairs = (
        ("disentanglement", "DCI disentanglement", "S_D* ranks encoders as DCI does (C3)", named),
        ("disentanglement", "DCI disentanglement", "S_D* ranks unchanged encoders as DCI does", unchanged),
        ("disentanglement", "DCI completeness", "S_D* ranks encoders as DCI's completeness does", named),
        ("disentanglement", "MIG", "S_D* ranks encoders as MIG does (C3)", named),
        ("disentanglement", "MIG", "S_D* ranks unchanged encoders as MIG does", unchanged),
        ("excess", "probe accuracy", "informativeness ranks encoders as a linear probe does (C3)", named),
        ("excess", "DCI informativeness", "informativeness ranks encoders as DCI's informativeness does (C3)", named),
    )
    return [
        Claim(
            label, "scores correlate with the properties" if "C3" in label else "not asked", "Spearman over encoders, above 0",
            rank_correlation(some, first, second) if len(some) else None, low=ABOVE_0, trained_seeds=seeds,
        )
        for first, second, label, some in pairs
    ]  # fmt: skip


def _constrained(constrained, seeds):
    both, sham = f"{BOTH}, {WEIGHT}", f"{SHAM}, {WEIGHT}"
    first = constrained[constrained["schedule"] == constrained["schedule"].iloc[0]]
    smallest, largest = (first[first["size"] == size] for size in (min(_several(first["size"])), max(first["size"])))

    def gain(rows, number, arm=both, over=NORMAL):
        wide = rows.pivot(index="seed", columns="arm", values=number)
        return paired_gain(wide[arm], wide[over]) if {arm, over} <= set(wide) else None

    def by_size(number):
        """Gain at the smallest size less that at the largest, paired by seed."""
        wide = first.pivot(index="seed", columns=["size", "arm"], values=number)
        if size == most or not {(size, both), (most, both)} <= set(wide):
            return None
        return paired_gain(wide[size, both] - wide[size, NORMAL], wide[most, both] - wide[most, NORMAL])

    size, most = int(smallest["size"].iloc[0]), int(largest["size"].iloc[0])
    at = f"at d = {size}"
    rows = [
        (f"constraints raise accuracy {at} (C5)", "yes",
         f"classifier, both scores with lambda {WEIGHT} - none, paired by seed on the same test pictures", gain(smallest, "accuracy")),
        (f"they raise that of a probe {at} (C5)", "not asked", "logistic probe on the code, paired", gain(smallest, "probe accuracy")),
        (f"they raise it by more than a sham does {at}", "not asked",
         "classifier, both scores - the same gradient taken at a frozen network, paired", gain(smallest, "accuracy", over=sham)),
        ("they help most where the code is small (C5)", "yes", f"gain of accuracy {at} - at d = {most}, paired", by_size("accuracy")),
        *((f"the constraint raises the {number} it rewards", "not asked", f"{at}, both - none, paired", gain(smallest, number))
          for number in ("informativeness", "scaled disentanglement")),
    ]  # fmt: skip
    return [
        Claim(claim, paper, f"{rule}, above 0", one, low=ABOVE_0, trained_seeds=_seeds_behind(one, seeds))
        for claim, paper, rule, one in rows
    ]


def _seeds_behind(gain, seeds):
    """Seeds at which a gain is defined; where that is too few of enough, it is the gain that is missing, not the seeds."""
    return seeds if gain is None or not gain.count else min(seeds, gain.count)


def _several(sizes: Sequence[int]):
    """Sizes at which a disentanglement is defined."""
    return [size for size in sizes if size > 1]


def _exact(value, count):
    return Estimate(float(value), float(value), float(value), count)
