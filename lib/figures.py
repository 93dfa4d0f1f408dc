"""One style for all figures, and one way to save them: as PNG and SVG with the data behind them, the same bytes in every run."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.paths import FIGURES, atomically
from lib.tables import write_csv

COLUMN = 3.4  # inches: the width of one column of a journal's page
PAGE = 7.0    # inches: the full width of the page

# Okabe and Ito, Color Universal Design (2008): told apart with any kind of colour vision; yellow last, as it is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")

_STYLE = {
    "figure.dpi": 120,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    "figure.figsize": (COLUMN, 2.5),
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that figures do not depend on the fonts of the machine
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 9,
    "figure.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "image.interpolation": "nearest",
    "svg.fonttype": "path",
    "svg.hashsalt": "interpretability-compendium",  # names inside an SVG are random without it
}


def use_style() -> None:
    """Set the style of everything that is drawn from here on: readable at the width of a column, and for every kind of colour vision."""
    sns.set_theme(context="paper", style="ticks", palette=PALETTE, rc=_STYLE)


def panels(names: Sequence[str], *, height: float, columns: int = 3) -> tuple[Figure, dict[str, Axes]]:
    """A page-wide grid with one panel a name, all on the same axes.

    Args:
        names: of the panels, row by row; each once.
        height: of a row, inches.
        columns: panels a row, at most.

    Returns:
        The figure and name -> axes.
    """
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(PAGE, height * rows), sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.remove()
    for axes in grid.flat[max(len(names) - columns, 0) : len(names)]:
        axes.tick_params(labelbottom=True)
    return figure, dict(zip(names, grid.flat, strict=False))


def label_beside(axes: Axes, x: Sequence[float], y: Sequence[float], labels: Sequence[str], *, size: float = 6) -> None:
    """Name points in a column at the right of the axes, each with a thin line to its point.

    Labels do not cover one another as long as the column holds them: 1.25 letters' height each, about 20 beside axes of 2 inches.

    Args:
        axes: with the points drawn, so that its limits are those of the data.
        x, y: coordinates of the points, in data units.
        labels: one a point.
        size: of the letters, in points.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    order = np.argsort(y, kind="stable")
    axes.autoscale_view()  # limits are otherwise settled when the figure is drawn
    at = axes.transData.transform(np.column_stack([x, y]))
    wanted = axes.transAxes.inverted().transform(at)[order, 1]
    height = axes.figure.get_size_inches()[1] * axes.get_position().height
    steps = np.arange(len(order)) * min(1.25 * size / 72 / height, 1 / max(len(order) - 1, 1))
    upwards = np.maximum.accumulate(wanted - steps) + steps
    top = max(1.0, steps[-1])
    places = np.minimum.accumulate((np.minimum(upwards, top) - steps)[::-1])[::-1] + steps
    for index, place in zip(order, places, strict=True):
        axes.annotate(
            labels[index], (x[index], y[index]), xytext=(1.04, place), textcoords="axes fraction", fontsize=size, va="center",
            arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def save(
    figure: Figure, name: str, *, profile: str, data: pd.DataFrame | None, provenance: dict[str, str], folder: Path = FIGURES
) -> list[Path]:
    """Write <folder>/<profile>/<name>.png and .svg, and .csv where data is given.

    Args:
        figure: the figure; it stays open.
        name: file name without ending.
        profile: names the folder.
        data: the numbers that the figure shows.
        provenance: written into the PNG as text.
        folder: where the folders of the profiles are.

    Returns:
        The files written.
    """
    png, svg, csv = (folder / profile / f"{name}.{ending}" for ending in ("png", "svg", "csv"))
    with mpl.rc_context({"svg.hashsalt": _STYLE["svg.hashsalt"]}):
        with atomically(png) as temporary:
            # Software and Date name the version of matplotlib and the time, which are not part of the result.
            figure.savefig(temporary, format="png", metadata={"Software": None, **provenance})
        with atomically(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": "interpretability-compendium"})
    if data is None:
        return [png, svg]
    write_csv(csv, data)
    return [png, svg, csv]
