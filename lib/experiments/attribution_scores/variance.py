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


def identical_units(encoder: Encoder, pictures: Pictures, *, samples: Sequence[int], copies: int = 4, seed: int = 0) -> pd.DataFrame:
    """Disentanglement of copies of one unit, and of as many different units, with noise of their own and with shared noise.

    Args:
        encoder: whose first unit is copied, and whose first units are the different ones.
        pictures: what they look at.
        samples: numbers n of smoothing samples.
        copies: units.
        seed: of the noise.

    Returns:
        One row each: units ("copies" or "different"), noise ("shared" or "own"), samples, and the scores scaled and scale-free (mean over
        pictures).
    """
    batch = encoder.preprocess(np.asarray(pictures.read(np.arange(len(pictures)))))
    rows = []
    for count in samples:
        strategy = in_picture_units(encoder, GRADIENT.but(samples=count), pictures.read(np.arange(1))[0].shape[0])

        def maps(units, seed, strategy=strategy):
            return unit_maps(encoder.module, encoder.embed, batch, PICTURE, strategy, channels="signed", units=units, seed=seed)

        different, one = maps(range(copies), seed), maps([0], seed)
        own = [maps([0], seed + 1 + number) for number in range(copies)]
        own_different = [maps([number], seed + 1 + number) for number in range(copies)]
        for units, noise, found in (
            ("copies", "shared", one.expand(-1, copies, -1, -1)), ("copies", "own", torch.cat(own, 1)),
            ("different", "shared", different), ("different", "own", torch.cat(own_different, 1)),
        ):  # fmt: skip
            rows.append({
                "units": units, "noise": noise, "samples": count, "scaled": float(disentanglement(found, rule="min-max").mean()),
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
