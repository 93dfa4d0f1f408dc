"""Draw rows of the factor table: pictures, and masks of what is seen in them.

Order of drawing: background, distractor with its shadow, object with its shadow, light, grain. A pixel depends on its own row alone, so
that a row has the same bytes in every batch. Lengths are in sides of the picture; (0, 0) is the upper left corner.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.datasets.scenes import backgrounds, factors, shapes

SMALLEST = 32                       # pixels per side: the finest texture still has about three pixels per period
CHUNK = 32                          # rows drawn together: the planes of a chunk fit in the processor's cache
SOFT = 0.045                        # width of a shadow's edge
SHADOW = 0.032                      # how far a shadow is thrown
RIM = 0.017                         # width of the dark rim of things
LAYERS = ("object", "distractor")

RADIUS = {"small": 0.175, "medium": 0.22, "large": 0.27}
# First tone, second tone: as far apart in lightness as the name of the first one allows.
TONES = {
    "red": ((0.86, 0.13, 0.15), (1.00, 0.86, 0.76)), "orange": ((0.98, 0.52, 0.07), (1.00, 0.91, 0.70)),
    "yellow": ((1.00, 0.88, 0.18), (0.60, 0.38, 0.05)), "green": ((0.13, 0.64, 0.27), (0.79, 0.96, 0.66)),
    "blue": ((0.14, 0.33, 0.84), (0.72, 0.87, 1.00)), "purple": ((0.48, 0.20, 0.72), (0.88, 0.76, 1.00)),
    "pink": ((0.98, 0.42, 0.68), (1.00, 0.89, 0.94)), "white": ((0.97, 0.97, 0.95), (0.45, 0.48, 0.55)),
}
DISTRACTOR_TONES = {
    "none": ((0, 0, 0), (0, 0, 0)),
    "key": ((0.98, 0.80, 0.28), (0.98, 0.80, 0.28)), "leaf": ((0.45, 0.72, 0.18), (0.86, 0.95, 0.55)),
    "mug": ((0.95, 0.95, 0.94), (0.16, 0.52, 0.62)),
    "fish": ((1.00, 0.53, 0.20), (0.12, 0.10, 0.14)), "moon": ((1.00, 0.93, 0.66), (1.00, 0.93, 0.66)),
}
DISTRACTOR_RADIUS = 0.100
_EDGE = (0.12, 0.37, 0.63, 0.88)
PLACES = np.array([(x, y) for x in _EDGE for y in _EDGE if {x, y} & {0.12, 0.88}])     # where a distractor may lie: along the border
FREE = 0.44                         # least distance between distractor and object: the largest object's reach plus the distractor's


@dataclass(frozen=True)
class Masks:
    """What is seen where, each (n, size, size) bool: a pixel counts for what covers at least half of it."""

    object: np.ndarray
    distractor: np.ndarray
    first_tone: np.ndarray          # the part of the object in the colour that the factor names
    second_tone: np.ndarray         # the marks of the texture: stripes, checks, dots, rings


def render(table: pd.DataFrame, *, size: int = 64, without: Collection[str] = ()) -> np.ndarray:
    """Draw every row of a factor table.

    Args:
        table: columns as in `factors.draw`, any rows, any order.
        size: pixels per side, at least 32.
        without: layers to leave out with their shadow: "object", "distractor". All else stays as it is.

    Returns:
        (rows, size, size, 3) uint8.

    Raises:
        ValueError: if a column is missing, a value or layer does not exist, or size is too small.
    """
    check_size(size)
    if unknown := set(without) - set(LAYERS):
        raise ValueError(f"scenes: without: found {sorted(unknown)}; expected layers from {', '.join(LAYERS)}")
    factors.check_table(table)
    pixels = np.empty((len(table), size, size, 3), dtype=np.uint8)
    for start in range(0, len(table), CHUNK):
        pixels[start:start + CHUNK] = _draw(_Rows(table[start:start + CHUNK]), size, without)
    return pixels


def masks(table: pd.DataFrame, *, size: int = 64) -> Masks:
    """Masks of every row of a factor table: what `render` draws there. Arguments and errors as in `render`."""
    check_size(size)
    factors.check_table(table)
    out = Masks(*(np.empty((len(table), size, size), dtype=bool) for _ in range(4)))
    for start in range(0, len(table), CHUNK):
        chunk = slice(start, start + CHUNK)
        rows = _Rows(table[chunk])
        inside, marked = _object(rows, size) <= 0, _marks(rows, size) <= 0
        out.object[chunk] = inside
        out.distractor[chunk] = _distractor(rows, size)[0] <= 0
        out.first_tone[chunk] = inside & ~marked
        out.second_tone[chunk] = inside & marked
    return out


def check_size(size: int) -> None:
    """Raise a ValueError unless size is a whole number, at least SMALLEST."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < SMALLEST:
        raise ValueError(f"scenes: size: found {size!r}; expected a whole number of pixels, at least {SMALLEST}")


