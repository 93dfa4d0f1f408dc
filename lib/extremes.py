"""The pictures that excite each unit most and least, exactly, in one pass and bounded memory.

Everything downstream of a ranking is sensitive to ties: a unit that is silent on half of the pictures has no "least activating" ones, and a
stable sort would return whatever stood first in the folder, usually a single class (specs/mis.md 5.4). Ties are therefore broken by a key
hashed from (seed, unit, picture).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.keyed_random import keys
from lib.threads import share_out

CONSTANT_RANGE = 1e-8  # MIS paper, appendix F: a unit whose activation varies by less is removed
_CHUNK_BYTES = 4 * 2**20  # a chunk of units stays near the processor's caches
_TILE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Extremes:
    """The `count` most and least activating pictures of every unit.

    The same picture is never on both sides of a unit. A strictly increasing map of its activations changes nothing and a change of sign
    swaps the sides (exactly, ties included; only a unit tied on more than pictures - 2 count pictures with equally many pictures above and
    below the tie is ordered by convention).
    """

    top: np.ndarray  # (units, count) int32, the most activating picture first
    bottom: np.ndarray  # (units, count) int32, the least activating picture first
    pictures: int  # how many pictures were ranked
    # Per unit: minimum, maximum, mean, sd, active (fraction of non-zero), tied_top, tied_bottom (fraction), tied_extreme, constant.
    statistics: pd.DataFrame
    units: np.ndarray  # (units,) int64, the unit's index in its layer: it keys the tie-breaking and the shuffles

    @property
    def count(self) -> int:
        """Pictures kept on each side."""
        return self.top.shape[1]

    @property
    def constant(self) -> np.ndarray:
        """(units,) bool: units without a ranking."""
        return self.statistics["constant"].to_numpy()

    def take(self, rows) -> "Extremes":
        """The same for some of the units; rows as NumPy takes them."""
        return Extremes(
            self.top[rows], self.bottom[rows], self.pictures, self.statistics.iloc[rows].reset_index(drop=True), self.units[rows]
        )


class StreamingExtremes:
    """Accumulates tiles of activations in any order and of any size; `result` equals a full sort.

    Memory: 16 bytes a unit and kept pair of pictures (3.2 KB a unit at count = 200), 4 bytes a picture, and a tile of pictures, by default
    as many as fill 256 MiB.
    """

    def __init__(self, units: int, *, count: int = 200, seed: int = 0, tile: int | None = None):
        if units < 1 or count < 1:
            raise ValueError(f"units, count: found {units} and {count}; expected at least 1 each")
        tile = tile or max(count, _TILE_BYTES // (4 * units))
        self._units, self._count, self._seed, self._tile = units, count, seed, tile
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting = 0
        self._seen = 0
        self._pictures: list[np.ndarray] = []
        # Per side: values (negated on the bottom side) and pictures, (units, count) each, in no order; filled with -inf and -1 at first.
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []
        self._minimum, self._maximum = np.full(units, np.inf), np.full(units, -np.inf)
        self._mean, self._square, self._active = np.zeros(units), np.zeros(units), np.zeros(units, np.int64)

    def update(self, activations, pictures) -> None:
        """Add a batch.

        Args:
            activations: (batch, units), finite. It is kept, not copied: leave it as it is until `result`.
            pictures: (batch,) integers, the index of each row's picture; every index 0 .. M-1 must come exactly once in the whole stream.

        Raises:
            ValueError: if shapes disagree or an activation is NaN or infinite.
        """
        activations, pictures = np.asarray(activations), np.asarray(pictures)
        if activations.ndim != 2 or activations.shape[1] != self._units or pictures.shape != activations.shape[:1]:
            raise ValueError(
                f"activations, pictures: found shapes {activations.shape} and {pictures.shape}; expected (batch, {self._units}) and "
                "(batch,)"
            )
        self._pending.append((activations, pictures))
        self._waiting += len(pictures)
        if self._waiting >= self._tile:
            self._flush()

    def result(self) -> Extremes:
        """The extremes of everything seen; refuses fewer than 2 count pictures, or indices that are not 0 .. M-1."""
        self._flush()
        total = self._seen
        if total < 2 * self._count:
            raise ValueError(
                f"activations: found {total} pictures; expected at least {2 * self._count} (twice the {self._count} kept on each side)"
            )
        if not np.array_equal(np.sort(np.concatenate(self._pictures)), np.arange(total)):
            raise ValueError(f"pictures: the {total} indices seen are not 0 .. {total - 1}, each once")
        units = np.arange(self._units)
        top, bottom = (np.empty((self._units, self._count), np.int32) for _ in range(2))
        tied_top, tied_bottom, tied_extreme = np.empty(self._units), np.empty(self._units), np.empty(self._units, bool)

        def finish(chunks: Iterator[slice]) -> None:
            for rows in chunks:
                (top_values, top[rows]), (bottom_values, bottom[rows]) = (
                    _in_order(values[rows], pictures[rows], units[rows], self._seed) for values, pictures in self._kept
                )
                bottom_values = -bottom_values
                for row in np.flatnonzero(top_values[:, -1] == bottom_values[:, -1]):
                    unit = rows.start + row
                    top[unit], bottom[unit] = _share_tied(
                        top_values[row], top[unit], bottom_values[row], bottom[unit], total, self._seed, unit
                    )
                tied_top[rows], tied_bottom[rows] = _tied_fraction(top_values), _tied_fraction(bottom_values)
                tied_extreme[rows] = (top_values[:, 0] == top_values[:, -1]) | (bottom_values[:, 0] == bottom_values[:, -1])

        share_out(finish, self._units, _CHUNK_BYTES // (16 * self._count))
        statistics = pd.DataFrame(
            {
                "minimum": self._minimum,
                "maximum": self._maximum,
                "mean": self._mean,
                "sd": np.sqrt(self._square / total),
                "active": self._active / total,
                "tied_top": tied_top,
                "tied_bottom": tied_bottom,
                "tied_extreme": tied_extreme,
                "constant": self._maximum - self._minimum < CONSTANT_RANGE,
            }
        )
        return Extremes(top, bottom, total, statistics, units)

    def _flush(self) -> None:
        """Merge the waiting batches into the state, a few units at a time: what one step leaves in the caches the next one reads."""
        if not self._pending:
            return
        batches = [activations for activations, _ in self._pending]
        pictures = np.concatenate([pictures for _, pictures in self._pending]).astype(np.int32)
        dtype = np.result_type(*batches, np.float32)
        if not self._kept:
            shape = self._units, self._count
            self._kept = [(np.full(shape, -np.inf, dtype), np.full(shape, -1, np.int32)) for _ in range(2)]
        step = max(1, _CHUNK_BYTES // (len(pictures) * dtype.itemsize))

        def merge(chunks: Iterator[slice]) -> None:
            # Allocated once: fresh memory costs more than any of the steps.
            tiles, scratch = (np.empty((min(step, self._units), len(pictures)), dtype) for _ in range(2))
            for rows in chunks:
                tile = tiles[: rows.stop - rows.start]
                _units_first(batches, rows, tile)
                self._describe(tile, rows, scratch[: len(tile)])
                for values, names in self._kept:
                    _keep(values[rows], names[rows], tile, pictures, self._seed, np.arange(rows.start, rows.stop))
                    np.negative(tile, out=tile)  # the bottom side is the top side of the negated activations

        share_out(merge, self._units, step)
        self._pending, self._waiting = [], 0
        self._pictures.append(pictures)
        self._seen += len(pictures)

    def _describe(self, tile: np.ndarray, rows: slice, scratch: np.ndarray) -> None:
        """Minimum, maximum, mean, variance (Chan's parallel update) and activity; refuses what is not finite."""
        low, high = tile.min(1), tile.max(1)
        broken = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high)))
        if broken.size:
            raise ValueError(
                f"activations: unit {rows.start + broken[0]} has values that are not finite; expected none (overflow in half precision?)"
            )
        mean = tile.mean(1)
        deviation = np.subtract(tile, mean[:, None], out=scratch)
        square = np.einsum("ij,ij->i", deviation, deviation)
        fresh, seen = tile.shape[1], self._seen
        shift = mean - self._mean[rows]
        self._square[rows] += square + shift**2 * (seen * fresh / (seen + fresh))
        self._mean[rows] += shift * (fresh / (seen + fresh))
        self._minimum[rows] = np.minimum(self._minimum[rows], low)
        self._maximum[rows] = np.maximum(self._maximum[rows], high)
        self._active[rows] += [np.count_nonzero(active) for active in tile != 0]


