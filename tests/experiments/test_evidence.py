"""Estimates over seeds and lineages on cases whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from lib import statistics
from lib.experiments.evidence import TOO_LITTLE, all_of, least_kendall, over_seeds, rank_correlation, trainings
from lib.statistics import Estimate


def test_all_of_several_things_is_as_uncertain_as_the_worst_of_them():
    sure, unsure = Estimate(0.05, 0.03, 0.07, 9), Estimate(0.06, -0.3, 0.42, 9)
    assert all_of([sure, unsure]) == Estimate(0.05, -0.3, 0.07, 2)
    assert all_of([]) is None


def test_the_least_kendall_correlation_is_that_of_the_worst_pair():
    names = ["published:resnet20", "published:convMed_normal", "published:autoencoder_64", "pixels", "pca:64", "local:random"]
    table = pd.DataFrame({10: [1, 2, 3, 4, 5, 6], 20: [1, 2, 3, 4, 5, 6], 50: [6, 5, 4, 3, 2, 1]}, index=names)
    assert least_kendall(table).value == pytest.approx(-1)
    assert least_kendall(table[[10, 20]]).low == 1
    assert least_kendall(table.iloc[:5]) is TOO_LITTLE


def test_seeds_and_versions_of_a_network_do_not_count_as_many():
    # Four noisy versions of one design agree, two other representations do not: all depends on which lineages are drawn.
    names = [*(f"published:resnet20+noise={level}" for level in (0.1, 0.2, 0.3, 0.4)), "pixels", "published:convMed_pgd"]
    means = pd.DataFrame({"score": [1.0, 2, 3, 4, 6, -1], "ami": [1.0, 2, 3, 4, -1, 6]}, index=names)
    wide = rank_correlation(means, "score", "ami")
    assert wide.count == 6
    assert wide.low < 0 < wide.high
    seeds = pd.DataFrame({"score": range(8), "ami": range(8)}, index=[*(f"local:simclr,seed={seed}" for seed in range(7)), "pixels"])
    assert rank_correlation(seeds, "score", "ami") is TOO_LITTLE  # two representations


def test_an_interval_over_seeds_contains_what_seeds_share():
    # Every seed has the same error of the pictures (sd 0.04) and little of its own (sd 0.01).
    rng, covered, student = np.random.default_rng(0), [], []
    for _ in range(400):
        values = 1 + 0.04 * rng.standard_normal() + 0.01 * rng.standard_normal(3)
        found = over_seeds([Estimate(one, one - 1.96 * 0.04, one + 1.96 * 0.04, 100) for one in values])
        covered.append(found.low <= 1 <= found.high)
        alone = statistics.student_mean(values)
        student.append(alone.low <= 1 <= alone.high)
    assert np.mean(covered) > 0.93
    assert np.mean(student) < 0.7  # what the seeds alone would say
    one = Estimate(1.0, 0.9, 1.1, 5)
    assert over_seeds([one]) == over_seeds([one, one]) == one


def test_a_published_network_is_one_training():
    assert trainings(["pixels", "local:random", "local:supervised@a"], [0, 1, 2]) == 3
    assert trainings(["pixels", "local:random", "published:resnet56"], [0, 1, 2]) == 1
    assert trainings(["pixels", "pca:64", "descriptor:hog_colour"], [0, 1, 2]) is None
