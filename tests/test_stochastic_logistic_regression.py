"""Stochastic gradient descent as the QRP paper fits its probe: step by step, at its optimum, and where its learning rate fails."""

import math

import numpy as np
import pytest
import torch

from lib import stochastic_logistic_regression
from lib.keyed_random import generator
from lib.logistic_regression import LogisticProblem
from lib.measures.reverse_probe import reverse_probe
from lib.splits import stratified_split
from lib.stochastic_logistic_regression import stochastic_fit


def drawn(count, dims, classes, rng, scale=1.0):
    """Normal inputs and labels from a known classifier."""
    inputs = rng.standard_normal((count, dims)).astype(np.float32)
    logits = inputs @ (scale * rng.standard_normal((dims, classes))) + rng.gumbel(size=(count, classes))
    return inputs, logits.argmax(1)


def none(dims):
    """No rows for validation."""
    return np.zeros((0, dims)), np.zeros(0, int)


def softmax(logits):
    likely = np.exp(logits - logits.max(1, keepdims=True))
    return likely / likely.sum(1, keepdims=True)


def cross_entropy(classifier, inputs, labels):
    return -classifier.log_probabilities(inputs)[np.arange(len(labels)), labels].astype(float).mean()


def reference(inputs, labels, classes, *, learning_rate, epochs, penalty, steps=1):
    """Heavy-ball descent on all rows at once, straight from the definition; a tenth of the rate after 60 % and after 80 % of the epochs."""
    parameters = np.zeros((inputs.shape[1] + 1, classes))
    velocity = np.zeros_like(parameters)
    with_bias = np.column_stack([inputs, np.ones(len(inputs))]).astype(float)
    for epoch in range(1, epochs + 1):
        rate = learning_rate * 0.1 ** sum(epoch > share * epochs for share in (0.6, 0.8))
        for _ in range(steps):
            gradient = with_bias.T @ (softmax(with_bias @ parameters) - np.eye(classes)[labels]) / len(labels) + penalty * parameters
            velocity = 0.9 * velocity + gradient
            parameters = parameters - rate * velocity
    return parameters[:-1], parameters[-1]


# Single steps


def test_every_step_is_that_of_the_definition():
    # 300 rows are one batch, so their order does not matter
    inputs, labels = drawn(300, 5, 4, np.random.default_rng(0))
    for epochs in (5, 10):
        settings = {"learning_rate": 0.7, "epochs": epochs, "penalty": 0.05}
        found = stochastic_fit(inputs, labels, *none(5), classes=4, **settings).last
        weights, bias = reference(inputs, labels, 4, **settings)
        np.testing.assert_allclose(found.weights, weights, atol=1e-5)
        np.testing.assert_allclose(found.bias, bias, atol=1e-5)
        assert (found.weights.dtype, found.bias.dtype, found.penalty) == (np.float32, np.float32, 0.05)


def test_the_first_step_goes_down_the_slope_at_zero():
    inputs, labels = drawn(300, 5, 4, np.random.default_rng(0))
    found = stochastic_fit(inputs, labels, *none(5), classes=4, learning_rate=2.0, epochs=1, penalty=0.5).last
    surprise = np.eye(4)[labels] - 0.25
    np.testing.assert_allclose(found.weights, 2 * inputs.T @ surprise / 300, atol=1e-6)
    np.testing.assert_allclose(found.bias, 2 * surprise.mean(0), atol=1e-6)


@pytest.mark.parametrize(("rows", "steps"), [(512, 1), (513, 2), (1025, 3)])
def test_an_epoch_goes_through_the_rows_in_batches_of_512(rows, steps):
    # equal rows: every batch has the same gradient, whatever its size
    inputs, labels = np.ones((rows, 1)), np.full(rows, 2)
    settings = {"learning_rate": 0.1, "epochs": 5, "penalty": 0.01}
    found = stochastic_fit(inputs, labels, *none(1), classes=3, **settings).last
    weights, bias = reference(inputs, labels, 3, steps=steps, **settings)
    np.testing.assert_allclose(found.weights, weights, atol=1e-5)
    np.testing.assert_allclose(found.bias, bias, atol=1e-5)


def test_every_epoch_shows_every_row_once_in_an_order_of_its_own(monkeypatch):
    shown = []

    class Watched:
        def __init__(self, *key):
            self.key = key

        def permutation(self, count):
            shown.append((self.key, generator(*self.key).permutation(count)))
            return shown[-1][1]

    monkeypatch.setattr(stochastic_logistic_regression, "generator", Watched)
    inputs, labels = drawn(40, 2, 2, np.random.default_rng(0))
    stochastic_fit(inputs, labels, *none(2), classes=2, epochs=4, seed=5)
    keys, orders = zip(*shown, strict=True)
    assert len(set(keys)) == 4
    assert {key[0] for key in keys} == {5}
    assert all(sorted(order) == list(range(40)) for order in orders)


# The optimum


def test_the_penalty_is_half_the_square_of_weights_and_bias():
    # One constant input, nine rows of ten in class 0. By symmetry weight and bias are t for class 0 and -t for class 1, the logits differ
    # by 4 t, and the slope is 0 where sigmoid(4 t) - 0.9 + penalty t = 0: this penalty makes t = 1/2.
    penalty = (0.9 - 1 / (1 + math.exp(-2))) / 0.5
    labels = np.repeat([0, 1], [90, 10])
    found = stochastic_fit(np.ones((100, 1)), labels, *none(1), classes=2, learning_rate=0.5, epochs=600, penalty=penalty).last
    np.testing.assert_allclose(found.weights, [[0.5, -0.5]], atol=1e-4)
    np.testing.assert_allclose(found.bias, [0.5, -0.5], atol=1e-4)


