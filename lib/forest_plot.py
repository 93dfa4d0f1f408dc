"""Differences with their intervals, a row each: which are above 0?"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib import figures


def forest_plot(
    table: pd.DataFrame, *, rows: str, panels: str, value: str, labels: Mapping[str, str], colours: str = "", width: float = figures.PAGE,
) -> Figure:  # fmt: skip
    """A row a thing, a panel a number, a colour a kind: points with their intervals, and a line at 0.

    Args:
        table: a point each, with the columns low and high; one whose interval is not finite is hollow and has none.
        rows, panels, colours: names of the columns that tell them apart; all in the order in which they first come. No colours: one.
        value: name of the column with the point.
        labels: panel -> what its axis says.
        width: inches.

    Raises:
        ValueError: if the table is empty, or a panel has no label.
    """
    if table.empty:
        raise ValueError("table: found no rows; expected at least one")
    if missing := set(table[panels]) - set(labels):
        raise ValueError(f"labels: found none for {sorted(missing)[0]!r}; expected one a panel")
    names = list(dict.fromkeys(table[rows]))
    kinds = list(dict.fromkeys(table[colours])) if colours else [""]
    shown = [one for one in labels if one in set(table[panels])]
    height = 0.8 + 0.2 * (len(kinds) > 1) + len(names) * (0.15 + 0.045 * len(kinds))
    figure, grid = plt.subplots(1, len(shown), figsize=(width, height), sharey=True, squeeze=False)
    for axes, panel in zip(grid[0], shown, strict=True):
        for index, kind in enumerate(kinds):
            some = table[(table[panels] == panel) & (table[colours] == kind if colours else True)]
            heights = np.array([names.index(one) + (index - (len(kinds) - 1) / 2) * 0.8 / len(kinds) for one in some[rows]])
            reach = np.stack([some[value] - some["low"], some["high"] - some[value]])
            color, known = figures.PALETTE[index % len(figures.PALETTE)], np.isfinite(reach).all(0)
            axes.errorbar(some[value][known], heights[known], xerr=reach[:, known], fmt="o", ms=2.5, lw=0.8, color=color, label=kind)
            axes.plot(some[value][~known], heights[~known], "o", ms=2.5, mfc="none", color=color)
        axes.axvline(0, color="0.7", lw=0.5)
        axes.set_xlabel(labels[panel])
        axes.locator_params(axis="x", nbins=4)
    grid[0, 0].set_yticks(range(len(names)), names)
    grid[0, 0].set_ylim(len(names) - 0.4, -0.6)
    if len(kinds) > 1:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=min(len(kinds), 6))
    return figure
