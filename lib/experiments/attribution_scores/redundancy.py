"""Codes changed in a known way: half of the units replaced by one and the same, units mixed, units whitened."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.stats import ortho_group

from lib.attribution.sites import Site
from lib.attribution.strategies import Strategy
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.experiments.attribution_scores.looking import looks
from lib.keyed_random import generator
from lib.measures.attribution_scores import scale_free_disentanglement


def half_replaced(encoder: Encoder, units: int, *, seed: int = 0) -> Encoder:
    """A random half of the units becomes the mean of all units: the redundancy control of the authors' first commits.

    They draw another half in every forward pass; here it belongs to the seed. Where units have signs at random, their mean is small: the
    replaced units then hardly look anywhere, which S_D* counts as few units looking at a place, not as redundancy. See `half_copied`.
    """
    return mixed(encoder, _with_half(units, seed, lambda mixing, _kept: 1 / units), "half of the units replaced")


def half_copied(encoder: Encoder, units: int, *, seed: int = 0) -> Encoder:
    """A random half of the units becomes copies of one of the others: the same redundancy at full size."""
    return mixed(encoder, _with_half(units, seed, lambda mixing, kept: mixing[kept[0]]), "half of the units copied")


def _with_half(units, seed, row):
    order = generator(seed, 99).permutation(units)
    mixing = np.eye(units)
    mixing[order[: units // 2]] = row(mixing, order[units // 2 :])
    return mixing


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


def redundancy_table(
    encoders: Mapping[str, Encoder], pictures: Pictures, site: Site, strategy: Strategy, *, units: int, seed: int = 0
) -> pd.DataFrame:
    """S_D* of every picture as it is, with half of the units replaced by their mean, and with half of them copies of one.

    Args:
        encoders: name -> encoder.
        pictures: what they look at.
        site: of the attributions.
        strategy: of the attributions.
        units: of the codes.
        seed: of the choice of units and of the noise.

    Returns:
        One row an encoder and picture: encoder, picture, intact, replaced, copied.
    """
    pixels = np.asarray(pictures.read(np.arange(len(pictures))))
    tables = []
    for name, encoder in encoders.items():
        ways = {
            "intact": encoder, "replaced": half_replaced(encoder, units, seed=seed), "copied": half_copied(encoder, units, seed=seed),
        }  # fmt: skip
        found = {way: scale_free_disentanglement(looks(one, pixels, site, strategy, seed=seed)).numpy() for way, one in ways.items()}
        tables.append(pd.DataFrame(found).assign(encoder=name, picture=np.arange(len(pixels))))
    return pd.concat(tables, ignore_index=True)
