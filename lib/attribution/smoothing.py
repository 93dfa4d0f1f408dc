"""The random numbers of an attribution: one draw for all units, all pictures and their references, and all networks that are compared.

With a draw of its own for each unit, units that are the same look different: four copies of one unit get a disentanglement score about as
high as four different units (n = 1). With draws of their own, two networks differ by chance before they differ in what they look at.
"""

import numpy as np
import torch

from lib.keyed_random import generator


def draws(
    shape: tuple[int, ...], samples: int, *, seed: int = 0, noise_seed: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Draw t ~ U(0, 1) and e ~ N(0, 1).

    Args:
        shape: of one input, e.g. (3, 64, 64).
        samples: n; more samples begin with the same ones.
        seed: of the draw.
        noise_seed: of e, where it differs from that of t (the authors draw e anew for every unit, but not t).

    Returns:
        t (samples, 1, ...) with one axis for each of the shape, and e (samples, *shape), float32.
    """
    def drawn(seed):
        """t first, e after it."""
        made = [generator(seed, 91, number) for number in range(samples)]
        return [one.random() for one in made], np.stack([one.standard_normal(shape, dtype=np.float32) for one in made])

    t, e = drawn(seed)
    e = e if noise_seed is None else drawn(noise_seed)[1]
    return torch.tensor(t, dtype=torch.float32).view(-1, *(1 for _ in shape)), torch.from_numpy(e)
