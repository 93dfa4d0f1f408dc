"""What the scores cannot see: they know where a unit looks, not what it sees there."""

import pandas as pd
import torch
from torch import nn

from lib.attribution.maps import unit_maps
from lib.attribution.sites import PICTURE
from lib.attribution.strategies import GRADIENT
from lib.keyed_random import generator
from lib.measures.attribution_scores import scale_free_disentanglement
from lib.measures.known_factors import mutual_information_gap

_OBJECT = torch.zeros(8, 8)
_OBJECT[2:6, 2:6] = 1
_LEFT = _OBJECT.clone()
_LEFT[:, 4:] = 0


class ChannelCode(nn.Module):
    """Linear units on pictures of two channels; weights (units, 2, 8, 8)."""

    def __init__(self, weights: torch.Tensor):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, pictures):
        return torch.einsum("uchw,nchw->nu", self.weights.to(pictures), pictures)


def blind_spot(*, count: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Two codes of two factors, how red and how green an object in the middle is, that the scores judge the wrong way round.

    One has a unit for each factor, both of which read the whole object; the other a unit for each half of the object, both of which read
    both factors alike.

    Args:
        count: pictures.
        seed: of the factors, independent and uniform.

    Returns:
        One row a code: code, disentanglement (S_D*, what the score says), MIG (what is known).
    """
    factors = generator(seed, 101).random((count, 2))
    pictures = torch.as_tensor(factors, dtype=torch.float32)[:, :, None, None] * _OBJECT
    nothing = torch.zeros(8, 8)
    codes = {
        "one unit a factor": [[_OBJECT, nothing], [nothing, _OBJECT]],
        "one unit a half of the object": [[_LEFT, _LEFT], [_OBJECT - _LEFT, _OBJECT - _LEFT]],
    }
    rows = []
    for name, weights in codes.items():
        code = ChannelCode(torch.stack([torch.stack(unit) for unit in weights]))
        maps = unit_maps(code, code, pictures[:20], PICTURE, GRADIENT)
        rows.append({
            "code": name, "disentanglement": float(scale_free_disentanglement(maps).mean()),
            "MIG": mutual_information_gap(code(pictures).numpy(), factors),
        })  # fmt: skip
    return pd.DataFrame(rows)
