"""What one change to training does, to accuracy and to maps."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from lib.experiments.lico.arms import NAMES, TUNED, Arm
from lib.experiments.lico.runs import gains
from lib.experiments.lico.saliency import beside
from lib.lico.readings import Reading

NUMBERS = {"accuracy": "accuracy", "near": "accuracy, near 0", "above random": "above random, {}", "energy": "energy, {}"}


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


def other_texts(controls: Sequence[str], tuned: Mapping[str, Reading]) -> Iterator[tuple[str, list[Arm]]]:
    """Names and a control with one setting: that of the names, and that of the control if it is another.

    Args:
        controls: of `CONTROLS`.
        tuned: what tuning chose, for "tuned" and each control.

    Yields:
        whose setting it is, and two arms: "names" and the control.
    """
    for control in controls:
        of_names, own = tuned[TUNED], tuned[control]
        for whose, reading in ((NAMES, of_names), (control, own)):
            if whose == NAMES or own.but(name="") != of_names.but(name=""):
                yield whose, [Arm(NAMES, reading), Arm(control, reading, control)]


def numbers_of(table: pd.DataFrame, explainer: str) -> dict[str, str]:
    """Labels of the numbers that a table of `changes` has, where maps are those of one explainer."""
    return {number: label.format(explainer) for number, label in NUMBERS.items() if number in set(table["number"])}
