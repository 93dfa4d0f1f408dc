"""What classifiers rely on: which class do they take a picture for whose background training tied to other classes?

Only scenes with a shortcut can tell: in training the background goes with the class, in test pictures it does not.
"""

import numpy as np
import pandas as pd

from lib.datasets.pictures import Pictures
from lib.datasets.scenes import CLASS_NAMES, FACTORS, assigned_background
from lib.experiments.evidence import over_seeds
from lib.statistics import Estimate

LEAST_WRONG = 10  # answers; the share of fewer says nothing
LEAST_ACCURACY = 0.5  # of plain training's; a classifier that has not learned the task relies on nothing
RESAMPLES = 1000


def pulled(answers: pd.DataFrame, test: Pictures) -> pd.DataFrame:
    """Answers to the pictures whose background is another than their class's own.

    Args:
        answers: rows of `lib.experiments.lico.runs.answers`.
        test: the scenes that were asked.

    Returns:
        arm, seed, picture, right, wrong, and excess: of a wrong answer 1 if its class is one that training tied to the background shown,
        less how often that happens by chance (the share of such classes among all others); 0 of a right one.
    """
    shown = pd.Categorical(test.factors["background"], categories=FACTORS["background"]).codes
    tied = assigned_background(np.arange(len(CLASS_NAMES)))
    foreign = tied[test.labels] != shown
    rows = answers[foreign[answers["picture"].to_numpy()]]
    here = shown[rows["picture"].to_numpy()]
    chance = np.bincount(tied)[here] / (len(CLASS_NAMES) - 1)
    wrong = ~rows["right"].to_numpy()
    excess = np.where(wrong, (tied[rows["answer"].to_numpy()] == here) - chance, 0.0)
    return rows[["arm", "seed", "picture", "right"]].assign(wrong=wrong, excess=excess).reset_index(drop=True)


def reliance(answers: pd.DataFrame, test: Pictures) -> pd.DataFrame:
    """How accurate classifiers are with the class's own background and without it, and where they go wrong.

    Returns:
        arm, seed, with, without (accuracies), wrong (answers without), pull (share of these that go to classes of the background shown,
        less chance: 0 of a classifier that does not look at the background, or has learned nothing).
    """
    foreign = pulled(answers, test)
    without = foreign.groupby(["arm", "seed"], sort=False).agg(without=("right", "mean"), wrong=("wrong", "sum"), excess=("excess", "sum"))
    own = answers.merge(foreign[["arm", "seed", "picture"]], how="left", indicator=True)
    own = own[own["_merge"] == "left_only"].groupby(["arm", "seed"], sort=False)["right"].mean().rename("with")
    table = without.join(own).reset_index()
    table["pull"] = table["excess"] / table["wrong"].where(table["wrong"] > 0)
    return table[["arm", "seed", "with", "without", "wrong", "pull"]]


def pull_beside(answers: pd.DataFrame, test: Pictures, *, over: str) -> pd.DataFrame:
    """The pull of every arm beside another's: paired by seed and picture, with intervals over both.

    A seed counts where both have at least `LEAST_WRONG` wrong answers and the arm is at least `LEAST_ACCURACY` as accurate as the other.

    Returns:
        arm, difference, low, high (NaN where no seed counts), seeds.
    """
    foreign = pulled(answers, test)
    by_network = {key: some.set_index("picture") for key, some in foreign.groupby(["arm", "seed"], sort=False)}
    rows = []
    for arm in dict.fromkeys(foreign["arm"]):
        if arm == over:
            continue
        each = [
            _difference(by_network[arm, seed], by_network[over, seed])
            for name, seed in by_network
            if name == arm and (over, seed) in by_network and _tells(by_network[arm, seed], by_network[over, seed])
        ]
        total = over_seeds(each) if each else Estimate(np.nan, np.nan, np.nan, 0)
        rows.append({"arm": arm, "difference": total.value, "low": total.low, "high": total.high, "seeds": len(each)})
    return pd.DataFrame(rows, columns=["arm", "difference", "low", "high", "seeds"])


def _tells(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return min(one["wrong"].sum(), other["wrong"].sum()) >= LEAST_WRONG and one["right"].mean() >= LEAST_ACCURACY * other["right"].mean()


def _difference(one: pd.DataFrame, other: pd.DataFrame) -> Estimate:
    """Of both pulls, with a bootstrap over pictures that both were asked."""
    columns = np.concatenate([part[["excess", "wrong"]].to_numpy(float) for part in (one, other.loc[one.index])], axis=1)
    weights = np.random.default_rng(0).multinomial(len(columns), np.full(len(columns), 1 / len(columns)), size=RESAMPLES)

    def of(sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3]

    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.nanquantile(of(weights @ columns), (0.025, 0.975))
    return Estimate(float(of(columns.sum(0))), float(low), float(high), len(columns))
