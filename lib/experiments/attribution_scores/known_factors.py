"""Do scores that know no factors rank encoders as those do that know them? (B5 of the spec)"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from lib import activations, datasets, encoders
from lib.attribution.sites import Site
from lib.attribution.strategies import Strategy
from lib.datasets.pictures import Pictures
from lib.datasets.scenes import Scenes
from lib.encoders.controls import variational
from lib.encoders.encoder import Encoder
from lib.experiments.attribution_scores.looking import CODE, as_row, scored
from lib.experiments.attribution_scores.redundancy import half_copied, rotated, whitened
from lib.experiments.remembered import remembered
from lib.keyed_random import generator
from lib.measures import known_factors
from lib.measures.known_factors import dci, importances, mutual_information_gap
from lib.representations import with_seeds
from lib.survey import code_of

WHITENED, WHITENED_SEED = 1000, 40  # scenes whose codes say how to whiten, neither trained on nor measured


def zoo(
    names: Sequence[str], seeds: Sequence[int], *, betas: Sequence[float] = (), changed: bool = False, seed: int = 0
) -> dict[str, Encoder]:
    """Encoders of scenes to be ranked, name -> encoder.

    Args:
        names: of encoders; local ones once a seed.
        seeds: of local encoders and of variational auto-encoders.
        betas: weights of variational auto-encoders.
        changed: also each encoder rotated, whitened, and with half of its units copies of one, named `<encoder>@rotated` and so on, so that
            they count as one lineage with it.
        seed: of rotations and copies.
    """
    found = {name: encoders.load(name) for name in with_seeds(names, seeds)}
    found |= {f"variational:{beta:g},seed={one}": variational(beta, seed=one) for beta in betas for one in seeds}
    if changed:
        shown = datasets.load("scenes", count=WHITENED, seed=WHITENED_SEED)
        for name, encoder in list(found.items()):
            codes = activations.embeddings(encoder, shown).astype(float)
            units = codes.shape[1]
            found |= {
                f"{name}@rotated": rotated(encoder, units, seed=seed), f"{name}@whitened": whitened(encoder, codes),
                f"{name}@half copies": half_copied(encoder, units, among=np.flatnonzero(codes.std(0) > 0), seed=seed),
            }  # fmt: skip
    return found


def factors_of(scenes: Scenes) -> pd.DataFrame:
    """The factors that scenes are drawn from, as classes: (pictures, factors) of integers."""
    names = scenes.concepts.columns.str.partition(": ").to_frame(index=False)[0]
    return pd.DataFrame({
        factor: scenes.concepts.loc[:, (names == factor).to_numpy()].to_numpy().argmax(1) for factor in dict.fromkeys(names)
    })  # fmt: skip


def against_known_factors(
    encoders: Mapping[str, Encoder], looked_at: Pictures, scenes: Scenes, site: Site, strategy: Strategy, *, references: int = 8,
    most_units: int = 0, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Scores without labels beside scores with them.

    Args:
        encoders: name -> encoder.
        looked_at: pictures whose attributions are scored.
        scenes: pictures with factors, more of them, for DCI, MIG and a linear probe (half trains, half tests).
        site: of the attributions.
        strategy: of the attributions.
        references: noise pictures.
        most_units: as in `scored_at`, for the scores without labels.
        seed: of everything random.

    Returns:
        One row an encoder: encoder, every score of `as_row`, DCI disentanglement, DCI completeness, DCI informativeness (mean over
        factors), MIG, and the probe's accuracy for the class; and the last five once more with the factors of other pictures, " by chance".
    """
    factors = factors_of(scenes)
    tables = []
    for name, encoder in encoders.items():
        inputs = {
            "encoder": encoder.identity, "looked at": looked_at.identity, "scenes": scenes.identity, "site": asdict(site),
            "strategy": asdict(strategy), "references": references, "most_units": most_units, "seed": seed,
        }  # fmt: skip

        def make(encoder=encoder):
            codes = activations.embeddings(encoder, scenes)
            other = generator(seed, 106).permutation(len(scenes))
            chance = with_factors(codes, factors.iloc[other], scenes.labels[other], seed=seed)
            return [
                as_row(scored(encoder, looked_at, site, strategy, references=references, most_units=most_units, seed=seed))
                | with_factors(codes, factors, scenes.labels, seed=seed)
                | {f"{name} by chance": value for name, value in chance.items()}
            ]

        rows = remembered("attribution_factors", inputs, make, code=[*CODE, known_factors, against_known_factors, *code_of(encoder)])
        tables.append(rows.assign(encoder=name))
    return pd.concat(tables, ignore_index=True)


def with_factors(codes: np.ndarray, factors: pd.DataFrame, labels: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """What scores that know factors and classes say of a code; arguments as in `importances` and `probe_accuracy`."""
    importance, told = importances(codes, factors, seed=seed)
    found = dci(importance)
    return {
        "DCI disentanglement": found.disentanglement, "DCI completeness": found.completeness, "DCI informativeness": float(told.mean()),
        "MIG": mutual_information_gap(codes, factors), "probe accuracy": probe_accuracy(codes, labels),
    }  # fmt: skip


def probe_accuracy(codes: np.ndarray, labels: np.ndarray) -> float:
    """Share of the second half of the pictures whose class a logistic regression on the first half tells."""
    half = len(codes) // 2
    spread = codes[:half].std(0)
    standard = (codes - codes[:half].mean(0)) / np.where(spread > 0, spread, 1)
    with threadpool_limits(1):
        return float(LogisticRegression(max_iter=2000).fit(standard[:half], labels[:half]).score(standard[half:], labels[half:]))
