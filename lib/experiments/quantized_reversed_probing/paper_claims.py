"""The claims of notebook 01, each with the rule by which it is judged.

The rules were written before representations were compared; one, the network that was taught the class, had been scored in a trial of
speed.

No number of the paper could be established (specs/qrp.md 0), so the claims are its statements and the relations that follow from its
definition. Intervals are over seeds where representations are trained here, else over representations or pictures.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from lib import statistics
from lib.claims import Claim
from lib.measures.quantized_reversed_probing import QuantizedReversedProbing, paired_difference
from lib.representations import NOISE, PIXELS


def claims(
    settings, *, planted: pd.DataFrame, scores: Mapping[str, QuantizedReversedProbing], table: pd.DataFrame, blocks: pd.DataFrame,
    curve: pd.DataFrame, numbers: pd.DataFrame, experts: pd.DataFrame, deep: str, seed: int,
) -> list[Claim]:  # fmt: skip
    """Build the claims from the tables of the notebook.

    Args:
        settings: of the notebook.
        planted: `planted_scores`.
        scores: of every representation.
        table: `summary` joined with `forward_accuracy`.
        blocks: `blocks_alone_and_together`.
        curve: `training_curve`, or an empty table.
        numbers: `cluster_number_curve`.
        experts: `noisy_experts`.
        deep: the representation that was trained on the class.
        seed: of bootstraps.
    """
    seeds = len(settings.seeds)
    named = table.set_index("representation")
    noise = scores[NOISE]
    return [
        Claim(
            "linear probes see conjunctions and not unions of them", "combinations, by definition",
            "planted AND within 0.02 bits of 2, XOR within 0.02 of 0", _planted(planted), -0.02, 0.02,
        ),
        Claim(
            "features of chance score 0", "by definition", "score of random features within 0.05 bits of 0",
            statistics.Estimate(noise.score, *noise.interval, len(noise.replicates)), -0.05, 0.05,
        ),
        Claim(
            "concepts of other pictures explain nothing", "by definition", "mean score with permuted concepts below 0.05 bits",
            statistics.student_mean(named["null"].dropna()), high=0.05,
        ),
        Claim(
            "a trained network is explained better than pixels", "not asked", "class network - pixels, paired by picture, above 0",
            paired_difference(scores[deep], scores[PIXELS], seed=seed), low=0, trained_seeds=seeds,
        ),
        Claim(
            "concepts together say more than the best kind alone", "combinations beat single kinds",
            "all concepts - best block, mean over representations, above 0", _together(blocks, named), low=0, trained_seeds=seeds,
        ),
        Claim(
            "colour organises pixels and not the trained network", "not asked", "gain of colour in pixels - in the class network, above 0",
            _difference_of_gains(blocks, "colour", PIXELS, deep), low=0, trained_seeds=seeds,
        ),
        Claim(
            "along training the score rises", "not asked", "Spearman of pictures shown and score, mean over seeds, above 0",
            _along_training(curve), low=0, trained_seeds=seeds,
        ),
        Claim(
            "rankings do not depend on the number of clusters", "not asked",
            "least Kendall correlation between numbers of clusters above 0.8", _stability(numbers), low=0.8,
            trained_seeds=seeds,
        ),
        Claim(
            "wrong concept labels lower the score and keep the order", "experts stand in for people",
            "Kendall correlation of scores with true and with 20 % wrong labels above 0.8", _experts(experts), low=0.8, trained_seeds=seeds,
        ),
        Claim(
            "forward and reverse probing rank representations differently", "differences emerge", "Spearman over representations below 1",
            statistics.correlation(named["factors"], named["score"], seed=seed), high=0.999, trained_seeds=seeds,
        ),
        Claim(
            "forward and reverse probing agree on the whole", "not asked", "Spearman over representations above 0",
            statistics.correlation(named["factors"], named["score"], seed=seed), low=0, trained_seeds=seeds,
        ),
    ]  # fmt: skip


def _planted(planted):
    """The larger of the two deviations, with its sign and interval."""
    rows = planted[planted["case"].str.contains("AND|XOR") & (planted["concepts"] == "both")]
    deviation = rows["score"] - rows["expected"]
    worst = rows.loc[deviation.abs().idxmax()]
    return statistics.Estimate(*(worst[column] - worst["expected"] for column in ("score", "low", "high")), len(rows))


def _together(blocks, named):
    best = blocks.groupby("representation")["alone"].max().drop(NOISE, errors="ignore")
    return statistics.student_mean((named["score"] - best).dropna())


def _difference_of_gains(blocks, name, first, second):
    """Gain of a block in one representation minus that in another; paired by clustering where there are several."""
    gains = blocks[blocks["block"] == name].pivot_table(index="clustering", columns="representation", values="gain")
    return statistics.student_mean(gains[first] - gains[second])


def _along_training(curve):
    if not len(curve):
        return None
    found = [stats.spearmanr(line["presentations"], line["score"]).statistic for _, line in curve.groupby("seed")]
    return statistics.student_mean(found)


def _stability(numbers):
    """Kendall's correlation of representations between every two numbers of clusters: the least, with a bootstrap over representations."""
    scores = numbers.pivot_table(index="representation", columns="clusters", values="score")
    return _least_kendall(scores)


def _experts(experts):
    scores = experts.pivot_table(index="representation", columns="error", values="score")
    return _least_kendall(scores[[scores.columns[0], min(scores.columns, key=lambda error: abs(error - 0.2))]])


def _least_kendall(scores, resamples=1000):
    if len(scores) < 4:
        return None

    def least(rows):
        pairs = [(scores.iloc[rows, a], scores.iloc[rows, b]) for a in range(scores.shape[1]) for b in range(a)]
        return np.nanmin([stats.kendalltau(*pair).statistic for pair in pairs])

    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(scores), len(scores)) for _ in range(resamples)]
    found = [least(rows) for rows in drawn if len(np.unique(rows)) > 2]
    low, high = np.nanquantile(found, (0.025, 0.975))
    return statistics.Estimate(float(least(np.arange(len(scores)))), float(low), float(high), len(scores))
