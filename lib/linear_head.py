"""A linear head on frozen features: one convex problem, its penalty chosen on a part of the training pictures.

The same rule serves every representation that is to be compared, so that a difference belongs to the features and not to the training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.keyed_random import generator
from lib.logistic_regression import LogisticProblem, LogisticRegression

PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
TUNING_SHARE = 0.2


@dataclass(frozen=True)
class LinearHead:
    """q(class | x) = softmax(x W / scale + b)."""

    classifier: LogisticRegression
    scale: float  # one number for all features, so that their directions keep their meaning
    tuning_loss: float  # nats, of the pictures that chose the penalty
    fits: Mapping[float, LogisticRegression]  # every penalty that was tried; starts for a similar problem

    def predicted(self, inputs) -> np.ndarray:
        """(n, inputs) -> (n,) the likeliest class of each."""
        return self.classifier.log_probabilities(np.asarray(inputs, np.float32) / self.scale).argmax(1)


def fitted_head(
    inputs, labels, tuned, *, classes: int, penalties: Sequence[float] = PENALTIES, similar: LinearHead | None = None
) -> LinearHead:
    """Fit on some of the rows, choose the penalty on the others.

    Args:
        inputs: (n, inputs) finite.
        labels: (n,) integers from 0 to classes - 1.
        tuned: (n,) bool: the rows that choose the penalty.
        classes: how many there are.
        penalties: candidates, in nats per squared weight, tried as `LogisticProblem.tuned` says.
        similar: a head on nearly the same inputs, from which to start.

    Raises:
        ValueError: if no row is left to fit on or to tune on, or no penalty is given.
    """
    inputs, labels, tuned = np.asarray(inputs, np.float32), np.asarray(labels), np.asarray(tuned, bool)
    if tuned.all() or not tuned.any():
        raise ValueError(f"tuned: found {tuned.sum()} of {len(tuned)} rows; expected some, and some left to fit on")
    scale = float(np.sqrt(np.square(inputs[~tuned], dtype=np.float64).mean())) or 1.0
    inputs = inputs / np.float32(scale)
    speaking = inputs[~tuned].any(0)  # a concept that is always 0 has weights of 0, and only slows the fit
    problem = LogisticProblem(inputs[~tuned][:, speaking], labels[~tuned], classes=classes)
    held_out, truth = inputs[tuned][:, speaking], labels[tuned]

    def loss(fitted):
        return -float(fitted.log_probabilities(held_out)[np.arange(len(truth)), truth].mean(dtype=np.float64))

    starts = {one: replace(fit, weights=fit.weights[speaking]) for one, fit in similar.fits.items()} if similar else None
    chosen = problem.tuned(penalties, loss, similar=starts)
    fits = {one: replace(fit, weights=_spread(fit.weights, speaking)) for one, fit in chosen.fits.items()}
    return LinearHead(fits[chosen.classifier.penalty], scale, chosen.loss, fits)


def _spread(weights, speaking):
    every = np.zeros((len(speaking), weights.shape[1]), np.float32)
    every[speaking] = weights
    return every


def tuning_rows(labels, *, share: float = TUNING_SHARE, seed: int = 0) -> np.ndarray:
    """(n,) bool: about a share of the rows of every class, drawn at random; of a class with one row, none.

    Args:
        labels: (n,) classes.
        share: in (0, 1).
        seed: of the draw.
    """
    labels = np.asarray(labels)
    order = generator(seed, 80).permutation(len(labels))
    chosen = np.zeros(len(labels), bool)
    for one in np.unique(labels):
        rows = order[labels[order] == one]
        chosen[rows[: min(max(1, round(share * len(rows))), len(rows) - 1)]] = True
    return chosen
