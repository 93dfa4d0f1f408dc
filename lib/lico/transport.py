"""Optimal transport between the feature maps of a picture and the tokens of its class: the fine one of LICO's two losses.

A picture is a set of N points (its channels, each a flattened map of d' places, or its places) and a class a set of M points (the tokens of
its prompt, brought to d' dimensions by the mapping net), each with uniform mass. With rows scaled to length one,

    C_nm = |F_n - G_m|^2 = 2 - 2 cos(F_n, G_m),        L_OT = mean_i <P_i, C_i>,

where P_i is the plan of entropic transport (Cuturi, NeurIPS 2013) by Sinkhorn's algorithm in the log domain. The plan is taken as constant
and the cost differentiated: by the envelope theorem that is the exact gradient of the entropic value <P, C> + eps KL(P || mu x nu), not of
<P, C>. In the released code both are computed without gradient, so that its loss moves nothing (specs/lico.md, 4.2, item 1).
"""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

LEAST_LENGTH = 1e-8  # of a row; shorter ones are dead: scaled to length one they would be noise


@dataclass(frozen=True)
class Transport:
    """A batch of transport plans.

    Args:
        plan: (B, N, M), without gradient; rows and columns of masked points are 0.
        iterations: of Sinkhorn's algorithm, the same for the whole batch.
        error: (B,) mass by which the plan's row sums miss the source; its column sums are exact.
    """

    plan: torch.Tensor
    iterations: int
    error: torch.Tensor


def live_rows(points: torch.Tensor) -> torch.Tensor:
    """(..., N, d) -> (..., N) bool: is a row longer than nothing? A channel that is silent in a picture is not.

    Behind a leaky ReLU, as in the paper's wide networks, hardly any channel is silent.
    """
    return points.detach().norm(dim=-1) > LEAST_LENGTH


