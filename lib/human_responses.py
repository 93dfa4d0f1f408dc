"""What people answered: from single answers to human interpretability scores, their reliability, and their agreement with a machine's.

Zimmermann, Klein and Brendel ("Scale Alone Does not Improve Mechanistic Interpretability in Vision Models", NeurIPS 2023; "IMI") showed
people two queries between nine exciting and nine non-exciting pictures of a unit and asked which query belongs with the exciting ones.
The share of right answers is the unit's human interpretability score (HIS), to which the machine's score is compared. The tables of
answers are on Zenodo (record 8131197); this module reads them and can draw simulated ones of the same form.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, stats

from lib.keyed_random import keys
from lib.statistics import bootstrap_mean, correlation

UNIT = ["model", "layer", "channel"]
READINGS = ("people answer again", "people answer as the machine predicts")
# The columns that are used, out of the some thirty of the table; `batch` is the number of the task within its unit.
TEXT, FLAGS, NUMBERS = ("model", "layer", "mode"), ("correct", "is_demo", "catch_trial"), ("channel", "batch")
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


@dataclass(frozen=True)
class Reliability:
    """How well scores of a unit from n answers would agree with scores from n other answers."""

    half_correlation: float             # Pearson correlation between the two halves of the answers, mean over splits
    reliability: float                  # stepped up to all answers: 2 r / (1 + r), mean over splits
    interval: tuple[float, float]       # 95 % of the splits; says nothing about other units
    ceiling: float                      # sqrt(reliability): the correlation with these scores that a perfect predictor reaches
    units: int
    repeats: int


def load_responses(path: Path | str) -> pd.DataFrame:
    """Read a table of answers, one row each, from a CSV file.

    Args:
        path: file with at least the columns model, layer, channel, batch, mode, correct, is_demo and catch_trial; others are kept as text.

    Returns:
        The table with text, bool and Int64 columns. Demo and catch trials may lack layer, channel and batch.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing, or a value is not of its column's type; the message says where.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in (*TEXT, *NUMBERS, *FLAGS) if name not in table.columns]
    if missing:
        raise ValueError(f"{path}: found no column {', '.join(missing)}; expected {', '.join((*TEXT, *NUMBERS, *FLAGS))}")
    for name in FLAGS:
        values = table[name].str.lower().map(_TRUTH)
        _require(values.notna(), table[name], path, "True or False")
        table[name] = values.astype(bool)
    needed = ~(table["is_demo"] | table["catch_trial"])
    for name in NUMBERS:
        values = pd.to_numeric(table[name], errors="coerce")
        empty = table[name].isin(["", "<NA>", "nan"])
        whole = values.notna() & (values >= 0) & (values == np.floor(values))
        _require(whole | (empty & ~needed), table[name], path, "whole numbers from 0 on")
        table[name] = values.astype("Int64")
    for name in TEXT:
        _require((table[name] != "") | ~needed, table[name], path, "a name")
    return table


def human_interpretability(responses: pd.DataFrame) -> pd.DataFrame:
    """The human interpretability score of every unit: the share of right answers.

    Counted are answers that are neither of a demonstration nor of a catch trial, to natural pictures, and not of the harder variants of
    the study (models named *_hard99, *_hard95, *_hard85).

    Args:
        responses: as `load_responses` returns.

    Returns:
        One row per unit: model, layer, channel, score in [0, 1], answers (how many).

    Raises:
        ValueError: if a column is missing or no answer counts.
    """
    counted = _counted(responses)
    return counted.groupby(UNIT, sort=True)["correct"].agg(score="mean", answers="size").reset_index()


def model_scores(units: pd.DataFrame, *, resamples: int = 10_000, seed: int = 0) -> pd.DataFrame:
    """The mean score of every model, all units alike, with a bootstrap over units.

    Args:
        units: one row per unit with model and score, of people or of a machine.
        resamples: bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        One row per model: model, score, low, high (95 % interval), units.
    """
    rows = [
        (model, *bootstrap_mean(group["score"], resamples=resamples, seed=seed), len(group))
        for model, group in units.groupby("model", sort=True)
    ]
    return pd.DataFrame(rows, columns=["model", "score", "low", "high", "units"])


