"""LICO's two losses on top of a classifier's: L = L_CE + alpha L_MM + beta L_OT (Lei et al., NeurIPS 2023).

Everything here is on the side of the texts and is thrown away after training: what remains is the plain classifier.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lib.attribution.sites import evaluating
from lib.keyed_random import keys
from lib.lico.controls import GivenText
from lib.lico.diagnostics import of_batch
from lib.lico.manifold import distances, log_similarities, matching_loss
from lib.lico.mapping import HIDDEN, mapping_net
from lib.lico.prompts import Prompts, TextFeatures
from lib.lico.readings import ALL, CHANNELS, FLAT, OWN, Reading
from lib.lico.temperature import Temperature
from lib.lico.transport import transport_loss


@dataclass(frozen=True)
class ConsistencyLosses:
    """Both losses of a batch, scalars with gradient, and what tells how training goes.

    Args:
        manifold, transport: L_MM and L_OT; 0 where their weight is.
        total: alpha L_MM + beta L_OT, with the weights as they are at this step.
        diagnostics: name -> number: the losses, t (temperature), iterations and error of Sinkhorn's algorithm, dead (share of points),
            channel cosine and token cosine (mean over pairs, of tokens without dropout; both near 1 is the collapse that makes transport
            cheap).
    """

    manifold: torch.Tensor
    transport: torch.Tensor
    total: torch.Tensor
    diagnostics: dict[str, float]


class Consistency(nn.Module):
    """The side of the texts: prompts, mapping net, temperature and both losses.

    Args:
        text: prompts, or given features.
        shape: (N, H, W) of the maps.
        reading: what LICO means.
        hidden: width of the mapping net.
        seed: of the mapping net's initial weights.

    The texts of each class of a batch go through encoder and mapping net once, so that dropout falls alike on all pictures of a class (on
    every token in another way, as the released layer has it), and classes that are not in the batch cost nothing.

    Raises:
        ValueError: if maps are not spatial, or prompts are laid out otherwise than the reading has it.
    """

    def __init__(self, text: Prompts | GivenText, shape: tuple[int, int, int], reading: Reading, *, hidden: int = HIDDEN, seed: int = 0):
        super().__init__()
        check_shape(shape)
        if isinstance(text, Prompts) and text.layout != (wanted := {name: getattr(reading, name) for name in text.layout}):
            raise ValueError(f"text: found prompts of {text.layout}; expected {wanted}, as {reading.name} has it (`Prompts.of`)")
        self.text, self.reading, self.shape = text, reading, tuple(shape)
        dims = shape[1] * shape[2] if reading.points == CHANNELS else shape[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(keys(seed, 140) >> np.uint64(1)))
            self.mapping = mapping_net(text.width, dims, hidden=hidden, dropout=reading.dropout)
        self.temperature = Temperature(reading.temperature, reading.initial, learnable=reading.learnable)

    def forward(
        self, maps: torch.Tensor, labels: torch.Tensor, *, order: torch.Tensor | None = None, share: float = 1.0, watch: bool = False
    ) -> ConsistencyLosses:
        """Both losses of a batch.

        Args:
            maps: (B, N, H, W) last feature maps.
            labels: (B,) int64.
            order: of the contexts, see `Prompts.order`.
            share: of the weights, for a warm-up.
            watch: compute the diagnostics, which cost a little.

        Raises:
            ValueError: if shapes disagree, there are texts of one class only or one picture, a label has no class, or, with
                `label_of_label`, a label is no place in the batch.
            FloatingPointError: if a value is not finite.
        """
        reading = self.reading
        check_batch(maps, labels, self.shape, self.text.count)
        if reading.label_of_label and int(labels.max()) >= len(labels):
            raise ValueError(f"labels: found {int(labels.max())} in a batch of {len(labels)}; expected places in the batch, t[y][y_i]")
        present, rows = (None, labels) if reading.tokens == ALL else labels.unique(return_inverse=True)
        named = rows[labels] if reading.label_of_label else rows
        features = self.text(order, present)
        tokens, mask = self._tokens(features, present)
        mapped = self.mapping(tokens)
        if reading.mask_padding:
            mapped = mapped * mask[:, :, None]
        points = maps.flatten(2) if reading.points == CHANNELS else maps.flatten(2).mT
        zero = maps.new_zeros((), dtype=torch.float32)
        manifold = self._manifold(maps, points, mapped, features, named) if reading.alpha else zero
        moving = None
        if reading.beta:
            # Not mapped[rows], whose gradient two threads add up in any order.
            of_pictures = mapped.expand(len(rows), -1, -1) if reading.tokens == ALL else mapped.index_select(0, rows)
            masks = (mask.expand(len(rows), -1) if reading.tokens == ALL else mask[rows]) if reading.mask_padding else None
            moving = transport_loss(
                points, of_pictures, masks, regularisation=reading.regularisation, iterations=reading.iterations,
                tolerance=reading.tolerance, mask_dead=reading.mask_dead, gradient=reading.transport_gradient,
            )  # fmt: skip
        transport = moving.loss if moving else zero
        found = {}
        if watch:
            with torch.no_grad(), evaluating(self.mapping):
                still = self.mapping(tokens)
            found = of_batch(manifold, moving, self.temperature, points, still, mask)
        return ConsistencyLosses(manifold, transport, share * (reading.alpha * manifold + reading.beta * transport), found)

    def _tokens(self, features: TextFeatures, present: torch.Tensor | None):
        """(classes of the batch, M, width) and their mask; with the summaries of all classes as tokens, (1, classes, width)."""
        if self.reading.tokens == OWN:
            return features.tokens, features.mask
        if self.reading.tokens == ALL:
            return features.summary[None], features.mask.new_ones(1, len(features.summary))
        count = self.reading.contexts
        rolled = self.text.rolled([1] * count if self.reading.rolls_alike else range(count), present)
        return rolled, features.mask.new_ones(rolled.shape[:2])

    def _manifold(self, maps, points, mapped, features, rows):
        """L_MM; rows (B,) say which of the texts is that of a picture."""
        reading, scale = self.reading, self.temperature.scale
        if reading.manifold == FLAT:
            of_pictures, of_classes = points, mapped[0] if reading.tokens == ALL else mapped
        else:
            of_pictures, of_classes = maps.mean((2, 3)), features.summary
        settings = {"scaled": reading.scaled, "floored": reading.floored}
        # Samples of a class have one text: distances between classes are looked up. All of one class: there are none.
        of_texts = distances(of_classes, **settings) if len(of_classes) > 1 else of_classes.new_zeros(1, 1)
        between = of_texts.index_select(0, rows).index_select(1, rows)
        logs = (log_similarities(one, scale, sign=reading.sign) for one in (distances(of_pictures, **settings), between))
        return matching_loss(*logs)


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse maps without places; shape is (N, H, W)."""
    if len(shape) != 3 or shape[1] * shape[2] < 2:
        raise ValueError(f"shape: found {tuple(shape)}; expected maps (channels, height, width) of more than one place")


def check_batch(maps: torch.Tensor, labels: torch.Tensor, shape: tuple[int, int, int], classes: int) -> None:
    """Refuse a batch whose maps (B, N, H, W) or labels (B,) are not those that were announced."""
    if classes < 2:
        raise ValueError(f"text: found {classes} class; expected at least two")
    if tuple(maps.shape[1:]) != tuple(shape) or len(maps) != len(labels):
        found = f"{tuple(maps.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"maps, labels: found shapes {found}; expected (B, *{tuple(shape)}) and (B,)")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels: found {int(labels.min())} to {int(labels.max())}; expected 0 to {classes - 1}")
