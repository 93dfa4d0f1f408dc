"""Clusters as sheets of pictures."""

from matplotlib.figure import Figure

from lib import picture_grid
from lib.datasets.pictures import Pictures
from lib.experiments.quantized_reversed_probing.cards import Cards


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