def split_half_reliability(responses: pd.DataFrame, *, repeats: int = 1000, seed: int = 0) -> Reliability:
    """How reproducible the units' scores are, from the answers alone.

    The answers of every unit are split at random in two halves; the correlation r of the halves' scores is that of scores from half as
    many answers, and Spearman and Brown's formula 2 r / (1 + r) steps it up to all answers. Unlike a simulation of coin flips it needs no
    assumption on how answers vary within a unit (30 answers spread over 11 tasks vary less than 30 coin flips).

    Args:
        responses: as `load_responses` returns; counted as in `human_interpretability`. Units with one answer are left out.
        repeats: random splits.
        seed: seed of the splits.

    Raises:
        ValueError: if fewer than three units have two answers, or the halves' scores do not vary.
    """
    counted = _counted(responses)
    unit = counted.groupby(UNIT, sort=True).ngroup().to_numpy()
    answers = np.bincount(unit)
    kept = np.isin(unit, np.flatnonzero(answers >= 2))
    _, unit, answers = np.unique(unit[kept], return_inverse=True, return_counts=True)
    correct = counted["correct"].to_numpy()[kept].astype(float)
    if len(answers) < 3:
        raise ValueError(f"responses: found {len(answers)} units with two answers or more; expected at least three")

    starts = np.concatenate([[0], np.cumsum(answers)[:-1]])
    cut = answers // 2
    rng = np.random.default_rng(seed)
    halves = np.empty((repeats, 2))
    for repeat in range(repeats):
        order = np.lexsort((rng.random(len(unit)), unit))                       # answers in random order within each unit
        place = np.arange(len(unit)) - starts[unit[order]]
        first = place < cut[unit[order]]
        right = np.bincount(unit[order], correct[order]), np.bincount(unit[order], correct[order] * first)
        scores = right[1] / cut, (right[0] - right[1]) / (answers - cut)
        if not (np.ptp(scores[0]) and np.ptp(scores[1])):
            raise ValueError("responses: found the same score for every unit; expected scores that vary")
        half = np.corrcoef(*scores)[0, 1]
        halves[repeat] = half, 2 * half / (1 + half)
    half, reliability = halves.mean(0)
    low, high = np.quantile(halves[:, 1], (0.025, 0.975))
    ceiling = float(np.sqrt(max(reliability, 0.0)))
    return Reliability(float(half), float(reliability), (float(low), float(high)), ceiling, len(answers), repeats)


def compare(
    machine: pd.DataFrame, people: pd.DataFrame, *, reliability: float | None = None, resamples: int = 1000, seed: int = 0,
) -> pd.DataFrame:
    """Correlate a machine's scores with people's, over units and over models' means.

    Args:
        machine: one row per unit: model, layer, channel, score.
        people: the same, as `human_interpretability` returns. Units that only one of the two has are left out.
        reliability: of people's scores, as `split_half_reliability` finds it. With it the correlation over units is also given without
            the noise of people's scores: r / sqrt(reliability). Above 1 it says that the reliability was underestimated.
        resamples: bootstrap resamples, over units and over models.
        seed: seed of the resampling.

    Returns:
        Four rows: level ("unit", "model"), kind ("pearson", "spearman"), value, low, high (95 % interval), count, disattenuated (for units
        and Pearson's correlation where reliability is given, else NaN).

    Raises:
        ValueError: if a column is missing, a unit occurs twice, or no unit is in both.
    """
    for name, table in (("machine", machine), ("people", people)):
        missing = [column for column in (*UNIT, "score") if column not in table.columns]
        if missing:
            raise ValueError(f"{name}: found no column {', '.join(missing)}; expected model, layer, channel, score")
        if table.duplicated(UNIT).any():
            twice = ", ".join(str(value) for value in table.loc[table.duplicated(UNIT), UNIT].iloc[0])
            raise ValueError(f"{name}: found the unit {twice} twice; expected one row per unit")
    if reliability is not None and not 0 < reliability <= 1:
        raise ValueError(f"reliability: found {reliability}; expected a number in (0, 1]")
    both = machine[[*UNIT, "score"]].merge(people[[*UNIT, "score"]], on=UNIT, suffixes=("_machine", "_people"))
    if both.empty:
        raise ValueError("machine, people: found no unit that is in both; expected the same names of models and layers")
    rows = []
    for level, table in (("unit", both), ("model", both.groupby("model")[["score_machine", "score_people"]].mean())):
        for kind in ("pearson", "spearman"):
            found = correlation(table["score_machine"], table["score_people"], kind=kind, resamples=resamples, seed=seed)
            clean = found.value / np.sqrt(reliability) if reliability and (level, kind) == ("unit", "pearson") else np.nan
            rows.append((level, kind, found.value, found.low, found.high, found.count, clean))
    return pd.DataFrame(rows, columns=["level", "kind", "value", "low", "high", "count", "disattenuated"])


