"""Encoders, layers, pictures and noise of notebook 02, brought together: where an encoder looks, and how that scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from scipy import ndimage

from lib.attribution import attributions as attribution_of_units
from lib.attribution import maps as maps_of_units
from lib.attribution.attributions import latent_size
from lib.attribution.maps import activation_maps, aggregate, unit_maps_at
from lib.attribution.sites import PICTURE, Site
from lib.attribution.strategies import Strategy, named
from lib.datasets.pictures import Pictures
from lib.datasets.scenes import Scenes
from lib.encoders.encoder import Encoder
from lib.experiments.remembered import remembered
from lib.keyed_random import generator
from lib.measures import attribution_scores as scores_of_maps
from lib.measures.attribution_scores import AttributionScores, attribution_scores
from lib.survey import code_of

NOISES = ("uniform", "gaussian", "shuffled")
ACTIVATION = Strategy("activation only", "activation", between="pictures", samples=10, noise=0.5)
PLAIN_ACTIVATION = ACTIVATION.but(between="none", samples=1, noise=0.0)
ESTIMATES = (
    "informativeness", "floor", "excess", "disentanglement", "raw_disentanglement", "scaled_disentanglement", "selectivity", "overlap",
)  # fmt: skip


def ways_of(names: Sequence[str], samples: int, noise: float) -> list[Strategy]:
    """Strategies by name, those that smooth with so many samples and so much noise (in units of the pictures' range).

    Args:
        names: in `lib.attribution.strategies.STRATEGIES`, or "activation only", the baseline without a gradient.
        samples: n.
        noise: sigma.
    """
    ways = [ACTIVATION if name == ACTIVATION.name else named(name) for name in names]
    return [one.but(samples=samples, noise=noise) if one.noise else one for one in ways]


def noise_pictures(kind: str, count: int, like: Pictures, *, seed: int = 0) -> np.ndarray:
    """Pictures without content, uint8 (count, height, width, 3).

    Args:
        kind: "uniform", every number from 0 to 255 alike (the paper); "gaussian", with mean and spread of the pictures; or "shuffled",
            pictures whose pixels are in random order: the right colours in the wrong places.
        count: how many.
        like: pictures whose size (and for the last two whose colours) they have; grey pictures get grey noise.
        seed: of the noise.
    """
    if kind not in NOISES:
        raise ValueError(f"kind: found {kind!r}; expected one of {', '.join(NOISES)}")
    some = np.asarray(like.read(np.arange(min(max(count, 64), len(like)))))
    grey = bool((some[..., :1] == some).all())
    rng = generator(seed, 98)
    shape = (count, *some.shape[1:3], 1 if grey else 3)
    if kind == "uniform":
        made = rng.integers(0, 256, shape)
    elif kind == "gaussian":
        made = np.clip(np.round(some.mean() + some.std() * rng.standard_normal(shape)), 0, 255)
    else:
        chosen = some[np.arange(count) % len(some)]
        made = np.stack([rng.permutation(one.reshape(-1, 3)).reshape(one.shape) for one in chosen])
    return np.broadcast_to(made, (*shape[:3], 3)).astype(np.uint8)


def of_one_size(pictures: Pictures, *, side: int = 256) -> Pictures:
    """Pictures that can be held in one array: where sizes differ, the largest central square of each, scaled to side x side."""
    if not isinstance(pictures.read(np.arange(min(2, len(pictures)))), list):
        return pictures

    def read(indices):
        whole = (Image.fromarray(one) for one in pictures.read(indices))
        return np.stack([np.asarray(ImageOps.fit(one, (side, side), Image.Resampling.BICUBIC)) for one in whole])

    return replace(pictures, read=read, identity=pictures.identity | {"side": side})


def in_picture_units(encoder: Encoder, strategy: Strategy, side: int) -> Strategy:
    """The strategy with its noise in units of the encoder's input, where it was given in units of the pictures' range, black to white.

    The authors add noise to what the network is given: for pictures scaled to a spread of 1, their 0.5 is about 0.11 here.
    """
    ends = encoder.preprocess(np.stack([np.full((side, side, 3), value, np.uint8) for value in (0, 255)]))
    return replace(strategy, noise=strategy.noise * float((ends[1] - ends[0]).mean()))


def looks(encoder: Encoder, pixels: np.ndarray, site: Site, strategy: Strategy, **settings) -> torch.Tensor:
    """`looks_at` one site."""
    return looks_at(encoder, pixels, [site], strategy, **settings)[0]


def looks_at(
    encoder: Encoder, pixels: np.ndarray, sites: Sequence[Site], strategy: Strategy, *, channels: str = "absolute", seed: int = 0,
    **settings,
) -> list[torch.Tensor]:  # fmt: skip
    """Maps of all units, (n, units, height, width) a site; of `ACTIVATION` one map, that of what is at the site.

    Args:
        encoder: the network.
        pixels: uint8 (n, height, width, 3).
        sites: where; Grad-CAM takes what comes out of a layer, whatever the side, and everything else what the site says.
        strategy: how, with noise in units of the pictures' range.
        channels: as in `unit_maps_at`.
        seed: of the smoothing noise.
        settings: of `attributions_at`.
    """
    strategy = in_picture_units(encoder, strategy, pixels.shape[1])
    batch = encoder.preprocess(pixels)
    if strategy.name == ACTIVATION.name:
        return [activation_maps(encoder.module, encoder.embed, batch, site, strategy, seed=seed) for site in sites]
    if strategy.pooled:
        sites = [site if site == PICTURE else Site(site.layer, "output") for site in sites]
    return unit_maps_at(encoder.module, encoder.embed, batch, sites, strategy, channels=channels, seed=seed, **settings)


def scored(encoder: Encoder, pictures: Pictures, site: Site, strategy: Strategy, **settings) -> AttributionScores:
    """`scored_at` one site."""
    return scored_at(encoder, pictures, [site], strategy, **settings)[0]


def scored_at(
    encoder: Encoder, pictures: Pictures, sites: Sequence[Site], strategy: Strategy, *, noise: str = "uniform", references: int = 8,
    channels: str = "absolute", percentiles: tuple[float, float] | None = None, most_units: int = 0, seed: int = 0,
) -> list[AttributionScores]:  # fmt: skip
    """Both scores of an encoder at each site, with noise references that see the same smoothing noise.

    Args:
        encoder: the network.
        pictures: what it looks at.
        sites: where.
        strategy: how.
        noise: kind of the references.
        references: how many.
        channels: as in `unit_maps_at`.
        percentiles: as in `attribution_scores`.
        most_units: of a wider code so many units at random stand for all, 0 takes all. The maps of the rest are not known then: scores of
            another number of units are not comparable.
        seed: of all noise and of the choice of units.
    """
    pixels = np.asarray(pictures.read(np.arange(len(pictures))))
    both = np.concatenate([pixels, noise_pictures(noise, references, pictures, seed=seed)])
    some = _some_units(encoder, pixels, most_units, seed)
    maps = looks_at(encoder, both, sites, strategy, channels=channels, seed=seed, **some)
    return [attribution_scores(one[: len(pixels)], one[len(pixels) :], percentiles=percentiles) for one in maps]


def _some_units(encoder, pixels, most, seed):
    count = latent_size(encoder.module, encoder.embed, encoder.preprocess(pixels[:1]))
    return {"units": sorted(generator(seed, 105).permutation(count)[:most].tolist())} if 0 < most < count else {}


def scores_table(
    encoders: Mapping[str, Encoder], pictures: Pictures, sites: Mapping[str, Site], strategies: Sequence[Strategy], **settings
) -> pd.DataFrame:
    """Scores of encoders by layer and strategy; kept in the cache encoder by encoder and strategy by strategy.

    Args:
        encoders: name -> encoder.
        pictures: what they look at.
        sites: name -> site, from shallow to deep. What is at the picture has no layer for Grad-CAM, and is left out there.
        strategies: how.
        settings: of `scored_at`.

    Returns:
        One row each: encoder, layer, depth (its number), strategy, units, dead, silent, separation, and every estimate with _low and _high.
    """
    tables = []
    for name, encoder in encoders.items():
        for strategy in strategies:
            if not (possible := where_possible(sites, strategy)):
                continue

            def make(encoder=encoder, strategy=strategy, possible=possible):
                return [as_row(scores) for scores in scored_at(encoder, pictures, list(possible.values()), strategy, **settings)]

            where = [*possible.values(), strategy]
            rows = remembered_of(encoder, pictures, "attribution_scores", make, scores_table, *where, **settings)
            depths = [list(sites).index(layer) for layer in possible]
            tables.append(rows.assign(encoder=name, layer=list(possible), depth=depths, strategy=strategy.name))
    table = pd.concat(tables, ignore_index=True)
    first = ["encoder", "layer", "depth", "strategy"]
    return table[first + [column for column in table.columns if column not in first]]


def of_first_seeds(scores: pd.DataFrame, numbers: Sequence[str]) -> pd.DataFrame:
    """Numbers with their intervals as texts, of the first key of each network: network, state, layer, and one column a number.

    Args:
        scores: `scores_table` with the columns network, state and key.
        numbers: names of estimates.
    """
    first = scores[scores.key == scores.groupby("network")["key"].transform("first")]
    texts = {
        name: [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in first[[name, f"{name}_low", f"{name}_high"]].to_numpy()]
        for name in numbers
    }
    return first[["network", "state", "layer"]].assign(**texts).reset_index(drop=True)


def where_possible(sites: Mapping[str, Site], strategy: Strategy) -> dict[str, Site]:
    """Sites that a strategy can be taken at: the picture is not the output of a layer, which Grad-CAM needs."""
    return {name: site for name, site in sites.items() if not (strategy.pooled and site == PICTURE)}


def robustness_table(encoders: Mapping[str, Encoder], pictures: Pictures, site: Site, strategy: Strategy, **settings) -> pd.DataFrame:
    """Informativeness with other noise pictures and other scaling of maps, beside that of the pictures' edges, without any network.

    Args:
        encoders: name -> encoder.
        pictures: what they look at.
        site: where.
        strategy: how.
        settings: of `scored`.

    Returns:
        One row each: encoder, noise, percentiles, informativeness, floor, excess with _low and _high, and separation.
    """
    tables = []
    for name, encoder in encoders.items():

        def make(encoder=encoder):
            return [
                {"noise": noise, "percentiles": "none" if percentiles is None else "1 to 99"}
                | as_row(scored(encoder, pictures, site, strategy, noise=noise, percentiles=percentiles, **settings))
                for noise in NOISES
                for percentiles in (None, (1.0, 99.0))
            ]

        table = remembered_of(encoder, pictures, "attribution_robustness", make, robustness_table, site, strategy, **settings)
        tables.append(table.assign(encoder=name))
    pixels = np.asarray(pictures.read(np.arange(len(pictures))))
    for noise in NOISES:
        others = noise_pictures(noise, settings.get("references", 8), pictures, seed=settings.get("seed", 0))
        one = as_row(attribution_scores(_edges(pixels), _edges(others)))
        tables.append(pd.DataFrame([{"encoder": "edges of the picture", "noise": noise, "percentiles": "none"} | one]))
    shown = ["encoder", "noise", "percentiles", "informativeness", "floor", "excess", "excess_low", "excess_high", "separation"]
    return pd.concat(tables, ignore_index=True)[shown]


def _edges(pixels):
    grey = pixels.mean(3)
    return torch.as_tensor(np.hypot(ndimage.sobel(grey, 1), ndimage.sobel(grey, 2)))[:, None]


def share_on_object(encoders: Mapping[str, Encoder], scenes: Scenes, strategy: Strategy, *, seed: int = 0) -> pd.DataFrame:
    """How much of where an encoder looks in the picture is on the object, against how much of the picture the object is.

    Args:
        encoders: name -> encoder.
        scenes: pictures whose object is known.
        strategy: how.
        seed: of the smoothing noise.

    Returns:
        One row an encoder and picture: encoder, picture, share (of the map's sum on the object), area (of the object), concentration
        (share / area; 1 is looking everywhere alike).
    """
    objects = scenes.masks(np.arange(len(scenes))).object
    pixels = scenes.read(np.arange(len(scenes)))
    tables = []
    for name, encoder in encoders.items():

        def make(encoder=encoder):
            total = aggregate(looks(encoder, pixels, PICTURE, strategy, seed=seed)).numpy()
            share, area = (total * objects).sum((1, 2)) / total.sum((1, 2)), objects.mean((1, 2))
            table = pd.DataFrame({"picture": np.arange(len(scenes)), "share": share, "area": area, "concentration": share / area})
            return table.to_dict("records")

        rows = remembered_of(encoder, scenes, "attribution_on_object", make, share_on_object, strategy, seed=seed)
        tables.append(rows.assign(encoder=name))
    return pd.concat(tables, ignore_index=True)[["encoder", "picture", "share", "area", "concentration"]]


def remembered_of(
    encoder: Encoder, pictures: Pictures, kind: str, make: Callable[[], list[dict]], function: Callable, *where: Site | Strategy, **settings
) -> pd.DataFrame:
    """Rows on an encoder and pictures, kept in the cache (`remembered`).

    Args:
        encoder: the network.
        pictures: what it looks at.
        kind: names a folder of the cache.
        make: makes the rows.
        function: that defines them; they are made anew when its module changes.
        where: sites and strategies, of which the rows are.
        settings: plain values that `make` depends on.
    """
    inputs = {"encoder": encoder.identity, "pictures": pictures.identity, "where": [asdict(one) for one in where]} | settings
    return remembered(kind, inputs, make, code=[*CODE, function, *code_of(encoder)])


def as_row(scores: AttributionScores) -> dict[str, float]:
    """The numbers of a score, name -> number, estimates with their intervals."""
    row = {"units": scores.settings["units"], "dead": scores.dead, "silent": scores.silent, "separation": scores.separation}
    for name in ESTIMATES:
        one = getattr(scores, name)
        row |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    return row


CODE = (attribution_of_units, maps_of_units, scores_of_maps, noise_pictures)  # what rows of the cache depend on, beside the network
