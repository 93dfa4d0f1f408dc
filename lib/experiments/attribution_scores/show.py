"""Maps as pictures: where a representation looks, layer by layer, and where its units do; and what training under the scores gains."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image

from lib import figures, picture_grid
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


def gain_figure(gains: Mapping[str, pd.DataFrame], labels: Mapping[str, str]) -> Figure:
    """A row an arm, a panel a number, a colour a size of the code: paired gains over training without a score, with their intervals.

    Arms without a task are left out: they lose everything else, and would set the scale.

    Args:
        gains: number -> table of `gains`.
        labels: number -> what it is called.
    """
    tables = {number: table[~table["arm"].str.startswith("only_")] for number, table in gains.items()}
    first = next(iter(tables.values()))
    usual = first["schedule"].iloc[0]
    rows = list(dict.fromkeys(zip(first["schedule"], first["arm"], strict=True)))
    sizes = list(dict.fromkeys(first["size"]))
    figure, panels = plt.subplots(1, len(tables), figsize=(figures.PAGE, 1.0 + len(rows) * (0.15 + 0.045 * len(sizes))), sharey=True)
    for axes, (number, table) in zip(np.atleast_1d(panels), tables.items(), strict=True):
        for index, size in enumerate(sizes):
            of_size = table[table["size"] == size]
            heights = [rows.index(row) + (index - (len(sizes) - 1) / 2) * 0.8 / len(sizes)
                       for row in zip(of_size["schedule"], of_size["arm"], strict=True)]  # fmt: skip
            reach = np.nan_to_num(np.stack([of_size["gain"] - of_size["low"], of_size["high"] - of_size["gain"]]), posinf=0, neginf=0)
            color = figures.PALETTE[index % len(figures.PALETTE)]
            axes.errorbar(of_size["gain"], heights, xerr=reach, fmt="o", ms=2.5, lw=0.8, color=color, label=f"d = {size}")
        axes.axvline(0, color="0.7", lw=0.5)
        axes.set_xlabel(f"gain in {labels[number]}")
        axes.locator_params(axis="x", nbins=4)
    names = [arm if schedule == usual else f"{arm} ({schedule})" for schedule, arm in rows]
    panels[0].set_yticks(range(len(rows)), names)
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(sizes))
    return figure
