"""Splits of pictures into training, validation and test that keep the proportion of every cluster."""

from dataclasses import dataclass

import numpy as np

from lib.keyed_random import keys


@dataclass(frozen=True)
class Split:
    """Indices of pictures, ascending, without overlap; together they are all pictures."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    alone: int  # clusters with a single picture, which is trained on and never tested


def stratified_split(labels, *, validation: float = 0.16, test: float = 0.2, seed: int = 0) -> Split:
    """Split every cluster in the same proportion, up to one picture that chance decides.

    Each picture has a number from (seed, picture), and the lowest ones of a cluster are tested: with other clusters of the same pictures
    nearly the same pictures are tested, so that two representations can be compared picture by picture.

    Args:
        labels: (pictures,) cluster of each, integers from 0.
        validation: share of the pictures.
        test: share of the pictures.
        seed: of the choice.

    Returns:
        Split; every cluster has at least one picture in `train`.

    Raises:
        ValueError: if labels are no vector of integers from 0, or the shares are not between 0 and 1 together.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0:
        raise ValueError(f"labels: found {labels.dtype} of shape {labels.shape}; expected integers from 0 of shape (pictures,)")
    if not (validation >= 0 and test > 0 and validation + test < 1):
        raise ValueError(f"validation, test: found {validation} and {test}; expected shares whose sum is below 1, test above 0")
    sizes = np.bincount(labels)
    clusters = np.arange(len(sizes))
    # Rounded up or down by chance, so that over clusters the shares are as asked however small the clusters are.
    tested = np.minimum(np.floor(test * sizes + _uniform(seed, 1, clusters)), sizes - 1).astype(np.int64).clip(0)
    validated = np.minimum(np.floor(validation * sizes + _uniform(seed, 2, clusters)), sizes - tested - 1).astype(np.int64).clip(0)
    order = np.lexsort((keys(seed, 0, np.arange(len(labels))), labels))
    starts = np.cumsum(sizes) - sizes
    position = np.empty(len(labels), np.int64)
    position[order] = np.arange(len(labels)) - np.repeat(starts, sizes)
    part = np.where(position < tested[labels], 2, np.where(position < (tested + validated)[labels], 1, 0))
    return Split(*(np.flatnonzero(part == number) for number in range(3)), int((sizes == 1).sum()))


def _uniform(seed, *indices):
    """Numbers in [0, 1) that belong to the indices."""
    return keys(seed, *indices) / 2.0**64
