"""Linear codes of regions of a picture, whose attribution maps and scores are known in closed form."""

import numpy as np
import torch
from scipy.linalg import hadamard
from scipy.stats import ortho_group
from torch import nn

from lib.keyed_random import generator

SIDE = 8
_PLANES = ((0, 2), (1, 3), (0, 1), (2, 3))


def strips(count: int, side: int = SIDE) -> np.ndarray:
    """Disjoint regions of equal size that fill a picture, (count, side, side) of 0 and 1: strips of rows.

    Raises:
        ValueError: if the rows cannot be shared out evenly.
    """
    if count < 1 or side % count:
        raise ValueError(f"count: found {count} strips of {side} rows; expected a divisor")
    return np.eye(count).repeat(side // count, 1)[:, :, None].repeat(side, 2)


def turned(angle: float) -> np.ndarray:
    """A rotation of four units, (4, 4), that mixes them evenly at pi / 4 and is the identity at 0: four plane rotations by the angle."""
    mixing = np.eye(4)
    for first, second in _PLANES:
        plane = np.eye(4)
        plane[[first, second], [first, second]] = np.cos(angle)
        plane[first, second], plane[second, first] = -np.sin(angle), np.sin(angle)
        mixing = plane @ mixing
    return mixing


def evenly_mixed(count: int) -> np.ndarray:
    """An orthogonal mixing whose entries have all the same size (Hadamard), (count, count); count a power of two."""
    return hadamard(count) / np.sqrt(count)


def randomly_mixed(count: int, seed: int) -> np.ndarray:
    """A random orthogonal mixing, (count, count), uniform over all."""
    return ortho_group.rvs(count, random_state=generator(seed, 92))


class RegionCode(nn.Module):
    """z = mixing @ (sum of the picture over each region), one channel.

    Args:
        mixing: (units, regions).
        regions: (regions, side, side).
    """

    def __init__(self, mixing, regions):
        super().__init__()
        self.register_buffer("weights", torch.as_tensor(np.tensordot(mixing, regions, 1), dtype=torch.float32)[:, None])

    def forward(self, pictures):
        return torch.einsum("uchw,nchw->nu", self.weights.to(pictures), pictures)


def pictures_of(factors: np.ndarray, regions: np.ndarray, *, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    """x = sum_k f_k m_k + noise, (n, 1, side, side): each factor is the brightness of one region."""
    clean = np.tensordot(factors, regions, 1)[:, None]
    return clean + noise * generator(seed, 93).standard_normal(clean.shape)
