"""From attributions to maps of places: one map for each unit, one for the whole representation, one for a task on top of it."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from lib.attribution.attributions import activations, attributions_at, latent_size
from lib.attribution.normalisation import normalised
from lib.attribution.sites import PICTURE, Site
from lib.attribution.strategies import GRADIENT, Strategy

CHANNEL_RULES = ("absolute", "square root", "signed", "variance")
AGGREGATIONS = ("sum", "sum of absolute", "variance", "relative variance")
DEAD = 1e-8  # of the largest attribution of all units


def unit_maps(
    module: nn.Module, latent: Callable, batch: torch.Tensor, site: Site = PICTURE, strategy: Strategy = GRADIENT, **settings
) -> torch.Tensor:
    """`unit_maps_at` one site."""
    return unit_maps_at(module, latent, batch, [site], strategy, **settings)[0]


def unit_maps_at(
    module: nn.Module,
    latent: Callable[[torch.Tensor], torch.Tensor],
    batch: torch.Tensor,
    sites: Sequence[Site],
    strategy: Strategy = GRADIENT,
    *,
    channels: str = "absolute",
    **settings,
) -> list[torch.Tensor]:
    """One map of places for every picture and unit, M_i(x), at several sites in one go.

    Args:
        module, latent, batch, sites, strategy: as in `attributions_at`.
        channels: how channels become one number a place, as in `over_channels`.
        settings: further keyword arguments of `attributions_at`.

    Returns:
        One (n, units, height, width) a site, with height 1 for tokens and for layers without places.

    Raises:
        ValueError: as `attributions_at`, or if the rule is not known.
    """
    _known("channels", channels, CHANNEL_RULES)
    units = settings.get("units")
    count = latent_size(module, latent, batch) if units is None else len(units)
    maps = [None] * len(sites)
    for number, pictures, chosen, values in attributions_at(module, latent, batch, sites, strategy, **settings):
        part = over_channels(values, channels)
        if maps[number] is None:
            maps[number] = part.new_full((len(batch), count, *part.shape[2:]), float("nan"))
        maps[number][pictures, chosen] = part
    return maps


def activation_maps(
    module: nn.Module, latent: Callable, batch: torch.Tensor, site: Site = PICTURE, strategy: Strategy = GRADIENT, *, seed: int = 0
) -> torch.Tensor:
    """The baseline without a gradient: sum over channels of |a|, (n, 1, height, width), the same for all units."""
    return over_channels(activations(module, latent, batch, site, strategy, seed=seed)[:, None], "absolute")


def over_channels(attributions: torch.Tensor, rule: str = "absolute") -> torch.Tensor:
    """One number a place.

    Args:
        attributions: (n, units, channels, height, width).
        rule: "absolute", sum_c |Phi_c| (final code of the authors, and the reading taken for the paper); "square root", sum_c
            sqrt(|Phi_c|) (earlier code, and its chain rule); "signed", sum_c Phi_c (constrained training); "variance" over channels.

    Returns:
        (n, units, height, width).
    """
    _known("rule", rule, CHANNEL_RULES)
    if attributions.ndim != 5:
        raise ValueError(f"attributions: found shape {tuple(attributions.shape)}; expected (n, units, channels, height, width)")
    if rule == "absolute":
        return attributions.abs().sum(2)
    if rule == "square root":
        return attributions.abs().sqrt().sum(2)
    return attributions.sum(2) if rule == "signed" else attributions.var(2, correction=0)


def aggregate(maps: torch.Tensor, rule: str = "sum", *, normalise: bool = False, binary: bool = False) -> torch.Tensor:
    """One map for the whole representation.

        A[h, w] = sum_i M_i[h, w]

    With maps of absolute values it is the L1 size of the Jacobian's columns, summed over channels.

    Args:
        maps: (n, units, height, width).
        rule: "sum" (the reading taken for the paper), "sum of absolute", "variance" over units (drift experiment of the authors), or
            "relative variance", the variance over the mean's absolute value.
        normalise: first scale each unit's map to [0, 1]; maps without a positive value are left as they are, as in the code.
        binary: with normalise: 1 where a map is above 0.5, else 0.

    Returns:
        (n, height, width).
    """
    _known("rule", rule, AGGREGATIONS)
    if maps.ndim != 4:
        raise ValueError(f"maps: found shape {tuple(maps.shape)}; expected (n, units, height, width)")
    if binary and not normalise:
        raise ValueError("binary: found True without normalise; expected both")
    if normalise:
        scaled = normalised(maps)
        maps = torch.where(maps.amax((2, 3), keepdim=True) > 0, (scaled > 0.5).to(maps) if binary else scaled, maps)
    if rule == "sum":
        return maps.sum(1)
    if rule == "sum of absolute":
        return maps.abs().sum(1)
    variance = maps.var(1, correction=0)
    return variance if rule == "variance" else variance / maps.mean(1).abs().clamp(min=torch.finfo(maps.dtype).tiny)


def task_maps(maps: torch.Tensor, weights: torch.Tensor, *, rule: str = "sum") -> torch.Tensor:
    """Where a task looks: the attribution of its outputs to the units, composed with that of the units to places.

        T_k[h, w] = sum_i phi_ki M_i[h, w]

    The second factor, the expensive one, serves every task on the same representation.

    Args:
        maps: (n, units, height, width).
        weights: phi, (n, outputs, units), e.g. `attributions` of the head to the code, or V_ki z_i of a linear head.
        rule: "sum", "sum of absolute" with |phi_ki|, or "variance" over units of phi_ki M_i.

    Returns:
        (n, outputs, height, width).
    """
    _known("rule", rule, AGGREGATIONS[:3])
    if weights.ndim != 3 or weights.shape[::2] != maps.shape[:2]:
        raise ValueError(f"weights: found shape {tuple(weights.shape)}; expected ({maps.shape[0]}, outputs, {maps.shape[1]})")
    if rule == "variance":
        # One output after the other, as the products of all are large, and their squares less the squared mean would cancel.
        return torch.stack([(one[:, :, None, None] * maps).var(1, correction=0) for one in weights.unbind(1)], 1)
    return torch.einsum("nku,nuhw->nkhw", weights.abs() if rule == "sum of absolute" else weights, maps)


def live_units(maps: torch.Tensor, *, threshold: float = DEAD) -> torch.Tensor:
    """Which units look anywhere at all, (units,) bool: those with a value above `threshold` times the largest of all units and pictures.

    Relative, so that the scale of the code does not matter; the spec's absolute 1e-8 would.
    """
    largest = maps.abs().amax((0, 2, 3))
    return largest > threshold * largest.max()


def _known(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name}: found {value!r}; expected one of {', '.join(allowed)}")
