"""The temperature that both sides of manifold matching share, in the two conventions that go by one name.

| convention | distances are multiplied by | starts at | used by |
|---|---|---|---|
| `divisor` | 1 / t | t = log(1 / 0.07) = 2.659, so 0.376 | the paper's notation, the released code and the first study |
| `log scale` | exp(t) | t = log(1 / 0.07), so 14.29 | CLIP and the second study |

The same starting number means rows that are almost uniform in one and almost one-hot in the other (specs/lico.md, 5.1).
"""

import math

import torch
from torch import nn

DIVISOR, LOG_SCALE = "divisor", "log scale"
INITIAL = math.log(1 / 0.07)
RANGES = {DIVISOR: (0.01, 100.0), LOG_SCALE: (0.0, math.log(100))}  # of t; the second is CLIP's


class Temperature(nn.Module):
    """A temperature that may be learned.

    Args:
        convention: "divisor" or "log scale".
        initial: t at first.
        learnable: whether it is a parameter.

    Raises:
        ValueError: if the convention is unknown or t out of its range.
    """

    def __init__(self, convention: str = DIVISOR, initial: float = INITIAL, *, learnable: bool = True):
        super().__init__()
        if convention not in RANGES:
            raise ValueError(f"convention: found {convention!r}; expected one of {', '.join(RANGES)}")
        low, high = RANGES[convention]
        if not low <= initial <= high:
            raise ValueError(f"initial: found {initial}; expected {low:g} to {high:g} for {convention!r}")
        self.convention = convention
        self.t = nn.Parameter(torch.tensor(float(initial)), requires_grad=learnable)

    @property
    def scale(self) -> torch.Tensor:
        """What distances are multiplied by."""
        return 1 / self.t if self.convention == DIVISOR else self.t.exp()

    @torch.no_grad()
    def hold(self) -> None:
        """Bring t back into its range; called after a step, so that the gradient at the edge can still turn it back."""
        self.t.clamp_(*RANGES[self.convention])
