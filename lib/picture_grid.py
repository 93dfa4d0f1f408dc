"""Grids of pictures for figures: contact sheets, and the reference and query pictures of a unit."""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

LINE = 1.25             # height of a line of text, in font sizes
LETTER = 0.58           # mean width of a letter, in font sizes (0.56 in DejaVu Sans)


def contact_sheet(
    pictures: Sequence[np.ndarray | None] | np.ndarray, *, columns: int | None = None, titles: Sequence[str] | None = None,
    borders: Sequence | None = None, row_labels: Sequence[str] | None = None, column_labels: Sequence[str] | None = None,
    width: float = 7.0, gap: float = 0.06, font_size: float = 6.5,
) -> Figure:
    """Lay pictures out row by row in square cells.

    Args:
        pictures: uint8 (n, h, w, 3), or a list of (h, w, 3) arrays of any sizes; None leaves a cell empty. Pixels stay sharp when enlarged.
        columns: cells per row; about square by default.
        titles: a text above each picture, wrapped to the width of its cell.
        borders: a matplotlib colour per picture, or None for no border; drawn in the gap.
        row_labels: a text at the left of each row.
        column_labels: a text above each column.
        width: of the figure, inches.
        gap: between cells, in cells.
        font_size: points.

    Returns:
        A figure as high as its content, to be saved or shown by the caller.

    Raises:
        ValueError: if there are no pictures, one is not uint8 (h, w, 3), or titles, borders or labels are too many or too few.
    """
    pictures = list(pictures)
    if not pictures:
        raise ValueError("pictures: found none; expected at least one")
    for index, picture in enumerate(pictures):
        if picture is not None and (picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3):
            raise ValueError(f"pictures: found {picture.dtype} of shape {picture.shape} at {index}; expected uint8 (height, width, 3)")
    columns = int(np.ceil(len(pictures) ** 0.5)) if columns is None else columns
    if columns < 1:
        raise ValueError(f"columns: found {columns}; expected at least 1")
    rows = -(-len(pictures) // columns)
    for name, given, expected in (("titles", titles, len(pictures)), ("borders", borders, len(pictures)),
                                  ("row_labels", row_labels, rows), ("column_labels", column_labels, columns)):
        if given is not None and len(given) != expected:
            raise ValueError(f"{name}: found {len(given)}; expected {expected}")

    # Everything below is in inches, with y downwards from the top of the figure.
    line = font_size * LINE / 72
    letters = max((len(part) for label in row_labels or () for part in label.split("\n")), default=0)
    left = letters * LETTER * font_size / 72 + (line if letters else 0)
    cell = (width - left) / (columns + gap * (columns + 1))
    if cell <= 0:
        raise ValueError(f"row_labels: found {letters} letters in a line; expected fewer, they fill the {width} inches of the figure")
    space = gap * cell
    letters = max(int(cell * 72 / (LETTER * font_size)), 1)
    wrapped = [textwrap.wrap(title, letters) for title in (titles if titles is not None else [""] * len(pictures))]
    lines = [max(len(title) for title in wrapped[row * columns:(row + 1) * columns]) for row in range(rows)]
    head = line * max((label.count("\n") + 1 for label in column_labels or ()), default=0)
    tops = head + space + np.cumsum([0.0, *(cell + space + line * count for count in lines[:-1])]) + line * np.array(lines)
    height = tops[-1] + cell + space

    figure = plt.figure(figsize=(width, height), layout="none")  # everything has its place already
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    text = {"fontsize": font_size, "linespacing": LINE / 1.2}
    thick = 0.4 * space
    for index, picture in enumerate(pictures):
        x, y = left + space + (index % columns) * (cell + space), tops[index // columns]
        if picture is None:
            continue
        across, down = (cell * side / max(picture.shape[:2]) for side in picture.shape[1::-1])
        x, y = x + (cell - across) / 2, y + (cell - down) / 2
        axes.imshow(picture, extent=(x, x + across, y + down, y), interpolation="nearest", aspect="auto")
        if borders is not None and borders[index] is not None:
            axes.add_patch(Rectangle((x - thick / 2, y - thick / 2), across + thick, down + thick, fill=False,
                                     edgecolor=borders[index], linewidth=72 * thick, joinstyle="round"))
        if wrapped[index]:
            axes.text(x + across / 2, y - 2 * thick, "\n".join(wrapped[index]), ha="center", va="bottom", **text)
    for row, label in enumerate(row_labels or ()):
        axes.text(left, tops[row] + cell / 2, label, ha="right", va="center", **text)
    for column, label in enumerate(column_labels or ()):
        axes.text(left + space + column * (cell + space) + cell / 2, head, label, ha="center", va="bottom", **text)
    axes.set(xlim=(0, width), ylim=(height, 0))           # imshow moves the limits
    return figure
