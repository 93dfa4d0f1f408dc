"""Manifold matching: the coarse one of LICO's two losses, between the similarities of a batch's pictures and those of its texts.

With D the Euclidean distances within the batch, of picture features F and of text features G, and a temperature that both share,

    A_ij = exp(-D_ij / tau) / sum_s exp(-D_is / tau),        L_MM = (1/B) sum_i KL(A^G_i || A^F_i):

texts are the target. The diagonal, where D = 0, is kept: then the loss is 0 only where all distances agree. The released code has exp(+D):
far samples get the weight (specs/lico.md, 4.2, item 2).
"""

import torch
from torch.nn.functional import log_softmax, normalize

COINCIDE = 1e-14  # of the squared lengths: a square of a distance below it is rounding
FLOOR = 1e-4  # of squared distances in the released code: distances below 0.01 become 0.01 and have no gradient


def distances(features: torch.Tensor, *, scaled: bool = True, floored: bool = False) -> torch.Tensor:
    """Euclidean distances within a batch, (B, B).

    Args:
        features: (B, d), or (B, points, d), which are flattened. Half precision is computed in single.
        scaled: bring every sample to length one first, so that distances lie in [0, 2] whatever the network's scale.
        floored: as the released code, see `FLOOR`.

    Raises:
        ValueError: if there are fewer than two samples.
        FloatingPointError: if a value is not finite.
    """
    if features.ndim < 2 or len(features) < 2:
        raise ValueError(f"features: found shape {tuple(features.shape)}; expected at least two samples, (B, d) or (B, points, d)")
    if not features.isfinite().all():
        raise FloatingPointError(f"features: found {int((~features.isfinite()).sum())} values that are not finite; expected none")
    flat = features.flatten(1)
    flat = flat.float() if flat.dtype in (torch.float16, torch.bfloat16) else flat
    flat = normalize(flat, dim=1) if scaled else flat
    # |a|^2 + |b|^2 - 2ab takes a third of the time of differences. In single precision it is off by 1e-3 where samples nearly coincide, in
    # double by 1e-8; below 1e-7 they count as one here: a distance of 0, without gradient.
    with torch.autocast(flat.device.type, enabled=False):
        whole = flat.double()
        lengths = whole.square().sum(1)
        both = lengths[:, None] + lengths
        squares = both - 2 * whole @ whole.mT
        same = squares <= COINCIDE * both
        found = squares.masked_fill(same, 1.0).sqrt().masked_fill(same, 0.0).to(flat.dtype)
    return found.square().clamp_min(FLOOR).sqrt() if floored else found


def log_similarities(found: torch.Tensor, scale: torch.Tensor | float, *, sign: float = -1.0) -> torch.Tensor:
    """log A, (B, B), rows of A sum to one: log softmax of sign * scale * D.

    Args:
        found: (B, B) distances.
        scale: what distances are multiplied by, 1 / tau in the paper's notation (see lib/lico/temperature.py).
        sign: -1, near samples are similar; +1 as in the released code.
    """
    return log_softmax(sign * scale * found, dim=1)


def matching_loss(pictures: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """L_MM = mean_i KL(A^G_i || A^F_i), a scalar.

    Args:
        pictures, texts: (B, B) log A^F and log A^G.

    Raises:
        ValueError: if shapes disagree.
    """
    if pictures.shape != texts.shape or pictures.ndim != 2:
        raise ValueError(f"pictures, texts: found shapes {tuple(pictures.shape)} and {tuple(texts.shape)}; expected (B, B) twice")
    return (texts.exp() * (texts - pictures)).sum(1).mean()