def fit_temperature(deltas, correct) -> tuple[float, tuple[float, float]]:
    """The temperature tau with which p = sigmoid(Delta / tau) predicts single answers best.

    Logistic regression through the origin with one coefficient 1 / tau, by maximum likelihood; the interval holds every tau that a
    likelihood-ratio test does not reject.

    Args:
        deltas: (answers,) the evidence Delta of the task that was answered.
        correct: (answers,) whether the answer was right.

    Returns:
        tau and its 95 % interval; the upper end is infinite where the answers may be unrelated to Delta.

    Raises:
        ValueError: if shapes disagree or values are not finite, if every answer is as Delta says (then no tau is small enough), or if the
            answers go against Delta on the whole.
    """
    deltas, correct = np.asarray(deltas, float), np.asarray(correct)
    if deltas.ndim != 1 or deltas.shape != correct.shape or not len(deltas) or not np.isfinite(deltas).all():
        raise ValueError(f"deltas, correct: found shapes {deltas.shape} and {correct.shape}; expected (answers,) twice, deltas finite")
    if not np.isin(correct, (0, 1)).all():
        raise ValueError("correct: found values other than True and False; expected one answer per row")
    margin = np.where(correct.astype(bool), deltas, -deltas)            # positive where the answer is as Delta says
    if not (margin < 0).any():
        raise ValueError(f"correct: found all {len(correct)} answers as the deltas say; expected some against them: "
                         "without any, no temperature is small enough")
    if margin.sum() <= 0:
        raise ValueError("correct: found answers that go against the deltas on the whole; expected answers that follow them")
    margin = margin / np.abs(margin).max()                              # so that the coefficient is of order one
    scale = np.abs(deltas).max()

    def slope(coefficient):
        return margin @ stats.logistic.sf(coefficient * margin)

    def rejected(coefficient):
        """Twice the loss of log-likelihood against the best coefficient, minus the 95 % point of chi-square."""
        return 2 * (np.logaddexp(0, -coefficient * margin).sum() - best_loss) - stats.chi2.ppf(0.95, 1)

    best = optimize.brentq(slope, 0, _upwards(lambda coefficient: slope(coefficient) < 0, 1.0))
    best_loss = np.logaddexp(0, -best * margin).sum()
    high = optimize.brentq(rejected, best, _upwards(lambda coefficient: rejected(coefficient) > 0, 2 * best))
    low = optimize.brentq(rejected, 0, best) if rejected(0) > 0 else 0.0
    return float(scale / best), (float(scale / high), float(scale / low) if low else np.inf)


