"""The six backgrounds.

Each one is painted once, carefully, on a tile four pictures wide that repeats seamlessly; a picture sees a window of it at a place of its
own, under its own light. That is quick, and every pixel depends only on the picture's own numbers.
"""

from functools import lru_cache

import numpy as np

from lib.datasets.scenes.factors import uniform

PICTURES_PER_TILE = 4


def draw(name: str, window_x, window_y, tone, size: int) -> np.ndarray:
    """Background `name` of n pictures: (n, 3, size, size) float32, about 0 to 1.

    Args:
        name: a value of the factor background.
        window_x, window_y: (n,) place of the window on the tile, in [0, 1).
        tone: (n,) in [0, 1): cloud cover of the sky, brightness of the others.
        size: pixels per side.
    """
    pixels = windows(_tile(name, size), window_x, window_y, size)
    down = ((np.arange(size, dtype=np.float32) + 0.5) / size)[:, None]        # 0 at the top, 1 at the bottom
    return _FINISH[name](pixels, down, np.asarray(tone, dtype=np.float32)[:, None, None, None])


def windows(tile: np.ndarray, window_x, window_y, size: int) -> np.ndarray:
    """Cut one window per picture out of a repeating tile: (channels, side, side) -> (n, channels, size, size)."""
    side = PICTURES_PER_TILE * size
    left, top = (np.asarray(window_x) * side).astype(np.int64), (np.asarray(window_y) * side).astype(np.int64)
    out = np.empty((len(left), len(tile), size, size), dtype=np.float32)
    for picture, (x, y) in enumerate(zip(left, top, strict=True)):
        out[picture] = tile[:, y:y + size, x:x + size]
    return out


@lru_cache(maxsize=32)
def _tile(name, size):
    """The repeating tile, continued by one picture to the right and below so that a window never has to wrap."""
    tile = _PAINT[name](PICTURES_PER_TILE * size)
    return np.pad(tile, ((0, 0), (0, size), (0, size)), mode="wrap").astype(np.float32)


def grain_tile(size: int) -> np.ndarray:
    """Fine noise of mean 0 and unit variance, the same in all channels: (1, side + size, side + size)."""
    return _tile("grain", size)


def _noise(name, y, x, cells_y, cells_x):
    """Gradient noise (Perlin 1985), about -0.7 to 0.7, at points in [0, 1) of the tile; repeats with period 1."""
    angle = 2 * np.pi * uniform(0, f"noise {name}", cells_y * cells_x).reshape(cells_y, cells_x)
    x, y = x * cells_x, y * cells_y
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    x, y = x - left, y - top
    corners = []
    for down in (0, 1):
        for right in (0, 1):
            direction = angle[(top + down) % cells_y, (left + right) % cells_x]
            corners.append(np.cos(direction) * (x - right) + np.sin(direction) * (y - down))
    fade_x, fade_y = (t**3 * (t * (6 * t - 15) + 10) for t in (x, y))
    upper, lower = corners[0] + fade_x * (corners[1] - corners[0]), corners[2] + fade_x * (corners[3] - corners[2])
    return upper + fade_y * (lower - upper)


def _cloudy(name, y, x, cells_y, cells_x, octaves):
    """Gradient noise summed over octaves."""
    return sum(_noise(f"{name} {octave}", y, x, cells_y << octave, cells_x << octave) / 2**octave for octave in range(octaves))


def _grid(side):
    along = (np.arange(side) + 0.5) / side
    return along[:, None] + 0 * along, along + 0 * along[:, None]