def extremes(activations, *, count: int = 200, seed: int = 0) -> Extremes:
    """The most and least activating pictures of every unit of a matrix.

    Args:
        activations: (pictures, units), finite; at least 2 count pictures.
        count: pictures kept on each side.
        seed: seed of the tie-breaking.

    Raises:
        ValueError: if the matrix is not two-dimensional, too short or not finite.
    """
    activations = np.asarray(activations)
    if activations.ndim != 2:
        raise ValueError(f"activations: found shape {activations.shape}; expected (pictures, units)")
    if len(activations) < 2 * count:
        raise ValueError(
            f"activations: found {len(activations)} pictures; expected at least {2 * count} (twice the {count} kept on each side)"
        )
    stream = StreamingExtremes(activations.shape[1], count=count, seed=seed)
    for start in range(0, len(activations), 512):
        batch = activations[start : start + 512]
        stream.update(batch, np.arange(start, start + len(batch)))
    return stream.result()


def full_order(activations, *, seed: int = 0) -> np.ndarray:
    """The whole ranking: (units, pictures) int64, the most activating picture first, ties by key.

    For positions inside the ranking (hard queries), where the extremes are not enough; memory 8 bytes a unit and picture.
    """
    values = np.asarray(activations).T
    total = values.shape[1]
    order = np.argsort(-values, axis=1, kind="stable")
    ranked = np.take_along_axis(values, order, 1)
    for row in np.flatnonzero((ranked[:, 1:] == ranked[:, :-1]).any(1)):
        order[row] = np.lexsort((keys(seed, row, np.arange(total)), -values[row]))
    return order


