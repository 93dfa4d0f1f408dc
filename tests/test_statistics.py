"""Estimates against closed form, scipy and their stated coverage."""

import numpy as np
import pytest
from scipy import stats

from lib import statistics
from lib.statistics import Estimate, bootstrap_mean, correlation, difference_of_means, paired_difference, proportion

RNG = np.random.default_rng(0)
SAMPLE, OTHER = RNG.exponential(size=80), RNG.standard_normal(50)


def test_an_estimate_reads_as_value_interval_and_count():
    assert str(Estimate(0.123, -0.5, 1.0, 7)) == "0.12 [-0.50, 1.00], n = 7"


def test_a_constant_and_a_single_value_have_no_width():
    assert bootstrap_mean([2.0] * 9) == (2.0, 2.0, 2.0)
    assert statistics.mean([5.0]) == Estimate(5.0, 5.0, 5.0, 1)
    assert paired_difference([3.0, 4.0], [1.0, 2.0]) == Estimate(2.0, 2.0, 2.0, 2)
    # Equal means in every cluster: resampling clusters changes nothing, resampling values does.
    values, clusters = [0.0, 1.0] * 10, np.repeat(np.arange(10), 2)
    assert bootstrap_mean(values, clusters=clusters) == (0.5, 0.5, 0.5)
    assert bootstrap_mean(values)[1] < 0.4


def assert_ends(found: Estimate, expected, spread: float):
    """Ends of two independent percentile bootstraps.

    A 2.5 % quantile of B normal draws has a standard error of sqrt(0.025 * 0.975 / B) / density, which is 2.67 sd / sqrt(B); the
    difference of two has sqrt(2) of it, and five of these are allowed.
    """
    tolerance = 5 * np.sqrt(2) * 2.67 * spread / np.sqrt(10_000)
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=tolerance)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=tolerance)


def scipys(samples, statistic, **settings):
    return stats.bootstrap(samples, statistic, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1), **settings)


def test_the_mean_and_paired_differences_match_scipys_bootstrap():
    reference = scipys((SAMPLE,), np.mean)
    assert_ends(statistics.mean(SAMPLE, resamples=10_000), reference, reference.standard_error)
    first, second = SAMPLE[:50], OTHER
    reference = scipys((first - second,), np.mean)
    found = paired_difference(first, second, resamples=10_000)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.count == 50
    assert_ends(found, reference, reference.standard_error)


def test_the_difference_of_two_samples_matches_scipys_bootstrap():
    reference = scipys((SAMPLE, OTHER), lambda a, b, axis: a.mean(axis) - b.mean(axis))
    found = difference_of_means(SAMPLE, OTHER, resamples=10_000)
    assert (found.value, found.count) == (pytest.approx(SAMPLE.mean() - OTHER.mean()), 50)
    assert_ends(found, reference, reference.standard_error)


@pytest.mark.parametrize(("kind", "reference"), [("spearman", stats.spearmanr), ("pearson", stats.pearsonr)])
def test_correlations_match_scipys_value_and_bootstrap(kind, reference):
    first = OTHER
    second = first + RNG.standard_normal(50)
    found = correlation(first, second, kind=kind, resamples=2000)
    assert found.value == pytest.approx(reference(first, second).statistic)
    expected = stats.bootstrap((first, second), lambda a, b: reference(a, b).statistic, paired=True, vectorized=False, n_resamples=2000,
                               method="percentile", rng=np.random.default_rng(1))
    tolerance = 5 * np.sqrt(2) * 2.67 * expected.standard_error / np.sqrt(2000)
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=tolerance)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=tolerance)
    assert found.low < found.value < found.high


def test_clusters_are_resampled_whole():
    # 8 clusters of unequal size, by the slow way: draw clusters, then average all their values.
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 8, 100)
    values = 5 + rng.standard_normal(8)[clusters] + 0.1 * rng.standard_normal(100)
    members = [values[clusters == one] for one in range(8)]
    slow = [np.concatenate([members[one] for one in rng.integers(0, 8, 8)]).mean() for _ in range(10_000)]
    value, low, high = bootstrap_mean(values, clusters=np.array(list("abcdefgh"))[clusters], resamples=10_000)
    assert value == pytest.approx(values.mean())
    np.testing.assert_allclose([low, high], np.quantile(slow, (0.025, 0.975)), atol=5 * np.sqrt(2) * 2.67 * np.std(slow) / 100)
    assert high - low > 2 * np.subtract(*bootstrap_mean(values)[:0:-1])


def test_intervals_cover_the_truth_at_about_the_stated_rate():
    # 600 samples of 60: the percentile bootstrap of a normal mean covers 94 %; four standard errors of the count are 0.039.
    rng = np.random.default_rng(4)
    covered = [low <= 1 <= high for _, low, high in (bootstrap_mean(rng.normal(1, 2, 60), resamples=500, seed=seed) for seed in range(600))]
    assert np.mean(covered) == pytest.approx(0.94, abs=0.039)


def test_a_seed_fixes_the_interval_and_the_order_of_pairs_does_not_move_the_value():
    assert bootstrap_mean(SAMPLE, seed=1) == bootstrap_mean(SAMPLE, seed=1) != bootstrap_mean(SAMPLE, seed=2)
    second = OTHER**2 + OTHER
    order = np.random.default_rng(0).permutation(50)
    assert correlation(OTHER[order], second[order]).value == pytest.approx(correlation(OTHER, second).value)
    monotone = correlation(OTHER, np.exp(OTHER))
    assert (monotone.value, monotone.low, monotone.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(("first", "second"), [([1, 2], [3, 4]), ([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2, 3, 4], [0, 0, 0, 0])])
def test_where_nothing_can_be_said_of_a_correlation_the_interval_says_so(first, second):
    found = correlation(first, second)
    assert np.isnan(found.value)
    assert (found.low, found.high, found.count) == (-1, 1, len(first))


def test_resamples_that_are_constant_do_not_count():
    # Every resample that draws the last pair at least once and another one is perfectly correlated; the others have no correlation.
    found = correlation([0, 0, 0, 1], [0, 0, 0, 1], kind="pearson", resamples=200)
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_a_proportion_has_wilsons_interval():
    z, n, p = stats.norm.ppf(0.975), 40, 0.25
    centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = proportion(10, 40)
    assert (found.value, found.low, found.high, found.count) == pytest.approx((p, centre - half, centre + half, n))
    assert proportion(0, 5).low == 0


@pytest.mark.parametrize(("call", "message"), [
    (lambda: bootstrap_mean([]), r"values: found shape \(0,\)"),
    (lambda: bootstrap_mean([[1.0]]), r"values: found shape \(1, 1\)"),
    (lambda: bootstrap_mean([1.0, np.nan, np.inf]), "2 values that are not finite"),
    (lambda: paired_difference([1, 2], [1]), r"first, second: found shapes \(2,\) and \(1,\)"),
    (lambda: difference_of_means([1, 2], []), "second: found shape"),
    (lambda: difference_of_means([1, np.nan], [1]), "first: found .* 1 values that are not finite"),
    (lambda: correlation([1, 2, 3], [1, 2]), "equally long"),
    (lambda: correlation([1, 2, 3], [1, 2, 3], kind="kendall"), "kind: found 'kendall'"),
])
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
