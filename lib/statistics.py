"""Intervals, paired differences and rank correlations, each with its bootstrap.

Resamples are drawn from a seed, so that a number does not change between runs. scipy.stats computes the statistics; the mean has a
vectorised path of its own because it is asked for thousands of times.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

_RESAMPLED_AT_ONCE = 4_000_000  # numbers


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and how many things it was computed from."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}], n = {self.count}"


def bootstrap_mean(values, *, resamples: int = 1000, seed: int = 0, clusters=None) -> tuple[float, float, float]:
    """Mean and 95 % percentile interval.

    Args:
        values: (n,) finite numbers, at least one.
        resamples: bootstrap resamples.
        seed: seed of the resampling.
        clusters: (n,) labels; whole clusters are resampled, e.g. layers when units of a layer are alike.

    Returns:
        mean, low, high.
    """
    values = _finite(values, "values")
    rng = np.random.default_rng(seed)
    if clusters is None:
        sums, sizes = values, np.ones(len(values))
    else:
        _, membership = np.unique(np.asarray(clusters), return_inverse=True)
        sums, sizes = np.bincount(membership, values), np.bincount(membership).astype(float)
    # A resample is a vector of multiplicities; a few at a time, so that many values do not need much memory.
    resampled = []
    for count in _in_parts(resamples, max(1, _RESAMPLED_AT_ONCE // len(sums))):
        weights = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=count)
        resampled.append((weights @ sums) / (weights @ sizes))
    low, high = np.quantile(np.concatenate(resampled), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def mean(values, **settings) -> Estimate:
    """`bootstrap_mean` as an Estimate."""
    return Estimate(*bootstrap_mean(values, **settings), count=len(np.asarray(values)))


def student_mean(values) -> Estimate:
    """Mean with Student's 95 % interval, for the few independent things (seeds, families, layers) on which a bootstrap is too narrow.

    With fewer than two values nothing is known of the spread: the interval is infinite.
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"values: found shape {values.shape}; expected (n,), n >= 1, finite")
    if len(values) < 2:
        return Estimate(float(values.mean()), -np.inf, np.inf, len(values))
    reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Estimate(float(values.mean()), float(values.mean() - reach), float(values.mean() + reach), len(values))


def paired_difference(first, second, *, resamples: int = 1000, seed: int = 0, clusters=None) -> Estimate:
    """Mean of first - second over pairs, with a bootstrap over pairs (or over clusters of pairs)."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape:
        raise ValueError(f"first, second: found shapes {first.shape} and {second.shape}; expected pairs")
    return mean(first - second, resamples=resamples, seed=seed, clusters=clusters)


def difference_of_means(first, second, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Difference of the means of two independent samples, each resampled by itself; count is the smaller sample."""
    rng = np.random.default_rng(seed)
    first, second = _finite(first, "first"), _finite(second, "second")
    resampled = [rng.multinomial(len(v), np.full(len(v), 1 / len(v)), size=resamples) @ v / len(v) for v in (first, second)]
    low, high = np.quantile(resampled[0] - resampled[1], (0.025, 0.975))
    return Estimate(float(first.mean() - second.mean()), float(low), float(high), min(len(first), len(second)))


def correlation(first, second, *, kind: str = "spearman", resamples: int = 1000, seed: int = 0) -> Estimate:
    """Correlation of two samples with a paired percentile bootstrap.

    Args:
        first: (n,) numbers.
        second: (n,) numbers.
        kind: "spearman" or "pearson".
        resamples: bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        NaN with the interval [-1, 1] where there are fewer than three pairs or one side is constant: nothing can be said then.
    """
    statistic = {"spearman": lambda a, b: stats.spearmanr(a, b).statistic, "pearson": lambda a, b: stats.pearsonr(a, b).statistic}.get(kind)
    if statistic is None:
        raise ValueError(f"kind: found {kind!r}; expected 'spearman' or 'pearson'")
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"first, second: found shapes {first.shape} and {second.shape}; expected two equally long vectors")
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Estimate(float("nan"), -1.0, 1.0, len(first))
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(first), (resamples, len(first)))
    resampled = [statistic(first[row], second[row]) for row in rows if np.ptp(first[row]) and np.ptp(second[row])]
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(float(statistic(first, second)), float(low), float(high), len(first))


def proportion(successes: int, count: int) -> Estimate:
    """A proportion with Wilson's 95 % interval."""
    interval = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    return Estimate(successes / count, float(interval.low), float(interval.high), count)


def _finite(values, name: str) -> np.ndarray:
    values = np.asarray(values, float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        broken = np.count_nonzero(~np.isfinite(values))
        raise ValueError(f"{name}: found shape {values.shape} with {broken} values that are not finite; expected (n,), n >= 1, finite")
    return values


def _in_parts(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]
