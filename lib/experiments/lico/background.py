"""What classifiers rely on: are pictures taken for a class that training tied to the background they happen to show?

Only scenes with a shortcut can tell: in training the background goes with the class, in test pictures it does not.
"""

import numpy as np
import pandas as pd

from lib.datasets.pictures import Pictures
from lib.datasets.scenes import CLASS_NAMES, FACTORS, assigned_background
from lib.experiments.evidence import TOO_LITTLE, over_seeds
from lib.statistics import paired_difference

LEAST_ACCURACY = 0.9  # of plain training's on validation pictures, with the shortcut; one that has not learned the task relies on nothing


def pulled(answers: pd.DataFrame, test: Pictures) -> pd.DataFrame:
    """Answers to the pictures whose background is another than their class's own.

    Args:
        answers: rows of `lib.experiments.lico.runs.answers`.
        test: the scenes that were asked.

    Returns:
        arm, seed, picture, right, and excess: 1 if the class answered is one that training tied to the background shown, less how often
        that is so of this answer where the background has no part in it (one in five, since all five other backgrounds are as frequent; of
        a right answer, or a class with the same background, never).
    """
    shown = pd.Categorical(test.factors["background"], categories=FACTORS["background"]).codes
    tied = assigned_background(np.arange(len(CLASS_NAMES)))
    own = tied[test.labels]
    rows = answers[(own != shown)[answers["picture"].to_numpy()]]
    picture, answered = rows["picture"].to_numpy(), tied[rows["answer"].to_numpy()]
    excess = (answered == shown[picture]) - (answered != own[picture]) / (len(FACTORS["background"]) - 1)
    return rows[["arm", "seed", "picture", "right"]].assign(excess=excess).reset_index(drop=True)


def reliance(answers: pd.DataFrame, test: Pictures) -> pd.DataFrame:
    """How accurate classifiers are with the class's own background and without it, and how often the background shown has its way.

    Returns:
        arm, seed, with, without (accuracies), pull (mean excess, see `pulled`: the share of pictures that are taken for a class of their
        background because of it; 0 of a classifier that does not look at backgrounds, and of one that has learned nothing).
    """
    foreign = pulled(answers, test)
    table = foreign.groupby(["arm", "seed"], sort=False).agg(without=("right", "mean"), pull=("excess", "mean"))
    every = answers.merge(foreign[["arm", "seed", "picture"]], how="left", indicator=True)
    own = every[every["_merge"] == "left_only"].groupby(["arm", "seed"], sort=False)["right"].mean().rename("with")
    return table.join(own).reset_index()[["arm", "seed", "with", "without", "pull"]]


def pull_beside(answers: pd.DataFrame, test: Pictures, accuracies: pd.DataFrame, *, over: str) -> pd.DataFrame:
    """The pull of every arm beside another's: paired by picture and seed, with intervals over both.

    A seed counts where the arm is at least `LEAST_ACCURACY` as accurate as the other on pictures like those of training: what it does
    without the shortcut must not decide whether it is asked.

    Args:
        answers, test: as in `pulled`.
        accuracies: arm, seed and accuracy, on pictures with the shortcut.
        over: the arm that the others are set beside.

    Returns:
        arm, difference, low, high (NaN where no seed counts), seeds (that count).
    """
    foreign = pulled(answers, test).pivot(index=["seed", "picture"], columns="arm", values="excess")
    learned = accuracies.pivot(index="seed", columns="arm", values="accuracy")
    rows = []
    for arm in [one for one in dict.fromkeys(answers["arm"]) if one != over]:
        fine = learned.index[learned[arm] >= LEAST_ACCURACY * learned[over]]
        each = [paired_difference(one[arm], one[over]) for seed, one in foreign.groupby(level="seed") if seed in fine]
        total = over_seeds(each) if each else TOO_LITTLE
        rows.append({"arm": arm, "difference": total.value, "low": total.low, "high": total.high, "seeds": len(each)})
    return pd.DataFrame(rows, columns=["arm", "difference", "low", "high", "seeds"])