def simulate_responses(
    task_probabilities, *, answers_per_unit: int = 30, tasks: int | None = None, units: pd.DataFrame | None = None, seed: int = 0,
) -> pd.DataFrame:
    """Draw answers of people who answer task t of unit u right with a known probability.

    Args:
        task_probabilities: (units, N) in [0, 1].
        answers_per_unit: answers to every unit, dealt evenly to its tasks; the study had 30.
        tasks: how many of the N tasks people see, the first ones (11 in the study's released script); all of them by default.
        units: (units,) rows with model, layer, channel; one model "simulated" by default.
        seed: keys the answers by (seed, unit, answer).

    Returns:
        A table of the form that `load_responses` returns.
    """
    probabilities = np.asarray(task_probabilities, float)
    if probabilities.ndim != 2 or not probabilities.size or not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError(f"task_probabilities: found shape {probabilities.shape}; expected (units, tasks) with values in [0, 1]")
    count, available = probabilities.shape
    tasks = available if tasks is None else tasks
    if not 1 <= tasks <= available:
        raise ValueError(f"tasks: found {tasks}; expected 1 to {available}, as task_probabilities has")
    if answers_per_unit < 1:
        raise ValueError(f"answers_per_unit: found {answers_per_unit}; expected at least 1")
    if units is None:
        units = pd.DataFrame({"model": "simulated", "layer": "layer", "channel": np.arange(count)})
    if len(units) != count:
        raise ValueError(f"units: found {len(units)} rows; expected {count}, one per row of task_probabilities")
    unit, answer = (index.ravel() for index in np.indices((count, answers_per_unit)))
    batch = answer % tasks
    uniform = (keys(seed, unit, answer) >> np.uint64(11)) * 2.0**-53
    table = units[UNIT].iloc[unit].reset_index(drop=True).astype({"channel": "Int64"})
    return table.assign(
        batch=pd.array(batch, dtype="Int64"), mode="natural", correct=uniform < probabilities[unit, batch],
        is_demo=False, catch_trial=False)


def noise_ceiling(people, machine, *, answers: int = 30, simulations: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The correlation that the noise of people's answers allows, if answers are coin flips: two readings of the paper's 0.82.

    "people answer again": every unit's answers are drawn anew with people's own score as probability, and correlated with that score. The
    score is itself noisy, so this is not what a perfect predictor of people reaches.
    "people answer as the machine predicts": answers are drawn with the machine's score as probability, and correlated with it: what the
    machine would reach if it were exactly right. It gives the paper's 0.82 consistently; the first reading contradicts the paper's own
    0.80 (specs/mis.md 3.1). `split_half_reliability` needs neither.

    Args:
        people: (units,) people's scores in [0, 1].
        machine: (units,) a machine's scores of the same units.
        answers: answers per unit.
        simulations: how often answers are drawn.
        seed: seed of the draws.

    Returns:
        One row per reading: reading, value (mean Pearson correlation), low, high (95 % of the simulations), closed_form = sqrt(V / (V +
            e)) with V the variance of the probabilities over units and e = mean of
        p (1 - p) / answers.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for reading, scores in zip(READINGS, (people, machine), strict=True):
        scores = np.asarray(scores, float)
        if scores.ndim != 1 or len(scores) < 3 or not ((scores >= 0) & (scores <= 1)).all() or not np.ptp(scores):
            name = "people" if reading == READINGS[0] else "machine"
            raise ValueError(f"{name}: found shape {scores.shape}; expected at least three scores in [0, 1] that vary")
        drawn = rng.binomial(answers, scores, (simulations, len(scores))) / answers
        values = stats.pearsonr(np.broadcast_to(scores, drawn.shape), drawn, axis=1).statistic
        variance, error = scores.var(), (scores * (1 - scores)).mean() / answers
        rows.append((reading, values.mean(), *np.quantile(values, (0.025, 0.975)), np.sqrt(variance / (variance + error))))
    return pd.DataFrame(rows, columns=["reading", "value", "low", "high", "closed_form"])


def _counted(responses: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in (*UNIT, *FLAGS, "mode") if name not in responses.columns]
    if missing:
        raise ValueError(f"responses: found no column {', '.join(missing)}; expected the table that load_responses returns")
    counted = responses[
        ~responses["is_demo"] & ~responses["catch_trial"] & (responses["mode"] == "natural")
        & ~responses["model"].str.contains("_hard", regex=False, na=False)
    ]
    if counted.empty:
        raise ValueError(f"responses: found no answer that counts among {len(responses)}; expected some with mode 'natural' that are "
                         "no demo or catch trials")
    return counted


def _require(good: pd.Series, column: pd.Series, path, expected: str) -> None:
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        found = f"{column.iloc[row]!r} in row {row + 1} ({np.count_nonzero(~good)} such values)"
        raise ValueError(f"{path}: column {column.name}: found {found}; expected {expected}")


def _upwards(reached, start: float) -> float:
    while not reached(start):
        start *= 2
    return start
