"""Scaling a map to its own range."""

import torch

FLAT = 1e-6  # a map whose range is below this share of its largest value is taken as constant: its structure is rounding
NORMALISATIONS = ("min-max", "maximum", "none")


def normalised(maps: torch.Tensor, rule: str = "min-max", *, percentiles: tuple[float, float] | None = None) -> torch.Tensor:
    """Scale each map to its own range.

        N(B) = (B - min B) / (max B - min B)

    Args:
        maps: (..., height, width), finite.
        rule: "min-max" (for reports); "maximum", B / max B, which the authors' differentiable path takes; or "none".
        percentiles: (low, high) in percent that stand for minimum and maximum of "min-max", with what is beyond cut: one pixel no longer
            sets the scale.

    Returns:
        The same shape. A map that is constant up to rounding becomes 0 with "min-max"; one without a positive value stays with "maximum".

    Raises:
        ValueError: if a value is not finite, or a setting is not known or does not fit the rule.
    """
    maps = finite(maps, "maps")
    if rule not in NORMALISATIONS:
        raise ValueError(f"rule: found {rule!r}; expected one of {', '.join(NORMALISATIONS)}")
    if percentiles is not None and (rule != "min-max" or not 0 <= percentiles[0] < percentiles[1] <= 100):
        raise ValueError(f"percentiles: found {percentiles} with the rule {rule!r}; expected 0 <= low < high <= 100 with 'min-max'")
    if rule == "none":
        return maps
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    if rule == "maximum":
        return torch.where(high > 0, maps / torch.where(high > 0, high, 1), maps)
    # Judged by the whole range: a few bright pixels are structure, even where percentiles cut them.
    flat = high - low < FLAT * maps.abs().amax((-2, -1), keepdim=True)
    if percentiles is not None:
        shares = torch.tensor(percentiles, dtype=maps.dtype, device=maps.device) / 100
        low, high = torch.quantile(maps.flatten(-2), shares, dim=-1)[..., None, None]
        maps = maps.clamp(low, high)
    flat = flat | (high <= low)
    return torch.where(flat, 0, (maps - low) / torch.where(flat, 1, high - low))


def finite(maps: torch.Tensor, name: str) -> torch.Tensor:
    """The maps as they are.

    Raises:
        ValueError: if a value is not finite.
    """
    if not torch.isfinite(maps).all():
        raise ValueError(f"{name}: found {int((~torch.isfinite(maps)).sum())} values that are not finite; expected none")
    return maps