def test_gradient_descent_and_the_exact_solver_agree_on_a_well_conditioned_problem():
    # T13
    inputs, labels = drawn(3000, 6, 5, np.random.default_rng(0))
    penalty = 1e-3
    exact = LogisticProblem(inputs, labels).fit(penalty)
    descent = stochastic_fit(inputs, labels, *none(6), classes=5, learning_rate=0.5, penalty=penalty).last
    reached = cross_entropy(descent, inputs, labels) + penalty / 2 * np.square(descent.weights).sum()
    assert exact.objective - 1e-6 < reached < exact.objective + 0.01
    assert exact.objective < math.log(5) - 0.5  # there was something to learn
    np.testing.assert_allclose(np.exp(descent.log_probabilities(inputs)), np.exp(exact.log_probabilities(inputs)), atol=0.05)


# The epoch


def test_the_best_epoch_is_the_one_with_the_least_validation_loss():
    inputs, labels = drawn(260, 30, 4, np.random.default_rng(0), scale=0.3)
    held_out = inputs[60:], labels[60:]
    found = stochastic_fit(inputs[:60], labels[:60], *held_out, classes=4, learning_rate=3.5, epochs=30, penalty=0.1)
    losses = found.validation_losses
    assert losses.shape == (30,)
    assert found.epoch == 1 + losses.argmin()
    assert cross_entropy(found.best, *held_out) == pytest.approx(losses.min(), abs=1e-5)
    assert cross_entropy(found.last, *held_out) == pytest.approx(losses[-1], abs=1e-5)
    # the case can tell the least loss from the first that rises, the last that falls, and the last
    falls = np.flatnonzero(np.diff(losses) < 0) + 2
    assert 1 < found.epoch < falls.max() <= 30
    assert (np.diff(losses[: found.epoch]) > 0).any()
    assert losses[-1] > losses.min() + 1e-3


def test_of_equal_epochs_the_first_is_the_best():
    # a rate of 0 leaves everything at the start, where all classes are equally likely
    inputs, labels = drawn(50, 3, 4, np.random.default_rng(0))
    found = stochastic_fit(inputs, labels, inputs, labels, classes=4, learning_rate=0.0, epochs=5)
    np.testing.assert_allclose(found.validation_losses, math.log(4), rtol=1e-6)
    assert found.epoch == 1
    assert not found.best.weights.any()


def test_without_validation_rows_the_last_epoch_is_the_best():
    inputs, labels = drawn(600, 4, 3, np.random.default_rng(0))
    found = stochastic_fit(inputs, labels, *none(4), classes=3, epochs=7)
    assert found.epoch == len(found.validation_losses) == 7
    np.testing.assert_array_equal(found.best.weights, found.last.weights)
    np.testing.assert_array_equal(found.best.bias, found.last.bias)
    watched = stochastic_fit(inputs, labels, inputs[:9], labels[:9], classes=3, epochs=7)
    np.testing.assert_array_equal(watched.last.weights, found.last.weights)  # looking changes nothing


# Settings


def test_the_defaults_are_the_papers():
    inputs, labels = drawn(600, 3, 3, np.random.default_rng(0))
    found = stochastic_fit(inputs, labels, *none(3), classes=3)
    stated = stochastic_fit(inputs, labels, *none(3), classes=3, learning_rate=3.5, epochs=100, penalty=3e-6, seed=0)
    np.testing.assert_array_equal(found.last.weights, stated.last.weights)
    assert found.last.penalty == 3e-6


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights():
    inputs, labels = drawn(1200, 4, 3, np.random.default_rng(0))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(found))  # torch's own random numbers have no say
        found.append(stochastic_fit(inputs, labels, *none(4), classes=3, epochs=3, seed=seed).last)
    assert found[0].weights.tobytes() == found[1].weights.tobytes()
    assert found[0].bias.tobytes() == found[1].bias.tobytes()
    assert found[0].weights.tobytes() != found[2].weights.tobytes()


def test_a_class_without_rows_becomes_unlikely():
    inputs, labels = drawn(200, 3, 2, np.random.default_rng(0))
    found = stochastic_fit(inputs > 0, labels, *none(3), classes=4, learning_rate=0.5).last
    assert found.weights.shape == (3, 4)
    assert np.exp(found.log_probabilities(inputs > 0))[:, 2:].max() < 0.05


@pytest.mark.parametrize(("held_out", "epoch"), [
    # Weights grow 1e10-fold a step, from 1/2 on: the fifth step leaves float32.
    (none(1), 5),
    # Weights of 5e9 on an input of 1e30 give logits beyond float32 before the weights are.
    ((np.full((1, 1), 1e30), np.zeros(1, int)), 2),
])  # fmt: skip
def test_a_loss_that_is_not_finite_names_the_epoch_and_the_rate(held_out, epoch):
    message = rf"^learning_rate: found no finite loss in epoch {epoch} at 1\.0; expected a lower rate$"
    with pytest.raises(FloatingPointError, match=message):
        stochastic_fit(np.ones((1, 1)), np.zeros(1, int), *held_out, classes=2, learning_rate=1.0, epochs=20, penalty=1e10)


# specs/qrp.md 5.3


@pytest.mark.slow
def test_the_papers_learning_rate_makes_dense_concepts_worse_than_none():
    rng = np.random.default_rng(0)
    clusters, concepts = rng.integers(0, 100, 20_000), rng.random((20_000, 200)) < 0.1
    split = stratified_split(clusters)
    assert reverse_probe(clusters, concepts, split, preset="paper").score < -0.5
    assert -0.02 < reverse_probe(clusters, concepts, split, preset="robust").score < 0.01
