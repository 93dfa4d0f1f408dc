"""Encoders of `scenes` that notebook 02 needs beside the `local:` ones: taught labels that mean nothing, and variational auto-encoders."""

import hashlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lib import objectives, store, training
from lib.datasets.pictures import Pictures
from lib.encoders import local, networks
from lib.encoders.encoder import Encoder
from lib.encoders.networks import Decoder, normalised
from lib.encoders.recipe import BATCH_SIZE, LEARNING_RATE, PRESENTATIONS, Recipe
from lib.keyed_random import generator, keys

DIMENSIONS = 10  # of a variational code


class VariationalReconstruction(nn.Module):
    """A variational auto-encoder (Kingma and Welling, ICLR 2014) with a weight on its prior (beta-VAE: Higgins et al., ICLR 2017).

        loss = mean over pictures of [sum of squared errors / 2 + beta KL(q(z | x) || N(0, I))] / numbers of a picture

    The code is the mean of q.
    """

    def __init__(self, trunk: nn.Module, side: int, *, beta: float, dims: int = DIMENSIONS):
        super().__init__()
        self.trunk, self.beta, self.dims = trunk, beta, dims
        self.bottleneck = nn.Linear(16 * trunk.dims, 2 * dims)
        self.decoder = Decoder(dims, side)

    def embed(self, x):
        return self.bottleneck(self.trunk.maps(x).flatten(1))[:, : self.dims]

    def forward(self, x):
        return self.decoder(self.embed(x))

    def loss(self, pixels, rows, generator):
        x = normalised(pixels)
        mean, log_variance = self.bottleneck(self.trunk.maps(x).flatten(1)).chunk(2, 1)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        drawn = self.decoder(mean + torch.exp(log_variance / 2) * noise)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return functional.mse_loss(drawn, x) / 2 + self.beta * divergence.mean() / x[0].numel()


def permuted_labels(*, seed: int = 0, presentations: int = PRESENTATIONS["supervised"]) -> Encoder:
    """A classifier taught the classes of other pictures: it can only learn pictures by heart.

    Args:
        seed: of initial weights, order and permutation.
        presentations: pictures shown in training.
    """

    def objective(trunk, pictures):
        labels = generator(seed, 102).permutation(pictures.labels)
        return objectives.Classification(trunk, labels, len(pictures.class_names))

    return _taught("permuted labels", objective, {}, seed, presentations, classifies=True)


def variational(beta: float, *, seed: int = 0, presentations: int = PRESENTATIONS["autoencoder"]) -> Encoder:
    """A variational auto-encoder.

    Args:
        beta: weight of the prior, above 0.
        seed: of initial weights, order and noise.
        presentations: pictures shown in training.
    """
    if not 0 < beta < float("inf"):
        raise ValueError(f"beta: found {beta}; expected a number above 0")

    def objective(trunk, pictures):
        return VariationalReconstruction(trunk, local.recipe_named("local:random").side, beta=beta)

    return _taught(f"variational, beta {beta:g}", objective, {"beta": beta}, seed, presentations, classifies=False)


def _taught(name, make_objective, settings, seed, presentations, *, classifies) -> Encoder:
    """Train on the pictures of `local:` encoders with their network and schedule; kept in the cache."""
    if presentations < BATCH_SIZE:
        raise ValueError(f"presentations: found {presentations}; expected at least one batch of {BATCH_SIZE}")
    pictures: Pictures = local.training_pictures(Recipe("supervised", seed=seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(keys(seed, 0) >> np.uint64(1)))
        objective = make_objective(networks.trunk("resnet", 16, 64), pictures)

    def make():
        pixels = np.concatenate([batch for _, batch in pictures.batches(512)])
        states = training.train(objective, pixels, presentations=presentations, batch_size=BATCH_SIZE, seed=seed,
                                learning_rate=LEARNING_RATE["resnet"], name=f"training {name}, seed {seed}")  # fmt: skip
        return states[max(states)]

    inputs = {"name": name, "pictures": pictures.identity, "seed": seed, "presentations": presentations, **settings}
    objective.load_state_dict(store.fetch("encoders/controls", inputs, make, code=[VariationalReconstruction]))
    objective.eval().requires_grad_(False)
    state = objective.state_dict()
    return Encoder(
        name=f"{name}, seed {seed}",
        module=objective,
        preprocess=lambda pixels: normalised(np.asarray(pixels)),
        embed=objective.embed,
        classify=objective if classifies else None,
        identity={"encoder": name, "weights": hashlib.sha256(b"".join(state[key].numpy().tobytes() for key in sorted(state))).hexdigest()},
    )
