"""Keys belong to what they name."""

import numpy as np
import pytest

from lib.keyed_random import generator, keys, permutations


def test_a_key_does_not_depend_on_what_is_asked_with_it():
    table = keys(3, np.arange(50)[:, None], np.arange(20))
    assert table.shape == (50, 20)
    assert keys(3, 7, 11) == table[7, 11]
    assert len(np.unique(table)) == table.size


def test_seed_and_order_of_indices_matter():
    assert keys(0, 1, 2) != keys(0, 2, 1)
    assert keys(0, 1, 2) != keys(1, 1, 2)


def test_keys_are_uniform_and_permutations_are_fair():
    low = keys(0, np.arange(100_000)).astype(np.float64) / 2**64
    assert abs(low.mean() - 0.5) < 4 * np.sqrt(1 / 12 / len(low))
    first = permutations(keys(0, np.arange(12_000)[:, None], np.arange(6)))[:, 0]
    counts = np.bincount(first, minlength=6)
    assert ((counts - 2000) ** 2 / 2000).sum() < 20.5  # chi-square, 5 degrees of freedom, p = 0.001


def test_generator_is_reproducible():
    assert generator(1, 2).random() == generator(1, 2).random() != generator(1, 3).random()


def test_floats_are_refused():
    with pytest.raises(TypeError, match="float64"):
        keys(0, np.array([0.5]))