class _Rows:
    """A factor table as arrays, with the geometry that follows from it. All (n,) or (n, 2)."""

    def __init__(self, table):
        self.codes = {factor: factors.codes(table, factor) for factor in factors.FACTORS}
        number = {name: table[name].to_numpy(dtype=np.float64) for name in factors.NUISANCES}
        self.number = number
        signed = {name: 2 * values - 1 for name, values in number.items()}                    # in [-1, 1)

        thirds = np.array([0.3, 0.5, 0.7])
        cell = np.stack([thirds[self.codes["column"]], thirds[self.codes["row"]]], axis=1)
        self.centre = cell + 0.025 * np.stack([signed["object x"], signed["object y"]], axis=1)
        self.radius = np.array(list(RADIUS.values()))[self.codes["size"]] * (1 + 0.04 * signed["object scale"])
        self.angle = np.deg2rad(18) * signed["object rotation"]
        self.period = 0.055 + 0.29 * self.radius                                              # of the texture
        light = np.deg2rad(90 + 55 * signed["light angle"])
        self.light = np.stack([np.cos(light), -np.sin(light)], axis=1)                        # towards the light
        tones = np.array(list(TONES.values()))[self.codes["colour"]]                          # (n, 2, 3)
        gain = np.stack([signed[f"object {name}"] for name in ("red", "green", "blue")], axis=1)
        self.tones = tones * (1 + 0.05 * gain[:, None, :])
        distance = np.linalg.norm(PLACES - self.centre[:, None], axis=2)
        # The first free place in the picture's own order: a change of the object moves the distractor only if it is in the way.
        order = (np.floor(number["distractor place"] * len(PLACES)).astype(int)[:, None] + 5 * np.arange(len(PLACES))) % len(PLACES)
        first_free = (np.take_along_axis(distance, order, axis=1) > FREE).argmax(axis=1)
        self.distractor_centre = PLACES[np.take_along_axis(order, first_free[:, None], axis=1)[:, 0]]
        self.distractor_angle = np.deg2rad(30) * signed["distractor rotation"]

    def __len__(self):
        return len(self.radius)


def _column(values):
    """(n,) -> (n, 1, 1) float32, to meet planes of pixels."""
    return np.asarray(values, dtype=np.float32)[:, None, None]


def _local(centre, angle, unit, size):
    """Pixel centres as seen by things at `centre`, turned by `angle`, of radius `unit`: x right and y up, (n, size, size) float32."""
    along = (np.arange(size, dtype=np.float32) + 0.5) / size
    right, up = along[None, None, :] - _column(centre[:, 0]), _column(centre[:, 1]) - along[None, :, None]
    cosine, sine = _column(np.cos(angle) / unit), _column(np.sin(angle) / unit)
    return cosine * right + sine * up, cosine * up - sine * right


def _by_kind(numbers, factor):
    """Pairs (value of the factor, which rows have it) for the values that occur."""
    for number, value in enumerate(factors.FACTORS[factor]):
        chosen = np.flatnonzero(numbers == number)
        if len(chosen):
            yield value, chosen


def _object(rows, size, towards=0.0):
    """Signed distance to the objects' outlines, (n, size, size), read at points moved by `towards`, (n, 2) or none."""
    x, y = _local(rows.centre - towards, rows.angle, rows.radius, size)
    for shape, chosen in _by_kind(rows.codes["shape"], "shape"):
        x[chosen] = shapes.OUTLINES[shape](x[chosen], y[chosen])
    return x * _column(rows.radius)


def _marks(rows, size):
    """Signed distance to the second tone of the objects' textures, (n, size, size)."""
    x, y = _local(rows.centre, rows.angle + np.pi * rows.number["texture rotation"], rows.period, size)
    phase = _column(rows.number["texture phase"])
    for texture, chosen in _by_kind(rows.codes["texture"], "texture"):
        x[chosen] = shapes.TEXTURES[texture](x[chosen], y[chosen], phase[chosen])
    return x * _column(rows.period)


