"""Automatic experts: what can be said of a picture from its pixels alone.

| block | values | how |
|---|---|---|
| `colour` | the eleven basic colour terms of Berlin and Kay (1969) | the commonest over pixels, each having the nearest in CIELAB |
| `border` | the same | the commonest over the outermost eighth of the side: what stands in for the background |
| `brightness` | dark, middle, bright | mean lightness L*, thirds of the set |
| `contrast` | low, middle, high | standard deviation of L*, thirds of the set |
| `edges` | few, some, many | mean magnitude of the gradient (differences of neighbouring pixels) of L*, thirds of the set |
"""

from collections.abc import Sequence

import numpy as np
from skimage.color import rgb2lab

from lib.datasets.pictures import Pictures

EXPERTS = ("colour", "border", "brightness", "contrast", "edges")
_LEVELS = {"brightness": ("dark", "middle", "bright"), "contrast": ("low", "middle", "high"), "edges": ("few", "some", "many")}
# Typical colours of each term in sRGB, our choice: light and dark ones too, since one point a term makes sky blue white and navy purple.
TYPICAL_COLOURS = {
    "black": ((10, 10, 10), (35, 35, 35)),
    "grey": ((85, 85, 85), (128, 128, 128), (175, 175, 175), (208, 208, 208)),
    "white": ((240, 240, 240), (252, 252, 252)),
    "red": ((200, 30, 35), (130, 20, 25), (220, 80, 70)),
    "orange": ((245, 130, 30), (225, 150, 80)),
    "yellow": ((250, 225, 60), (240, 235, 150), (190, 165, 40)),
    "green": ((45, 140, 60), (20, 70, 30), (130, 180, 90), (95, 110, 55), (125, 130, 20), (60, 150, 130)),
    "blue": ((45, 90, 190), (25, 35, 95), (20, 20, 130), (120, 180, 230), (80, 120, 160), (60, 160, 190)),
    "purple": ((120, 50, 140), (65, 25, 85), (180, 140, 205)),
    "pink": ((240, 150, 180), (225, 80, 140), (245, 200, 205)),
    "brown": ((115, 70, 35), (70, 45, 25), (160, 115, 75), (195, 165, 130)),
}
_BORDER = 1 / 8  # of the side


def experts(names: Sequence[str], pictures: Pictures) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """For each block its values, and which of them each picture has, (pictures, values) bool: exactly one in every row.

    All blocks are made in one pass over the pictures, since turning pixels to CIELAB takes most of the time.
    """
    parts = {name: [] for name in names}
    for _, batch in pictures.batches(128) if parts else []:
        # Pictures of one size go together, others one by one.
        for lab in map(rgb2lab, [batch] if isinstance(batch, np.ndarray) else [picture[None] for picture in batch]):
            for name, found in parts.items():
                found.append(_ANSWERS[name](lab))
    return {name: _one_of_each(name, np.concatenate(found)) for name, found in parts.items()}


def _one_of_each(name, answers):
    if name in _LEVELS:
        values = _LEVELS[name]
        # Thirds by rank, so that equal pictures at a border do not make one third larger than the others.
        answers = np.argsort(np.argsort(answers, kind="stable"), kind="stable") * len(values) // len(answers)
    else:
        values = tuple(TYPICAL_COLOURS)
    return values, np.eye(len(values), dtype=bool)[answers]


def colour_terms(lab: np.ndarray) -> np.ndarray:
    """The commonest colour term in each row of CIELAB points, (n, points, 3) -> (n,) indices of `TYPICAL_COLOURS`; of ties the first."""
    distances = _SQUARES - 2 * lab.astype(np.float32) @ _POINTS.T  # but for what is the same for all of them
    terms = _TERMS[distances.argmin(2)]
    count = len(TYPICAL_COLOURS)
    return np.bincount((np.arange(len(lab))[:, None] * count + terms).ravel(), minlength=len(lab) * count).reshape(-1, count).argmax(1)


_TERMS = np.repeat(np.arange(len(TYPICAL_COLOURS)), [len(colours) for colours in TYPICAL_COLOURS.values()])
_POINTS = rgb2lab(np.concatenate(list(TYPICAL_COLOURS.values())).astype(np.uint8)[None])[0].astype(np.float32)
_SQUARES = np.square(_POINTS).sum(1)


def _border_of(lab):
    width = max(1, round(_BORDER * min(lab.shape[1:3])))
    inside = np.zeros(lab.shape[1:3], bool)
    inside[width:-width, width:-width] = True
    return lab[:, ~inside]


def _edges(lab):
    across, down = np.diff(lab[..., 0], axis=2)[:, :-1], np.diff(lab[..., 0], axis=1)[:, :, :-1]
    return np.hypot(across, down).mean((1, 2))


_ANSWERS = {
    "colour": lambda lab: colour_terms(lab.reshape(len(lab), -1, 3)),
    "border": lambda lab: colour_terms(_border_of(lab)),
    "brightness": lambda lab: lab[..., 0].mean((1, 2)),
    "contrast": lambda lab: lab[..., 0].std((1, 2)),
    "edges": _edges,
}
