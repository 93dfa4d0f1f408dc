"""A set of pictures: how to read them, what is known about them, and what determines them.

Every measure of this project sees pictures through this one class, be they drawn on the spot, held in memory, or files in a folder.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Pictures:
    """Pictures numbered 0 to count - 1, read on demand.

    Args:
        name: how tables and figures call the set, e.g. "scenes" or "cifar10/test".
        read: integer indices (n,) -> uint8 array (n, height, width, 3), or a list of (height, width, 3) arrays where sizes differ.
        count: how many pictures there are.
        labels: (count,) int64 class indices, or None.
        class_names: name of each class; empty where there are no labels.
        concepts: (count, concepts) bool with columns such as "shape: star", or None.
        identity: plain values that determine the pictures; goes into the keys of the cache.
        captions: one sentence per picture, or None.

    Raises:
        ValueError: if labels, concepts or captions do not have one row per picture, or a label has no class name.
    """

    name: str
    read: Callable[[np.ndarray], list[np.ndarray] | np.ndarray]
    count: int
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    concepts: pd.DataFrame | None
    identity: dict
    captions: tuple[str, ...] | None = None

    def __post_init__(self):
        for field in ("labels", "concepts", "captions"):
            value = getattr(self, field)
            if value is not None and len(value) != self.count:
                raise ValueError(f"pictures: {self.name}: {field}: found {len(value)} rows; expected {self.count}, one per picture")
        if self.labels is not None and self.count and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            raise ValueError(f"pictures: {self.name}: labels: found {self.labels.min()} to {self.labels.max()}; "
                             f"expected 0 to {len(self.class_names) - 1}, one of the {len(self.class_names)} class names")

    def __len__(self) -> int:
        return self.count

    def batches(self, size: int = 256) -> Iterator[tuple[np.ndarray, list[np.ndarray] | np.ndarray]]:
        """Go through all pictures in order: pairs of indices (n,) and the pictures with these indices, n <= size."""
        if size < 1:
            raise ValueError(f"size: found {size}; expected at least 1")
        for start in range(0, self.count, size):
            indices = np.arange(start, min(start + size, self.count))
            yield indices, self.read(indices)

    def in_memory(self) -> "Pictures":
        """The same pictures, read once and kept, for sets that are gone through often; pictures of various sizes stay where they are."""
        if isinstance(self.read(np.arange(min(2, self.count))), list):
            return self
        pixels = np.concatenate([batch for _, batch in self.batches(512)])
        return replace(self, read=lambda chosen: pixels[chosen])

    def take(self, indices) -> "Pictures":
        """The subset (n,) of pictures with these indices, in this order, repeats allowed.

        Raises:
            ValueError: if indices are not whole numbers from 0 to count - 1.
        """
        indices = np.asarray(indices)
        if indices.size == 0:
            indices = indices.astype(np.int64)
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise ValueError(f"indices: found {indices.dtype} of shape {indices.shape}; expected integers of shape (n,)")
        if indices.size and not 0 <= indices.min() <= indices.max() < self.count:
            raise ValueError(f"indices: found {indices.min()} to {indices.max()}; expected 0 to {self.count - 1}")
        indices = indices.astype(np.int64)
        taken = hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()
        return replace(
            self,
            read=lambda chosen: self.read(indices[chosen]),
            count=len(indices),
            labels=None if self.labels is None else self.labels[indices],
            concepts=None if self.concepts is None else self.concepts.iloc[indices].reset_index(drop=True),
            captions=None if self.captions is None else tuple(self.captions[index] for index in indices),
            identity={**self.identity, "taken": [*self.identity.get("taken", []), taken]},
        )


def in_memory(name: str, pixels: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], identity: dict) -> Pictures:
    """Pictures held as one uint8 array (count, height, width, 3), or (count, height, width) in grey, which gets 3 channels when read."""
    if pixels.dtype != np.uint8 or not (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 3)):
        raise ValueError(f"pixels: found {pixels.dtype} of shape {pixels.shape}; expected uint8 of shape (count, height, width[, 3])")

    def read(indices):
        chosen = pixels[indices]
        return chosen if chosen.ndim == 4 else np.repeat(chosen[..., None], 3, axis=3)

    return Pictures(name, read, len(pixels), np.asarray(labels, dtype=np.int64), class_names, None, identity)


def random_subset(available: int, count: int | None, seed: int) -> np.ndarray:
    """Indices (count,) of a random subset in random order; None is everything in its own order.

    Of one seed, a smaller subset is the beginning of a larger one.

    Raises:
        ValueError: if count is not in 1 to available.
    """
    if count is None:
        return np.arange(available)
    if not 1 <= count <= available:
        raise ValueError(f"count: found {count}; expected 1 to {available}, the number of pictures there are")
    return np.random.default_rng(seed).permutation(available)[:count]


def in_threads(function: Callable, items: Sequence) -> list:
    """[function(item) for item in items] on all cores: Pillow lets go of the interpreter's lock while it decodes and resizes."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))
