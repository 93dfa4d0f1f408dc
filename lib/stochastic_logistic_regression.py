"""Multinomial logistic regression by stochastic gradient descent, as the QRP paper fits its probe.

Kept beside the exact solver of `lib.logistic_regression` so that the difference can be shown: at the paper's learning rate the last epoch,
and on dense concepts the best one too, can be worse than a constant prediction (specs/qrp.md 5.3).
"""

from dataclasses import dataclass

import numpy as np
import torch

from lib.keyed_random import generator
from lib.logistic_regression import LogisticRegression
from lib.torch_threads import exactly

EPOCHS, BATCH_SIZE, MOMENTUM = 100, 512, 0.9
LEARNING_RATE, DROPS, DROP_BY = 3.5, (60, 80), 0.1
PENALTY = 3e-6


@dataclass(frozen=True)
class StochasticFit:
    """What a run of gradient descent leaves: the classifier of the epoch that validation chose, and that of the last one."""

    best: LogisticRegression
    last: LogisticRegression
    epoch: int  # from 1, of the best
    validation_losses: np.ndarray  # (epochs,) nats


@exactly(1)  # a batch is little work
def stochastic_fit(
    inputs, labels, validation_inputs, validation_labels, *, classes: int, learning_rate: float = LEARNING_RATE, epochs: int = EPOCHS,
    penalty: float = PENALTY, seed: int = 0,
) -> StochasticFit:  # fmt: skip
    """Minimise mean cross-entropy + penalty / 2 * |W|^2 by momentum SGD from W = 0.

    Batches of 512, momentum 0.9, the learning rate divided by 10 after 60 % and after 80 % of the epochs, L2 as weight decay on weights and
    bias: Laina et al. 2022, implementation details. Not stated there and settled here: the start at 0, weight decay on the bias too, no
    Nesterov, and that validation chooses the epoch.

    Args:
        inputs: (n, inputs) finite numbers.
        labels: (n,) integers from 0.
        validation_inputs: (m, inputs).
        validation_labels: (m,) integers from 0; without any, the last epoch is the best.
        classes: how many there are.
        learning_rate: the first.
        epochs: passes over the data.
        penalty: in nats.
        seed: of the order in which rows are shown.

    Raises:
        ValueError: if inputs are not finite, a label is outside 0 .. classes - 1, or there is no epoch.
        FloatingPointError: if the loss is no longer finite; it names the epoch.
    """
    for name, given in {"inputs": inputs, "validation_inputs": validation_inputs}.items():
        if not np.isfinite(given).all():
            raise ValueError(f"{name}: found {np.count_nonzero(~np.isfinite(given))} values that are not finite; expected none")
    every = np.concatenate([np.asarray(labels), np.asarray(validation_labels)])
    if len(every) and not 0 <= every.min() <= every.max() < classes:
        raise ValueError(f"labels: found {every.min()} to {every.max()}; expected 0 to {classes - 1}")
    if epochs < 1:
        raise ValueError(f"epochs: found {epochs}; expected at least 1")
    rows, targets = _tensors(inputs, labels)
    held_out = _tensors(validation_inputs, validation_labels)
    classifier = torch.nn.Linear(rows.shape[1], classes, device="meta").to_empty(device="cpu")  # draws no random numbers
    torch.nn.init.zeros_(classifier.weight)
    torch.nn.init.zeros_(classifier.bias)
    optimiser = torch.optim.SGD(classifier.parameters(), lr=learning_rate, momentum=MOMENTUM, weight_decay=penalty)
    milestones = [max(1, round(epochs * drop / EPOCHS)) for drop in DROPS]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones, gamma=DROP_BY)
    losses, best, best_epoch = [], None, 0
    for epoch in range(1, epochs + 1):
        order = torch.from_numpy(generator(seed, 71, epoch).permutation(len(rows)))
        for batch in order.split(BATCH_SIZE):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(classifier(rows[batch]), targets[batch]).backward()
            optimiser.step()
        schedule.step()
        with torch.no_grad():
            loss = float(torch.nn.functional.cross_entropy(classifier(held_out[0]), held_out[1])) if len(held_out[1]) else float("nan")
        if np.isinf(loss) or (len(held_out[1]) and np.isnan(loss)) or not torch.isfinite(classifier.weight).all():
            raise FloatingPointError(f"learning_rate: found no finite loss in epoch {epoch} at {learning_rate}; expected a lower rate")
        losses.append(loss)
        if best is None or loss < min(losses[:-1]) or not len(held_out[1]):
            best, best_epoch = _fitted(classifier, penalty), epoch
    return StochasticFit(best, _fitted(classifier, penalty), best_epoch, np.array(losses))


def _tensors(inputs, labels):
    return torch.from_numpy(np.ascontiguousarray(inputs, np.float32)), torch.from_numpy(np.asarray(labels, np.int64))


def _fitted(classifier, penalty):
    """The objective and its slope are not known on the way."""
    weights, bias = classifier.weight.detach().T.numpy().copy(), classifier.bias.detach().numpy().copy()
    return LogisticRegression(weights, bias, penalty, float("nan"), float("nan"), 0)
