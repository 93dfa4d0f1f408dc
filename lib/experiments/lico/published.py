"""The published numbers, with their arithmetic done again, and ours beside them."""

import pandas as pd

from lib.experiments.lico.arms import PLAIN

ROUNDING = 0.101  # of a difference of two numbers printed with one decimal; those of the authors have two


def arithmetic(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of data/reported/lico.csv, with overall = insertion - deletion computed, and whether the printed one agrees with it."""
    table = table.copy()
    table["overall"] = (table["insertion"] - table["deletion"]).round(2)
    table["agrees"] = (table["overall"] - table["printed_overall"]).abs() <= table["study"].map({"authors": 0.011}).fillna(ROUNDING)
    return table


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """LICO minus plain training: study, data, explainer, gain in overall computed and as printed, gain in accuracy."""
    wide = table.pivot(index=["study", "data", "explainer"], columns="model", values=["overall", "printed_overall", "accuracy"])
    return pd.DataFrame({
        "gain": wide["overall", "LICO"] - wide["overall", "plain"],
        "gain as printed": wide["printed_overall", "LICO"] - wide["printed_overall", "plain"],
        "gain in accuracy": wide["accuracy", "LICO"] - wide["accuracy", "plain"],
    }).round(2).reset_index()  # fmt: skip


def with_ours(table: pd.DataFrame, accuracies: pd.DataFrame, saliency: pd.DataFrame, *, data: str, arm: str = "paper") -> pd.DataFrame:
    """Published numbers and those of this run, in per cent, a row each network pair and explainer.

    Args:
        table: `arithmetic`.
        accuracies: arm and accuracy, a row each seed.
        saliency: arm, map and overall: means over the pictures that are classified rightly.
        data: name of the pictures of this run.
        arm: set beside plain training.

    Returns:
        study ("here" for this run), data, explainer, and plain, LICO and gain for accuracy and for overall.
    """
    accuracy, overall = accuracies.groupby("arm")["accuracy"].mean(), saliency.set_index(["arm", "map"])["overall"]
    ours = pd.DataFrame([
        {"study": "here", "data": data, "model": model, "explainer": explainer, "accuracy": 100 * accuracy.get(name, float("nan")),
         "overall": 100 * overall.get((name, explainer), float("nan"))}
        for model, name in (("plain", PLAIN), ("LICO", arm)) for explainer in dict.fromkeys(table["explainer"])
    ])  # fmt: skip
    wide = pd.concat([table, ours]).pivot(index=["study", "data", "explainer"], columns="model", values=["accuracy", "overall"])
    parts = {}
    for number in ("accuracy", "overall"):
        for model in ("plain", "LICO"):
            parts[f"{number}, {model}"] = wide[number, model]
        parts[f"{number}, gain"] = wide[number, "LICO"] - wide[number, "plain"]
    return pd.DataFrame(parts).round(2).reset_index()
