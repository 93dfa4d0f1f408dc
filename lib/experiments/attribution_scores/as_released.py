"""What each documented quirk of the authors' code does to the scores (specs/attribution_scores.md, 3.3 and 5)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from lib.attribution.attributions import all_attributions
from lib.attribution.sites import Site
from lib.attribution.strategies import Strategy
from lib.constrained_training import against_summed_references
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.experiments.attribution_scores.looking import in_picture_units, looks, noise_pictures, remembered_of
from lib.measures.attribution_scores import disentanglement, informativeness
from lib.statistics import student_mean


@dataclass(frozen=True)
class Quirks:
    """Each True is as in the code.

    Args:
        first_unit_only: the loop over units returns in its first round (R1): one map, and a variance over one unit.
        noise_per_unit: the smoothing noise e, but not t, is drawn anew for every unit (P3).
        other_noise_for_references: and for the noise references.
        one_reference: one noise picture instead of several (A7).
        square_roots: channels are summed by the square root of their size, as before June 2021 (A2).
        scaled_units: each unit is scaled to its range before the variance, as in constrained training (P2).
        unbiased: the variance is divided by d - 1, as in constrained training (P15).
    """

    first_unit_only: bool = False
    noise_per_unit: bool = False
    other_noise_for_references: bool = False
    one_reference: bool = False
    square_roots: bool = False
    scaled_units: bool = False
    unbiased: bool = False


NONE = Quirks()
EACH = {
    "none": NONE,
    "first unit only (R1)": Quirks(first_unit_only=True),
    "noise drawn for every unit (P3)": Quirks(noise_per_unit=True),
    "noise drawn anew for references": Quirks(other_noise_for_references=True),
    "one reference (A7)": Quirks(one_reference=True),
    "square roots over channels (A2)": Quirks(square_roots=True),
    "units scaled to their range (P2)": Quirks(scaled_units=True),
    "variance over d - 1 (P15)": Quirks(unbiased=True),
}


def with_quirks(
    encoder: Encoder, pictures: Pictures, site: Site, strategy: Strategy, *, quirks: Quirks = NONE, units: int, references: int = 8,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Informativeness and disentanglement of each picture, (n,) each.

    Args:
        encoder: the network.
        pictures: what it looks at.
        site: where.
        strategy: how.
        quirks: which there are.
        units: how many the code has.
        references: noise pictures, where there is not one only.
        seed: of all noise.

    Returns:
        With the first unit only, the disentanglement is 0, the variance over one number, and NaN with d - 1, which is then 0.
    """
    pixels = np.asarray(pictures.read(np.arange(len(pictures))))
    noise = noise_pictures("uniform", 1 if quirks.one_reference else references, pictures, seed=seed)
    chosen = [0] if quirks.first_unit_only else list(range(units))
    rule = "square root" if quirks.square_roots else "absolute"

    def maps(pixels, draw):
        if not quirks.noise_per_unit:
            return looks(encoder, pixels, site, strategy, channels=rule, units=chosen, seed=draw)
        own = {unit: {"units": [unit], "seed": draw, "noise_seed": draw + 1 + unit} for unit in chosen}
        return torch.cat([looks(encoder, pixels, site, strategy, channels=rule, **settings) for settings in own.values()], 1)

    of_pictures, of_noise = maps(pixels, seed), maps(noise, seed + 10_000 * quirks.other_noise_for_references)
    told = informativeness(of_pictures.sum(1)[:, None], of_noise.sum(1)[None]).mean(1)
    if len(chosen) > 1:
        spread = disentanglement(of_pictures, rule="min-max" if quirks.scaled_units else "raw", unbiased=quirks.unbiased)
    else:
        spread = torch.full((len(pixels),), float("nan") if quirks.unbiased else 0.0)
    return told.numpy(), spread.numpy()


def quirk_table(encoder: Encoder, pictures: Pictures, site: Site, strategy: Strategy, **settings) -> pd.DataFrame:
    """Both scores with each quirk alone: quirk, and informativeness and disentanglement with _low and _high (Student's over pictures), and
    as shares of the score without quirks."""

    def make():
        rows = []
        for name, quirks in EACH.items():
            row = {"quirk": name}
            found = with_quirks(encoder, pictures, site, strategy, quirks=quirks, **settings)
            for score, values in zip(("informativeness", "disentanglement"), found, strict=True):
                one = student_mean(values)
                row |= {score: one.value, f"{score}_low": one.low, f"{score}_high": one.high}
            rows.append(row)
        return rows

    table = remembered_of(encoder, pictures, "attribution_quirks", make, quirk_table, site, strategy, **settings)
    return table.assign(**{f"{score}, of none": table[score] / table[score].iloc[0] for score in ("informativeness", "disentanglement")})


def reference_table(
    encoder: Encoder, pictures: Pictures, site: Site, strategy: Strategy, *, references: int = 8, seed: int = 0
) -> pd.DataFrame:
    """Informativeness with the noise reference of constrained training: as it was meant, the sum over channels and the mean over
    references, and as the code takes it (R4, see `against_summed_references`).

    Returns:
        Two rows: reference, informativeness with _low and _high (Student's over pictures).
    """
    way = in_picture_units(encoder, strategy, np.asarray(pictures.read(np.arange(1))).shape[1])

    def summed_over_units(pixels):
        return all_attributions(encoder.module, encoder.embed, encoder.preprocess(pixels), site, way, seed=seed).sum(1)

    maps = summed_over_units(np.asarray(pictures.read(np.arange(len(pictures))))).sum(1)
    noise = summed_over_units(noise_pictures("uniform", references, pictures, seed=seed))  # (references, channels, height, width)
    found = {
        "summed over channels, mean over references": informativeness(maps, noise.sum(1).mean(0), rule="maximum"),
        "summed over references (R4)": against_summed_references(maps, noise),
    }
    means = {reference: student_mean(values.numpy()) for reference, values in found.items()}
    return pd.DataFrame([
        {"reference": reference, "informativeness": one.value, "informativeness_low": one.low, "informativeness_high": one.high}
        for reference, one in means.items()
    ])  # fmt: skip
