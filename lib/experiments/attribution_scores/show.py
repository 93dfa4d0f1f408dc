"""Maps as pictures: where a representation looks, layer by layer, and where its units do."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from lib import picture_grid
from lib.attribution.normalisation import normalised

COLOURS = "magma"
_CUT = (1.0, 99.0)  # percentiles between which a map is shown: single pixels would otherwise set its scale


def heat(maps, side: int) -> np.ndarray:
    """Maps in colours, dark to light from least to most, each scaled by itself: (n, height, width) -> uint8 (n, side, side, 3).

    Places stay square: a coarse layer is seen to be coarse.
    """
    scaled = normalised(torch.as_tensor(np.asarray(maps), dtype=torch.float64), percentiles=_CUT).numpy()
    coloured = (mpl.colormaps[COLOURS](scaled)[..., :3] * 255).round().astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.NEAREST)) for one in coloured])


def look_sheet(pixels: np.ndarray, maps: Mapping[str, np.ndarray], *, width: float = 7.0) -> Figure:
    """A row a way of looking, a column a picture; the pictures themselves are on top.

    Args:
        pixels: uint8 (n, side, side, 3).
        maps: label of a row -> (n, height, width).
        width: inches.
    """
    rows = [list(pixels), *(list(heat(one, pixels.shape[1])) for one in maps.values())]
    cells = [cell for row in rows for cell in row]
    return picture_grid.contact_sheet(cells, columns=len(pixels), row_labels=["picture", *maps], width=width)


def unit_sheet(pixels: np.ndarray, maps: np.ndarray, *, row_labels: Sequence[str] | None = None, width: float = 7.0) -> Figure:
    """A row a picture: the picture, the map of the whole representation, and the maps of its first units.

    Args:
        pixels: uint8 (n, side, side, 3).
        maps: (n, units, height, width), all units first to last; the first eight are shown.
        row_labels: a text for each picture.
        width: inches.
    """
    maps, side = np.asarray(maps), pixels.shape[1]
    shown = min(8, maps.shape[1])
    cells = []
    for picture, units in zip(pixels, maps, strict=True):
        cells += [picture, *heat(np.concatenate([units.sum(0, keepdims=True), units[:shown]]), side)]
    labels = ["picture", "all units", *(f"unit {number}" for number in range(shown))]
    return picture_grid.contact_sheet(cells, columns=2 + shown, column_labels=labels, row_labels=row_labels, width=width)
