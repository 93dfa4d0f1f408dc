"""The grid of constrained training (E5, section 6.4 of the spec): sizes of the code, arms, seeds."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch

from lib import constrained_training
from lib.constrained_training import Arm, Schedule, evaluate_constrained, train_constrained
from lib.datasets.pictures import Pictures
from lib.encoders.grey_networks import grey, grey_pictures
from lib.experiments.remembered import remembered
from lib.statistics import Estimate, student_mean

NORMAL, SHAM, BOTH = "normal", "sham", "both"
TURNED, SUMMED = "only_noise (R3)", "noise (R4)"  # as in the authors' code
MEMBERS = 20  # networks that are trained at a time


def arms_of(names: Sequence[str], weights: Sequence[float]) -> list[Arm]:
    """Arms by name, with each weight lambda.

    Args:
        names: "normal", "noise" (informativeness), "var" (disentanglement), "both", "sham" (both, taken at a frozen network), "scale-free"
            (S_D* instead of the scaled variance), "only_noise" and "only_var" (no task), and faults of the code: "only_noise (R3)", its
            sign turned, and "noise (R4)", with references summed over the wrong axis.
        weights: lambda; of an arm with score, one each, e.g. "both, 0.1".
    """
    kinds = {
        "noise": lambda w: {"informativeness": w}, SUMMED: lambda w: {"informativeness": w, "summed_references": True},
        "var": lambda w: {"disentanglement": w},
        BOTH: lambda w: {"informativeness": w, "disentanglement": w},
        SHAM: lambda w: {"informativeness": w, "disentanglement": w, "sham": True},
        "scale-free": lambda w: {"disentanglement": w, "score": "scale-free"},
        "only_noise": lambda w: {"informativeness": w, "task": False}, TURNED: lambda w: {"informativeness": -w, "task": False},
        "only_var": lambda w: {"disentanglement": w, "task": False},
    }  # fmt: skip
    unknown = [name for name in names if name != NORMAL and name not in kinds]
    if unknown:
        raise ValueError(f"arms: found {unknown[0]!r}; expected some of {', '.join([NORMAL, *kinds])}")
    arms = [Arm(NORMAL)] if NORMAL in names else []
    return arms + [
        Arm(f"{name}, {weight:g}", **kinds[name](weight))
        for weight in weights
        for name in names
        if name != NORMAL and (weight == weights[0] or not name.startswith("only_"))  # without a task the weight is only a rate
    ]


def trained(
    data: str, sizes: Sequence[int], arms: Sequence[Arm], seeds: Sequence[int], schedule: Schedule, *, label: str = "",
    count: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Train and evaluate every size, arm and seed; kept in the cache, a few networks at a time.

    Args:
        data: "digits" or "mnist".
        sizes: of the code; arms that reward disentanglement are left out at size 1.
        arms: see `arms_of`.
        seeds: shared by all arms.
        schedule: of the training.
        label: of the schedule, for tables.
        count: training pictures, 0: all.

    Returns:
        One row a network: schedule, size, arm, seed, and what `evaluate_constrained` finds.
    """
    train, test = _digits(data, "train", count or None), _digits(data, "test", None)
    tables = []
    for size in sizes:
        fitting = [arm for arm in arms if size > 1 or not arm.disentanglement]
        at_once = max(1, MEMBERS // len(seeds))
        for start in range(0, len(fitting), at_once):
            some = fitting[start : start + at_once]
            inputs = {
                "pictures": [train[2].identity, test[2].identity], "size": size, "arms": [asdict(arm) for arm in some],
                "seeds": list(seeds), "schedule": asdict(schedule),
            }  # fmt: skip

            def make(size=size, some=some):
                networks = train_constrained(train[0], train[1], size, some, seeds, schedule)
                return [
                    {"arm": arm.name, "seed": seed} | evaluate_constrained(network, train[:2], test[:2], seed=seed)
                    for arm, of_arm in zip(some, networks, strict=True)
                    for seed, network in zip(seeds, of_arm, strict=True)
                ]

            rows = remembered("constrained", inputs, make, code=[constrained_training])
            tables.append(rows.assign(schedule=label, size=size))
    return pd.concat(tables, ignore_index=True)


def gains(table: pd.DataFrame, number: str, *, over: str = NORMAL) -> pd.DataFrame:
    """Paired differences from one arm, seed by seed, with Student's interval: schedule, size, arm, gain, low, high, seeds.

    Args:
        table: from `trained`.
        number: a column of it.
        over: name of the arm that the others are compared with.
    """
    rows = []
    for (schedule, size), some in table.groupby(["schedule", "size"], sort=False):
        values = some.pivot(index="seed", columns="arm", values=number)
        for arm in dict.fromkeys(some["arm"]):
            if arm == over or over not in values:
                continue
            one = paired_gain(values[arm], values[over])
            rows.append({
                "schedule": schedule, "size": size, "arm": arm, "gain": one.value, "low": one.low, "high": one.high, "seeds": one.count,
            })  # fmt: skip
    return pd.DataFrame(rows)


def paired_gain(values: pd.Series, others: pd.Series) -> Estimate:
    """Mean difference over the seeds at which both are defined, with Student's interval; NaN of none."""
    differences = (values - others).dropna()
    return student_mean(differences.to_numpy()) if len(differences) else Estimate(float("nan"), float("nan"), float("nan"), 0)


def _digits(data: str, split: str, count: int | None) -> tuple[torch.Tensor, np.ndarray, Pictures]:
    pictures = grey_pictures(data, split=split, count=count)
    return grey(pictures.read(np.arange(len(pictures)))), pictures.labels, pictures
