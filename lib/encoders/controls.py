"""Encoders of `scenes` for notebook 02, beside the `local:` ones: taught few labels, right or wrong, and variational auto-encoders."""

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
from lib.encoders.weights import weights_sha256
from lib.keyed_random import generator, keys
from lib.predictions import class_probabilities

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


def classifier(*, permuted: bool, seed: int = 0, count: int = 2048, presentations: int = 122_880) -> tuple[Encoder, float]:
    """A classifier of few scenes, taught their classes, or the classes of others of them: then it can only learn them by heart.

    Args:
        permuted: whether labels are those of other pictures.
        seed: of initial weights, order and permutation.
        count: pictures it is taught, few enough to be learned by heart.
        presentations: pictures shown in training.

    Returns:
        The encoder, and the share of the taught labels that it tells.
    """

    def objective(trunk, pictures):
        labels = generator(seed, 102).permutation(pictures.labels) if permuted else pictures.labels
        return objectives.Classification(trunk, labels, len(pictures.class_names))

    pictures = local.training_pictures(Recipe("supervised", seed=seed)).take(np.arange(count))
    name = f"{'permuted' if permuted else 'right'} labels"
    encoder = _taught(name, objective, pictures, {"permuted": permuted}, seed, presentations, classifies=True)
    return encoder, float((class_probabilities(encoder, pictures).argmax(1) == encoder.module.labels.numpy()).mean())


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

    pictures = local.training_pictures(Recipe("autoencoder", seed=seed))
    return _taught(f"variational, beta {beta:g}", objective, pictures, {"beta": beta}, seed, presentations, classifies=False)


def _taught(name, make_objective, pictures: Pictures, settings, seed, presentations, *, classifies) -> Encoder:
    """Train with the network and schedule of `local:` encoders; kept in the cache."""
    if presentations < BATCH_SIZE:
        raise ValueError(f"presentations: found {presentations}; expected at least one batch of {BATCH_SIZE}")
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
    return Encoder(
        name=f"{name}, seed {seed}",
        module=objective,
        preprocess=lambda pixels: normalised(np.asarray(pixels)),
        embed=objective.embed,
        classify=objective if classifies else None,
        identity={"encoder": name, "weights": weights_sha256(objective)},
    )
