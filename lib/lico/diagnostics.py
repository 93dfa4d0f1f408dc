"""Signs of collapse: transport is cheapest where all tokens are one vector and all channels copy it (specs/lico.md, 5.2)."""

import torch
from torch.nn.functional import normalize

from lib.lico.transport import live_rows


@torch.no_grad()
def mean_cosine(points: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """Mean cosine between two different points of a set, over sets; 1 where all point one way.

    Args:
        points: (sets, points, d). Points without length do not count.
        mask: (sets, points) bool, which points there are.

    Returns:
        The mean over sets with at least two points; NaN if there is none.
    """
    there = live_rows(points) if mask is None else live_rows(points) & mask
    count = there.sum(1)
    total = (normalize(points.float(), dim=2) * there[:, :, None]).sum(1).square().sum(1)  # over ordered pairs, each with itself too
    each = (total - count) / (count * (count - 1))
    return float(each[count > 1].mean()) if (count > 1).any() else float("nan")
