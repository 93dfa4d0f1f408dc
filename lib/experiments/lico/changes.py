"""What one change to training does, to accuracy and to maps."""

from collections.abc import Sequence

import pandas as pd

from lib.experiments.lico.runs import gains
from lib.experiments.lico.saliency import beside

NUMBERS = {"accuracy": "accuracy", "above random": "above random, {}", "energy": "energy, {}"}


def changes(given: pd.DataFrame, judged: pd.DataFrame, *, over: str, explainers: Sequence[str]) -> pd.DataFrame:
    """Differences of every arm from one: arm, number (of `NUMBERS`), difference, low, high, seeds, and of maps map and pictures.

    Args:
        given: `answers`.
        judged: `all_judged` of the same arms.
        over: the arm that the others differ from.
        explainers: whose maps.
    """
    of_maps = beside(judged, over=over).rename(columns={"metric": "number"})
    of_maps = of_maps[of_maps["map"].isin(explainers) & of_maps["number"].isin(NUMBERS)]
    return pd.concat([gains(given, over=over), of_maps], ignore_index=True)


def numbers_of(table: pd.DataFrame, explainer: str) -> dict[str, str]:
    """Labels of the numbers that a table of `changes` has, where maps are those of one explainer."""
    return {number: label.format(explainer) for number, label in NUMBERS.items() if number in set(table["number"])}
