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
from lib.experiments.evidence import TOO_LITTLE
from lib.experiments.lico.saliency import maps_of_labels
from lib.experiments.lico.side_by_side import work_beside
from lib.experiments.remembered import remembered
from lib.keyed_random import keys
from lib.lico.training import Trained
from lib.measures import map_similarity
from lib.measures.map_similarity import rank_similarity
from lib.statistics import student_mean


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


def under_cascade(
    networks: Mapping[tuple[str, int], Trained], pictures, names: Sequence[str], *, draws: int = 3, seed: int = 0, **settings
) -> pd.DataFrame:
    """`similarity_under_cascade` of every arm, for several draws of the weights.

    All pictures share what is drawn, so that a mean over many pictures of one draw can be far from 0 by chance. Every seed of the networks
    has draws of its own, the same for all arms.

    Args:
        networks: (arm, seed) -> trained.
        pictures, names: as there.
        draws: of the weights, for each network.
        seed: of the draws.
        settings: as there.

    Returns:
        map, arm, share, similarity (mean over pictures, draws and seeds), low, high (Student's interval over the means of seeds, or over
        draws where there is one seed), seeds, draws (with any map that is not constant), constant (share of the maps that are).
    """
    pieces = {
        (*key, draw): (one, pictures, names, {"seed": int(keys(seed, 141, key[1], draw) >> np.uint64(32)), **settings})
        for key, one in networks.items()
        for draw in range(draws)
    }  # fmt: skip
    work_beside(_keep, pieces, description="cascade")
    rows = pd.concat([
        similarity_under_cascade(*piece[:3], **piece[3]).assign(arm=arm, of=of_seed, draw=draw)
        for (arm, of_seed, draw), piece in pieces.items()
    ])  # fmt: skip
    found = []
    for (name, arm, share), some in rows.groupby(["map", "arm", "share"], sort=False):
        each = some.groupby(["of", "draw"])["similarity"].mean().dropna()
        of_seeds = each.groupby("of").mean()
        total = student_mean(of_seeds if len(of_seeds) > 1 else each) if len(each) else TOO_LITTLE
        found.append({
            "map": name, "arm": arm, "share": share, "similarity": total.value, "low": total.low, "high": total.high,
            "seeds": len(of_seeds), "draws": len(each), "constant": float(some["similarity"].isna().mean()),
        })  # fmt: skip
    return pd.DataFrame(found)


def _keep(network, pictures, names, settings):
    similarity_under_cascade(network, pictures, names, **settings)
