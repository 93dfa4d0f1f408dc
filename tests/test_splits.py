"""Stratified splits: shares, small clusters, and the same pictures for other clusters."""

import numpy as np
import pytest

from lib.splits import stratified_split


def test_parts_are_all_pictures_once_in_the_shares_asked_for():
    labels = np.random.default_rng(0).integers(0, 40, 10_000)
    split = stratified_split(labels)
    np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.validation, split.test])), np.arange(10_000))
    sizes = np.bincount(labels)
    for part, share in ((split.validation, 0.16), (split.test, 0.2), (split.train, 0.64)):
        assert (np.abs(np.bincount(labels[part], minlength=40) - share * sizes) < 2).all()
        assert (np.diff(part) > 0).all()


def test_shares_hold_for_tiny_clusters_on_average_and_each_is_trained_on():
    labels = np.arange(30_000) // 3
    split = stratified_split(labels)
    assert len(split.test) == pytest.approx(6000, abs=4 * np.sqrt(10_000 * 0.24))  # 0.6 a cluster, rounded by chance
    assert len(split.validation) == pytest.approx(4800, abs=4 * np.sqrt(10_000 * 0.25))
    assert len(np.unique(labels[split.train])) == 10_000


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_every_cluster_is_trained_on_even_where_hardly_anything_is(size):
    labels = np.arange(3000) // size
    split = stratified_split(labels, test=0.3, validation=0.65)
    assert len(np.unique(labels[split.train])) == labels.max() + 1


def test_a_cluster_of_one_is_trained_on_and_counted():
    split = stratified_split(np.array([0, 0, 0, 1, 2, 2, 2, 2]), test=0.9, validation=0.05)
    assert split.alone == 1
    assert 3 in split.train
    assert {0, 1, 2} & set(split.train)
    assert len(split.test) == 5


def test_the_split_belongs_to_seed_and_picture():
    rng = np.random.default_rng(0)
    labels, others = rng.integers(0, 40, 10_000), rng.integers(0, 25, 10_000)
    one, again, seeded, other = (stratified_split(a, seed=s) for a, s in ((labels, 0), (labels, 0), (labels, 1), (others, 0)))
    np.testing.assert_array_equal(one.test, again.test)
    assert len(np.intersect1d(one.test, seeded.test)) == pytest.approx(400, abs=100)  # a fifth of a fifth, by chance
    assert len(np.intersect1d(one.test, other.test)) > 1700  # nearly the same 2,000 pictures


@pytest.mark.parametrize(("labels", "settings", "message"), [
    (np.zeros(4), {}, r"labels: found float64 of shape \(4,\)"),
    (np.zeros((2, 2), int), {}, r"labels: found int64 of shape \(2, 2\)"),
    (np.zeros(0, int), {}, "labels: found int64"),
    (np.array([-1, 0]), {}, "expected integers from 0"),
    (np.zeros(4, int), {"test": 0}, "test: found 0.16 and 0"),
    (np.zeros(4, int), {"validation": 0.8}, "validation, test: found 0.8 and 0.2"),
])  # fmt: skip
def test_bad_input_is_named(labels, settings, message):
    with pytest.raises(ValueError, match=message):
        stratified_split(labels, **settings)
