"""Scores of a representation from where its units look: informativeness and disentanglement, without labels.

Bertolini, Clevert and Montanari, "Explaining, Evaluating and Enhancing Neural Networks' Learned Representations", arXiv 2202.09374. The
formulas printed in the paper are not established; these are those of the authors' code, and each function says which reading is the
default. M_i(x)[p] is the attribution of latent unit i to place p of a layer, A = sum_i M_i (`lib.attribution`).

Everything here is a function of maps and can be differentiated, so that the scores that are reported are the ones that are trained for.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import stats

from lib.attribution.maps import live_units
from lib.attribution.normalisation import finite, normalised
from lib.statistics import Estimate, student_mean


def informativeness(picture: torch.Tensor, noise: torch.Tensor, **normalisation) -> torch.Tensor:
    """How differently a representation looks at a picture and at noise ("noise score").

        S_I = mean_p | N(A(x))[p] - N(A(eta))[p] |,        in [0, 1]

    It is about how the place of attention depends on the input, not about information: a linear encoder, however invertible, scores 0 with
    the gradient. It is not 0 between two noise pictures either: see `attribution_scores` for the excess over that.

    Args:
        picture: (..., height, width) aggregate maps of pictures.
        noise: of noise pictures, of a shape that fits: (n, 1, ...) and (1, k, ...) give (n, k).
        normalisation: as in `normalised`; the default is min-max, with which scores are reported.

    Returns:
        The leading shape of both together.
    """
    return (normalised(picture, **normalisation) - normalised(noise, **normalisation)).abs().mean((-2, -1))


def disentanglement(maps: torch.Tensor, *, rule: str = "raw", unbiased: bool = False) -> torch.Tensor:
    """How differently the units look at each place ("var score").

        S_D = mean_p Var_i(M_i[p])

    Not comparable between representations of another size, scale, or redundancy: it is quadratic in the scale of the code, the best value
    of d units is (d - 1) / d^2, and two groups of copies reach 1/4, more than a perfect split of more than two units.

    Args:
        maps: (n, units, height, width), two units at least.
        rule: "raw" (for reports); "min-max", each unit's map scaled first, as constrained training does; or "over mean", the variance over
            the absolute mean plus 1e-5.
        unbiased: divide by d - 1 (the authors' differentiable path) instead of d (their reports).

    Returns:
        (n,).

    Raises:
        ValueError: for fewer than two units: there is no variance over one.
    """
    if rule not in ("raw", "min-max", "over mean"):
        raise ValueError(f"rule: found {rule!r}; expected 'raw', 'min-max' or 'over mean'")
    maps = _several_units(maps)
    if rule == "min-max":
        maps = normalised(maps)
    variance = maps.var(1, correction=int(unbiased))
    return (variance / (maps.mean(1).abs() + 1e-5) if rule == "over mean" else variance).mean((-2, -1))


def scale_free_disentanglement(maps: torch.Tensor, *, weighting: str = "energy") -> torch.Tensor:
    """How few units look at each place, whatever the scale of the code: 0 if all units are the same, 1 if each place is read by one.

        S_D* = sum_p w_p d / (d - 1) (1 - ||M_p||_1^2 / (d ||M_p||_2^2)),        sum_p w_p = 1

    with M_p the vector of the d units at place p. Per place it is CV^2 / (1 + CV^2) up to its largest value, with CV the coefficient of
    variation over units. Ours (specs/attribution_scores.md, B3).

    Args:
        maps: (n, units, height, width); dead units are to be removed first, d is the number of live ones.
        weighting: "energy", w_p ~ ||M_p||_2^2, or "uniform" over the places that any unit looks at.

    Returns:
        (n,); NaN where no unit looks anywhere.

    Raises:
        ValueError: for fewer than two units.
    """
    return _spread(_several_units(maps).flatten(2).transpose(1, 2), weighting)


def spatial_selectivity(maps: torch.Tensor, *, weighting: str = "energy") -> torch.Tensor:
    """How few places each unit looks at: the transpose of `scale_free_disentanglement`, 1 for units that read one place each.

    Args:
        maps: (n, units, height, width), of two places at least.
        weighting: of units, by "energy" or "uniform" over live ones.

    Returns:
        (n,).
    """
    maps = finite(maps, "maps").flatten(2)
    if maps.ndim != 3 or maps.shape[2] < 2:
        raise ValueError(f"maps: found {tuple(maps.shape)} (pictures, units, places); expected two places at least")
    return _spread(maps, weighting)


def unit_overlap(maps: torch.Tensor) -> torch.Tensor:
    """How much two units look at the same places: O_ij = cos(M_i, M_j), (n, units, units); NaN for units that look nowhere."""
    flat = finite(maps, "maps").flatten(2)
    length = flat.norm(dim=2)
    return flat @ flat.transpose(1, 2) / (length[:, :, None] * length[:, None])


def mean_overlap(maps: torch.Tensor) -> torch.Tensor:
    """Mean of `unit_overlap` over pairs of different units that look anywhere on the picture, (n,): a readable measure of redundancy.

    NaN where fewer than two units do.
    """
    flat = _several_units(maps).flatten(2)
    length = flat.norm(dim=2, keepdim=True)
    directions = torch.where(length > 0, flat / torch.where(length > 0, length, 1), 0)
    count = (length > 0).sum((1, 2))
    # The sum of all products is the squared length of the sum.
    return torch.where(count > 1, (directions.sum(1).square().sum(1) - count) / (count * (count - 1)), float("nan"))


@dataclass(frozen=True)
class AttributionScores:
    """Both scores of a representation at one layer, with what is needed to doubt them."""

    informativeness: Estimate  # mean over pictures and noise references
    floor: Estimate  # the same between noise references
    excess: Estimate  # informativeness - floor
    separation: float  # area under the curve of picture-noise against noise-noise scores: 0.5 by chance
    disentanglement: Estimate  # S_D* of live units
    raw_disentanglement: Estimate
    scaled_disentanglement: Estimate  # of units scaled to their range, as in constrained training
    selectivity: Estimate  # over places
    overlap: Estimate  # mean over pairs of live units
    dead: float  # share of units that look nowhere on any picture
    silent: float  # share of the others that look nowhere on a picture, mean over pictures
    pictures: pd.DataFrame  # one row a picture: every score
    units: pd.DataFrame  # unit, energy (mean square), live
    errors: pd.DataFrame  # standard error of informativeness, floor and excess (rows) that comes from pictures and from references
    settings: dict[str, object]


def attribution_scores(maps, noise_maps, *, percentiles: tuple[float, float] | None = None) -> AttributionScores:
    """Score a representation by the maps of its units on pictures and on noise.

    Units that are live but silent on a picture count as units that do not look there: a code of which few units speak at a time has a high
    S_D*, even if these few are copies of each other. And a score belongs to its smoothing noise: with few samples another draw moves it by
    more than the intervals say, which hold for the draw at hand.

    Intervals are Student's: of disentanglement over pictures; of informativeness over pictures and noise references, whose variances add
    (degrees of freedom of Satterthwaite); the floor's over references, of which every pair shares two.

    Args:
        maps: (n, units, height, width) of pictures, e.g. `lib.attribution.maps.unit_maps`; at least two pictures and one unit.
        noise_maps: (k, units, height, width) of noise pictures, k >= 3, with the same smoothing noise.
        percentiles: as in `normalised`.

    Returns:
        Every score; disentanglement and overlap are NaN with fewer than two live units, and informativeness with a single place.

    Raises:
        ValueError: if shapes disagree, a value is not finite, there are too few pictures or references, or every unit is dead.
    """
    given = {"maps": maps, "noise_maps": noise_maps}
    maps, noise_maps = (finite(torch.as_tensor(one).detach().cpu(), name).double() for name, one in given.items())
    if maps.ndim != 4 or noise_maps.shape[1:] != maps.shape[1:]:
        raise ValueError(f"maps, noise_maps: found {tuple(maps.shape)} and {tuple(noise_maps.shape)}; "
                         "expected (pictures, units, height, width) and (references, ...) of the same units and places")  # fmt: skip
    for name, found, least in (("maps", len(maps), 2), ("noise_maps", len(noise_maps), 3)):
        if found < least:
            raise ValueError(f"{name}: found {found} pictures; expected at least {least}")
    live = live_units(maps)
    if not live.any():
        raise ValueError(f"maps: found {len(live)} units that look nowhere; expected at least one live unit")
    pictures, references = maps.sum(1), noise_maps.sum(1)
    against_noise = informativeness(pictures[:, None], references[None], percentiles=percentiles).numpy()
    among_noise = informativeness(references[:, None], references[None], percentiles=percentiles).numpy()
    if maps[0, 0].numel() == 1:  # scaled to its own range, one place is always the same
        against_noise, among_noise = np.full_like(against_noise, np.nan), np.full_like(among_noise, np.nan)
    nothing = torch.full((len(maps),), float("nan"), dtype=maps.dtype)
    several, alive = int(live.sum()) > 1, maps[:, live]
    rows = pd.DataFrame({
        "informativeness": against_noise.mean(1),
        "disentanglement": scale_free_disentanglement(alive) if several else nothing,
        "raw_disentanglement": disentanglement(alive) if several else nothing,
        "scaled_disentanglement": disentanglement(alive, rule="min-max") if several else nothing,
        "selectivity": spatial_selectivity(alive) if maps[0, 0].numel() > 1 else nothing,
        "overlap": mean_overlap(alive) if several else nothing,
    })  # fmt: skip
    (score, floor, excess), errors = _informativeness(against_noise, among_noise)
    pairs = among_noise[np.triu_indices(len(among_noise), 1)]
    return AttributionScores(
        informativeness=score,
        floor=floor,
        excess=excess,
        separation=float(stats.mannwhitneyu(against_noise, pairs, axis=None).statistic / (against_noise.size * len(pairs))),
        **{name: _over_pictures(rows[name]) for name in rows.columns[1:]},
        dead=float((~live).double().mean()),
        silent=float((alive.abs().amax((2, 3)) == 0).double().mean()),
        pictures=rows,
        units=pd.DataFrame({"unit": np.arange(len(live)), "energy": maps.square().mean((0, 2, 3)), "live": live}),
        errors=errors,
        settings={"pictures": len(maps), "references": len(noise_maps), "units": len(live), "places": tuple(maps.shape[2:]),
                  "percentiles": percentiles},
    )  # fmt: skip


def _informativeness(against_noise, among_noise):
    """Score, floor and excess, each with an interval over pictures and references, from (n, k) and (k, k) comparisons; and their errors."""
    n, k = against_noise.shape
    of_pictures, of_references = against_noise.mean(1), against_noise.mean(0)
    # Every reference is in k - 1 pairs: to first order the floor moves by twice what one reference moves its own mean.
    own = among_noise.sum(1) / (k - 1)
    means = of_pictures.mean(), own.mean()
    over_pictures = of_pictures.var(ddof=1) / n
    over_references = [moved.var(ddof=1) / k for moved in (of_references, 2 * own, of_references - 2 * own)]
    estimates = (
        _combined(means[0], [(over_pictures, n - 1), (over_references[0], k - 1)], n),
        _combined(means[1], [(over_references[1], k - 1)], k),
        _combined(means[0] - means[1], [(over_pictures, n - 1), (over_references[2], k - 1)], n),
    )
    variances = {"pictures": [over_pictures, 0.0, over_pictures], "references": over_references}
    return estimates, np.sqrt(pd.DataFrame(variances, index=["informativeness", "floor", "excess"]))


def _combined(value, variances, count):
    """An estimate whose independent variances, each with its degrees of freedom, add."""
    total = sum(one for one, _ in variances)
    uncertainty = sum(one**2 / freedom for one, freedom in variances)
    reach = stats.t.ppf(0.975, total**2 / uncertainty) * np.sqrt(total) if uncertainty else 0.0
    return Estimate(float(value), float(value - reach), float(value + reach), count)


def _over_pictures(values):
    known = values[np.isfinite(values)]
    return student_mean(known) if len(known) else Estimate(float("nan"), float("nan"), float("nan"), 0)


def _spread(vectors, weighting):
    """Mean over vectors (n, vectors, d) of d/(d-1) (1 - ||v||_1^2 / (d ||v||_2^2)), weighted by ||v||_2^2 or alike."""
    if weighting not in ("energy", "uniform"):
        raise ValueError(f"weighting: found {weighting!r}; expected 'energy' or 'uniform'")
    d = vectors.shape[2]
    energy, size = vectors.square().sum(2), vectors.abs().sum(2).square()
    if weighting == "energy":
        # The weights cancel the division, so that places where nobody looks need no care.
        return d / (d - 1) * (1 - size.sum(1) / (d * energy.sum(1)))
    seen = energy > 0
    each = d / (d - 1) * (1 - size / (d * torch.where(seen, energy, 1)))
    return torch.where(seen, each, 0).sum(1) / seen.sum(1)


def _several_units(maps):
    maps = finite(maps, "maps")
    if maps.ndim != 4 or maps.shape[1] < 2:
        raise ValueError(f"maps: found shape {tuple(maps.shape)}; expected (n, units, height, width) of at least two units: "
                         "over one unit there is no variance")  # fmt: skip
    return maps
