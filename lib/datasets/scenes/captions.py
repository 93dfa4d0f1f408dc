"""One English sentence per scene: true, short, and from few words."""

import pandas as pd

from lib.datasets.scenes import factors

GROUNDS = {
    "sky": "in a cloudy sky", "grass": "on grass", "sand": "on sand", "brick": "on a brick wall", "water": "on water",
    "night": "in a night sky",
}
# {thing}: "large red striped star"; {place}: "top left"; {ground}: "on a brick wall"; {other}: "key".
ALONE = (
    "a {thing} at the {place} {ground}",
    "{ground} there is a {thing} at the {place}",
    "at the {place} {ground} a {thing}",
)
ACCOMPANIED = (
    "a {thing} at the {place} {ground} with a {other}",
    "{ground} there is a {thing} at the {place} and a {other}",
    "a {other} and a {thing} at the {place} {ground}",
)


def captions(table: pd.DataFrame) -> tuple[str, ...]:
    """Name all factors of every row; the nuisance "wording" picks one of three forms. 47 words in all."""
    columns = [table[name].tolist() for name in factors.FACTORS]
    sentences = []
    for *values, wording in zip(*columns, table["wording"], strict=True):
        shape, texture, colour, size, row, column, background, other = values
        templates = ALONE if other == "none" else ACCOMPANIED
        sentences.append(templates[int(wording * len(templates))].format(
            thing=f"{size} {colour} {texture} {shape}", place=place(row, column), ground=GROUNDS[background], other=other))
    return tuple(sentences)


def place(row: str, column: str) -> str:
    """Name of a cell of the 3x3 grid: "top left", "top", "left", "centre" and so on."""
    words = [word for word in (row, column) if word not in ("middle", "centre")]
    return " ".join(words) or "centre"
