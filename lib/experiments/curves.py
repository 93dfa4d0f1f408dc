"""Curves of many representations in one panel."""

import pandas as pd
from matplotlib.axes import Axes

from lib import figures
from lib.representations import family, short


def curves(axes: Axes, table: pd.DataFrame, x: str, y: str, *, band: bool = True) -> None:
    """One line a representation, the mean over its seeds, with the interval of every seed as a band.

    Args:
        axes: to draw on.
        table: representation, the two columns, and low and high of y where there is a band.
        x: a column.
        y: another.
        band: whether to draw the intervals.
    """
    for color, (name, lines) in zip(figures.PALETTE, table.groupby(table["representation"].map(family), sort=False), strict=False):
        if band:
            for _, line in lines.groupby("representation"):
                axes.fill_between(line[x], line["low"], line["high"], color=color, alpha=0.15, lw=0)
        mean = lines.groupby(x)[y].mean()
        axes.plot(mean.index, mean, "o-", color=color, label=short([name])[0])
