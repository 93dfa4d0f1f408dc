"""Random numbers that belong to a thing, not to a moment.

A key such as (seed, unit, picture) always gives the same number, whatever else was drawn before, in which order, in which chunk or on how
many threads.
"""

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def keys(seed: int, *indices) -> np.ndarray:
    """Hash a seed and any number of integer indices to uint64 keys, uniform and independent for practical purposes.

    Each index is absorbed with the SplitMix64 finaliser (Steele, Lea and Flood, OOPSLA 2014), so keys(s, a, b) differs from keys(s, b, a).

    Args:
        seed: any integer.
        indices: integers or integer arrays; they broadcast against each other.

    Returns:
        uint64 array of the broadcast shape.
    """
    with np.errstate(over="ignore"):
        state = _mix(np.uint64(seed % 2**64) + _GOLDEN)
        for index in indices:
            index = np.asarray(index)
            if index.dtype.kind not in "iu":
                raise TypeError(f"indices: found dtype {index.dtype}; expected integers")
            state = _mix((state ^ index.astype(np.uint64)) + _GOLDEN)
        return state


def permutations(keys: np.ndarray) -> np.ndarray:
    """Turn keys into permutations of the last axis: the order in which the keys sort, int64, same shape."""
    return np.argsort(keys, axis=-1, kind="stable")


def generator(seed: int, *indices: int) -> np.random.Generator:
    """A NumPy generator of its own for the thing that the indices name."""
    return np.random.default_rng(int(keys(seed, *indices)))


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