def cosine_cost(maps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(B, N, d) and (B, M, d) -> (B, N, M) squared distances between rows of length one, 2 - 2 cos, in [0, 4].

    A row without length stays where it is and costs 1. As one product, so that nothing of B x N x M x d is ever held.
    """
    squares = live_rows(maps).to(maps.dtype)[:, :, None] + live_rows(tokens).to(maps.dtype)[:, None]
    return squares - 2 * normalize(maps, dim=-1, eps=LEAST_LENGTH) @ normalize(tokens, dim=-1, eps=LEAST_LENGTH).mT


@torch.no_grad()
def sinkhorn(
    cost: torch.Tensor, *, source: torch.Tensor | None = None, target: torch.Tensor | None = None, regularisation: float = 0.1,
    iterations: int = 100, tolerance: float = 1e-4,
) -> Transport:  # fmt: skip
    """Entropic transport plans between uniform measures, all problems of a batch at a time.

    With potentials u and v, starting at 0,

        u_n <- eps (log mu_n - logsumexp_m (v_m - C_nm) / eps),    v_m <- eps (log nu_m - logsumexp_n (u_n - C_nm) / eps),

    until the row sums of every plan of the batch are right; P_nm = exp((u_n + v_m - C_nm) / eps).

    Args:
        cost: (B, N, M), finite; half precision is computed in single.
        source, target: (B, N) and (B, M) bool, the points that have mass, shared out evenly; all of them by default.
        regularisation: eps, above 0, in units of the cost.
        iterations: at most so many.
        tolerance: on the mass that row sums miss, of 1 in all; the released code sums changes of the potentials over all points, a rule
            that never stops in single precision when N is large (specs/lico.md, 5.7).

    Raises:
        ValueError: if shapes disagree, a problem has no point with mass, or a setting is out of range.
        FloatingPointError: if the cost is not finite.
    """
    if cost.ndim != 3 or not cost.numel():
        raise ValueError(f"cost: found shape {tuple(cost.shape)}; expected (problems, source points, target points), at least one of each")
    if not cost.isfinite().all():
        raise FloatingPointError(f"cost: found {int((~cost.isfinite()).sum())} values that are not finite; expected none")
    for name, value, fine in (
        ("regularisation", regularisation, 0 < regularisation < math.inf),
        ("iterations", iterations, iterations >= 1), ("tolerance", tolerance, tolerance >= 0),
    ):  # fmt: skip
        if not fine:
            raise ValueError(f"{name}: found {value}; expected a number above 0")
    cost = cost.float() if cost.dtype in (torch.float16, torch.bfloat16) else cost
    log_source = _log_mass("source", source, cost, cost.shape[:2])
    log_target = _log_mass("target", target, cost, (cost.shape[0], cost.shape[2]))
    # Everything in units of eps, and with the mass of a point in its potential: points without any then drop out by themselves.
    kernel = -cost / regularisation
    mass, rows = log_source.exp(), torch.zeros_like(log_source)
    columns = torch.zeros_like(log_target).where(log_target.isfinite(), log_target)
    for step in range(1, iterations + 1):
        updated = log_source - torch.logsumexp(kernel + columns[:, None], 2)
        if step > 1:  # a plan's row sums are known from how far the next update would move them
            error = (mass * torch.expm1((rows - updated).where(mass > 0, 0)).abs()).sum(1)
            if error.max() <= tolerance:
                return Transport((kernel + rows[:, :, None] + columns[:, None]).exp(), step - 1, error)
        rows = updated
        columns = log_target - torch.logsumexp(kernel + rows[:, :, None], 1)
    plan = (kernel + rows[:, :, None] + columns[:, None]).exp()
    return Transport(plan, iterations, (plan.sum(2) - mass).abs().sum(1))


def entropic_value(cost: torch.Tensor, transport: Transport, *, regularisation: float = 0.1) -> torch.Tensor:
    """(B,) value of entropic transport, <P, C> + eps KL(P || mu x nu), with mu and nu the sums of the plan."""
    plan = transport.plan
    independent = plan.sum(2, keepdim=True) * plan.sum(1, keepdim=True)
    relative = torch.special.xlogy(plan, plan) - torch.special.xlogy(plan, independent)
    return (plan * cost + regularisation * relative).sum((1, 2))


@dataclass(frozen=True)
class TransportLoss:
    """The loss and what tells whether it can be trusted.

    Args:
        loss: scalar with gradient, mean over pictures of <P, C>.
        transport: the plans behind it.
        dead: share of rows of the maps without length, which take no part where `mask_dead` is set.
    """

    loss: torch.Tensor
    transport: Transport
    dead: float


def transport_loss(
    maps: torch.Tensor, tokens: torch.Tensor, token_mask: torch.Tensor | None = None, *, regularisation: float = 0.1,
    iterations: int = 100, tolerance: float = 1e-4, mask_dead: bool = True, gradient: bool = True,
) -> TransportLoss:  # fmt: skip
    """L_OT of a batch, equation and choices above.

    Args:
        maps: (B, N, d') points of each picture.
        tokens: (B, M, d') points of its class.
        token_mask: (B, M) bool, which tokens there are; the others are padding.
        regularisation, iterations, tolerance: of `sinkhorn`.
        mask_dead: leave out rows of the maps that are zero. Kept, such a row costs 1 whatever the tokens, less than a live one with a
            cosine below 0.5: the loss then rewards dead channels. A picture with no live row counts 0.
        gradient: False takes the cost without gradient too, as the released code does.

    Raises:
        ValueError: if shapes disagree.
        FloatingPointError: if a value is not finite.
    """
    if maps.ndim != 3 or tokens.ndim != 3 or len(maps) != len(tokens) or maps.shape[2] != tokens.shape[2]:
        raise ValueError(f"maps, tokens: found shapes {tuple(maps.shape)} and {tuple(tokens.shape)}; expected (B, N, d) and (B, M, d)")
    wide = torch.float32 if maps.dtype in (torch.float16, torch.bfloat16) else maps.dtype
    live = live_rows(maps)
    seen = live if mask_dead else torch.ones_like(live)
    nothing = ~seen.any(1)
    with torch.autocast(maps.device.type, enabled=False):  # mixed precision would take the product in half again
        cost = cosine_cost(maps.to(wide), tokens.to(wide))
        transport = sinkhorn(
            cost.detach(), source=seen | nothing[:, None], target=token_mask, regularisation=regularisation, iterations=iterations,
            tolerance=tolerance,
        )  # fmt: skip
    each = (transport.plan * (cost if gradient else cost.detach())).sum((1, 2)).masked_fill(nothing, 0)
    return TransportLoss(each.mean(), transport, float((~live).float().mean()))


def _log_mass(name, mask, cost, shape):
    if mask is None:
        mask = torch.ones(shape, dtype=torch.bool, device=cost.device)
    if mask.shape != torch.Size(shape) or mask.dtype != torch.bool:
        raise ValueError(f"{name}: found {mask.dtype} of shape {tuple(mask.shape)}; expected bool of shape {tuple(shape)}")
    counts = mask.sum(1, keepdim=True)
    if not counts.all():
        raise ValueError(f"{name}: found {int((counts == 0).sum())} problems without a point; expected at least one in each")
    return (mask.to(cost.dtype) / counts).log()
