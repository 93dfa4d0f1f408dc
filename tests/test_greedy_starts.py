"""Starts of k-means: greedy k-means++."""

import numpy as np
import pytest
import torch
from sklearn.cluster import kmeans_plusplus

from lib import greedy_starts as module
from lib.greedy_starts import greedy_starts


@pytest.fixture(scope="module")
def blobs():
    """Sixteen groups, far apart, of ten points each."""
    rng = np.random.default_rng(0)
    centres = 100 * rng.standard_normal((16, 5))
    return np.repeat(centres, 10, 0).astype(np.float32) + rng.standard_normal((160, 5), dtype=np.float32)


def potential(points, starts):
    return np.square(points[:, None].astype(float) - starts[None]).sum(2).min(1).sum()


def test_groups_that_are_far_apart_get_one_start_each(blobs):
    for seed in range(5):
        starts = greedy_starts(blobs, 16, seed=seed)
        which = [int(np.flatnonzero((blobs == start).all(1))[0]) // 10 for start in starts]
        assert sorted(which) == list(range(16))


def test_each_step_takes_the_best_of_its_candidates():
    points = np.random.default_rng(1).standard_normal((300, 4), dtype=np.float32)
    rng, chosen = np.random.default_rng(3), []
    for number in range(20):
        if not number:
            chosen.append(rng.integers(300))
            continue
        nearest = np.square(points[:, None].astype(float) - points[chosen]).sum(2).min(1)
        drawn = np.searchsorted(nearest.cumsum(), rng.random(2 + int(np.log(20))) * nearest.sum(), side="right")
        chosen.append(min(drawn, key=lambda one: potential(points, points[[*chosen, one]])))
    np.testing.assert_array_equal(greedy_starts(points, 20, seed=3), points[chosen])


def test_starts_are_as_good_as_those_of_scikit_learn():
    points = np.random.default_rng(2).standard_normal((2000, 8), dtype=np.float32)
    ours = np.mean([potential(points, greedy_starts(points, 50, seed=seed)) for seed in range(10)])
    theirs = np.mean([potential(points, kmeans_plusplus(points, 50, random_state=seed)[0]) for seed in range(10)])
    assert ours == pytest.approx(theirs, rel=0.03)  # means of ten with a standard deviation of 1.5 % each


def test_where_the_origin_is_makes_no_difference(blobs):
    near, far = (greedy_starts(blobs + np.float32(shift), 16) - np.float32(shift) for shift in (0, 4096))
    np.testing.assert_allclose(near, far, atol=1e-3)


def test_seeds_differ_and_the_callers_threads_make_no_difference(monkeypatch):
    points = np.random.default_rng(4).standard_normal((20_000, 512), dtype=np.float32)  # large enough for two threads
    before, found, used, chosen = torch.get_num_threads(), [], [], module._chosen

    def watched(*arguments):
        used.append(torch.get_num_threads())
        return chosen(*arguments)

    monkeypatch.setattr(module, "_chosen", watched)
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(greedy_starts(points, 60, seed=1))
            greedy_starts(points[:100], 60)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert used == [2, 1, 2, 1]
    np.testing.assert_array_equal(*found)
    assert (greedy_starts(points, 60, seed=2) != found[0]).any()


def test_no_distance_is_below_0_and_that_of_a_point_to_itself_is_0():
    rng = np.random.default_rng(0)
    for spread in (1e-3, 1e-1, 1):  # two groups 100 apart: differences inside a group are near the rounding of the squared lengths
        points = torch.from_numpy(np.repeat([[-50.0], [50]], 20, 0) + spread * rng.standard_normal((40, 64))).float()
        found = module._distances(points, points.square().sum(1), np.arange(40))
        assert (found >= 0).all()
        assert (found.diagonal() == 0).all()
    exact = (points[:, None].double() - points[None].double()).square().sum(2)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6 * float(points.square().sum(1).max()))


@pytest.mark.parametrize("points", [np.zeros((7, 3)), np.repeat(np.arange(3), 3)[:, None], np.arange(4)[:, None]])
def test_too_few_different_points_are_all_there_and_repeat(points):
    points = points.astype(np.float32)
    starts = greedy_starts(points, len(points))
    assert starts.shape == points.shape
    assert set(map(tuple, starts)) == set(map(tuple, points))
