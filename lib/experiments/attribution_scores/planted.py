"""Linear codes of regions of a picture, whose attribution maps and scores are known in closed form."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy.linalg import hadamard
from scipy.stats import ortho_group
from torch import nn

from lib.attribution.maps import unit_maps
from lib.attribution.sites import PICTURE
from lib.attribution.strategies import GRADIENT
from lib.keyed_random import generator
from lib.measures.attribution_scores import disentanglement, mean_overlap, scale_free_disentanglement
from lib.measures.known_factors import dci, mutual_information_gap

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


def scores_of_mixing(mixing, regions: np.ndarray, *, count: int = 4, seed: int = 0) -> dict[str, float]:
    """Scores of a `RegionCode` by way of its attributions: raw, scaled, S_D*, overlap (of live units)."""
    code = RegionCode(mixing, regions)
    pictures = torch.as_tensor(pictures_of(generator(seed, 103).random((count, len(regions))), regions))
    maps = unit_maps(code, code, pictures, PICTURE, GRADIENT)
    return {
        "raw": float(disentanglement(maps).mean()), "scaled": float(disentanglement(maps, rule="min-max").mean()),
        "S_D*": float(scale_free_disentanglement(maps).mean()), "overlap": float(mean_overlap(maps).mean()),
    }  # fmt: skip


def rotation_sweep(angles: Sequence[float], *, pictures: int = 20_000, seed: int = 0) -> pd.DataFrame:
    """Four units, each with a region of its own, mixed more and more: what label-free scores say, and DCI and MIG.

    Args:
        angles: of `turned`; pi / 4 mixes evenly.
        pictures: for MIG.
        seed: of the factors.

    Returns:
        One row an angle: angle, raw and scaled (as shares of their value without mixing), S_D*, overlap, DCI disentanglement, DCI
        completeness (with the size of the weights as importance), MIG.
    """
    regions = strips(4)
    factors = generator(seed, 104).random((pictures, 4))
    whole = scores_of_mixing(np.eye(4), regions)
    rows = []
    for angle in angles:
        mixing = turned(angle)
        found = scores_of_mixing(mixing, regions)
        known = dci(np.abs(mixing))
        rows.append({
            "angle": float(angle), "raw": found["raw"] / whole["raw"], "scaled": found["scaled"] / whole["scaled"], "S_D*": found["S_D*"],
            "overlap": found["overlap"], "DCI disentanglement": known.disentanglement, "DCI completeness": known.completeness,
            "MIG": mutual_information_gap(factors @ mixing.T, factors),
        })  # fmt: skip
    return pd.DataFrame(rows)


def planted_cases(*, rotations: int = 100) -> pd.DataFrame:
    """Codes of regions whose scores can be derived, and random rotations: units, case, raw, scaled, S_D*, and what is derived of the first.

    Args:
        rotations: random rotations a size, of which the mean is given.
    """
    two_pairs = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    cases = {(d, "one unit a region"): ([np.eye(d)], (d - 1) / d**2) for d in (2, 4, 8)}
    cases |= {(d, "evenly mixed"): ([evenly_mixed(d)], 0.0) for d in (2, 4, 8)}
    cases |= {(4, "two pairs of copies"): ([two_pairs], 0.25), (4, "all the same"): ([np.ones((4, 4))], 0.0)}
    cases |= {(d, "random rotation"): ([randomly_mixed(d, seed) for seed in range(rotations)], np.nan) for d in (2, 4, 8)}
    rows = []
    for (d, case), (mixings, derived) in cases.items():
        found = pd.DataFrame([scores_of_mixing(mixing, strips(d), count=1) for mixing in mixings]).mean()
        rows.append({"units": d, "case": case, "derived raw": derived} | found.to_dict())
    return pd.DataFrame(rows).sort_values(["units", "case"], ignore_index=True)
