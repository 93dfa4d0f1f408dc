"""Codes changed in a known way: half of the units replaced by one and the same, units mixed, units whitened."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.stats import ortho_group

from lib.attribution.maps import live_units
from lib.attribution.sites import Site
from lib.attribution.strategies import Strategy
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.experiments.attribution_scores.looking import looks, remembered_of
from lib.keyed_random import generator
from lib.measures.attribution_scores import scale_free_disentanglement


def half_replaced(encoder: Encoder, units: int, *, among: Sequence[int] | None = None, seed: int = 0) -> Encoder:
    """A random half of the units becomes the mean of all units: the redundancy control of the authors' first commits.

    They draw another half in every forward pass; here it belongs to the seed. Where units have signs at random, their mean is small: the
    replaced units then hardly look anywhere, which S_D* counts as few units looking at a place, not as redundancy. See `half_copied`.

    Args:
        encoder: the network.
        units: of its code.
        among: units that are replaced or stay; the others (dead ones) are left as they are. By default all.
        seed: of the choice.
    """
    replaced, _ = _halves(units, among, seed)
    mixing = np.eye(units)
    mixing[replaced] = 1 / units
    return mixed(encoder, mixing, "half of the units replaced")


def half_copied(encoder: Encoder, units: int, *, among: Sequence[int] | None = None, seed: int = 0) -> Encoder:
    """A random half of the units becomes copies of one of the others: the same redundancy at full size. Arguments as in `half_replaced`."""
    replaced, kept = _halves(units, among, seed)
    mixing = np.eye(units)
    mixing[replaced] = mixing[kept[0]]
    return mixed(encoder, mixing, "half of the units copied")


def _halves(units, among, seed):
    order = generator(seed, 99).permutation(np.arange(units) if among is None else np.asarray(among))
    if len(order) < 2:
        raise ValueError(f"among: found {len(order)} units; expected at least two")
    return order[: len(order) // 2], order[len(order) // 2 :]


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
    encoders: Mapping[int, Encoder], pictures: Pictures, site: Site, strategy: Strategy, *, units: int, draws: int = 4, seed: int = 0
) -> pd.DataFrame:
    """S_D* of every picture as it is, with half of the live units replaced by their mean, and with half of them copies of one.

    Args:
        encoders: key -> encoder.
        pictures: what they look at.
        site: of the attributions.
        strategy: of the attributions.
        units: of the codes.
        draws: choices of the half, and of the unit that is copied, over which the changed scores are averaged.
        seed: of the choices and of the noise.

    Returns:
        One row an encoder and picture: key, picture, intact, replaced, copied.
    """
    pixels = np.asarray(pictures.read(np.arange(len(pictures))))
    tables = []
    for key, encoder in encoders.items():

        def make(encoder=encoder):
            maps = looks(encoder, pixels, site, strategy, seed=seed)
            live = np.flatnonzero(live_units(maps).numpy())
            found = {"intact": scale_free_disentanglement(maps[:, live]).numpy()}
            for way, change in (("replaced", half_replaced), ("copied", half_copied)):
                several = []
                for draw in range(draws):
                    changed = looks(change(encoder, units, among=live, seed=seed + draw), pixels, site, strategy, seed=seed)
                    several.append(scale_free_disentanglement(changed[:, live_units(changed)]).numpy())
                found[way] = np.mean(several, axis=0)
            return pd.DataFrame(found).assign(picture=np.arange(len(pixels))).to_dict("records")

        kept = {"units": units, "draws": draws, "seed": seed}
        rows = remembered_of(encoder, pictures, "attribution_redundancy", make, redundancy_table, site, strategy, **kept)
        tables.append(rows.assign(key=key))
    return pd.concat(tables, ignore_index=True)
