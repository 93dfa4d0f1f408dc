"""Contributions, edits and sparse final layers on classes whose concepts are known."""

import warnings

import numpy as np
import pytest

from lib.explained_predictions import contributions, edited, sparse_final_layers, strongest
from lib.linear_head import fitted_head, tuning_rows


@pytest.fixture(scope="module")
def world():
    """Class k is where concept k is active; four more concepts say nothing."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1600)
    activations = 0.4 * rng.standard_normal((1600, 8)).astype(np.float32)
    activations[np.arange(1600), labels] += 2
    return activations, labels, fitted_head(activations, labels, tuning_rows(labels), classes=4)


def test_contributions_sum_to_the_logit_above_the_mean(world):
    activations, _, head = world
    found = contributions(head, activations)
    logits = activations @ head.classifier.weights / head.scale
    expected = logits[np.arange(1600), head.predicted(activations)] - logits.mean(1)
    np.testing.assert_allclose(found.sum(1), expected, atol=1e-4)
    assert (contributions(head, activations, predicted=np.zeros(1600, int))[:, 0] > 0).mean() > 0.5


def test_the_strongest_concept_is_the_one_of_the_class(world):
    activations, labels, head = world
    table = strongest(contributions(head, activations), [f"concept {number}" for number in range(8)], count=2)
    first = table[table["place"] == 1]
    right = head.predicted(activations) == labels
    assert right.mean() > 0.97
    assert (first["concept"].to_numpy() == [f"concept {label}" for label in labels])[right].mean() > 0.97
    assert len(table) == 3200
    assert (table["contribution"].to_numpy()[::2] >= table["contribution"].to_numpy()[1::2]).all()


def test_editing_a_concept_changes_the_prediction(world):
    activations, labels, head = world
    moved = edited(edited(activations, {0: 3.0}), {number: 0.0 for number in (1, 2, 3)})
    assert (head.predicted(moved) == 0).all()
    assert (edited(activations, {}) == activations).all()
    each = edited(activations, {5: labels})
    np.testing.assert_array_equal(each[:, 5], labels)
    with pytest.raises(ValueError, match="changes: found concept 8; expected 0 to 7"):
        edited(activations, {8: 0.0})


def test_a_sparse_final_layer_needs_one_concept_a_class(world):
    activations, labels, _ = world
    scaled = (activations - activations[:800].mean(0)) / activations[:800].std(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        table = sparse_final_layers(scaled[:800], labels[:800], scaled[800:], labels[800:], strengths=[1e-4, 0.3, 0.02])
    assert table["strength"].tolist() == [0.3, 0.02, 1e-4]
    assert (np.diff(table["effective"]) >= 0).all()
    assert table["effective"].iloc[0] <= 1
    assert table["concepts"].iloc[1] <= 5
    assert table["accuracy"].iloc[1] > 0.95
