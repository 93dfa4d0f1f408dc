"""What a score owes to smoothing noise, its size and whether units share it, to noise references and to pictures (P3, F7 of the spec)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import stats

from lib.attribution.maps import unit_maps
from lib.attribution.sites import PICTURE, Site
from lib.attribution.strategies import GRADIENT
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.experiments.attribution_scores.looking import in_picture_units, looks, noise_pictures, remembered_of
from lib.measures.attribution_scores import attribution_scores, disentanglement, scale_free_disentanglement

SCORES = ("informativeness", "excess", "disentanglement")


def identical_units(
    encoder: Encoder, pictures: Pictures, *, samples: Sequence[int], noise: float = 0.5, draws: int = 4, copies: int = 4, seed: int = 0
) -> pd.DataFrame:
    """Disentanglement of copies of one unit, and of as many different units, with noise of their own and with shared noise.

    As in the code, noise of their own is in e alone: all units share t.

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

    def make():
        batch = encoder.preprocess(np.asarray(pictures.read(np.arange(len(pictures)))))
        side = np.asarray(pictures.read(np.arange(1))).shape[1]
        rows = []
        for count in samples:
            strategy = in_picture_units(encoder, GRADIENT.but(samples=count, noise=noise), side)
            for draw in range(draws):

                def maps(units, number, strategy=strategy, shared=seed + draw * (copies + 1)):
                    seeds = {"seed": shared, "noise_seed": shared + number}
                    return unit_maps(encoder.module, encoder.embed, batch, PICTURE, strategy, channels="signed", units=units, **seeds)

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
        return rows

    kept = {"samples": list(samples), "noise": noise, "draws": draws, "copies": copies, "seed": seed}
    return remembered_of(encoder, pictures, "attribution_copies", make, identical_units, **kept)


def spread_over_draws(
    encoder: Encoder, pictures: Pictures, site: Site, *, samples: Sequence[int], noises: Sequence[float], draws: int = 8,
    references: int = 8, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """How much the scores of a set of pictures move with the draw of the smoothing noise, of the noise references and of the pictures.

    Args:
        encoder: the network.
        pictures: what it looks at.
        site: where.
        samples: numbers n of smoothing samples.
        noises: sigmas, in units of the pictures' range.
        draws: of the smoothing noise, on the same pictures and references.
        references: noise pictures.
        seed: of the references and of the first draw.

    Returns:
        One row a number of samples and a noise: samples, noise, and of informativeness, excess and disentanglement the mean over draws, and
        the standard deviation of the score with the draw of the smoothing noise (_smoothing, with the 95 % interval of a normal variable's,
        _low and _high), and its standard errors with that of pictures (_pictures) and of references (_references; 0 for disentanglement,
        which has none).
    """
    reach = {end: np.sqrt((draws - 1) / stats.chi2.ppf(share, draws - 1)) for end, share in (("low", 0.975), ("high", 0.025))}

    def make():
        pixels = np.asarray(pictures.read(np.arange(len(pictures))))
        both = np.concatenate([pixels, noise_pictures("uniform", references, pictures, seed=seed)])
        rows = []
        for count in samples:
            for noise in noises:
                strategy = GRADIENT.but(samples=count, noise=noise)
                several = [looks(encoder, both, site, strategy, seed=seed + draw) for draw in range(draws)]
                found = [attribution_scores(maps[: len(pixels)], maps[len(pixels) :]) for maps in several]
                each = pd.DataFrame({name: [getattr(one, name).value for one in found] for name in SCORES})
                row = {"samples": count, "noise": noise} | each.mean().to_dict() | each.std().add_suffix("_smoothing").to_dict()
                row |= {f"{name}_smoothing_{end}": row[f"{name}_smoothing"] * times for name in SCORES for end, times in reach.items()}
                for source in ("pictures", "references"):
                    row |= {f"{name}_{source}": np.mean([one.errors.loc[name, source] for one in found]) for name in SCORES[:2]}
                over_pictures = [one.pictures["disentanglement"].sem() for one in found]
                rows.append(row | {"disentanglement_pictures": np.mean(over_pictures), "disentanglement_references": 0.0})
        return rows

    kept = {"samples": list(samples), "noises": list(noises), "draws": draws, "references": references, "seed": seed}
    return remembered_of(encoder, pictures, "attribution_spread", make, spread_over_draws, site, **kept)
