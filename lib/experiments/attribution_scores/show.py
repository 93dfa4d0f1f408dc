"""Maps as pictures: where a representation looks, layer by layer, and where its units do; and what training under the scores gains."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib import picture_grid
from lib.forest_plot import forest_plot
from lib.heat_maps import heat


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


def gain_figure(gains: Mapping[str, pd.DataFrame], labels: Mapping[str, str]) -> Figure:
    """A row an arm, a panel a number, a colour a size of the code: paired gains over training without a score, with their intervals.

    Arms without a task are left out: they lose everything else, and would set the scale.

    Args:
        gains: number -> table of `gains`.
        labels: number -> what it is called.
    """
    table = pd.concat([one.assign(number=number) for number, one in gains.items()])
    table = table[~table["arm"].str.startswith("only_")]
    usual = table["schedule"].iloc[0]
    names = table["arm"].where(table["schedule"] == usual, table["arm"] + " (" + table["schedule"] + ")")
    table = table.assign(row=names, size=[f"d = {size}" for size in table["size"]])
    axes = {number: f"gain in {label}" for number, label in labels.items()}
    return forest_plot(table, rows="row", panels="number", colours="size", value="gain", labels=axes)
