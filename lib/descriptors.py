"""A similarity without any learning: shapes by oriented gradients (HOG), colours by a histogram.

It has seen no label and no picture, so it is circular for no network, and it shows how far contours and colours alone explain what a unit
responds to.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import hog

SIDE = 64           # pictures are brought to SIDE x SIDE, so that all have the same gradient cells
COLOUR_LEVELS = 6   # per channel: 6 x 6 x 6 colours


def hog_colour(pictures: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Describe pictures by their gradients and by their colours, half and half.

    HOG (Dalal and Triggs, CVPR 2005) on the grey picture: 9 orientations, cells of 8 x 8 pixels, blocks of 2 x 2 cells. Colours: a joint
    RGB histogram, square roots taken, so that dot products are Bhattacharyya coefficients. Each half is centred and scaled to length 1
    and then weighted 1 / sqrt(2): the dot product of two rows is the mean of the correlation of their gradients and the correlation of
    their colours. A picture without any gradient has zeros in the first half, so that its colours alone speak.

    Args:
        pictures: uint8, (n, height, width, 3), or a list of (height, width, 3) where sizes differ.

    Returns:
        (n, 1980) float32.
    """
    resized = np.empty((len(pictures), SIDE, SIDE, 3), np.uint8)
    for index, picture in enumerate(pictures):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            found = f"{picture.dtype} of shape {picture.shape} at {index}"
            raise ValueError(f"pictures: found {found}; expected uint8 of shape (height, width, 3)")
        resized[index] = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    halves = _centred(_gradients(resized)), _centred(_colours(resized))
    return np.concatenate(halves, axis=1) / np.float32(np.sqrt(2))


def _gradients(pictures: np.ndarray) -> np.ndarray:
    grey = rgb2gray(pictures)
    rows = [hog(picture, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2), block_norm="L2-Hys") for picture in grey]
    return np.array(rows, np.float32).reshape(len(pictures), (SIDE // 8 - 1) ** 2 * 4 * 9)


def _colours(pictures: np.ndarray) -> np.ndarray:
    count, bins = len(pictures), COLOUR_LEVELS**3
    levels = pictures.reshape(count, -1, 3).astype(np.int64) * COLOUR_LEVELS // 256
    colour = levels @ np.array([COLOUR_LEVELS**2, COLOUR_LEVELS, 1])
    histogram = np.bincount((np.arange(count)[:, None] * bins + colour).ravel(), minlength=count * bins).reshape(count, bins)
    return np.sqrt(histogram / SIDE**2, dtype=np.float32)


def _centred(rows: np.ndarray) -> np.ndarray:
    """Rows without their mean and of length 1; constant rows become zero."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-6)
