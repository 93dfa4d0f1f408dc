"""How notebook 01 draws what its sweeps found."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib import figures, picture_grid
from lib.datasets.pictures import Pictures
from lib.experiments.quantized_reversed_probing.cards import Cards
from lib.experiments.quantized_reversed_probing.sweeps import short
from lib.representations import family


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


def card_sheet(cards: Cards, pictures: Pictures) -> Figure:
    """A row of pictures a card: members, a gap, and pictures of other clusters that the concepts most expect in this one."""
    shown, beside = cards.members.shape[1], cards.others.shape[1]
    rows = [
        [*pictures.read(members), None, *pictures.read(others)] for members, others in zip(cards.members, cards.others, strict=True)
    ]  # fmt: skip
    heads = [""] * (shown + 1 + beside)
    heads[shown // 2], heads[shown + 1 + beside // 2] = "members, drawn at random", "elsewhere, though the\nconcepts point here"
    return picture_grid.contact_sheet(
        [picture for row in rows for picture in row], columns=len(heads), row_labels=cards.labels, column_labels=heads, font_size=6.5
    )
