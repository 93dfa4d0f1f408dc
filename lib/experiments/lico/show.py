"""Saliency as pictures: what each way of training makes of the same pictures."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from lib import picture_grid
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
