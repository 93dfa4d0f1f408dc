"""Similarity of maps against scipy and scikit-image, and on maps whose answer is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from lib.measures.map_similarity import GRID, SIMILARITIES, edge_similarity, rank_similarity, structural_similarity

RNG = np.random.default_rng(0)
ONE, OTHER = RNG.random((2, 4, GRID, GRID))


def test_rank_similarity_is_spearman():
    found = rank_similarity(ONE.round(1), OTHER.round(1))  # with ties
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(ONE.round(1), OTHER.round(1), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_rank_similarity_sees_order_and_sign():
    np.testing.assert_allclose(rank_similarity(ONE, np.exp(3 * ONE)), 1)
    np.testing.assert_allclose(rank_similarity(ONE, -ONE), -1)
    signed = ONE - 0.5
    assert rank_similarity(signed, -signed) == pytest.approx(-np.ones(4))
    assert rank_similarity(abs(signed), abs(-signed)) == pytest.approx(np.ones(4))
    assert np.isnan(rank_similarity(np.ones((1, 3, 3)), ONE[:1, :3, :3])).all()


def test_structural_similarity_is_its_definition():
    def local_mean(values):
        return gaussian_filter(values, 1.5, mode="mirror", truncate=3.5)

    expected = []
    for pair in zip(ONE, OTHER, strict=True):
        a, b = ((one - one.min()) / np.ptp(one) for one in pair)
        mean_a, mean_b = local_mean(a), local_mean(b)
        variances = local_mean(a * a) - mean_a**2 + local_mean(b * b) - mean_b**2
        covariance = local_mean(a * b) - mean_a * mean_b
        index = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4) / ((mean_a**2 + mean_b**2 + 1e-4) * (variances + 9e-4))
        expected.append(index.mean())
    np.testing.assert_allclose(structural_similarity(ONE, OTHER), expected, atol=5e-6)  # float32


@pytest.mark.parametrize("side", [4, 8, 28, 64])
@pytest.mark.parametrize("name", SIMILARITIES)
def test_a_map_is_like_itself_whatever_its_scale(name, side):
    maps = RNG.random((2, side, side))
    assert SIMILARITIES[name](maps, 5 * maps + 3) == pytest.approx(np.ones(2), abs=1e-6)
    assert SIMILARITIES[name](maps, RNG.random((2, side, side))).max() < 0.9
    assert SIMILARITIES[name](maps, RNG.random((2, side, side))).shape == (2,)


def test_edges_are_seen_by_their_direction():
    stripes = np.tile(np.sin(np.arange(GRID)), (GRID, 1))[None]
    assert edge_similarity(stripes, -stripes)[0] == pytest.approx(1, abs=0.01)
    assert edge_similarity(stripes, stripes.transpose(0, 2, 1))[0] < 0.1
    assert np.isnan(edge_similarity(stripes, np.ones_like(stripes))).all()


@pytest.mark.parametrize("name", SIMILARITIES)
def test_bad_input_is_named(name):
    with pytest.raises(ValueError, match="expected two times"):
        SIMILARITIES[name](ONE, OTHER[:2])
    with pytest.raises(ValueError, match="not finite"):
        SIMILARITIES[name](ONE * np.nan, OTHER)
