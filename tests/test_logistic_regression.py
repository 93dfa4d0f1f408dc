"""Multinomial logistic regression: the optimum, whatever the scale, the repetition or the start."""

import numpy as np
import pytest
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.metrics import mutual_info_score

from lib.logistic_regression import LogisticProblem


def concepts(count, rng):
    """Two one-hot blocks and some rare attributes."""
    return np.concatenate(
        [np.eye(6)[rng.integers(0, 6, count)], np.eye(5)[rng.integers(0, 5, count)], rng.random((count, 4)) < 0.05], 1
    ).astype(np.float32)


def drawn(inputs, classes, rng, scale=1.5):
    """Labels from a known classifier."""
    return (inputs @ (scale * rng.standard_normal((inputs.shape[1], classes))) + rng.gumbel(size=(len(inputs), classes))).argmax(1)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    inputs = concepts(1500, rng)
    return inputs, drawn(inputs, 7, rng)


def objective(weights, bias, inputs, labels, penalty):
    logits = inputs.astype(float) @ weights + bias
    log_probabilities = logits - special.logsumexp(logits, axis=1, keepdims=True)
    return -log_probabilities[np.arange(len(labels)), labels].mean() + penalty / 2 * np.square(weights).sum()


@pytest.mark.parametrize("penalty", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("dense", [False, True])
def test_the_optimum_is_scikit_learns(data, penalty, dense):
    inputs, labels = data
    if dense:  # no two rows alike, and scales that differ a thousandfold
        rng = np.random.default_rng(1)
        inputs = ((inputs + rng.standard_normal(inputs.shape)) * np.geomspace(0.05, 50, inputs.shape[1])).astype(np.float32)
    fitted = LogisticProblem(inputs, labels).fit(penalty)
    reference = Reference(C=1 / (penalty * len(labels)), tol=1e-10, max_iter=20_000, solver="newton-cg").fit(inputs.astype(float), labels)
    best = objective(reference.coef_.T, reference.intercept_, inputs, labels, penalty)
    reached = objective(fitted.weights.astype(float), fitted.bias.astype(float), inputs, labels, penalty)
    assert reached == pytest.approx(best, abs=2e-6)
    assert fitted.objective == pytest.approx(reached, abs=1e-5)
    assert fitted.slope < 1e-4
    expected = reference.predict_log_proba(inputs.astype(float))
    np.testing.assert_allclose(np.exp(fitted.log_probabilities(inputs)), np.exp(expected), atol=0.01 if penalty < 1e-4 else 2e-3)


def test_gradient_is_that_of_the_objective():
    rng = np.random.default_rng(0)
    inputs = concepts(60, rng)
    problem = LogisticProblem(inputs, drawn(inputs, 3, rng))
    import torch

    size = problem._moments.numel()

    def value(flat, gradient=False):
        weights = torch.from_numpy(flat[:size].reshape(tuple(problem._moments.shape)))
        found = problem._objective(weights.float(), torch.from_numpy(flat[size:]).float(), 0.1)
        return np.concatenate([one.numpy().ravel() for one in found[1:]]) if gradient else found[0]

    point = 0.3 * rng.standard_normal(size + 3)
    numeric = optimize.approx_fprime(point, value, 1e-2)
    np.testing.assert_allclose(value(point, gradient=True), numeric, atol=2e-3)


def test_one_hot_concepts_recover_the_mutual_information_of_the_table():
    # T8: a softmax can represent any table p(k | c), so the unpenalised optimum is the empirical conditional entropy
    rng = np.random.default_rng(0)
    concept = rng.integers(0, 12, 5000)
    labels = np.where(rng.random(5000) < 0.6, concept % 8, rng.integers(0, 8, 5000))
    fitted = LogisticProblem(np.eye(12)[concept], labels).fit(0)
    shares = np.bincount(labels) / len(labels)
    assert -(shares * np.log(shares)).sum() - fitted.objective == pytest.approx(mutual_info_score(concept, labels), abs=1e-5)


def test_repeating_the_data_changes_nothing(data):
    inputs, labels = data
    once, thrice = (LogisticProblem(np.tile(inputs, (n, 1)), np.tile(labels, n)).fit(1e-3) for n in (1, 3))
    np.testing.assert_allclose(once.weights, thrice.weights, atol=1e-3)
    assert once.objective == pytest.approx(thrice.objective, abs=1e-6)


def test_penalties_are_tried_from_the_strongest_until_two_are_no_better_and_the_best_is_fitted_well(data):
    problem, asked = LogisticProblem(*data), []
    losses = {1e-1: 3.0, 1e-2: 1.0, 1e-3: 0.9995, 1e-4: 2.0, 1e-5: 0.0}

    def loss(fitted):
        asked.append(fitted)
        return losses[fitted.penalty]

    found = problem.tuned([1e-4, 1e-1, 1e-2, 1e-2, 1e-3, 1e-5], loss)
    assert [one.penalty for one in asked] == [1e-1, 1e-2, 1e-3, 1e-4]
    assert (found.classifier.penalty, found.loss) == (1e-2, 1.0)
    assert found.classifier.slope <= 1e-4 < asked[1].slope
    assert found.classifier.objective == pytest.approx(problem.fit(1e-2).objective, abs=1e-6)
    assert found.fits == {one.penalty: one for one in asked} | {1e-2: found.classifier}
    again = problem.tuned([1e-1, 1e-2], loss, similar=found.fits)
    assert again.classifier.evaluations <= 3
    assert problem.tuned([1e-2], loss, start=found.classifier).classifier.evaluations <= 3
    asked.clear()
    losses |= {1e-1: 3.0, 1e-2: 3.5, 1e-3: 2.0, 1e-4: 2.5, 1e-5: 1.0}  # worse and better in turn: never two in a row
    assert problem.tuned(losses, loss).classifier.penalty == 1e-5
    assert len(asked) == 5
    with pytest.raises(ValueError, match="penalties: found none; expected at least one"):
        problem.tuned([], loss)


def test_constant_duplicate_and_collinear_inputs_and_an_empty_class_are_harmless(data):
    inputs, labels = data
    more = np.concatenate([inputs, inputs[:, :3], np.ones((len(inputs), 1)), np.zeros((len(inputs), 1))], 1)
    plain, fitted = LogisticProblem(inputs, labels).fit(0), LogisticProblem(more, labels, classes=9).fit(0)
    assert np.isfinite(fitted.weights).all()
    assert np.isfinite(fitted.bias).all()
    assert fitted.objective == pytest.approx(plain.objective, abs=1e-4)
    assert fitted.log_probabilities(more)[:, 7:].max() < np.log(1e-6)


def test_without_inputs_the_classifier_is_the_prior():
    labels = np.array([0, 0, 1, 2])
    fitted = LogisticProblem(np.zeros((4, 0)), labels).fit(0)
    np.testing.assert_allclose(np.exp(fitted.log_probabilities(np.zeros((2, 0)))), [[0.5, 0.25, 0.25]] * 2, atol=1e-6)


def test_one_class_is_certain():
    fitted = LogisticProblem(np.eye(3), np.zeros(3, int)).fit(1e-3)
    np.testing.assert_allclose(fitted.log_probabilities(np.eye(3)), 0, atol=1e-6)


def test_merged_rows_are_exactly_those_that_are_equal():
    rng = np.random.default_rng(0)
    from lib.logistic_regression import _distinct_rows

    inputs = concepts(3000, rng)
    inputs[0, 0] = -0.0 if inputs[0, 0] == 0 else 1
    rows, which = _distinct_rows(inputs)
    assert len(rows) == len(np.unique(inputs, axis=0)) < 1000
    np.testing.assert_array_equal(rows[which], inputs)
    dense = rng.standard_normal((3000, 5)).astype(np.float32)
    rows, which = _distinct_rows(dense)
    np.testing.assert_array_equal(rows[which], dense)


@pytest.mark.parametrize(("inputs", "labels", "settings", "message"), [
    (np.eye(3), np.zeros(4, int), {}, r"found shapes \(3, 3\) and \(4,\)"),
    (np.zeros((0, 3)), np.zeros(0, int), {}, r"found shapes \(0, 3\)"),
    (np.eye(3), np.zeros(3), {}, "labels: found dtype float64; expected integers"),
    (np.full((3, 2), np.nan), np.zeros(3, int), {}, "inputs: found 6 values that are not finite"),
    (np.eye(3), np.array([0, 1, 3]), {"classes": 3}, "labels: found 0 to 3; expected 0 to 2"),
    (np.eye(3), np.array([-1, 0, 1]), {}, "labels: found -1 to 1; expected 0 to 1"),
])  # fmt: skip
def test_bad_input_is_named(inputs, labels, settings, message):
    with pytest.raises(ValueError, match=message):
        LogisticProblem(inputs, labels, **settings)


@pytest.mark.parametrize("penalty", [-1.0, float("nan"), float("inf")])
def test_bad_penalties_are_named(data, penalty):
    with pytest.raises(ValueError, match=f"penalty: found {penalty}"):
        LogisticProblem(*data).fit(penalty)
