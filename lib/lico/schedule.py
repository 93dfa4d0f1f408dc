"""The learning rate of the paper, cut short of its cosine's end."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def seven_sixteenths_cosine(optimizer: Optimizer, steps: int) -> LambdaLR:
    """eta_k = eta_0 cos(7 pi k / 16 K) for step k of K: it ends at 0.195 eta_0 (Lei et al., as in FixMatch).

    Args:
        optimizer: whose rates are eta_0.
        steps: K, at least 1.
    """
    if steps < 1:
        raise ValueError(f"steps: found {steps}; expected at least 1")
    return LambdaLR(optimizer, lambda step: math.cos(7 * math.pi * min(step, steps) / (16 * steps)))
