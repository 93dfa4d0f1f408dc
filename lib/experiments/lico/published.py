"""The published numbers, with their arithmetic done again."""

import pandas as pd

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