def _distractor(rows, size, towards=0.0):
    """Signed distances to outline and second tone of the distractors, each (n, size, size); far outside where there is none."""
    radius = np.full(len(rows), DISTRACTOR_RADIUS)
    x, y = _local(rows.distractor_centre - towards, rows.distractor_angle, radius, size)
    for distractor, chosen in _by_kind(rows.codes["distractor"], "distractor"):
        x[chosen], y[chosen] = shapes.DISTRACTORS[distractor](x[chosen], y[chosen]) if distractor != "none" else (99, 99)
    return x * _column(radius), y * _column(radius)


def _cover(distance, size):
    """How much of a pixel lies inside, from the signed distance of its centre."""
    return np.clip(0.5 - distance * size, 0, 1)


def _soft(distance):
    """1 well inside, 0 well outside, smooth in a band of width SOFT."""
    t = np.clip(0.5 - distance / SOFT, 0, 1)
    return t * t * (3 - 2 * t)


def _two_tones(tones, second, shade):
    """Colours (n, 2, 3) mixed by `second` (n, h, w), times `shade` (n, h, w): (n, 3, h, w)."""
    first, other = (tones[:, number, :, None, None].astype(np.float32) for number in (0, 1))
    return (first + second[:, None] * (other - first)) * shade[:, None]


def _relief(outline, thrown, size, depth, darkness):
    """Shading of a puffed-up thing under the light: (n, h, w), factors about 1.

    Args:
        outline: (n, h, w) signed distance.
        thrown: the same, read one SHADOW towards the light.
        size: pixels per side.
        depth: how far from the edge the surface bends.
        darkness: of the rim.
    """
    slope = np.clip((thrown - outline) / SHADOW, -1, 1)                        # 1 where the surface falls off towards the light
    near_edge = np.clip(1 + outline / depth, 0, 1)
    return (1 + 0.30 * slope * near_edge * near_edge) * (1 - darkness * _cover(-outline - RIM, size))


def _put(canvas, cover, colours):
    """Draw colours (n, 3, h, w) on the canvas in place. What is covered fully takes exactly the new colour."""
    canvas *= (1 - cover)[:, None]
    canvas += cover[:, None] * colours


def _draw(rows, size, without):
    """Pictures of the rows in `rows`, (n, size, size, 3) uint8."""
    canvas = np.empty((len(rows), 3, size, size), dtype=np.float32)
    number = rows.number
    for name, chosen in _by_kind(rows.codes["background"], "background"):
        canvas[chosen] = backgrounds.draw(name, *(number[f"background {what}"][chosen] for what in ("x", "y", "tone")), size)
    warmth = 0.05 * (2 * number["background warmth"] - 1)
    canvas *= np.stack([1 + warmth, np.ones_like(warmth), 1 - warmth], axis=1)[:, :, None, None].astype(np.float32)

    to_light = SHADOW * rows.light
    if "distractor" not in without:
        outline, second = _distractor(rows, size)
        thrown, _ = _distractor(rows, size, to_light)
        canvas *= (1 - 0.45 * _soft(thrown))[:, None]
        tones = np.array([DISTRACTOR_TONES[name] for name in factors.FACTORS["distractor"]])[rows.codes["distractor"]]
        tones = tones * (1 + 0.16 * (number["distractor tone"] - 0.5))[:, None, None]
        colours = _two_tones(tones, _cover(second, size), _relief(outline, thrown, size, 0.03, 0.18))
        _put(canvas, _cover(outline, size), colours)
    if "object" not in without:
        outline = _object(rows, size)
        thrown = _object(rows, size, to_light)
        canvas *= (1 - 0.5 * _soft(thrown))[:, None]
        colours = _two_tones(rows.tones, _cover(_marks(rows, size), size), _relief(outline, thrown, size, 0.07, 0.34))
        _put(canvas, _cover(outline, size), colours)

    along = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    strength = 0.10 + 0.22 * number["light strength"]
    glow = 1 + _column(strength * rows.light[:, 0]) * along + _column(strength * rows.light[:, 1]) * along[:, None]
    canvas *= glow[:, None]
    canvas += 0.012 * backgrounds.windows(backgrounds.grain_tile(size), number["grain x"], number["grain y"], size)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)
