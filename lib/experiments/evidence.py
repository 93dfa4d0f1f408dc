"""What several seeds, representations and lineages say together: the estimates that claims are judged by.

A lineage is what representations share that are not independent: layers, noisy versions and widths of one network (lib/representations.py).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from lib.representations import NOISE, family, lineage
from lib.statistics import Estimate, student_mean

LEAST_REPRESENTATIONS, LEAST_LINEAGES = 6, 3
TOO_LITTLE = Estimate(np.nan, np.nan, np.nan, 0)  # came out to tell anything from


def trainings(names: Sequence[str], seeds: Sequence[int]) -> int | None:
    """How many independent trainings stand behind the worst founded of the networks; None where there is no network."""
    networks = [name for name in names if name.startswith(("local:", "published:", "timm:", "torchvision:", "file:"))]
    return min((len(seeds) if name.startswith("local:") else 1 for name in networks), default=None)


def over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """Mean over seeds. Its interval adds Student's over seeds and the mean one of a single seed, whose pictures all seeds share.

    Of one seed, and of what has no seed, it is the interval of the one.
    """
    values = [one.value for one in estimates]
    if len(set(values)) == 1:
        return estimates[0]
    mean = student_mean(values)
    reach = np.hypot(mean.high - mean.value, np.mean([one.high - one.low for one in estimates]) / 2)
    return Estimate(mean.value, float(mean.value - reach), float(mean.value + reach), len(values))


def of_each_family(estimates: Mapping[str, Estimate]) -> Estimate | None:
    """What all representations but the random one are above; representation -> Estimate, first over the seeds of each."""
    families = {}
    for name, one in estimates.items():
        families.setdefault(family(name), []).append(one)
    return all_of([over_seeds(several) for name, several in families.items() if name != NOISE])


def all_of(estimates: Sequence[Estimate]) -> Estimate | None:
    """What all of several estimates are above: their smallest value, lowest lower and lowest upper end. None of none."""
    if not estimates:
        return None
    return Estimate(*(min(getattr(one, end) for one in estimates) for end in ("value", "low", "high")), len(estimates))


def rank_correlation(named: pd.DataFrame, first: str, second: str) -> Estimate:
    """Spearman of two columns over the representations that index a table, means over seeds and without random features."""
    means = named[[first, second]].groupby(family).mean().drop(NOISE, errors="ignore")
    return resampled_lineages(means, lambda rows: stats.spearmanr(rows[first], rows[second]).statistic)


def least_kendall(scores: pd.DataFrame) -> Estimate:
    """The least Kendall correlation between two columns over representations, as in `rank_correlation`."""
    means = scores.groupby(family).mean().drop(NOISE, errors="ignore")

    def least(rows):
        values = rows.to_numpy()
        return min(stats.kendalltau(values[:, a], values[:, b]).statistic for a in range(values.shape[1]) for b in range(a))

    return resampled_lineages(means, least)


def resampled_lineages(means: pd.DataFrame, statistic: Callable[[pd.DataFrame], float], resamples: int = 1000) -> Estimate:
    """A statistic of a table of representations, with a bootstrap over lineages; TOO_LITTLE where there are too few of either."""
    members = means.groupby(lineage).indices
    if len(means) < LEAST_REPRESENTATIONS or len(members) < LEAST_LINEAGES:
        return TOO_LITTLE
    rng, groups = np.random.default_rng(0), list(members.values())
    found = []
    for _ in range(resamples):
        rows = np.concatenate([groups[one] for one in rng.integers(0, len(groups), len(groups))])
        if len(np.unique(rows)) > 2:
            found.append(statistic(means.iloc[rows]))
    low, high = np.nanquantile(found, (0.025, 0.975))
    return Estimate(float(statistic(means)), float(low), float(high), len(means))
