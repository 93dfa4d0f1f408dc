"""What the figures of notebook 04 show of single units: the pictures of a task, and the most activating pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib import encoders, survey
from lib.datasets.pictures import Pictures
from lib.figures import PALETTE
from lib.measures.machine_interpretability import machine_interpretability, task_pictures


@dataclass(frozen=True)
class Task:
    """One task of one unit, laid out in two rows of a query and its nine references: silencing first, exciting second."""

    pictures: np.ndarray  # (20,) picture indices
    borders: list[str]  # a colour for each
    evidence: float
    probability: float


def one_task(
    name: str, layer: str, unit: int, pictures: Pictures, arm: tuple[np.ndarray, float], *, number: int = 0, seed: int = 0
) -> Task:
    """Task `number` of a unit as `machine_interpretability` deals it."""
    ranked = survey.extremes_of(encoders.load(name), pictures, [layer], seed=seed)[layer]
    one = ranked.take(np.flatnonzero(ranked.units == unit))
    (top, query_top), (bottom, query_bottom) = (task_pictures(side, one.units, seed=seed) for side in (one.top, one.bottom))
    scored = machine_interpretability(one, arm[0], temperature=arm[1], null_units=1, seed=seed)
    indices = np.concatenate([[query_bottom[0, number]], bottom[0, number], [query_top[0, number]], top[0, number]])
    borders = [color for query, references in ((PALETTE[4], "0.75"), (PALETTE[1], PALETTE[5])) for color in (query, *[references] * 9)]
    return Task(indices, borders, float(scored.evidence[0, number]), float(scored.tasks[0, number]))


def most_activating(name: str, units: pd.DataFrame, pictures: Pictures, *, count: int, seed: int = 0) -> np.ndarray:
    """The `count` most activating pictures of units given by the columns layer and unit: (units, count) picture indices."""
    ranked = survey.extremes_of(encoders.load(name), pictures, list(dict.fromkeys(units["layer"])), seed=seed)
    return np.stack([ranked[row.layer].top[row.unit, :count] for row in units.itertuples()])


def short(names: Sequence[str]) -> list[str]:
    """Names of encoders or similarities for labels: the base, and of the options only what tells networks apart."""

    def one(name):
        if not name.startswith(("local:", "published:", "timm:", "torchvision:")):
            return name
        _, base, options = encoders.parse(name)
        return " ".join(
            [
                base,
                *(
                    str(value) if option == "network" else f"{option} {value}"
                    for option, value in options.items()
                    if option in ("network", "width")
                ),
            ]
        )

    return [one(name) for name in names]
