"""The tables of the README, written from the committed results so that they cannot say anything else: python -m lib readme."""

import re
from pathlib import Path

import pandas as pd

from lib.paths import ROOT

NUMBERS = ("01", "02", "03", "04", "05")  # of the notebooks whose claims it shows
PROFILES = ("quick", "study", "cifar10", "imagenet")
_BLOCK = "<!-- {name}: begin -->\n{content}\n<!-- {name}: end -->"


def updated(root: Path = ROOT) -> str:
    """The text of the README with its generated blocks made anew.

    Raises:
        ValueError: if a block is missing.
    """
    text = (root / "README.md").read_text(encoding="utf-8")
    blocks = {f"claims {number}": claims_table(number, root) for number in NUMBERS} | {"speed": speed_table(root)}
    for name, content in blocks.items():
        pattern = re.compile(rf"<!-- {name}: begin -->.*?<!-- {name}: end -->", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"README.md: found no block <!-- {name}: begin --> ... <!-- {name}: end -->; expected one")
        block = _BLOCK.format(name=name, content=content)
        text = pattern.sub(lambda _, block=block: block, text)
    return text


def claims_table(number: str, root: Path = ROOT) -> str:
    """Claims of a notebook with one column of verdicts and values per profile that has been run."""
    columns = {}
    for profile in PROFILES:
        file = root / "data" / "results" / profile / f"{number}_claims.csv"
        if file.exists():
            one = pd.read_csv(file, keep_default_na=False).set_index("claim")
            said = pd.concat([columns.get("in the paper"), one["in the paper"]])
            columns["in the paper"] = said[~said.index.duplicated()]
            columns[f"`{profile}`"] = one["verdict"] + (": " + one["here (95 % CI)"]).where(one["here (95 % CI)"] != "", "")
    return pd.concat(columns, axis=1).fillna("").reset_index(names="claim").to_markdown(index=False) if columns else ""


def speed_table(root: Path = ROOT) -> str:
    """What the benchmarks measured: ratios to the alternatives, the cost over a bare forward pass, and the rendering of scenes."""
    folder = root / "data" / "results" / "benchmarks"
    shown = {
        "machine_interpretability_unit_ratios": {"ours": "ours", "against": "against", "ratio": "times faster", "goal": "goal"},
        "machine_interpretability_forward_pass": {
            "network": "network, all conv and batch-norm units", "layers": "layers", "units": "units", "pictures": "pictures",
            "ratio": "time over the bare pass", "ratio_with_null": "with null and tables", "goal": "goal",
        },
        "quantized_reversed_probing_against_scikit_learn": {
            "step": "clusters and probe", "against": "against", "seconds": "seconds", "their_seconds": "theirs", "objective": "objective",
            "their_objective": "theirs ", "peak_megabytes": "peak MB", "ratio": "times faster", "goal": "goal",
        },
        "inherent_interpretability": {
            "pictures": "one score: pictures", "dims": "dims", "concepts": "concepts", "classes": "classes", "against": "against",
            "seconds": "seconds", "their_seconds": "theirs", "accuracy": "accuracy", "their_accuracy": "theirs ",
            "ratio": "times faster", "goal": "goal",
        },
        "attribution_scores": {
            "what": "attribution", "pictures": "pictures", "against": "against", "seconds": "seconds", "their_seconds": "theirs",
            "ratio": "ratio", "goal": "goal",
        },
        "lico": {
            "what": "LICO", "against": "against", "seconds": "seconds", "their_seconds": "theirs",
            "ratio": "ratio (of steps ours / theirs, else theirs / ours)", "goal": "goal",
        },
        "scenes_rendering": {
            "size": "scenes of so many pixels a side", "batch": "drawn at a time", "pictures_a_minute": "pictures a minute on one core",
            "goal": "goal",
        },
    }  # fmt: skip
    parts = []
    for name, columns in shown.items():
        file = folder / f"{name}.csv"
        if file.exists():
            table = pd.read_csv(file, keep_default_na=False)
            shown_columns = table[list(columns)].rename(columns=columns).to_markdown(index=False, floatfmt=".3g")
            parts.append(f"{shown_columns}\n\n*On {table['processor'][0]}, {table['cores'][0]} cores.*")
    return "\n\n".join(parts)
