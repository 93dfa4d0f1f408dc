"""The claims of notebook 05, with the rule of each verdict.

Rules were written before representations were compared. Four things had been seen in trials of the parts: that planted cases come out as
derived, that raw scores are U-shaped in accuracy on planted classes, that for one class network a random library retained 0.006 more than
prototypes, and that editing the concept of a shape hardly changed predictions.

No number of the paper could be established (specs/iis.md 3), so the claims are its statements C1 to C4 and the relations Q1 to Q9 that
follow from the definition or were expected of it. Intervals are over test pictures and libraries, with several seeds over these too, or
over lineages of representations (all noisy versions of a network count as one), as each rule says.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from lib import statistics
from lib.claims import Claim
from lib.experiments.evidence import all_of, least_kendall, of_each_family, rank_correlation, trainings
from lib.experiments.inherent_interpretability.fine_tuning import CONTROL, TUNED
from lib.measures.inherent_interpretability import InherentInterpretability
from lib.statistics import Estimate

CLOSE = 0.03  # of a retention to what is derived
ALIKE = 0.6  # a rank correlation above this is the same order (specs/iis.md, Q6)
RISE = 0.02  # a retention that rises by less, as fewer concepts speak, does not rise
LOSS = 0.01  # of accuracy, that counts as none when fine-tuning
FEW, ENOUGH = 10, 0.05  # concepts that speak, and the accuracy that they may cost
SPARSE = 0.9  # the sparsity at which retentions are compared


def claims(
    settings, *, planted: pd.DataFrame, separations: pd.DataFrame, targets: Mapping[str, Mapping[str, InherentInterpretability]],
    table: pd.DataFrame, sizes: pd.DataFrame, forms: pd.DataFrame, released: pd.DataFrame, curve: pd.DataFrame, tuned: pd.DataFrame,
    few: pd.DataFrame, edits: pd.DataFrame,
) -> list[Claim]:  # fmt: skip
    """Build the claims from what the notebook has found.

    Args:
        settings: of the notebook.
        planted: `planted_scores`.
        separations: `separation_curve`.
        targets: what is to be read, "class" first -> representation -> score of prototypes.
        table: `summary` of all libraries, for the class.
        sizes: `summary` with other numbers of concepts, with the column concepts.
        forms: `summary` with other forms of sparsification, with the column way.
        released: `as_released`.
        curve: `training_curve`, or an empty table.
        tuned: `fine_tuning.compared`, or an empty table.
        few: `accuracy_by_concepts` of settings.deep.
        edits: `interventions`, or an empty table.
    """
    prototypes = table[table["library"] == "prototype"].set_index("representation")
    behind = trainings(list(prototypes.index), settings.seeds)
    return [
        Claim(
            "planted libraries retain what can be derived", "by definition", f"the worst retention within {CLOSE:g} of what is derived",
            _planted(planted), -CLOSE, CLOSE,
        ),
        Claim(
            "raw scores of planted classes are U-shaped in accuracy (Q2)", "the dip along training has this form",
            "the lower of both ends - the least score between, above 0", _dip_between_ends(separations), low=0,
        ),
        Claim(
            "corrected scores of planted classes rise with accuracy (Q2)", "not asked", "least rise between neighbours, above 0",
            _least_rise(separations), low=0,
        ),
        *[claim for target, scores in targets.items() for claim in _over_representations(target, scores, behind)],
        Claim(
            "libraries rank representations alike (Q6)", "in all four figures the same picture",
            f"least Kendall correlation between two visual libraries above {ALIKE:g}",
            _kendall_between(table[table["library"] != "text"], "library"), low=ALIKE, trained_seeds=behind,
        ),
        Claim(
            "forms of sparsification rank representations alike (Q6)", "not asked", f"least Kendall correlation above {ALIKE:g}",
            _kendall_between(forms, "way"), low=ALIKE, trained_seeds=behind,
        ),
        Claim(
            "the authors' reading ranks representations as ours does", "not asked", f"Kendall correlation above {ALIKE:g}",
            _with_released(prototypes, released), low=ALIKE, trained_seeds=behind,
        ),
        *_along_training(curve, len(settings.seeds)),
        Claim(
            "scores rise with the number of concepts (Q9)", "not asked", "most concepts - fewest, in every representation, above 0",
            _rise_with_size(sizes), low=0,
        ),
        *_fine_tuning(tuned),
        Claim(
            f"{FEW} concepts a picture are enough for a prediction (C4)", "little accuracy is lost",
            f"accuracy - that of a head on the representation, above -{ENOUGH:g}", _few_concepts(few), low=-ENOUGH,
            trained_seeds=trainings([settings.deep], settings.seeds[:1]),
        ),
        Claim(
            "editing a concept does what changing the picture does", "not asked",
            "agreement of predictions with those on the changed picture - the same without an edit, for every factor, above 0",
            all_of([Estimate(row.gain, row.gain_low, row.gain_high, row.pictures) for row in edits.itertuples()]), low=0,
            trained_seeds=1,
        ),
    ]  # fmt: skip


def _over_representations(target, scores, behind):
    """How scores for one target go with accuracy over representations."""
    numbers = pd.DataFrame({
        name: {
            "accuracy": one.accuracy.value, "raw": one.raw.value, "corrected": one.corrected.value, "excess": one.excess.value,
            "sparse": float(one.curve.loc[np.isclose(one.curve["sparsity"], SPARSE), "retention"].mean()),
            "rise": one.curve.sort_values("sparsity")["retention"].diff().max(),
        }
        for name, one in scores.items()
    }).T  # fmt: skip

    def together(column, rows=numbers):
        return rank_correlation(rows.dropna(subset=[column]), "accuracy", column)

    return [
        Claim(
            f"{target}: accuracy and raw score rise together (C1)", "yes, in all figures", "Spearman over representations, above 0",
            together("raw"), low=0, trained_seeds=behind,
        ),
        Claim(
            f"{target}: accuracy and corrected score rise together (C1)", "not asked", "the same", together("corrected"), low=0,
            trained_seeds=behind,
        ),
        Claim(
            f"{target}: at sparsity {SPARSE:g} more accurate representations retain more (C2, Q3)", "at every sparsity",
            "Spearman of accuracy and retention over representations, above 0", together("sparse"), low=0, trained_seeds=behind,
        ),
        Claim(
            f"{target}: retention does not rise as fewer concepts speak (Q4)", "by definition, nearly",
            f"largest rise between neighbouring sparsities, mean over representations, below {RISE:g}",
            statistics.student_mean(numbers["rise"]), high=RISE,
        ),
        Claim(
            f"{target}: concepts from pictures retain more than random directions (Q5)", "not asked",
            "excess of prototypes in every representation, above 0",
            of_each_family({name: one.excess for name, one in scores.items()}), low=0, trained_seeds=behind,
        ),
        Claim(
            f"{target}: the excess over random directions grows with accuracy (Q5)", "not asked", "Spearman over representations, above 0",
            together("excess"), low=0, trained_seeds=behind,
        ),
    ]  # fmt: skip


def _planted(planted):
    """The retention that is furthest from what is derived, with the interval of the worst at either end."""
    rows = planted.dropna(subset=["expected"])
    gaps = [rows[column] - rows["expected"] for column in ("retention", "low", "high")]
    worst = gaps[0].abs().idxmax()
    return Estimate(float(gaps[0][worst]), float(gaps[1][worst]), float(gaps[2][worst]), len(rows))


def _between(one, other, number):
    """one - other of two rows that were scored on other pictures: errors are independent."""
    value = one[number] - other[number]
    below = np.hypot(one[number] - one[f"{number}_low"], other[f"{number}_high"] - other[number])
    above = np.hypot(one[f"{number}_high"] - one[number], other[number] - other[f"{number}_low"])
    return Estimate(float(value), float(value - below), float(value + above), 2)


def _dip_between_ends(separations):
    least = separations.loc[separations["raw"].idxmin()]
    ends = (separations.loc[separations["accuracy"].idxmin()], separations.loc[separations["accuracy"].idxmax()])
    return all_of([_between(end, least, "raw") for end in ends])


def _least_rise(separations):
    rows = separations[~separations["refused"]].sort_values("accuracy")
    pairs = zip(rows.iloc[1:].iterrows(), rows.iloc[:-1].iterrows(), strict=True)
    return all_of([_between(later, earlier, "corrected") for (_, later), (_, earlier) in pairs])


def _kendall_between(table, key):
    wide = table.pivot_table(index="representation", columns=key, values="full").dropna()
    return least_kendall(wide) if wide.shape[1] > 1 else None


def _with_released(prototypes, released):
    scores = released.groupby("representation")["score"].first()
    return least_kendall(pd.DataFrame({"ours": prototypes["raw"], "released": scores}).dropna())


def _along_training(curve, seeds):
    """Does the raw score dip, and does the corrected one rise? One pair of claims per encoder that is followed."""
    found = []
    for name, line in curve.groupby("encoder", sort=False) if len(curve) else []:
        dips, rises = [], []
        for _, one in line.sort_values("checkpoint").groupby("seed"):
            dips.append(min(one["raw"].iloc[0], one["raw"].iloc[-1]) - one["raw"].min())
            known = one.dropna(subset=["corrected"])
            if len(known) > 2:
                rises.append(stats.spearmanr(known["presentations"], known["corrected"]).statistic)
        label = name.removeprefix("local:").partition(",")[0]
        found += [
            Claim(
                f"along training of {label} the raw score dips (Q7)", "high at first, low at epoch 10, then rising",
                f"the lower of first and last - the least, mean over seeds, above {RISE:g}", statistics.student_mean(dips), low=RISE,
                trained_seeds=seeds,
            ),
            Claim(
                f"along training of {label} the corrected score rises (Q7)", "not asked",
                "Spearman of pictures shown and score, mean over seeds, above 0",
                statistics.student_mean(rises) if rises else None, low=0, trained_seeds=seeds,
            ),
        ]  # fmt: skip
    return found


def _rise_with_size(sizes):
    ends = sizes["concepts"].max(), sizes["concepts"].min()
    most, fewest = (sizes[sizes["concepts"] == end].set_index("representation") for end in ends)
    if ends[0] == ends[1]:
        return None
    return of_each_family({name: _between(most.loc[name], fewest.loc[name], "full") for name in most.index})


def _fine_tuning(tuned):
    """Gains of fine-tuning for sparse concepts over cross-entropy alone, paired by start."""

    def gain(column, first=TUNED, second=CONTROL):
        if not len(tuned) or not {first, second} <= set(tuned["variant"]):
            return None
        wide = tuned.pivot(index="start", columns="variant", values=column)
        return statistics.student_mean(wide[first] - wide[second])

    starts = tuned["start"].nunique() if len(tuned) else 0
    least, most = _sparsities(tuned)
    return [
        Claim(
            "fine-tuning for sparse concepts raises the score (Q8)", "yes",
            "full score - that of cross-entropy alone with the same budget, paired by start, above 0", gain("full"), low=0,
            trained_seeds=starts,
        ),
        Claim(
            "fine-tuning for sparse concepts costs no accuracy (Q8)", "yes", f"the same of the accuracy of its head, above -{LOSS:g}",
            gain("own"), low=-LOSS, trained_seeds=starts,
        ),
        Claim(
            "fine-tuning for sparse concepts raises accuracy (C3)", "by 0.1 to 3 points, sources disagree", "the same, above 0",
            gain("own"), low=0, trained_seeds=starts,
        ),
        Claim(
            "a small sparsity serves fine-tuning better than a large one (Q9)", "s = 0.1 is best", "accuracy of its head, above 0",
            gain("own", least, most) if least != most else None, low=0, trained_seeds=starts,
        ),
    ]  # fmt: skip


def _sparsities(tuned):
    """Variants with the least and the largest sparsity, of those named by it."""
    named = {} if not len(tuned) else {
        float(name.removeprefix("s = ")): name for name in tuned["variant"].unique() if name.startswith("s = ")
    }  # fmt: skip
    return (named[min(named)], named[max(named)]) if named else ("", "")


def _few_concepts(few):
    """Accuracy with few concepts a picture, of the best library, less that of a head on the representation."""
    [whole] = few[few["limited"] == ""].to_dict("records")
    rows = few[(few["limited"] == "activations") & (few["effective"] <= FEW)]
    if not len(rows):
        return None
    best = rows.loc[rows["accuracy"].idxmax()]
    reach = np.hypot(best["high"] - best["low"], whole["high"] - whole["low"]) / 2
    value = best["accuracy"] - whole["accuracy"]
    return Estimate(float(value), float(value - reach), float(value + reach), 2)

