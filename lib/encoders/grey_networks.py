"""The two small networks of the attribution paper's code, on grey pictures of 28 x 28: the auto-encoder and the constrained encoder.

The code lets batch norm use the statistics of the batch at hand also when a network is evaluated, so that a picture alone is normalised by
itself. That is `batch_statistics=True`; the default keeps running statistics, and a picture's code does not depend on its neighbours.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lib import datasets, store, training
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.encoders.weights import weights_sha256
from lib.keyed_random import keys

SIDE = 28
BATCH_SIZE = 64
LEARNING_RATE = 4e-3  # peak of a one-cycle schedule, where the code has a constant 1e-3


def grey_pictures(data: str, *, split: str = "test", count: int | None = None, seed: int = 0) -> Pictures:
    """Digits as the networks see them, 28 x 28 grey.

    Args:
        data: "digits", whose 8 x 8 pixels are enlarged bilinearly, or "mnist".
        split, count, seed: as in `lib.datasets.load`.

    Raises:
        ValueError: if the data are others.
    """
    if data not in ("digits", "mnist"):
        raise ValueError(f"data: found {data!r}; expected 'digits' or 'mnist'")
    pictures = datasets.load(data, split=split, count=count, seed=seed)
    scale = pictures.identity.get("scale", 1)  # every pixel of digits is repeated
    pixels = torch.from_numpy(np.concatenate([batch[:, ::scale, ::scale, 0] for _, batch in pictures.batches(512)]))[:, None]
    if pixels.shape[2:] != (SIDE, SIDE):
        enlarged = functional.interpolate(pixels.float(), size=(SIDE, SIDE), mode="bilinear")
        pixels = enlarged.round().to(torch.uint8)
    shown = pixels.movedim(1, 3).expand(-1, -1, -1, 3).numpy()
    return replace(pictures, read=lambda indices: shown[indices], identity=pictures.identity | {"side": SIDE})


def grey(pictures) -> torch.Tensor:
    """uint8 pictures (n, 28, 28, 3), an array or a tensor -> float (n, 1, 28, 28) in [0, 1]."""
    pictures = pictures if isinstance(pictures, torch.Tensor) else torch.from_numpy(np.asarray(pictures))
    if pictures.ndim != 4 or pictures.shape[1:3] != (SIDE, SIDE):
        raise ValueError(f"pictures: found shape {tuple(pictures.shape)}; expected (n, {SIDE}, {SIDE}, 3), see grey_pictures")
    return pictures.float().mean(3)[:, None] / 255


def _block(before: int, after: int, size: int, batch_statistics: bool, activation: nn.Module, *, bias: bool) -> nn.Sequential:
    """Convolution, batch norm without learned scale, activation and 2 x 2 maximum; pooling first is the same for what is monotone."""
    norm = nn.BatchNorm2d(after, eps=1e-4, affine=False, track_running_stats=not batch_statistics)
    return nn.Sequential(nn.Conv2d(before, after, size, padding=2, bias=bias), norm, nn.MaxPool2d(2), activation)


class GreyAutoEncoder(nn.Module):
    """28 x 28 -> 32 numbers (2 maps of 4 x 4) -> 28 x 28, mean squared error (setting B of specs/attribution_scores.md)."""

    def __init__(self, *, batch_statistics: bool = False):
        super().__init__()
        self.conv1 = _block(1, 8, 5, batch_statistics, nn.ReLU(), bias=False)
        self.conv2 = _block(8, 4, 5, batch_statistics, nn.ReLU(), bias=False)
        self.conv3 = nn.Sequential(nn.Conv2d(4, 2, 3, padding=2, bias=False), nn.ReLU(), nn.MaxPool2d(2))

        def enlarge(before, after, padding):
            return nn.Sequential(nn.Upsample(scale_factor=2), nn.ConvTranspose2d(before, after, 5, padding=padding))

        def norm(channels):
            return nn.BatchNorm2d(channels, eps=1e-4, affine=False, track_running_stats=not batch_statistics)

        self.decoder = nn.Sequential(
            enlarge(2, 4, 2), norm(4), nn.ReLU(), enlarge(4, 8, 3), norm(8), nn.ReLU(), enlarge(8, 1, 2), nn.Sigmoid()
        )

    def embed(self, x):
        return self.conv3(self.conv2(self.conv1(x))).flatten(1)

    def forward(self, x):
        return self.decoder(self.embed(x).unflatten(1, (2, 4, 4)))

    def loss(self, pixels, rows, generator):
        x = grey(pixels)
        return functional.mse_loss(self(x), x)


class ConstrainedEncoder(nn.Module):
    """28 x 28 -> d numbers, with a linear classifier and a decoder of two linear layers (setting C of specs/attribution_scores.md).

    Softplus, because a ReLU has no second derivative for a score of gradients to be trained by.
    """

    def __init__(self, latent: int, *, classes: int = 10):
        super().__init__()
        # What the scores look at is between the two: the input of the second convolution, 8 maps of 14 x 14.
        self.below = _block(1, 8, 5, True, nn.Softplus(), bias=True)
        self.above = nn.Sequential(
            _block(8, 4, 5, True, nn.Softplus(), bias=True), nn.Flatten(), nn.Linear(4 * 7 * 7, latent, bias=False)
        )
        self.classifier = nn.Linear(latent, classes)
        self.decoder = nn.Sequential(nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, SIDE * SIDE))

    def embed(self, x):
        return self.above(self.below(x))

    def forward(self, x):
        """Code, logits and reconstruction (n, 784)."""
        code = self.embed(x)
        return code, self.classifier(code), self.decoder(code)


def built(network: type[nn.Module], seed: int, **settings) -> nn.Module:
    """A network whose initial weights belong to the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(keys(seed, 0) >> np.uint64(1)))
        return network(**settings)


def autoencoder(data: str, *, seed: int = 0, presentations: int = 25_000, batch_statistics: bool = False) -> Encoder:
    """The auto-encoder trained on the digits of a data set; kept in the cache.

    Args:
        data: "digits" or "mnist".
        seed: of initial weights and order.
        presentations: pictures shown in training; 0 gives the untrained network.
        batch_statistics: as in the authors' code, see above.
    """
    pictures = _training_pictures(data)
    module = built(GreyAutoEncoder, seed, batch_statistics=batch_statistics)
    if presentations:

        def make():
            pixels = pictures.read(np.arange(len(pictures)))
            trained = training.train(module, pixels, presentations=presentations, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
                                     weight_decay=0.0, seed=seed, name=f"training the auto-encoder, seed {seed}")  # fmt: skip
            return trained[max(trained)]

        inputs = {"pictures": pictures.identity, "seed": seed, "presentations": presentations, "batch statistics": batch_statistics}
        module.load_state_dict(store.fetch("encoders/grey-autoencoder", inputs, make, code=[GreyAutoEncoder]))
    module.eval().requires_grad_(False)
    return Encoder(
        name=f"auto-encoder on {data}, seed {seed}" + ("" if presentations else ", untrained"),
        module=module,
        preprocess=grey,
        embed=module.embed,
        classify=None,
        identity={"encoder": "grey-autoencoder", "weights": weights_sha256(module), "batch statistics": batch_statistics},
    )


@lru_cache(maxsize=2)
def _training_pictures(data: str) -> Pictures:
    return grey_pictures(data, split="train")
