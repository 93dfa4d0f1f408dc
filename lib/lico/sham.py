"""A push of LICO's kind and size that means nothing: both losses towards fixed random targets.

Manifold matching gets a random matrix (symmetric, 0 on the diagonal) in place of the distances of the texts, which belongs to the labels of
the batch, and transport a random set of unit-length tokens for each class, in place of mapped ones (specs/lico.md, 9). There is no text, no
mapping net and no temperature to be learned. Its weight is set so that its gradient on the backbone is as long as LICO's over the first
100 steps (`lib.lico.training.gradient_norms`).
"""

import numpy as np
import torch
from torch import nn

from lib.keyed_random import keys
from lib.lico.controls import GivenText, random_text
from lib.lico.diagnostics import of_batch
from lib.lico.manifold import distances, log_similarities, matching_loss
from lib.lico.objective import ConsistencyLosses, check_batch, check_shape
from lib.lico.readings import CHANNELS, FLAT, Reading
from lib.lico.temperature import Temperature
from lib.lico.transport import transport_loss


class Sham(nn.Module):
    """Called as `Consistency` is.

    Args:
        classes: how many.
        tokens: of a class.
        shape: (N, H, W) of the maps.
        reading: its weights, points, temperature at first and transport.
        weight: times both losses.
        seed: of the targets.
    """

    def __init__(self, classes: int, tokens: int, shape: tuple[int, int, int], reading: Reading, *, weight: float = 1.0, seed: int = 0):
        super().__init__()
        check_shape(shape)
        dims = shape[1] * shape[2] if reading.points == CHANNELS else shape[0]
        self.shape, self.reading, self.weight, self.seed = tuple(shape), reading, weight, seed
        self.text = GivenText(random_text(classes, tokens, dims, seed=seed))
        self.temperature = Temperature(reading.temperature, reading.initial, learnable=False)

    def forward(
        self, maps: torch.Tensor, labels: torch.Tensor, *, order: None = None, share: float = 1.0, watch: bool = False
    ) -> ConsistencyLosses:
        """Both losses of a batch, times the weight; arguments as in `Consistency`."""
        reading = self.reading
        check_batch(maps, labels, self.shape, self.text.count)
        points = maps.flatten(2) if reading.points == CHANNELS else maps.flatten(2).mT
        tokens = self.text().tokens[labels]
        manifold, moved = maps.new_zeros((), dtype=torch.float32), None
        if reading.alpha:
            of_pictures = distances(points if reading.manifold == FLAT else maps.mean((2, 3)), scaled=reading.scaled)
            target = random_distances(labels, seed=self.seed).to(of_pictures)
            logs = (log_similarities(one, self.temperature.scale, sign=reading.sign) for one in (of_pictures, target))
            manifold = matching_loss(*logs)
        if reading.beta:
            moved = transport_loss(
                points, tokens, regularisation=reading.regularisation, iterations=reading.iterations, tolerance=reading.tolerance,
                mask_dead=reading.mask_dead,
            )  # fmt: skip
        transport = moved.loss if moved else torch.zeros_like(manifold)
        found = of_batch(manifold, moved, self.temperature, points, tokens) if watch else {}
        return ConsistencyLosses(manifold, transport, self.weight * share * (reading.alpha * manifold + reading.beta * transport), found)


def random_distances(labels: torch.Tensor, *, seed: int = 0) -> torch.Tensor:
    """(B, B) symmetric, 0 on the diagonal and uniform in [0, 2) beside it: one matrix for a composition of a batch.

    A batch of other labels has other distances, and hardly two batches of a training are composed alike: this target is a new one at every
    step.

    Args:
        labels: (B,) of the batch; in another order they have the same distances in that order (those of a label in theirs).
        seed: of the numbers.
    """
    labels = labels.cpu().numpy()
    order = np.argsort(labels, kind="stable")
    composition, places = keys(seed, 119, *labels[order]), np.argsort(order)
    low, high = np.minimum(places[:, None], places), np.maximum(places[:, None], places)
    drawn = (keys(int(composition), low, high) >> np.uint64(11)) / 2.0**52
    np.fill_diagonal(drawn, 0)
    return torch.from_numpy(drawn)
