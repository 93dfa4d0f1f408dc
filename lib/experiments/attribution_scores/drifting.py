"""Does the score of informativeness notice that pictures have changed, and does it notice more than a mean would? (E4, B7 of the spec)"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch

from lib import drift
from lib.attribution.maps import aggregate, live_units
from lib.attribution.sites import Site
from lib.attribution.strategies import Strategy
from lib.datasets.pictures import Pictures
from lib.drift import DRIFTS, advantage, detection, mahalanobis, relative_change
from lib.encoders.encoder import Encoder
from lib.experiments.attribution_scores.looking import CODE, looks, noise_pictures
from lib.experiments.evidence import over_seeds
from lib.experiments.remembered import remembered
from lib.measures.attribution_scores import informativeness, scale_free_disentanglement
from lib.statistics import Estimate
from lib.survey import code_of

PLAIN = ("mean", "spread", "reconstruction error", "distance of the code")  # what can be had without attributions
NUMBERS = ("informativeness", "disentanglement", *PLAIN)
ADVANTAGE = "advantage of informativeness"


def numbers_under_drift(
    encoder: Encoder, pictures: Pictures, known: Pictures, site: Site, strategy: Strategy, *, drifts: Sequence[str],
    strengths: Sequence[float], aggregation: str = "variance", references: int = 8, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """What can be said of each picture, as it is and after every drift.

    Args:
        encoder: an auto-encoder: its module gives the reconstruction.
        pictures: what drifts.
        known: pictures it was trained on, for the distance of a code from theirs.
        site: of the attribution; the paper takes the second convolution.
        strategy: the paper takes the gradient with 50 samples.
        drifts: names in `lib.drift.DRIFTS`.
        strengths: of each; 0 is added.
        aggregation: over units; "variance" in the authors' script, "sum" elsewhere.
        references: noise pictures; the same for all pictures and strengths, so that a difference is not one of references.
        seed: of noise.

    Returns:
        One row a drift, strength and picture, with the `NUMBERS`.
    """
    inputs = {
        "encoder": encoder.identity, "pictures": pictures.identity, "known": known.identity, "site": asdict(site), "drifts": list(drifts),
        "strategy": asdict(strategy), "strengths": list(strengths), "aggregation": aggregation, "references": references, "seed": seed,
    }  # fmt: skip

    def make():
        pixels = np.asarray(pictures.read(np.arange(len(pictures))))
        noise = noise_pictures("uniform", references, pictures, seed=seed)
        against = aggregate(looks(encoder, noise, site, strategy, seed=seed), aggregation)
        live = live_units(looks(encoder, pixels, site, strategy, seed=seed))
        distance = mahalanobis(_codes(encoder, np.asarray(known.read(np.arange(len(known))))))
        rows = []
        for name in drifts:
            for strength in (0.0, *strengths):
                changed = DRIFTS[name](pixels, strength, seed)
                maps = looks(encoder, changed, site, strategy, seed=seed)
                x = encoder.preprocess(changed)
                with torch.no_grad():
                    error = (encoder.module(x) - x).square().flatten(1).mean(1)
                found = {
                    "informativeness": informativeness(aggregate(maps, aggregation)[:, None], against[None]).mean(1),
                    "disentanglement": scale_free_disentanglement(maps[:, live]),
                    "mean": changed.mean((1, 2, 3)) / 255, "spread": changed.std((1, 2, 3)) / 255,
                    "reconstruction error": error, "distance of the code": distance(_codes(encoder, changed)),
                }  # fmt: skip
                columns = {number: np.asarray(values, float) for number, values in found.items()}
                rows += [
                    {"drift": name, "strength": strength, "picture": one} | {number: columns[number][one] for number in NUMBERS}
                    for one in range(len(pixels))
                ]
        return rows

    return remembered("attribution_drift", inputs, make, code=[*CODE, drift, numbers_under_drift, *code_of(encoder)])


def changes(numbers: pd.DataFrame) -> pd.DataFrame:
    """The paper's relative change of informativeness: key, drift, strength, picture, change.

    Args:
        numbers: `numbers_under_drift`, with a column key that says of which encoder.
    """
    usual = numbers[numbers.strength == 0].set_index(["key", "drift", "picture"])["informativeness"]
    before = usual.loc[list(zip(numbers.key, numbers.drift, numbers.picture, strict=True))].to_numpy()
    return numbers[["key", "drift", "strength", "picture"]].assign(change=relative_change(before, numbers["informativeness"]))


def detections(numbers: pd.DataFrame) -> pd.DataFrame:
    """How well each number tells drifted from usual pictures: key, drift, strength, number, area, low, high, and as a last number the
    advantage of informativeness over the best of those that need no attribution (an area less an area).

    Args:
        numbers: as in `changes`.
    """
    rows = []
    for (key, name), of_drift in numbers.groupby(["key", "drift"], sort=False):
        usual = of_drift[of_drift.strength == 0]
        for strength, drifted in of_drift[of_drift.strength > 0].groupby("strength"):
            found = {number: detection(usual[number], drifted[number]) for number in NUMBERS}
            compared = ["informativeness", *PLAIN]
            found[ADVANTAGE] = advantage(usual[compared].to_numpy().T, drifted[compared].to_numpy().T)
            rows += [
                {"key": key, "drift": name, "strength": strength, "number": number, "area": one.value, "low": one.low, "high": one.high}
                for number, one in found.items()
            ]
    return pd.DataFrame(rows)


def mean_detections(detected: pd.DataFrame) -> pd.DataFrame:
    """Areas as means over encoders, with the interval of a mean over seeds, within [0, 1].

    Args:
        detected: `detections`, of numbers and not of their advantages.

    Returns:
        Indexed by drift, number, strength: area, low, high.
    """
    rows = {}
    for index, several in detected.groupby(["drift", "number", "strength"], sort=False):
        one = over_seeds([Estimate(row.area, row.low, row.high, 1) for row in several.itertuples()])
        rows[index] = {"area": one.value, "low": max(one.low, 0.0), "high": min(one.high, 1.0)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["drift", "number", "strength"])


def _codes(encoder, pixels):
    with torch.no_grad():
        return encoder.embed(encoder.preprocess(pixels)).numpy().astype(float)
