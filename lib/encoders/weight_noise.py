"""Networks made worse in a controlled way: noise on their weights, so that one design covers the whole range from trained to useless."""

from dataclasses import replace

import torch

from lib.encoders.encoder import Encoder
from lib.encoders.weights import weights_sha256
from lib.keyed_random import generator


def add_weight_noise(encoder: Encoder, level: float, *, seed: int = 0) -> Encoder:
    """Add Gaussian noise to every parameter of two or more dimensions, with a standard deviation of `level` times that of its own values.

    These are the weights of convolutions and linear maps, and of a transformer its tokens and positions. The encoder's module is changed in
    place. Batch norms and biases stay as they are: noise on running variances could make them negative.

    Args:
        encoder: freshly loaded.
        level: 0 leaves it as it is; at 1 noise is as large as the weights.
        seed: of the noise, which also depends on the number of the tensor.

    Raises:
        ValueError: if the level is negative or not finite.
    """
    if not 0 <= level < float("inf"):
        raise ValueError(f"level: found {level}; expected a number from 0")
    with torch.no_grad():
        for number, (_, weight) in enumerate(encoder.module.named_parameters()):
            if weight.ndim > 1:
                noise = generator(seed, 81, number).standard_normal(tuple(weight.shape), dtype="float32")
                weight += level * weight.std(correction=0) * torch.from_numpy(noise).to(weight.device)
    return replace(
        encoder, name=f"{encoder.name}+noise={level:g}", identity=encoder.identity | {"weights": weights_sha256(encoder.module)}
    )  # fmt: skip