def _keep(values, names, tile, pictures, seed, units) -> None:
    """Merge a tile into one side of the state, in place.

    Args:
        values, names: (units, count) kept values and their pictures.
        tile: (units, pictures).
        pictures: (pictures,) index of each column of the tile.
        seed, units: key the tie-breaking.
    """
    count, width = values.shape[1], tile.shape[1]
    found, sizes = _candidates(tile, count)
    both = np.full((len(tile), count + sizes.max()), -np.inf, values.dtype)
    both_names = np.full(both.shape, -1, np.int32)
    fresh = np.arange(sizes.max()) < sizes[:, None]
    both[:, :count], both_names[:, :count] = values, names
    both[:, count:][fresh] = tile.ravel()[found]
    both_names[:, count:][fresh] = pictures[found - np.repeat(width * np.arange(len(tile)), sizes)]
    best = _largest(both, both_names, count, seed, units)
    values[:], names[:] = both.ravel()[best], both_names.ravel()[best]


def _candidates(values, count):
    """Where every row's `count` largest values are, and few others: ascending indices into the flat array, and how many each row has.

    The count-th largest of the maxima of disjoint groups of columns is a lower bound of the count-th largest value, and costs next to
    nothing.
    """
    rows, width = values.shape
    groups = 5 * count // 2
    if width < 2 * groups:
        return np.arange(values.size), np.full(rows, width)
    maxima = values[:, : width // groups * groups].reshape(rows, -1, groups).max(1)
    bound = np.partition(maxima, groups - count, axis=1)[:, groups - count, None]
    found = np.flatnonzero(values >= bound)
    return found, np.diff(np.searchsorted(found, width * np.arange(rows + 1)))


def _largest(values, names, count, seed, units) -> np.ndarray:
    """Where the `count` largest of each row are, in no particular order: (rows, count) indices into the flat array.

    Ties at the boundary go to the smallest keys.
    """
    rows, width = values.shape
    boundary = np.partition(values, width - count, axis=1)[:, width - count, None]
    selected = values >= boundary
    surplus = np.flatnonzero(np.count_nonzero(selected, axis=1) > count)
    if surplus.size:
        tied = values[surplus] == boundary[surplus]
        wanted = count - np.count_nonzero(values[surplus] > boundary[surplus], axis=1)
        row, column = np.nonzero(tied)
        order = np.lexsort((keys(seed, units[surplus][row], names[surplus[row], column]), row))
        rank = np.arange(len(row)) - np.searchsorted(row, np.arange(len(surplus)))[row]  # position inside its row's group
        lost = order[rank >= wanted[row]]
        selected[surplus[row[lost]], column[lost]] = False
    return np.flatnonzero(selected).reshape(rows, count)


def _in_order(values, pictures, units, seed):
    """Sort each row by (value descending, key ascending)."""
    starts = values.shape[1] * np.arange(len(values))[:, None]
    order = starts + np.argsort(-values, axis=1)
    values, pictures = values.ravel()[order], pictures.ravel()[order]
    tied = np.flatnonzero((values[:, 1:] == values[:, :-1]).any(1))
    if tied.size:
        row = np.repeat(np.arange(len(tied)), values.shape[1])
        key = keys(seed, units[tied][:, None], pictures[tied]).ravel()
        order = np.lexsort((key, -values[tied].ravel(), row)).reshape(len(tied), -1)
        pictures[tied] = pictures[tied].ravel()[order]
    return values, pictures


def _share_tied(top_values, top, bottom_values, bottom, total, seed, unit):
    """Fill both sides from one group of tied pictures that reaches from one side to the other.

    The side with fewer tied pictures to add takes the smallest keys, the other side the next: no picture is used twice, and negating the
    unit swaps the two sides exactly.
    """
    tied = top_values[-1]
    above, below = top[top_values > tied], bottom[bottom_values < tied]
    free = np.ones(total, bool)
    free[above] = free[below] = False
    candidates = np.flatnonzero(free)
    candidates = candidates[np.argsort(keys(seed, unit, candidates), kind="stable")].astype(np.int32)
    wanted = len(top) - len(above), len(bottom) - len(below)
    if wanted[0] <= wanted[1]:
        to_top, to_bottom = candidates[: wanted[0]], candidates[wanted[0] : sum(wanted)]
    else:
        to_bottom, to_top = candidates[: wanted[1]], candidates[wanted[1] : sum(wanted)]
    return np.concatenate([above, to_top]), np.concatenate([below, to_bottom])


def _units_first(batches: list[np.ndarray], rows: slice, tile: np.ndarray) -> None:
    """Copy some units of (batch, units) arrays into (units, pictures), so that selection runs along memory; in blocks for the caches."""
    start = 0
    for batch in batches:
        for first in range(0, len(batch), 512):
            block = batch[first : first + 512, rows]
            tile[:, start : start + len(block)] = block.T
            start += len(block)


def _tied_fraction(ordered: np.ndarray) -> np.ndarray:
    """Fraction of each row's values that equal a neighbour in the ranking."""
    same = ordered[:, 1:] == ordered[:, :-1]
    tied = np.zeros(ordered.shape, bool)
    tied[:, 1:] |= same
    tied[:, :-1] |= same
    return tied.mean(1)
