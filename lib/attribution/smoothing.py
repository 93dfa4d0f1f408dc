"""The random numbers of an attribution: one draw for all units, all pictures and their references, and all networks that are compared.

With a draw of its own for each unit, units that are the same look different: four copies of one unit get a disentanglement score about as
high as four different units (n = 1). With draws of their own, two networks differ by chance before they differ in what they look at.
"""

import numpy as np
import torch

from lib.keyed_random import generator


def draws(shape: tuple[int, ...], samples: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw t ~ U(0, 1) and e ~ N(0, 1).

    Args:
        shape: of one input, e.g. (3, 64, 64).
        samples: n; more samples begin with the same ones.
        seed: of the draw.

    Returns:
        t (samples, 1, ...) with one axis for each of the shape, and e (samples, *shape), float32.
    """
    made = [generator(seed, 91, number) for number in range(samples)]
    t = torch.tensor([one.random() for one in made], dtype=torch.float32).view(-1, *(1 for _ in shape))
    e = torch.from_numpy(np.stack([one.standard_normal(shape, dtype=np.float32) for one in made]))
    return t, e
