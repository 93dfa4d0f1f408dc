"""Scores of all units of an encoder.

Forward passes are kept in the cache as extremes, so that scoring with another similarity needs none.
"""

import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from lib import activations, encoders, store
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.extremes import Extremes
from lib.measures.machine_interpretability import REFERENCES, TASKS, Similarity, machine_interpretability, null_distribution

COUNT = TASKS * (REFERENCES + 1)  # pictures ranked on each side of a unit
NULL_UNITS = 200


def extremes_of(encoder: Encoder, pictures: Pictures, names: Sequence[str], *, count: int = COUNT, seed: int = 0) -> dict[str, Extremes]:
    """`lib.activations.stream`, kept in the cache; arguments and errors are the same."""

    def make():
        arrays = {}
        for name, one in activations.stream(encoder, pictures, names, count=count, seed=seed).items():
            arrays |= {f"{name}/top": one.top, f"{name}/bottom": one.bottom}
            arrays |= {f"{name}/{column}": one.statistics[column].to_numpy() for column in one.statistics}
        return arrays

    inputs = {"encoder": encoder.identity, "pictures": pictures.identity, "layers": list(names), "count": count, "seed": seed}
    arrays = store.fetch("extremes", inputs, make, code=[activations, *code_of(encoder)])
    found = {}
    for name in names:
        columns = {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.rpartition("/")[0] == name}
        top, bottom = columns.pop("top"), columns.pop("bottom")
        found[name] = Extremes(top, bottom, len(pictures), pd.DataFrame(columns), np.arange(len(top)))
    return found


def code_of(encoder: Encoder) -> list:
    """The modules of `lib` that define the network and its preprocessing: equal weights in other code are another function."""
    names = {type(layer).__module__ for layer in encoder.module.modules()} | {encoder.preprocess.__module__}
    return [sys.modules[name] for name in sorted(names) if name.startswith("lib.")]


def layer_table(
    encoder: Encoder, pictures: Pictures, *, kinds: Sequence[str] = ("Conv", "Linear"), inner_only: bool = True
) -> pd.DataFrame:
    """The layers to measure, one row each: layer, kind, depth from 0 (first) to 1 (last).

    Layers that a forward pass does not reach are left out, e.g. those whose weights an attention reads without calling them.

    Args:
        encoder: the network.
        pictures: any that it takes.
        kinds: as `lib.activations.kind` names them. A batch norm behind a convolution scores the same as the convolution
            (specs/mis.md 2.6), so counting both would count one thing twice.
        inner_only: leave out the first and the last layer, as the paper does.
    """
    modules = dict(encoder.module.named_modules())
    every = activations.layers(encoder.module)
    with activations.captured(encoder.module, every, reduce=activations.unit_means) as reached, torch.no_grad():
        encoder.module(encoder.preprocess(pictures.read(np.arange(2))))
    names = [name for name in activations.layers(encoder.module, inner_only=inner_only) if name in reached]
    names = [name for name in names if activations.kind(modules[name]) in kinds]
    return pd.DataFrame(
        {
            "layer": names,
            "kind": [activations.kind(modules[name]) for name in names],
            "depth": np.linspace(0, 1, len(names)) if len(names) > 1 else np.zeros(len(names)),
        }
    )


def unit_scores(
    name: str,
    pictures: Pictures,
    similarities: dict[str, tuple[Similarity, float]],
    *,
    kinds: Sequence[str] = ("Conv", "Linear"),
    inner_only: bool = True,
    reshuffles: int = 1,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The MIS of every unit of an encoder under several similarities.

    Args:
        name: of the encoder.
        pictures: at least 400.
        similarities: name -> (embeddings (pictures, dims) or function of pairs, its temperature).
        kinds: layer kinds measured.
        inner_only: leave out the first and the last layer.
        reshuffles: deals of pictures to tasks.
        seed: of tie-breaking, shuffles and null.
        device: where the network runs.

    Returns:
        One row per similarity, layer and unit: encoder, similarity, pictures (how many were
        ranked), layer, kind, depth, layer_width, null and null_sd (of units that rank at random) and the columns of
        `machine_interpretability`.

    Raises:
        ValueError: if there are too few pictures (before an encoder is trained), or no unit varies.
    """
    if len(pictures) < 2 * COUNT:
        raise ValueError(f"pictures: found {len(pictures)} in {pictures.name}; expected at least {2 * COUNT}")
    encoder = encoders.load(name, device=device)
    table = layer_table(encoder, pictures, kinds=kinds, inner_only=inner_only)
    ranked = extremes_of(encoder, pictures, table["layer"].tolist(), seed=seed)
    parts = []
    for similarity_name, (similarity, temperature) in similarities.items():
        null = null_distribution(len(pictures), similarity, temperature=temperature, units=NULL_UNITS, seed=seed)
        for row in table.itertuples():
            one = ranked[row.layer]
            if one.constant.all():
                units = one.statistics.assign(unit=one.units, live=False)
            else:
                result = machine_interpretability(
                    one, similarity, temperature=temperature, reshuffles=reshuffles, null=null, bootstrap=1, seed=seed
                )
                units = result.units.assign(null=null.mean(), null_sd=null.std())
            parts.append(units.assign(
                encoder=name, similarity=similarity_name, pictures=len(pictures),
                layer=row.layer, kind=row.kind, depth=row.depth, layer_width=len(one.top),
            ))  # fmt: skip
    scores = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"live": []})
    if not scores["live"].any():
        raise ValueError(f"{name}: found no unit that varies in layers of kind {', '.join(kinds)}; expected at least one")
    return scores
