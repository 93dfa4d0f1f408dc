"""Heads on frozen features: the penalty is chosen on rows set aside, and a similar head only saves time."""

import numpy as np
import pytest

from lib.linear_head import PENALTIES, fitted_head, tuning_rows

CLASSES, DIMS = 4, 20


@pytest.fixture(scope="module")
def classes():
    """Features of classes at a distance: distance -> (features, labels, rows that choose the penalty)."""

    def make(distance, pictures=600):
        rng = np.random.default_rng(0)
        labels = np.arange(pictures) % CLASSES
        means = distance * rng.standard_normal((CLASSES, DIMS))
        return means[labels] + rng.standard_normal((pictures, DIMS)), labels, tuning_rows(labels)

    return make


@pytest.mark.parametrize("distance", [0.0, 0.3, 1.0, 3.0])
def test_a_similar_head_changes_the_time_and_not_the_answer(classes, distance):
    features, labels, tuned = classes(distance)
    alone = fitted_head(features, labels, tuned, classes=CLASSES)
    for other in (0.0, 0.5, 3.0):  # near or far from the answer
        similar = fitted_head(*classes(other), classes=CLASSES)
        found = fitted_head(features, labels, tuned, classes=CLASSES, similar=similar)
        assert found.classifier.penalty == alone.classifier.penalty
        np.testing.assert_allclose(found.classifier.objective, alone.classifier.objective, atol=1e-4)


def test_classes_at_a_distance_need_less_penalty_than_noise(classes):
    noise, apart = (fitted_head(*classes(distance), classes=CLASSES).classifier.penalty for distance in (0.0, 1.0))
    assert noise == max(PENALTIES) > apart


def test_one_number_rescales_all_features(classes):
    features, labels, tuned = classes(0.5)
    one, other = (fitted_head(factor * features, labels, tuned, classes=CLASSES) for factor in (1, 1000))
    assert other.scale == pytest.approx(1000 * one.scale)
    np.testing.assert_array_equal(one.predicted(features), other.predicted(1000 * features))


def test_a_penalty_of_zero_may_be_among_the_candidates(classes):
    features, labels, tuned = classes(0.5)
    similar = fitted_head(features, labels, tuned, classes=CLASSES, penalties=(1e-2, 0.0))
    again = fitted_head(features, labels, tuned, classes=CLASSES, penalties=(1e-2, 0.0), similar=similar)
    assert again.classifier.penalty == similar.classifier.penalty


def test_bad_input_is_named(classes):
    features, labels, tuned = classes(0.5)
    with pytest.raises(ValueError, match="tuned: found 0 of 600 rows"):
        fitted_head(features, labels, np.zeros(600, bool), classes=CLASSES)
    with pytest.raises(ValueError, match="penalties: found none; expected at least one"):
        fitted_head(features, labels, tuned, classes=CLASSES, penalties=())
    with pytest.raises(ValueError, match="penalties: found none; expected at least one"):
        fitted_head(features, labels, tuned, classes=CLASSES, penalties=(), similar=fitted_head(features, labels, tuned, classes=CLASSES))


def test_tuning_rows_are_a_share_of_every_class():
    labels = np.repeat([0, 1, 2], [100, 10, 1])
    chosen = tuning_rows(labels)
    assert np.bincount(labels[chosen], minlength=3).tolist() == [20, 2, 0]
    assert not np.array_equal(chosen, tuning_rows(labels, seed=1))
