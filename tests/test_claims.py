"""Verdicts at and around their bounds, and the rule about seeds."""

import numpy as np
import pytest

from lib.claims import Claim, table
from lib.statistics import Estimate


def verdict(low, high, *, bounds=(0.5, np.inf), seeds=None):
    return Claim("c", "p", "r", Estimate((low + high) / 2, low, high, 9), *bounds, trained_seeds=seeds).verdict


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0.6, 0.7, "holds"),
    (0.5, 0.7, "holds"),  # an interval that ends at the bound is on the claimed side
    (0.4999, 0.7, "inconclusive"),
    (0.3, 0.5, "inconclusive"),
    (0.3, 0.4999, "fails"),
])
def test_a_lower_bound(low, high, expected):
    assert verdict(low, high) == expected
    # The same claim about the negated number has an upper bound.
    assert verdict(-high, -low, bounds=(-np.inf, -0.5)) == expected


@pytest.mark.parametrize(("low", "high", "expected"), [
    (-0.1, 0.1, "holds"), (-0.05, 0.02, "holds"), (0.05, 0.2, "inconclusive"), (-0.3, 0.3, "inconclusive"), (0.11, 0.2, "fails"),
    (-0.2, -0.11, "fails"),
])
def test_bounds_on_both_sides(low, high, expected):
    assert verdict(low, high, bounds=(-0.1, 0.1)) == expected


@pytest.mark.parametrize(("seeds", "clear", "failed"), [
    (0, "inconclusive (0 seeds)", "inconclusive (0 seeds)"),
    (1, "inconclusive (1 seed)", "inconclusive (1 seed)"),
    (2, "inconclusive (2 seeds)", "inconclusive (2 seeds)"),
    (3, "holds", "fails"),
])
def test_a_claim_about_training_needs_three_seeds(seeds, clear, failed):
    assert verdict(0.6, 0.7, seeds=seeds) == clear
    assert verdict(0.1, 0.2, seeds=seeds) == failed


TOO_LITTLE = Estimate(float("nan"), -1, 1, 2)


@pytest.mark.parametrize("here", [None, TOO_LITTLE])
def test_what_could_not_be_measured_is_not_testable(here):
    assert Claim("c", "p", "r", here, low=-2, high=2).verdict == "not testable here"
    assert Claim("c", "p", "r", here, trained_seeds=3).verdict == "not testable here"


def test_one_seed_decides_nothing_whatever_came_out_of_it():
    # On another machine other networks may be above chance: whether enough came out must not show in the verdict.
    claims = [Claim("c", "p", "r", here, low=0.5, trained_seeds=1) for here in (Estimate(0.6, 0.55, 0.7, 9), TOO_LITTLE)]
    assert {one.verdict for one in claims} == {"inconclusive (1 seed)"}
    assert table(claims)["here (95 % CI)"].tolist() == ["0.60 [0.55, 0.70]", ""]
    assert Claim("c", "p", "r", None, trained_seeds=1).verdict == "not testable here"  # the profile lacks it, everywhere


def test_the_table_has_a_row_a_claim():
    rows = table([Claim("first", "0.9", "above 0.5", Estimate(0.625, 0.55, 0.7, 40), low=0.5), Claim("second", "1", "any")])
    assert list(rows) == ["claim", "in the paper", "holds if", "here (95 % CI)", "n", "verdict"]
    assert rows.to_numpy().tolist() == [
        ["first", "0.9", "above 0.5", "0.62 [0.55, 0.70]", "40", "holds"],
        ["second", "1", "any", "", "", "not testable here"],
    ]
