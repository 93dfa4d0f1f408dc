"""Does a map, or a score, depend on what the network has learned? Layers are randomised one by one and from the top down."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from lib.attribution.maps import aggregate
from lib.attribution.sites import Site
from lib.attribution.strategies import Strategy
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.experiments.attribution_scores.looking import CODE, looks_at, where_possible
from lib.experiments.remembered import remembered
from lib.measures import map_similarity
from lib.measures.map_similarity import SIMILARITIES
from lib.survey import code_of


def similarity_to_trained(
    trained: Encoder, others: Mapping[str, Encoder], pictures: Pictures, sites: Mapping[str, Site], strategies: Sequence[Strategy], *,
    channels: str = "absolute", seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """How alike the maps of whole representations are before and after weights were taken away; 1 is the same map.

    Args:
        trained: the network as it was trained.
        others: name -> the same architecture with other weights.
        pictures: what both look at, with the same smoothing noise.
        sites: name -> site.
        strategies: how.
        channels: "absolute", or "signed" to see whether signs agree.
        seed: of the smoothing noise.

    Returns:
        One row each: other, layer, strategy, similarity (`SIMILARITIES`), picture, value (NaN where a map is constant).
    """
    pixels = np.asarray(pictures.read(np.arange(len(pictures))))
    tables = []
    for strategy in strategies:
        if not (possible := where_possible(sites, strategy)):
            continue

        def make(strategy=strategy, possible=possible):
            def whole(encoder):
                every = looks_at(encoder, pixels, list(possible.values()), strategy, channels=channels, seed=seed)
                return {layer: aggregate(maps).numpy() for layer, maps in zip(possible, every, strict=True)}

            before, rows = whole(trained), []
            for other, encoder in others.items():
                after = whole(encoder)
                rows += [
                    {"other": other, "layer": layer, "similarity": similarity, "picture": number, "value": value}
                    for layer in possible
                    for similarity, function in SIMILARITIES.items()
                    for number, value in enumerate(function(before[layer], after[layer]))
                ]
            return rows

        inputs = {
            "trained": trained.identity, "others": {name: one.identity for name, one in others.items()},
            "sites": {name: asdict(site) for name, site in possible.items()}, "pictures": pictures.identity, "strategy": asdict(strategy),
            "channels": channels, "seed": seed,
        }  # fmt: skip
        code = [*CODE, map_similarity, similarity_to_trained, *code_of(trained)]
        tables.append(remembered("attribution_similarity", inputs, make, code=code).assign(strategy=strategy.name))
    return pd.concat(tables, ignore_index=True)
