"""DCI and MIG on matrices and codes whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mutual_info_score

from lib.measures.known_factors import dci, importances, mutual_information_gap

LOG = np.log


@pytest.mark.parametrize(("importance", "disentanglement", "completeness"), [
    (np.eye(5), 1.0, 1.0),
    (np.ones((4, 6)), 0.0, 0.0),
    (np.repeat(np.eye(3), 2, axis=0), 1.0, 1 - LOG(2) / LOG(6)),  # two copies of every factor
    (np.eye(4)[:3], 1.0, 1.0),  # the fourth factor is missed, and does not count
    (np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]), (2 / 4) * (1 - LOG(2) / LOG(3)) + 2 / 4, 1.0),  # one unit speaks of two factors
    (np.vstack([np.eye(3), np.zeros((2, 3))]), 1.0, 1.0),  # two dead units
], ids=["identity", "even", "copies", "missed", "two in one", "dead"])  # fmt: skip
def test_dci_of_matrices(importance, disentanglement, completeness):
    found = dci(importance)
    assert found.disentanglement == pytest.approx(disentanglement, abs=1e-12)
    assert found.completeness == pytest.approx(completeness, abs=1e-12)


def test_what_matters_to_nothing_has_no_score():
    found = dci(np.vstack([np.eye(2), np.zeros(2)]))
    assert np.isnan(found.units[2])
    assert found.units[:2].tolist() == [1.0, 1.0]
    assert np.isnan(dci(np.zeros((2, 3))).disentanglement)
    assert np.isnan(dci(np.ones((3, 1))).disentanglement)
    assert np.isnan(dci(np.ones((1, 3))).completeness)


def test_scale_and_order_do_not_matter():
    importance = np.random.default_rng(0).random((6, 4))
    base = dci(importance)
    for other in (7 * importance, importance[::-1], importance[:, [2, 0, 3, 1]]):
        assert dci(other).disentanglement == pytest.approx(base.disentanglement, rel=1e-12)
        assert dci(other).completeness == pytest.approx(base.completeness, rel=1e-12)


def test_importances_find_which_unit_tells_which_factor():
    rng = np.random.default_rng(1)
    classes, quantity = rng.integers(0, 3, 600), rng.random(600)
    codes = np.column_stack([rng.standard_normal(600), quantity, classes + 0.1 * rng.standard_normal(600), np.full(600, 2.0)])
    factors = pd.DataFrame({"class": classes, "quantity": quantity, "unknown": rng.integers(0, 2, 600)})
    found, told = importances(codes, factors)
    assert found.shape == (4, 3)
    assert found[:, :2].argmax(0).tolist() == [2, 1]
    assert dci(found[:, :2]).disentanglement > 0.9
    assert found[3].tolist() == [0.0, 0.0, 0.0]
    assert (told[:2] > 0.98).all()
    assert told[2] == pytest.approx(0.5, abs=0.1)  # on pictures that a tree has not seen


def test_gap_of_independent_factors_is_one_and_of_a_copied_unit_is_zero():
    factors = np.random.default_rng(2).random((40_000, 3))
    assert mutual_information_gap(factors, factors) > 0.99
    assert mutual_information_gap(np.hstack([factors, factors]), factors) == pytest.approx(0, abs=1e-12)
    classes = np.random.default_rng(3).integers(0, 4, (5000, 2))
    assert mutual_information_gap(classes.astype(float), classes) == pytest.approx(1, abs=0.01)
    assert np.isnan(mutual_information_gap(factors[:, :1], factors))


def test_gap_is_that_of_the_mutual_information_of_a_library():
    rng = np.random.default_rng(4)
    classes = rng.integers(0, 3, 500) * 7
    codes = np.column_stack([rng.standard_normal(500) + classes, rng.random(500), classes // 14 + rng.random(500)])
    binned = [np.digitize(unit, np.histogram_bin_edges(unit, 20)[1:-1]) for unit in codes.T]
    told = sorted(mutual_info_score(classes, unit) for unit in binned)
    expected = (told[-1] - told[-2]) / mutual_info_score(classes, classes)
    assert mutual_information_gap(codes, classes[:, None]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: dci(-np.eye(2)), "not negative"),
    (lambda: dci(np.ones(3)), r"importance: found shape \(3,\)"),
    (lambda: dci(np.full((2, 2), np.nan)), "finite"),
    (lambda: mutual_information_gap(np.ones((4, 2)), np.ones((4, 1))), "column 0: found float64 with 1 values"),
    (lambda: mutual_information_gap(np.eye(4), np.ones((3, 1))), r"factors: found shape \(3, 1\); expected \(4, factors\)"),
    (lambda: mutual_information_gap(np.eye(4) * np.inf, np.eye(4)), "codes: found"),
    (lambda: mutual_information_gap(np.eye(4), np.eye(4), bins=1), "bins: found 1"),
    (lambda: importances(np.eye(4), np.ones((4, 1))), "column 0: found float64 with 1 values"),
])  # fmt: skip
def test_bad_input_is_named(call, message):
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=message):
        call()
