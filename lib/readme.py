"""The tables of the README, written from the committed results so that they cannot say anything else: python -m lib readme."""

import re
from pathlib import Path

import pandas as pd

from lib.paths import ROOT

PROFILES = ("quick", "cifar10", "study")
_BLOCK = "<!-- {name}: begin -->\n{content}\n<!-- {name}: end -->"


def updated(root: Path = ROOT) -> str:
    """The text of the README with its generated blocks made anew.

    Raises:
        ValueError: if a block is missing.
    """
    text = (root / "README.md").read_text(encoding="utf-8")
    for name, content in (("claims 04", claims_table("04", root)), ("speed", speed_table(root))):
        pattern = re.compile(rf"<!-- {name}: begin -->.*?<!-- {name}: end -->", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"README.md: found no block <!-- {name}: begin --> ... <!-- {name}: end -->; expected one")
        block = _BLOCK.format(name=name, content=content)
        text = pattern.sub(lambda _, block=block: block, text)
    return text


def claims_table(number: str, root: Path = ROOT) -> str:
    """Claims of a notebook with one column of verdicts and values per profile that has been run."""
    table = None
    for profile in PROFILES:
        file = root / "data" / "results" / profile / f"{number}_claims.csv"
        if not file.exists():
            continue
        one = pd.read_csv(file, keep_default_na=False)
        column = one["verdict"] + (": " + one["here (95 % CI)"]).where(one["here (95 % CI)"] != "", "")
        one = one[["claim", "in the paper"]].assign(**{f"`{profile}`": column})
        table = one if table is None else table.merge(one.drop(columns="in the paper"), on="claim", how="outer", sort=False)
    return "" if table is None else table.fillna("").to_markdown(index=False)


def speed_table(root: Path = ROOT) -> str:
    """What the benchmarks measured: ratios to the alternatives, and the cost over a bare forward pass."""
    folder = root / "data" / "results" / "benchmarks"
    files = [folder / f"machine_interpretability_{name}.csv" for name in ("unit_ratios", "forward_pass")]
    return "\n\n".join(pd.read_csv(file, keep_default_na=False).to_markdown(index=False, floatfmt=".3g") for file in files if file.exists())
