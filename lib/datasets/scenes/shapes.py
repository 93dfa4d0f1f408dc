"""Outlines and fill textures as signed distances: negative inside, zero on the edge.

A signed distance drawn with a ramp one pixel wide is an anti-aliased picture at any resolution; drawn with a wide ramp it is a soft shadow.
The formulas for triangle, star and heart follow Inigo Quilez, "2D distance functions" (https://iquilezles.org/articles/distfunctions2d).
Points are in the frame of the thing: x to the right, y up, about 1 in radius.

Only +, -, *, /, sqrt, abs, floor, minimum and maximum touch pixels. These are exactly rounded, so a pixel is the same in every batch.
"""

import numpy as np


def _length(x, y):
    return np.sqrt(x * x + y * y)


def _box(x, y, half_width, half_height):
    x, y = np.abs(x) - half_width, np.abs(y) - half_height
    return _length(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0)


def disc(x, y):
    return _length(x, y) - 0.97


def square(x, y):
    return _box(x, y, 0.76, 0.76) - 0.1


def triangle(x, y):
    half, slope = 0.96, 3**0.5                                    # half a side before rounding
    x, y = np.abs(x) - half, y + half / slope
    beyond = x + slope * y > 0
    x, y = np.where(beyond, (x - slope * y) / 2, x), np.where(beyond, (-slope * x - y) / 2, y)
    x = x - np.clip(x, -2 * half, 0)
    return np.where(y > 0, -1, 1).astype(np.float32) * _length(x, y) - 0.1


def star(x, y):
    cosine, sine, radius, inner = 0.80901699, 0.58778525, 1.14, 0.5
    x = np.abs(x)
    fold = 2 * np.maximum(cosine * x - sine * y, 0)
    x, y = x - fold * cosine, y + fold * sine
    fold = 2 * np.maximum(-cosine * x - sine * y, 0)
    x, y = np.abs(x + fold * cosine), y + fold * sine - radius
    edge_x, edge_y = inner * sine, inner * cosine - 1
    along = np.clip((x * edge_x + y * edge_y) / (edge_x**2 + edge_y**2), 0, radius)
    return np.where(y * edge_x > x * edge_y, 1, -1).astype(np.float32) * _length(x - edge_x * along, y - edge_y * along) - 0.06


def heart(x, y):
    scale = 1.72
    x, y = np.abs(x) / scale, y / scale + 0.65
    lobe = _length(x - 0.25, y - 0.75) - 2**0.5 / 4
    diagonal = np.maximum(x + y, 0) / 2
    tip = np.sqrt(np.minimum(x * x + (y - 1) ** 2, (x - diagonal) ** 2 + (y - diagonal) ** 2)) * np.where(x > y, 1, -1).astype(np.float32)
    return np.where(x + y > 1, lobe, tip) * scale - 0.03


OUTLINES = {"disc": disc, "square": square, "triangle": triangle, "star": star, "heart": heart}


# Distractors: outline, and the part drawn in a second colour (a vein, an eye).

def key(x, y):
    bow = np.abs(_length(x, y - 0.46) - 0.37) - 0.16
    shaft = _box(x, y + 0.39, 0.14, 0.58)
    bits = np.minimum(_box(x - 0.22, y + 0.84, 0.36, 0.13), _box(x - 0.18, y + 0.4, 0.32, 0.13))
    return np.minimum(np.minimum(bow, shaft), bits), np.full_like(x, 1.0)


def leaf(x, y):
    blade = np.maximum(_length(x - 0.42, y - 0.15), _length(x + 0.42, y - 0.15)) - 1.0
    stem = _box(x, y + 0.8, 0.08, 0.35)
    return np.minimum(blade, stem), _box(x, y - 0.05, 0.02, 0.65) - 0.06


def mug(x, y):
    body = _box(x + 0.22, y, 0.54, 0.66) - 0.1
    handle = np.abs(_length(x - 0.5, y) - 0.36) - 0.12
    return np.minimum(body, handle), _box(x + 0.22, y, 0.66, 0.24)


def fish(x, y):
    body = np.maximum(_length(x + 0.2, y - 0.48), _length(x + 0.2, y + 0.48)) - 0.98
    tail = np.maximum(np.abs(y) - 0.12 - 0.85 * (x - 0.45), x - 1.0)
    return np.minimum(body, tail), _length(x + 0.6, y - 0.1) - 0.16


def moon(x, y):
    return np.maximum(_length(x, y) - 0.95, 0.74 - _length(x - 0.46, y - 0.2)), np.full_like(x, 1.0)


DISTRACTORS = {"key": key, "leaf": leaf, "mug": mug, "fish": fish, "moon": moon}


# Textures: distance to the second tone; points and distances are in periods of the texture. Both tones cover about half of the plane.

def _band(position):
    return np.abs(position - np.floor(position) - 0.5) - 0.25


def striped(x, y, phase):
    return _band(x + phase)


def checked(x, y, phase):
    across, along = _band(x * 0.72 + phase), _band(y * 0.72 + phase)
    return np.where(across * along > 0, -1, 1).astype(np.float32) * np.minimum(np.abs(across), np.abs(along)) / 0.72


def dotted(x, y, phase):
    def lattice(x, y):
        x, y = x - np.floor(x) - 0.5, y / 3**0.5
        y = (y - np.floor(y) - 0.5) * 3**0.5
        return x * x + y * y

    x = x + phase
    return np.sqrt(np.minimum(lattice(x, y), lattice(x + 0.5, y + 3**0.5 / 2))) - 0.34


def ringed(x, y, phase):
    return _band(_length(x, y) + phase)


TEXTURES = {"striped": striped, "checked": checked, "dotted": dotted, "ringed": ringed}
