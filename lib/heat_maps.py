"""Maps as colours, and laid over what they are maps of."""

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image

from lib.attribution.normalisation import normalised

COLOURS = "magma"
_CUT = (1.0, 99.0)  # percentiles between which a map is shown: single pixels would otherwise set its scale


def heat(maps, side: int) -> np.ndarray:
    """Maps in colours, dark to light from least to most, each scaled by itself: (n, height, width) -> uint8 (n, side, side, 3).

    Places stay square: a coarse layer is seen to be coarse.
    """
    coloured = (mpl.colormaps[COLOURS](_scaled(maps))[..., :3] * 255).round().astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.NEAREST)) for one in coloured])


def overlaid(pixels: np.ndarray, maps, *, strength: float = 0.6) -> np.ndarray:
    """Pictures in grey under their maps in colours: uint8 (n, height, width, 3) and (n, height, width) -> uint8 (n, height, width, 3).

    Args:
        pixels: the pictures.
        maps: of the same height and width.
        strength: share of the map in what is seen, 0 to 1.

    Raises:
        ValueError: if maps are not of the size of the pictures.
    """
    maps = np.asarray(maps)
    if pixels.shape[:3] != maps.shape:
        raise ValueError(f"maps: found shape {maps.shape}; expected {pixels.shape[:3]}, that of the pictures")
    grey = np.repeat(pixels.mean(3, keepdims=True), 3, axis=3)
    coloured = mpl.colormaps[COLOURS](_scaled(maps))[..., :3] * 255
    return ((1 - strength) * grey + strength * coloured).round().astype(np.uint8)


def _scaled(maps):
    return normalised(torch.as_tensor(np.asarray(maps), dtype=torch.float64), percentiles=_CUT).numpy()
