"""Texts that are none, and names that are wrong: is it language that helps?

If a network trained towards random vectors is as good as one trained towards a text encoder, what the encoder knows of the world is not the
reason. The paper has no such comparison.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import normalize

from lib.keyed_random import generator, keys
from lib.lico.prompts import TextFeatures


class GivenText(nn.Module):
    """Features that are given, in place of prompts: precomputed ones with frozen contexts, or controls.

    Args:
        features: of all classes.
    """

    def __init__(self, features: TextFeatures):
        super().__init__()
        for name in ("tokens", "mask", "summary"):
            self.register_buffer(f"_{name}", getattr(features, name).detach().clone(), persistent=False)

    @property
    def width(self) -> int:
        """Of the features."""
        return self._tokens.shape[2]

    @property
    def count(self) -> int:
        """Of classes."""
        return len(self._tokens)

    def order(self, seed: int, step: int) -> None:
        """There are no contexts to be permuted."""

    def forward(self, order: None = None, classes: torch.Tensor | None = None) -> TextFeatures:
        """The features of these classes (n,), None: of all."""
        return TextFeatures(self._tokens, self._mask, self._summary).of(classes)

    def rolled(self, shifts: Sequence[int], classes: torch.Tensor | None = None) -> torch.Tensor:
        """The first of the tokens, since there are no contexts to be rolled: (n, len(shifts), width)."""
        tokens = self.forward(classes=classes).tokens
        return tokens[:, [shift % tokens.shape[1] for shift in shifts]]


def random_text(classes: int, tokens: int, width: int, *, seed: int = 0) -> TextFeatures:
    """A random direction for each token of each class, and one for each class as a whole."""
    _check(classes, tokens, width)
    drawn = torch.randn((classes, tokens + 1, width), generator=torch.Generator().manual_seed(int(keys(seed, 112) >> 1)))
    drawn = normalize(drawn, dim=2)
    return TextFeatures(drawn[:, :tokens], torch.ones(classes, tokens, dtype=torch.bool), drawn[:, tokens])


def one_hot_text(classes: int, tokens: int) -> TextFeatures:
    """Labels and nothing else: every token says its class and its place, (classes, tokens, classes + tokens)."""
    _check(classes, tokens, 1)
    each = torch.eye(classes)[:, None].expand(-1, tokens, -1)
    place = torch.eye(tokens).expand(classes, -1, -1)
    summary = torch.cat([torch.eye(classes), torch.zeros(classes, tokens)], 1)
    return TextFeatures(torch.cat([each, place], 2) / 2**0.5, torch.ones(classes, tokens, dtype=torch.bool), summary)


def uniform_text(classes: int, tokens: int, width: int, *, seed: int = 0) -> TextFeatures:
    """The same random tokens for every class: not even the label is told."""
    _check(classes, tokens, width)
    one = random_text(1, tokens, width, seed=seed)
    return TextFeatures(*(value.expand(classes, *value.shape[1:]) for value in (one.tokens, one.mask, one.summary)))


def as_long_as(features: TextFeatures, texts: TextFeatures) -> TextFeatures:
    """Features whose tokens and summaries are as long as those of texts, in root mean square.

    The mapping net learns faster from longer features. Not made alike are how far apart the classes are and how wide the features.

    Args:
        features: not all zero.
        texts: of any classes and width, on any device.
    """
    tokens = (texts.tokens[texts.mask].square().sum(1).mean() / features.tokens[features.mask].square().sum(1).mean()).sqrt()
    summary = (texts.summary.square().sum(1).mean() / features.summary.square().sum(1).mean()).sqrt()
    return TextFeatures(features.tokens * tokens.item(), features.mask, features.summary * summary.item())


def shuffled_names(class_names: Sequence[str], *, seed: int = 0) -> list[str]:
    """Every class gets another one's name: one cycle through all of them, so that none keeps its own."""
    if len(class_names) < 2:
        raise ValueError(f"class_names: found {len(class_names)}; expected at least two")
    cycle = generator(seed, 113).permutation(len(class_names))
    given = dict(zip(cycle.tolist(), [class_names[one] for one in (*cycle[1:], cycle[0])], strict=True))
    return [given[one] for one in range(len(class_names))]


def _check(classes, tokens, width):
    for name, value in (("classes", classes), ("tokens", tokens), ("width", width)):
        if value < 1:
            raise ValueError(f"{name}: found {value}; expected at least 1")
