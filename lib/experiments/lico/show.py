"""How results are shown: saliency as pictures, arms by colour, and what only some seeds can tell."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib import picture_grid
from lib.experiments.lico.arms import PLAIN, SHAM, SHUFFLED, TUNED
from lib.figures import PALETTE
from lib.heat_maps import overlaid


def saliency_sheet(pixels: np.ndarray, maps: Mapping[str, np.ndarray], *, masks: np.ndarray | None = None, width: float = 7.0) -> Figure:
    """A row a way of training, a column a picture; on top the pictures, and these dark where the object is not.

    Args:
        pixels: uint8 (n, side, side, 3).
        maps: label of a row -> (n, side, side).
        masks: bool (n, side, side), or None where they are not known.
        width: inches.
    """
    rows = {"picture": pixels} | ({} if masks is None else {"true mask": np.where(masks[..., None], pixels, pixels // 4)})
    rows |= {name: overlaid(pixels, one) for name, one in maps.items()}
    return picture_grid.contact_sheet(
        [cell for row in rows.values() for cell in row], columns=len(pixels), row_labels=list(rows), width=width
    )


def look_of(arms: Sequence[str]) -> dict[str, dict]:
    """Settings of each arm's line: five that the text speaks of in colour, the others in grey under one label.

    Args:
        arms: names, each once.
    """
    coloured = dict(zip((PLAIN, "paper", TUNED, SHUFFLED, SHAM), PALETTE, strict=False))
    others = [arm for arm in arms if arm not in coloured]
    return {
        arm: {"color": coloured[arm], "label": arm, "zorder": 2} if arm in coloured
        else {"color": "0.7", "lw": 0.7, "label": "other arms" if arm == others[0] else "_", "zorder": 1}
        for arm in arms
    }  # fmt: skip


def near_zero(table: pd.DataFrame, *, within: float = 0.2) -> pd.DataFrame:
    """The same; if some differences in accuracy are large, those near 0 once more, as the number "near": beside these they are not seen.

    Args:
        table: with columns number and difference.
        within: so far from 0.
    """
    accuracy = table[table["number"] == "accuracy"]
    near = accuracy[accuracy["difference"].abs() < within]
    return pd.concat([table, near.assign(number="near")]) if len(near) < len(accuracy) else table


def told_by_all(table: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """The same, without interval (low, high) where fewer seeds can tell: of those that learned too little nothing is known."""
    table = table.copy()
    table.loc[table["seeds"] < seeds, ["low", "high"]] = np.nan
    return table
