"""What tells how training goes, above all collapse: transport is cheapest where all tokens are one vector and all channels copy it
(specs/lico.md, 5.2)."""

import math

import torch
from torch.nn.functional import normalize

from lib.lico.temperature import Temperature
from lib.lico.transport import TransportLoss, live_rows


@torch.no_grad()
def of_batch(
    manifold: torch.Tensor, moved: TransportLoss | None, temperature: Temperature, points: torch.Tensor, tokens: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> dict[str, float]:  # fmt: skip
    """Name -> number, see `ConsistencyLosses`.

    Args:
        manifold: L_MM.
        moved: transport; None where its weight is 0: its loss counts 0, and what else is known of it is NaN.
        temperature: of matching.
        points: (B, N, d) of the pictures.
        tokens: (classes, M, d) of the texts, without dropout, which would keep equal ones apart.
        mask: (classes, M) bool, which tokens there are.
    """
    return {
        "manifold": float(manifold), "transport": float(moved.loss) if moved else 0.0, "t": float(temperature.t),
        "iterations": float(moved.transport.iterations) if moved else math.nan,
        "error": float(moved.transport.error.max()) if moved else math.nan,
        "dead": float((~live_rows(points)).float().mean()),
        "channel cosine": mean_cosine(points), "token cosine": mean_cosine(tokens, mask),
    }  # fmt: skip


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