def _ramp(value, start, end):
    t = np.clip((value - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def _blend(amount, first, second):
    """Colours from `first` (amount 0) to `second` (amount 1): planes (..., h, w) -> (3, h, w)."""
    first, second = np.array(first)[:, None, None], np.array(second)[:, None, None]
    return first + amount * (second - first)


def _paint_sky(side):
    y, x = _grid(side)
    y_bent = y + 0.02 * _cloudy("sky bend", y, x, 10, 10, 2)
    cover = _cloudy("cloud", y_bent, x, 12, 7, 5)
    towards_light = _cloudy("cloud", y_bent - 0.012, x - 0.008, 12, 7, 5)
    return np.stack([cover, cover - towards_light])


def _finish_sky(pixels, down, tone):
    cover, lit = pixels[:, :1], pixels[:, 1:]
    blue = np.array([0.22, 0.49, 0.86], dtype=np.float32)[:, None, None], np.array([0.62, 0.83, 0.97], dtype=np.float32)[:, None, None]
    sky = blue[0] + down * (blue[1] - blue[0])
    cloud = np.clip(0.93 + 0.55 * lit, 0.68, 1.0) * np.array([0.985, 0.99, 1.0], dtype=np.float32)[:, None, None]
    return sky + _ramp(cover, 0.02 - 0.16 * tone, 0.36 - 0.16 * tone) * (cloud - sky)


def _paint_grass(side):
    y, x = _grid(side)
    meadow = _blend(_ramp(_cloudy("meadow", y, x, 8, 8, 4), -0.5, 0.5), (0.10, 0.25, 0.06), (0.19, 0.36, 0.09))
    blades = 460 * PICTURES_PER_TILE**2
    number = {name: uniform(0, f"blade {name}", blades) for name in ("x", "y", "length", "lean", "bend", "hue", "light")}
    pixel = PICTURES_PER_TILE / side                                           # width of a pixel in pictures
    for blade in np.argsort(number["y"]):
        of = {name: values[blade] for name, values in number.items()}
        length, lean, bend = 0.07 + 0.11 * of["length"], 0.09 * (of["lean"] - 0.5), 0.12 * (of["bend"] - 0.5)
        rows = np.arange(max(int(length / pixel), 2))
        height = (rows + 0.5) / len(rows)                                      # 0 at the root, 1 at the tip
        centre = lean * height + bend * height**2
        reach = int((np.abs(centre).max() + 0.02) / pixel) + 1
        columns = np.arange(-reach, reach + 1)
        alpha = np.clip(0.5 + (0.013 * (1 - 0.8 * height[:, None]) - np.abs(columns * pixel - centre[:, None])) / pixel, 0, 1)
        root_y, root_x = int(of["y"] * side), int(of["x"] * side)
        place = np.ix_(range(3), (root_y - rows) % side, (root_x + columns) % side)
        green = np.array([0.20 + 0.30 * of["hue"], 0.42 + 0.20 * of["light"], 0.10 + 0.10 * of["light"]])
        green = green[:, None, None] * (0.55 + 0.55 * height[:, None])
        meadow[place] += alpha * (green - meadow[place])
    return meadow


def _finish_grass(pixels, down, tone):
    return pixels * (1.22 - 0.22 * down + 0.16 * (tone - 0.5))


def _paint_sand(side):
    y, x = _grid(side)
    bend = 1.3 * _cloudy("dune bend", y, x, 6, 6, 3)
    phase = 34 * y + 6 * x + bend * 1.2
    strength = _ramp(_cloudy("dune strength", y, x, 5, 5, 2), -0.55, 0.25)
    ripple = np.sin(2 * np.pi * phase) + 0.45 * np.sin(4 * np.pi * phase + 0.9)
    light = 0.50 + 0.30 * ripple * (0.35 + 0.65 * strength) + 0.5 * _cloudy("dune", y, x, 5, 4, 3)
    grain = uniform(0, "sand grain", side * side).reshape(side, side) - 0.5
    return _blend(np.clip(light + 0.26 * grain, -0.2, 1.3), (0.69, 0.52, 0.32), (0.95, 0.83, 0.60))


def _finish_sand(pixels, down, tone):
    return pixels * (1.03 - 0.08 * down + 0.12 * (tone - 0.5))


def _paint_brick(side):
    across, courses = 4 * PICTURES_PER_TILE, 8 * PICTURES_PER_TILE
    y, x = _grid(side)
    x = x + 0.0012 * _noise("brick bend x", y, x, 60, 60)
    y = y + 0.0012 * _noise("brick bend y", y, x, 60, 60)
    course = np.floor(y * courses).astype(int) % courses
    shifted = x * across + 0.5 * (course % 2)
    brick = np.floor(shifted).astype(int) % across
    number = course * across + brick
    width, height = PICTURES_PER_TILE / across, PICTURES_PER_TILE / courses    # in pictures
    from_left, from_top = (shifted % 1) * width, (y * courses % 1) * height
    inside = np.minimum(np.minimum(from_left, width - from_left), np.minimum(from_top, height - from_top)) - 0.0095
    pixel = PICTURES_PER_TILE / side
    alpha = np.clip(0.5 + inside / pixel, 0, 1)
    hue, light = (uniform(0, f"brick {name}", across * courses)[number] for name in ("hue", "light"))
    rough = _cloudy("brick rough", y, x, 48, 48, 3)
    face = _blend(hue, (0.50, 0.22, 0.17), (0.68, 0.36, 0.25)) * (0.82 + 0.32 * light + 0.34 * rough)
    face = face * (1 + 0.16 * (_ramp(from_top, 0.035, 0.0) - _ramp(height - from_top, 0.04, 0.0)))
    mortar = _blend(0.5 + rough, (0.60, 0.56, 0.51), (0.76, 0.72, 0.66)) * (1 - 0.35 * _ramp(height - from_top, 0.014, 0.0))
    return mortar + alpha * (face - mortar)


def _finish_brick(pixels, down, tone):
    return pixels * (1.05 - 0.1 * down + 0.16 * (tone - 0.5))


def _paint_water(side):
    y, x = _grid(side)
    bent_y = y + 0.03 * _cloudy("water bend y", y, x, 9, 9, 2)
    bent_x = x + 0.03 * _cloudy("water bend x", y, x, 9, 9, 2)
    web = 0.0
    for name, cells, weight in (("wide", 13, 0.75), ("narrow", 21, 0.5)):
        web = web + weight * (1 - np.clip(np.abs(_noise(f"water {name}", bent_y, bent_x, cells, cells)) * 2.6, 0, 1)) ** 3
    deep = _blend(_ramp(_cloudy("water depth", y, x, 7, 7, 3), -0.6, 0.6), (0.02, 0.36, 0.50), (0.11, 0.61, 0.70))
    return deep + web * np.array([0.62, 0.52, 0.42])[:, None, None]


def _finish_water(pixels, down, tone):
    return pixels * (0.94 + 0.1 * down + 0.16 * (tone - 0.5))


def _paint_night(side):
    y, x = _grid(side)
    glow = _cloudy("nebula", y, x, 7, 7, 5)
    sky = _blend(_ramp(glow, -0.1, 0.75), (0.035, 0.045, 0.13), (0.30, 0.17, 0.42))
    sky = sky + _ramp(_cloudy("teal nebula", y, x, 6, 8, 4), 0.0, 0.8) * np.array([0.0, 0.12, 0.16])[:, None, None]
    stars = 52 * PICTURES_PER_TILE**2
    number = {name: uniform(0, f"star {name}", stars) for name in ("x", "y", "light", "warmth")}
    pixel = PICTURES_PER_TILE / side
    for star in range(stars):
        of = {name: values[star] for name, values in number.items()}
        light = 0.25 + 0.9 * of["light"] ** 6
        spread = 0.0075 + 0.007 * of["light"] ** 12
        around = np.arange(-int(4 * spread / pixel) - 1, int(4 * spread / pixel) + 2)
        rows, columns = around + int(of["y"] * side), around + int(of["x"] * side)
        off_y, off_x = rows + 0.5 - of["y"] * side, columns + 0.5 - of["x"] * side
        spot = np.exp(-((off_y[:, None] ** 2 + off_x**2) * (pixel / spread) ** 2))
        place = np.ix_(range(3), rows % side, columns % side)
        sky[place] += spot * light * np.array([1.0, 0.93, 0.8 + 0.3 * of["warmth"]])[:, None, None]
    return sky


def _finish_night(pixels, down, tone):
    horizon = np.array([0.16, 0.13, 0.20], dtype=np.float32)[:, None, None]
    return pixels * (0.9 + 0.3 * tone) + horizon * (down * down)


def _paint_grain(side):
    return 12**0.5 * (uniform(0, "grain", side * side).reshape(1, side, side) - 0.5)


_PAINT = {
    "sky": _paint_sky, "grass": _paint_grass, "sand": _paint_sand, "brick": _paint_brick, "water": _paint_water, "night": _paint_night,
    "grain": _paint_grain,
}
_FINISH = {
    "sky": _finish_sky, "grass": _finish_grass, "sand": _finish_sand, "brick": _finish_brick, "water": _finish_water,
    "night": _finish_night,
}
