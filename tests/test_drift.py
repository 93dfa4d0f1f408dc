"""Drifts of pictures, and how well a number tells them."""

import numpy as np
import pytest

from lib.drift import DRIFTS, add_noise, advantage, blur, detection, fade, mahalanobis, move, relative_change
from lib.statistics import proportion

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (3, 28, 28, 3)).astype(np.uint8)


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS)
def test_no_strength_is_no_drift_and_more_is_more(drift):
    assert np.array_equal(drift(PICTURES, 0.0, 0), PICTURES)
    away = [np.abs(drift(PICTURES, strength, 0).astype(int) - PICTURES).mean() for strength in (0.1, 0.3, 0.9)]
    assert 0 < away[0] < away[1] < away[2]
    assert drift(PICTURES, 0.5, 0).dtype == np.uint8
    assert drift(PICTURES, 0.5, 0).shape == PICTURES.shape


def test_noise_belongs_to_the_picture_and_is_grey():
    grey = np.full((2, 40, 40, 3), 128, np.uint8)
    one, other = add_noise(grey, 0.1, 0)
    assert (one != other).any()
    assert np.array_equal(one[..., 0], one[..., 2])
    assert np.array_equal(add_noise(grey[:1], 0.1, 0)[0], one)
    assert one.std() / 255 == pytest.approx(0.1, rel=0.1)
    assert (add_noise(grey, 0.1, 1)[0] != one).any()


def test_shift_continues_the_border_and_fading_keeps_the_mean():
    moved = move(PICTURES, 0.5)
    assert np.array_equal(moved[:, 5:, 5:], PICTURES[:, :-5, :-5])
    assert (moved[:, 0, 5] == moved[:, 1, 5]).all()
    faded = fade(PICTURES, 1.0)
    assert faded.std(axis=(1, 2, 3)).max() == 0
    np.testing.assert_allclose(fade(PICTURES, 0.5).mean((1, 2, 3)), PICTURES.mean((1, 2, 3)), atol=0.5)


def test_blur_lowers_the_spread():
    assert blur(PICTURES, 0.9).std() < blur(PICTURES, 0.3).std() < PICTURES.std()


def test_relative_change_is_its_formula():
    assert relative_change([2, 4], [1, 5]).tolist() == [0.5, -0.25]
    assert np.isnan(relative_change([0.0], [1.0])).all()


def test_detection_is_perfect_blind_or_between():
    usual = RNG.standard_normal(200)
    for drifted in (usual + 100, usual - 100):
        assert detection(usual, drifted).value == 1
    one = detection(usual, usual + 1)
    assert one.low < one.value < one.high
    assert one.value == pytest.approx(0.76, abs=0.05)  # Phi(1 / sqrt 2)
    assert detection(np.ones(8), np.ones(8)).value == 0.5


def test_detection_is_the_area_over_pairs_of_different_pictures():
    usual, drifted = RNG.standard_normal((2, 30)).round(1)  # with ties
    drifted = drifted + 1
    u, d = usual[1::2], drifted[1::2]
    area = np.mean([(d[j] > u[i]) + 0.5 * (d[j] == u[i]) for i in range(15) for j in range(15) if i != j])
    assert detection(usual, drifted).value == pytest.approx(area)


def test_chance_is_not_taken_for_a_direction():
    areas = [detection(*np.random.default_rng(seed).standard_normal((2, 24))).value for seed in range(400)]
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * np.std(areas) / 20)


@pytest.mark.parametrize(("shift", "truth"), [(0.0, 0.5), (1.0, 0.7602), (-1.0, 0.7602)])  # Phi(|shift| / sqrt 2)
def test_intervals_of_areas_cover(shift, truth):
    hits = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        common = 0.7 * rng.standard_normal(60)  # what makes a picture's number high before and after
        usual, drifted = common + np.sqrt(0.51) * rng.standard_normal((2, 60))
        one = detection(usual, drifted + shift)
        hits += one.low <= truth <= one.high
    assert 0.92 * 400 < hits < 0.98 * 400


def test_an_advantage_is_paired_and_over_the_best_of_the_others():
    rng = np.random.default_rng(0)
    usual = rng.standard_normal((3, 300))
    drifted = usual + np.array([1.0, 0.2, -3.0])[:, None] + 0.1 * rng.standard_normal((3, 300))
    areas = [detection(one, other).value for one, other in zip(usual, drifted, strict=True)]
    found = advantage(usual, drifted)
    assert found.value == pytest.approx(areas[0] - areas[2])
    assert advantage(usual[[0, 0]], drifted[[0, 0]]).value == 0
    same = advantage(usual[[0, 0]], drifted[[0, 0]])  # paired: the same number has no advantage, as far as 150 pictures can say
    assert -0.03 < same.low < 0 < same.high < 0.03
    perfect = detection(np.arange(40), 100 + np.arange(40))
    assert (perfect.value, perfect.high) == (1, 1)
    assert perfect.low == pytest.approx(proportion(20, 20).low)
    assert advantage(usual[[0, 1]], drifted[[0, 1]]).low > 0


def test_distance_is_that_of_the_covariance():
    known = RNG.standard_normal((5000, 3)) * [1, 2, 3]
    distance = mahalanobis(known)(np.array([[2.0, 0, 0], [0, 4.0, 0], [0, 0, 6.0]]))
    assert distance == pytest.approx(np.full(3, 2.0), rel=0.1)


@pytest.mark.parametrize(("usual", "drifted"), [
    (np.ones(5), np.ones(4)), (np.ones(7), np.ones(7)), (np.ones(8), np.array([*range(7), np.nan])),
])  # fmt: skip
def test_bad_input_is_named(usual, drifted):
    with pytest.raises(ValueError, match="usual, drifted: found shapes"):
        detection(usual, drifted)
