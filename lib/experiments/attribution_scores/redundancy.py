"""Codes made worse in a known way: half of the units replaced by one and the same, units mixed, units whitened."""

import hashlib
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import ortho_group

from lib.encoders.encoder import Encoder
from lib.keyed_random import generator


def half_replaced(encoder: Encoder, units: int, *, seed: int = 0) -> Encoder:
    """A random half of the units becomes the mean of all units: the redundancy control of the authors' first commits.

    They draw another half in every forward pass; here it belongs to the seed.
    """
    chosen = generator(seed, 99).permutation(units)[: units // 2]
    mixing = np.eye(units)
    mixing[chosen] = 1 / units
    return mixed(encoder, mixing, "half of the units replaced")


def rotated(encoder: Encoder, units: int, *, seed: int = 0) -> Encoder:
    """The units turned by a random rotation: the same information, no axis is what it was."""
    return mixed(encoder, ortho_group.rvs(units, random_state=generator(seed, 100)), "rotated")


def whitened(encoder: Encoder, codes: np.ndarray) -> Encoder:
    """The code projected on its principal components, each scaled to a spread of 1; components without spread are left out.

    Args:
        encoder: the network.
        codes: (pictures, units) of training pictures.
    """
    centred = codes - codes.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(codes))
    kept = values > 1e-6 * values.max()
    return mixed(encoder, (vectors[:, kept] / np.sqrt(values[kept])).T, "whitened")


def mixed(encoder: Encoder, mixing: np.ndarray, how: str) -> Encoder:
    """An encoder whose units are linear combinations of another's.

    Args:
        encoder: the network.
        mixing: (new units, units).
        how: for the name.
    """
    matrix = torch.as_tensor(np.asarray(mixing), dtype=torch.float32)

    def embed(batch):
        code = encoder.embed(batch)
        return code @ matrix.to(code).T

    return replace(
        encoder, name=f"{encoder.name}, {how}", embed=embed, classify=None,
        identity=encoder.identity | {"mixing": hashlib.sha256(matrix.numpy().tobytes()).hexdigest()},
    )  # fmt: skip
