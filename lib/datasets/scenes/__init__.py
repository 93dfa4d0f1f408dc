"""Scenes: procedural pictures of one textured object each, about which everything is known.

No real data set tells the truth about every concept in a picture. Here shape, texture, colour, size, place, background and a distractor are
drawn independently, and the class is a conjunction, texture x shape ("striped star"), which neither factor tells alone. A shortcut of any
strength may tie the background to the class.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lib.datasets.pictures import Pictures
from lib.datasets.scenes import factors as _factors
from lib.datasets.scenes.captions import captions
from lib.datasets.scenes.factors import CLASS_NAMES, FACTORS, assigned_background
from lib.datasets.scenes.rendering import Masks, check_size, masks, render
from lib.fingerprint import code_sha256

__all__ = ["CLASS_NAMES", "FACTORS", "Masks", "Scenes", "assigned_background", "captions", "masks", "render", "scenes"]


@dataclass(frozen=True)
class Scenes(Pictures):
    """Pictures that are rendered when read, with the table they are rendered from."""

    factors: pd.DataFrame = field(kw_only=True)      # (count, factors + nuisances), see lib.datasets.scenes.factors
    size: int = field(kw_only=True)                  # pixels per side

    def masks(self, indices) -> Masks:
        """Where object, distractor and both tones of the object are seen: each (n, size, size) bool."""
        return masks(self.factors.iloc[np.asarray(indices)], size=self.size)

    def rerender(self, index: int, **changed: str) -> np.ndarray:
        """Picture `index` with some factors changed and all nuisances kept: (size, size, 3) uint8. `scenes.rerender(7, colour="red")`

        A distractor stays where it is unless the changed object would cover it; without changes this is the picture itself.
        """
        row = self.factors.iloc[[index]].copy()
        for factor, value in changed.items():
            _factors.check_value(factor, value)
            row[factor] = value
        return render(row, size=self.size)[0]

    def take(self, indices) -> "Scenes":
        return replace(super().take(indices), factors=self.factors.iloc[np.asarray(indices)].reset_index(drop=True))


def scenes(count: int, *, seed: int = 0, size: int = 64, shortcut: float = 0.0, fixed: dict[str, str] | None = None) -> Scenes:
    """Draw `count` scenes.

    Picture i is a function of (seed, i) and of the settings alone: whatever the count, the batch or the order, it has the same bytes.

    Args:
        count: pictures, at least 1.
        seed: a whole number, at least 0.
        size: pixels per side, at least 32.
        shortcut: P(background = the one assigned to the class) = shortcut + (1 - shortcut) / 6; see `assigned_background`.
        fixed: factors that have the same value in all pictures, e.g. {"background": "grass"}.

    Raises:
        ValueError: if an argument is outside its range or a factor or value does not exist.
    """
    check_size(size)
    table = _factors.draw(count, seed=seed, shortcut=shortcut, fixed=fixed)
    return Scenes(
        name="scenes",
        read=lambda indices: render(table.iloc[np.asarray(indices)], size=size),
        count=int(count),
        labels=_factors.labels(table),
        class_names=CLASS_NAMES,
        concepts=_factors.concepts(table),
        identity={"set": "scenes", "count": int(count), "seed": int(seed), "size": int(size), "shortcut": float(shortcut),
                  "fixed": dict(fixed or {}), "code": code_sha256([render, captions])},
        captions=captions(table),
        factors=table,
        size=int(size),
    )
