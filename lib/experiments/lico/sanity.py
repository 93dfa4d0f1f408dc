"""Does a saliency map depend on what the classifier has learned? Its weights are drawn anew from the top down (Adebayo et al., 2018)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from lib import explainers
from lib.attribution import randomisation
from lib.attribution.randomisation import cascade, weighted_layers
from lib.encoders.encoder import Encoder
from lib.encoders.networks import normalised
from lib.encoders.weights import weights_sha256
from lib.experiments.lico.saliency import maps_of_labels
from lib.experiments.remembered import remembered
from lib.lico.training import Trained
from lib.measures import map_similarity
from lib.measures.map_similarity import rank_similarity


def cascaded(network: Trained, *, stages: int = 5, seed: int = 0) -> dict[float, Trained]:
    """Share of the layers whose weights were drawn anew, from the top down -> the classifier then; 0 is as it was trained.

    Args:
        network: stays as it is.
        stages: how many besides it, at even steps through the layers; 1 is all layers at once.
        seed: of the weights.
    """
    module, layers = network.backbone.module, weighted_layers(network.backbone.module)
    whole = Encoder(network.backbone.name, module, normalised, module, module, {})
    below = cascade(whole, layers, seed=seed)
    counts = np.unique(np.ceil(np.linspace(0, len(layers), stages + 1)[1:]).astype(int))
    return {0.0: network} | {
        count / len(layers): replace(network, backbone=replace(network.backbone, module=below[layers[-count]].module)) for count in counts
    }


def similarity_under_cascade(
    network: Trained, pictures, names: Sequence[str], *, settings: Mapping[str, dict] | None = None, stages: int = 5, seed: int = 0
) -> pd.DataFrame:
    """How alike maps of the true class are before and after weights were drawn anew; 1 is the same map.

    Args:
        network: trained.
        pictures: with labels.
        names: of explainers.
        settings: of each explainer, by name.
        stages, seed: see `cascaded`.

    Returns:
        One row each: map, share (of the layers drawn anew), picture, similarity (Spearman over pixels; NaN where a map is constant).
    """
    settings = dict(settings or {})
    inputs = {
        "weights": weights_sha256(network.backbone.module), "network": network.backbone.name, "layer": network.backbone.layer,
        "pictures": pictures.identity, "names": list(names), "settings": settings, "stages": stages, "seed": seed,
    }  # fmt: skip

    def make():
        versions = cascaded(network, stages=stages, seed=seed)
        rows = []
        for name in names:
            maps = {share: maps_of_labels(one, pictures, name, **settings.get(name, {})) for share, one in versions.items()}
            rows += [
                {"map": name, "share": share, "picture": number, "similarity": value}
                for share, after in maps.items()
                for number, value in enumerate(rank_similarity(maps[0.0], after))
            ]
        return rows

    code = [explainers, map_similarity, randomisation, similarity_under_cascade, cascaded, maps_of_labels]
    return remembered("lico/cascade", inputs, make, code=code)
