"""What the scores are made of when nothing is there: smoothing noise, its size, and whether units share it (P3, F7 of the spec)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from lib.attribution.maps import unit_maps
from lib.attribution.sites import PICTURE, Site
from lib.attribution.strategies import GRADIENT
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.experiments.attribution_scores.looking import in_picture_units, scored
from lib.measures.attribution_scores import disentanglement, scale_free_disentanglement


def identical_units(
    encoder: Encoder, pictures: Pictures, *, samples: Sequence[int], noise: float = 0.5, draws: int = 4, copies: int = 4, seed: int = 0
) -> pd.DataFrame:
    """Disentanglement of copies of one unit, and of as many different units, with noise of their own and with shared noise.

    Args:
        encoder: whose first unit is copied, and whose first units are the different ones.
        pictures: what they look at.
        samples: numbers n of smoothing samples.
        noise: sigma, in units of the pictures' range.
        draws: of the smoothing noise.
        copies: units.
        seed: of the noise.

    Returns:
        One row each: units ("copies" or "different"), noise ("shared" or "own"), samples, draw, and the scores scaled and scale-free (mean
        over pictures).
    """
    batch = encoder.preprocess(np.asarray(pictures.read(np.arange(len(pictures)))))
    side = np.asarray(pictures.read(np.arange(1))).shape[1]
    rows = []
    for count in samples:
        strategy = in_picture_units(encoder, GRADIENT.but(samples=count, noise=noise), side)
        for draw in range(draws):

            def maps(units, number, strategy=strategy, draw=draw):
                drawn = seed + draw * (copies + 1) + number
                return unit_maps(encoder.module, encoder.embed, batch, PICTURE, strategy, channels="signed", units=units, seed=drawn)

            own = [maps([0], 1 + number) for number in range(copies)]
            own_different = [maps([number], 1 + number) for number in range(copies)]
            for units, drawn, found in (
                ("copies", "shared", maps([0], 0).expand(-1, copies, -1, -1)), ("copies", "own", torch.cat(own, 1)),
                ("different", "shared", maps(range(copies), 0)), ("different", "own", torch.cat(own_different, 1)),
            ):  # fmt: skip
                rows.append({
                    "units": units, "noise": drawn, "samples": count, "draw": draw,
                    "scaled": float(disentanglement(found, rule="min-max").mean()),
                    "scale-free": float(scale_free_disentanglement(found.abs()).mean()),
                })  # fmt: skip
    return pd.DataFrame(rows)


def spread_over_draws(
    encoder: Encoder, pictures: Pictures, site: Site, *, samples: Sequence[int], noises: Sequence[float], draws: int = 8,
    references: int = 8,
) -> pd.DataFrame:  # fmt: skip
    """How much both scores of a set of pictures move with the draw of the smoothing noise.

    Returns:
        One row a number of samples and a noise: samples, noise, and of informativeness, excess and disentanglement the mean and the
        standard deviation (_spread) over draws.
    """
    rows = []
    for count in samples:
        for noise in noises:
            found = [scored(encoder, pictures, site, GRADIENT.but(samples=count, noise=noise), references=references, seed=seed)
                     for seed in range(draws)]  # fmt: skip
            row = {"samples": count, "noise": noise}
            for name in ("informativeness", "excess", "disentanglement"):
                values = [getattr(one, name).value for one in found]
                row |= {name: np.mean(values), f"{name}_spread": np.std(values, ddof=1)}
            rows.append(row)
    return pd.DataFrame(rows)
