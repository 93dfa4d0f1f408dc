"""Automatic experts: what can be said of a picture from its pixels alone.

| block | values | how |
|---|---|---|
| `colour` | the eleven basic colour terms of Berlin and Kay (1969) | the commonest over pixels, each having the nearest in CIELAB |
| `border` | the same | the commonest over the outermost eighth of the side: what stands in for the background |
| `brightness` | dark, middle, bright | mean lightness L*, thirds of the set |
| `contrast` | low, middle, high | standard deviation of L*, thirds of the set |
| `edges` | few, some, many | mean gradient magnitude (Sobel) of L*, thirds of the set |
"""

import numpy as np
from skimage.color import rgb2lab
from skimage.filters import sobel

from lib.datasets.pictures import Pictures

EXPERTS = ("colour", "border", "brightness", "contrast", "edges")
_LEVELS = {"brightness": ("dark", "middle", "bright"), "contrast": ("low", "middle", "high"), "edges": ("few", "some", "many")}
# Focal colours, our choice of sRGB values near the centres of the terms.
FOCAL_COLOURS = {
    "black": (10, 10, 10), "grey": (128, 128, 128), "white": (250, 250, 250), "red": (200, 30, 35), "orange": (245, 130, 30),
    "yellow": (250, 225, 60), "green": (45, 140, 60), "blue": (45, 90, 190), "purple": (120, 50, 140), "pink": (240, 150, 180),
    "brown": (115, 70, 35),
}  # fmt: skip
_BORDER = 1 / 8  # of the side


def expert(name: str, pictures: Pictures) -> tuple[tuple[str, ...], np.ndarray]:
    """The values of one block and which of them each picture has, (pictures, values) bool: exactly one in every row."""
    answers = np.concatenate([np.stack([_ANSWERS[name](picture) for picture in batch]) for _, batch in pictures.batches(512)])
    if name in _LEVELS:
        values = _LEVELS[name]
        # Thirds by rank, so that equal pictures at a border do not make one third larger than the others.
        answers = np.argsort(np.argsort(answers, kind="stable"), kind="stable") * len(values) // len(answers)
    else:
        values = tuple(FOCAL_COLOURS)
    return values, np.eye(len(values), dtype=bool)[answers]


def colour_term(pixels: np.ndarray) -> int:
    """The commonest colour term of uint8 pixels (n, 3), an index of `FOCAL_COLOURS`; of equally common ones the first."""
    points = rgb2lab(pixels[None])[0]
    nearest = np.square(points[:, None] - _FOCAL_POINTS).sum(2).argmin(1)
    return int(np.bincount(nearest, minlength=len(_FOCAL_POINTS)).argmax())


_FOCAL_POINTS = rgb2lab(np.array(list(FOCAL_COLOURS.values()), np.uint8)[None])[0]


def _border_of(picture):
    width = max(1, round(_BORDER * min(picture.shape[:2])))
    inside = np.zeros(picture.shape[:2], bool)
    inside[width:-width, width:-width] = True
    return picture[~inside]


def _lightness(picture):
    return rgb2lab(picture)[..., 0]


_ANSWERS = {
    "colour": lambda picture: colour_term(picture.reshape(-1, 3)),
    "border": lambda picture: colour_term(_border_of(picture)),
    "brightness": lambda picture: _lightness(picture).mean(),
    "contrast": lambda picture: _lightness(picture).std(),
    "edges": lambda picture: sobel(_lightness(picture)).mean(),
}
