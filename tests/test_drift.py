"""Drifts of pictures, and how well a number tells them."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lib.drift import DRIFTS, add_noise, blur, detection, fade, mahalanobis, move, relative_change

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
        assert detection(usual, drifted, resamples=50).value == 1
    half = detection(usual, RNG.standard_normal(200))
    assert half.low < 0.55
    assert half.value == pytest.approx(0.5, abs=0.1)
    one = detection(usual, usual + 1)
    assert one.low < one.value < one.high
    assert one.value == pytest.approx(0.76, abs=0.05)  # Phi(1 / sqrt 2)
    assert detection(np.ones(5), np.ones(5), resamples=20).value == 0.5
    rounded = usual.round(), (usual + 1).round()  # with ties
    assert detection(*rounded).value == pytest.approx(roc_auc_score(np.repeat([0, 1], 200), np.concatenate(rounded)), abs=1e-12)


def test_distance_is_that_of_the_covariance():
    known = RNG.standard_normal((5000, 3)) * [1, 2, 3]
    distance = mahalanobis(known)(np.array([[2.0, 0, 0], [0, 4.0, 0], [0, 0, 6.0]]))
    assert distance == pytest.approx(np.full(3, 2.0), rel=0.1)


@pytest.mark.parametrize(("usual", "drifted"), [(np.ones(3), np.ones(4)), (np.ones(1), np.ones(1)), (np.ones(3), np.array([1, 2, np.nan]))])
def test_bad_input_is_named(usual, drifted):
    with pytest.raises(ValueError, match="usual, drifted: found shapes"):
        detection(usual, drifted)
