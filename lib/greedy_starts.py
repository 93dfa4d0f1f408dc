"""Starts of k-means: greedy k-means++ (Arthur and Vassilvitskii 2007; several candidates a step, as in scikit-learn), in float32.

Each next start is the one of 2 + ln K candidates, drawn with a probability proportional to the squared distance from the nearest start so
far, that lowers the sum of these distances most. scikit-learn takes the same steps in float64, a few rows at a time: for 1,000 starts among
50,000 points of 512 dimensions more than three times as long, and far longer than the iterations of k-means that follow.
"""

import numpy as np
import torch

from lib.devices import TRAINING_THREADS
from lib.torch_threads import exactly

_SMALL = 5e7  # multiplications a step below which a second thread costs more than it saves


def greedy_starts(points: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Rows of points to start k-means from, (count, dims) float32.

    Args:
        points: (n, dims) float32, finite.
        count: how many, 1 to n. Rows repeat where there are fewer different points, or where points differ by less than about a thousandth
            of their distance from the mean: such differences are lost in rounding.
        seed: of the draws.
    """
    candidates = 2 + int(np.log(count))
    with exactly(TRAINING_THREADS if points.size * candidates > _SMALL else 1):
        centred = points - points.mean(0, dtype=np.float64).astype(np.float32)
        return points[_chosen(torch.from_numpy(centred), count, candidates, np.random.default_rng(seed))]


def _chosen(points, count, candidates, rng):
    """Points are centred, since the distances are differences of squared lengths, which lose digits far from the origin."""
    squares = points.square().sum(1)
    chosen = [int(rng.integers(len(points)))]
    nearest = _distances(points, squares, chosen)[0]
    for _ in range(count - 1):
        cumulated = np.cumsum(nearest.numpy(), dtype=np.float64)
        drawn = np.searchsorted(cumulated, rng.random(candidates) * cumulated[-1], side="right").clip(max=len(points) - 1)
        closer = torch.minimum(_distances(points, squares, drawn), nearest)
        best = int(closer.sum(1).argmin())
        chosen.append(int(drawn[best]))
        nearest = closer[best]
    return chosen


def _distances(points, squares, rows):
    """Squared distances of all points to some of them, (rows, n)."""
    rows = torch.as_tensor(rows)
    found = torch.addmm(squares, points[rows], points.T, alpha=-2)
    return found.add_(squares[rows, None]).clamp_min_(0).index_put_((torch.arange(len(rows)), rows), torch.tensor(0.0))
