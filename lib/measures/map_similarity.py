"""How alike two maps are: by rank, by structure, by the direction of their edges (Adebayo et al., NeurIPS 2018, "Sanity Checks")."""

import numpy as np
import torch
from scipy.stats import rankdata
from skimage.feature import hog
from torch.nn import functional
from torchmetrics.functional.image import structural_similarity_index_measure

from lib.attribution.normalisation import normalised

GRID = 32  # places a side that maps are brought to for structure and edges, so that layers compare
_CELL = 8


def rank_similarity(first, second) -> np.ndarray:
    """Spearman's correlation of the places of two maps: 1 where they order them alike.

    Args:
        first, second: (n, height, width); signed maps are compared with their signs, their absolute values without.

    Returns:
        (n,); NaN where a map is constant.
    """
    first, second = _pairs(first, second)
    ranks = [rankdata(one.reshape(len(one), -1), axis=1) for one in (first, second)]
    return _correlation(*ranks)


def structural_similarity(first, second) -> np.ndarray:
    """SSIM of two maps scaled to their range (Wang et al., 2004; Gaussian window of 11 places, on a common grid), (n,), at most 1."""
    scaled = [_on_grid(one)[:, None].float() for one in _pairs(first, second)]  # a sixth of the time of double
    return structural_similarity_index_measure(*scaled, data_range=1.0, reduction="none").reshape(-1).double().numpy()


def edge_similarity(first, second) -> np.ndarray:
    """Pearson's correlation of the histograms of oriented gradients of two maps (on a common grid), (n,); NaN where there is no edge."""

    def described(maps):
        cells = {"pixels_per_cell": (_CELL, _CELL), "cells_per_block": (2, 2)}
        return np.array([hog(one, orientations=9, **cells) for one in _on_grid(maps).numpy()])

    return _correlation(*(described(one) for one in _pairs(first, second)))


SIMILARITIES = {"rank": rank_similarity, "structure": structural_similarity, "edges": edge_similarity}


def _on_grid(maps):
    scaled = normalised(torch.as_tensor(maps, dtype=torch.float64))
    if maps.shape[1:] == (GRID, GRID):
        return scaled
    return functional.interpolate(scaled[:, None], size=(GRID, GRID), mode="bilinear", antialias=True)[:, 0]


def _correlation(first, second):
    first, second = (one - one.mean(1, keepdims=True) for one in (first, second))
    length = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    product = np.einsum("np,np->n", first, second)
    return np.divide(product, length, out=np.full(len(first), np.nan), where=length > 0)


def _pairs(first, second):
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape or first.ndim != 3 or not first.size:
        raise ValueError(f"first, second: found shapes {first.shape} and {second.shape}; expected two times (n, height, width)")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("first, second: found values that are not finite; expected none")
    return first, second
