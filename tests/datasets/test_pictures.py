"""The class Pictures: batches, subsets, and what they are known by."""

import numpy as np
import pandas as pd
import pytest

from lib.datasets.pictures import Pictures, in_memory, random_subset


def grey(count=10):
    """Picture i has the value i everywhere."""
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, 4, 5))
    return in_memory("grey", pixels, np.arange(count) % 3, ("a", "b", "c"), {"dataset": "grey"})


def annotated():
    concepts = pd.DataFrame({"shape: star": [True, False, True], "shape: ring": [False, True, False]})
    return Pictures("annotated", lambda indices: np.zeros((len(indices), 2, 2, 3), np.uint8), 3, np.array([0, 1, 0]), ("a", "b"), concepts,
                    {"dataset": "annotated"}, captions=("a star", "a ring", "a star"))


def test_grey_gets_three_equal_channels():
    pictures = grey().read(np.array([7, 2]))
    assert pictures.shape == (2, 4, 5, 3)
    assert pictures.dtype == np.uint8
    assert (pictures == np.array([7, 2])[:, None, None, None]).all()


@pytest.mark.parametrize("size", [1, 3, 10, 11])
def test_batches_cover_everything_once_in_order(size):
    indices, values = zip(*((indices, batch[:, 0, 0, 0]) for indices, batch in grey().batches(size)), strict=True)
    assert np.concatenate(indices).tolist() == np.concatenate(values).tolist() == list(range(10))
    assert max(map(len, indices)) == min(size, 10)


def test_a_subset_carries_everything_along():
    chosen = annotated().take([2, 1, 2])
    assert len(chosen) == 3
    assert chosen.labels.tolist() == [0, 1, 0]
    assert chosen.concepts["shape: star"].tolist() == [True, False, True]
    assert chosen.concepts.index.tolist() == [0, 1, 2]
    assert chosen.captions == ("a star", "a ring", "a star")


def test_a_subset_of_a_subset_reads_the_right_pictures():
    chosen = grey().take([9, 5, 1, 0]).take([2, 0])
    assert chosen.read(np.arange(2))[:, 0, 0, 0].tolist() == [1, 9]
    assert chosen.labels.tolist() == [1 % 3, 9 % 3]


def test_identity_tells_subsets_apart():
    whole = grey()
    subsets = [whole, *(whole.take(indices) for indices in ([0, 1], [1, 0], [0], [])), whole.take([0, 1]).take([0, 1])]
    identities = [subset.identity for subset in subsets]
    assert len({repr(identity) for identity in identities}) == len(identities)
    assert whole.take([3, 4]).identity == grey().take(np.array([3, 4], dtype=np.uint8)).identity
    assert "taken" not in whole.identity


def test_a_smaller_random_subset_begins_a_larger_one():
    assert random_subset(100, None, 0).tolist() == list(range(100))
    assert random_subset(100, 10, 3).tolist() == random_subset(100, 50, 3)[:10].tolist()
    assert sorted(random_subset(100, 100, 3)) == list(range(100))
    assert random_subset(100, 100, 3).tolist() != random_subset(100, 100, 4).tolist()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: grey().take([10]), "indices: found 10 to 10; expected 0 to 9"),
    (lambda: grey().take([-1]), "indices: found -1"),
    (lambda: grey().take([True, False]), r"indices: found bool of shape \(2,\)"),
    (lambda: grey().take([[1]]), r"found int64 of shape \(1, 1\)"),
    (lambda: next(grey().batches(0)), "size: found 0"),
    (lambda: random_subset(5, 6, 0), "count: found 6; expected 1 to 5"),
    (lambda: random_subset(5, 0, 0), "count: found 0"),
    (lambda: in_memory("x", np.zeros((2, 4, 4)), np.zeros(2), ("a",), {}), "pixels: found float64"),
    (lambda: in_memory("x", np.zeros((2, 4, 4), np.uint8), np.zeros(3), ("a",), {}), "labels: found 3 rows; expected 2"),
    (lambda: in_memory("x", np.zeros((2, 4, 4), np.uint8), np.ones(2), ("a",), {}), "labels: found 1 to 1; expected 0 to 0"),
])
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
