"""Multinomial logistic regression fitted to its optimum: the classifier behind reversed probes and concept heads.

The problem is convex, so its answer belongs to the data and not to an optimiser's schedule. Three things make it fast:

* The loss needs the data only through its distinct rows, how often each occurs, and the moments X' Y. With binary concepts, thousands of
  pictures are a few hundred distinct rows.
* Inputs are centred and turned to their principal axes, and each coordinate is scaled by the curvature of the loss at W = 0, which is
  p_k (1 - p_k) e_j + penalty for class k and axis j of variance e_j, up to terms between classes. Rare classes and rare concepts then
  converge as fast as common ones.
* A fit can start from another: solutions for weaker penalties from those for stronger ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from lib.devices import TRAINING_THREADS
from lib.torch_threads import exactly

TOLERANCE = 1e-5
_CHUNK_NUMBERS = 2**20  # logits of a chunk of rows stay near the processor's caches
_LEAST_LOGIT = -60.0  # below the highest: processors multiply the tiny numbers beyond ten times slower
_HISTORY = 10  # pairs that L-BFGS keeps
# Largest slopes. Penalties are compared at the first, where the loss is within about 0.003 nats of its minimum; the chosen one is then
# fitted to the second, within about 1e-5 nats: far below the sampling error of any score.
_COARSE, _FINE = 1e-3, 1e-4
_PATIENCE = 2  # penalties in a row that are no better
_GAIN = 1e-3  # nats
_SMALL = 5e8  # multiplications a pass, below which two problems side by side are done sooner than with two threads each


@dataclass(frozen=True)
class LogisticRegression:
    """A fitted classifier: q(k | x) = softmax_k(x W + b)."""

    weights: np.ndarray  # (inputs, classes) float32
    bias: np.ndarray  # (classes,) float32
    penalty: float
    objective: float  # the minimum reached, in nats
    slope: float  # largest component of its gradient there, in the scaled coordinates
    evaluations: int  # of the objective

    def log_probabilities(self, inputs) -> np.ndarray:
        """ln q(k | x) of every row: (n, inputs) -> (n, classes) float32, in nats."""
        logits = np.asarray(inputs, np.float32) @ self.weights
        logits += self.bias
        return torch.log_softmax(torch.from_numpy(logits), 1).numpy()


@dataclass(frozen=True)
class Tuned:
    """A classifier whose penalty was chosen on rows set aside."""

    classifier: LogisticRegression
    loss: float  # nats, of the rows set aside, when penalties were compared
    fits: Mapping[float, LogisticRegression]  # every penalty that was tried; starts for a similar problem


class LogisticProblem:
    """Data prepared once for any number of fits."""

    def __init__(self, inputs, labels, *, classes: int | None = None, device: str = "cpu"):
        """Merge equal rows, centre and turn them.

        Args:
            inputs: (n, inputs) finite numbers.
            labels: (n,) integers from 0.
            classes: how many there are; by default the largest label + 1. A class without a row gets a probability near 0.
            device: where fits run.

        Raises:
            ValueError: if shapes disagree, an input is not finite, labels are not integers or one is outside 0 .. classes - 1.
        """
        inputs, labels = np.asarray(inputs), np.asarray(labels)
        if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or not len(inputs):
            raise ValueError(f"inputs, labels: found shapes {inputs.shape} and {labels.shape}; expected (n, inputs) and (n,), n >= 1")
        if labels.dtype.kind not in "iu":
            raise ValueError(f"labels: found dtype {labels.dtype}; expected integers")
        if not np.isfinite(inputs).all():
            raise ValueError(f"inputs: found {np.count_nonzero(~np.isfinite(inputs))} values that are not finite; expected none")
        classes = int(labels.max()) + 1 if classes is None else classes
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels: found {labels.min()} to {labels.max()}; expected 0 to {classes - 1}")

        rows, which = _distinct_rows(np.ascontiguousarray(inputs, np.float32))
        self._threads = TRAINING_THREADS if len(rows) * rows.shape[1] * classes > _SMALL else 1
        with exactly(self._threads):
            self._prepare(rows, which, labels, classes, device)

    def _prepare(self, rows, which, labels, classes, device):
        shares = np.bincount(which, minlength=len(rows)) / len(which)
        mean = (torch.from_numpy(shares) @ torch.from_numpy(rows).double()).numpy()
        centred = torch.from_numpy((rows - mean).astype(np.float32))
        weighted = centred * torch.from_numpy(shares.astype(np.float32))[:, None]
        variances, axes = torch.linalg.eigh((weighted.T @ centred).double())
        self._mean, self._axes, self._variances = torch.from_numpy(mean), axes.float(), variances.clamp_min(0).float()
        self._rows = (centred @ self._axes).to(device)
        self._shares = torch.from_numpy(shares.astype(np.float32)).to(device)
        pairs, counts = np.unique(np.stack([labels.astype(np.int64), which]), axis=1, return_counts=True)
        joint = sparse.csr_array((counts / len(which), pairs), (classes, len(rows)))
        self._moments = torch.from_numpy((joint @ self._rows.cpu().numpy().astype(np.float64)).T.astype(np.float32)).to(device)  # X' Y / n
        self._class_shares = torch.from_numpy(np.bincount(labels, minlength=classes) / len(labels)).float().to(device)

    def fit(self, penalty: float, *, start: LogisticRegression | None = None, tolerance: float = TOLERANCE, most_iterations: int = 1000):
        """The minimum of mean cross-entropy + penalty / 2 * |W|^2; the bias is not penalised.

        Args:
            penalty: at least 0, in nats. At 0, classes that can be told apart perfectly have no finite minimum, and the fit ends when the
                gradient is small.
            start: a fit of the same problem to start from.
            tolerance: largest component of the gradient at the end, in coordinates scaled to unit curvature: a distance from the optimum
                in standard deviations, so to speak.
            most_iterations: of L-BFGS.

        Returns:
            LogisticRegression.

        Raises:
            ValueError: if the penalty is negative or not finite.
        """
        if not (penalty >= 0 and np.isfinite(penalty)):
            raise ValueError(f"penalty: found {penalty}; expected a number from 0")
        with exactly(self._threads):
            return self._fitted(penalty, start, tolerance, most_iterations)

    def _fitted(self, penalty, start, tolerance, most_iterations):
        shares = self._class_shares
        spread = (shares * (1 - shares)).clamp_min(1e-12)
        variances = self._variances.to(shares.device)
        # An axis without variance (collinear concepts) has no data to say anything: it stays where the penalty leaves it.
        least = 1e-6 * float(variances.max()) + 1e-30 if len(variances) else 0.0
        curvature = spread * variances.clamp_min(least)[:, None] + penalty
        weight_scale, bias_scale = curvature.rsqrt(), spread.rsqrt()
        prior = shares.clamp_min(1e-12).log()
        weights = torch.zeros_like(self._moments)
        bias = torch.zeros_like(shares)
        if start is not None:
            given = torch.from_numpy(start.weights).to(shares.device)
            weights = (self._axes.to(shares.device).T @ given) / weight_scale
            bias = (torch.from_numpy(start.bias).to(shares.device) + self._mean.float().to(shares.device) @ given - prior) / bias_scale
        parameters = [torch.nn.Parameter(weights), torch.nn.Parameter(bias)]
        optimiser = torch.optim.LBFGS(
            parameters, max_iter=most_iterations, max_eval=2 * most_iterations, history_size=_HISTORY, tolerance_grad=tolerance,
            tolerance_change=0, line_search_fn="strong_wolfe",
        )  # fmt: skip
        evaluations, last = 0, (np.inf, np.inf)

        @torch.no_grad()
        def closure():
            nonlocal evaluations, last
            scaled = weight_scale * parameters[0], prior + bias_scale * parameters[1]
            objective, *gradients = self._objective(*scaled, penalty)
            for parameter, gradient, scale in zip(parameters, gradients, (weight_scale, bias_scale), strict=True):
                parameter.grad = gradient * scale
            evaluations += 1
            last = objective, max(float(parameter.grad.abs().max()) if parameter.numel() else 0.0 for parameter in parameters)
            return torch.tensor(objective, dtype=torch.float64)

        optimiser.step(closure)
        with torch.no_grad():
            closure()  # at the point that is returned
            turned = (self._axes.to(shares.device) @ (weight_scale * parameters[0])).cpu()
            bias = (prior + bias_scale * parameters[1]).cpu().double() - self._mean @ turned.double()
        return LogisticRegression(turned.numpy(), bias.float().numpy(), penalty, *last, evaluations)

    def tuned(
        self, penalties: Iterable[float], loss: Callable[[LogisticRegression], float], *, start: LogisticRegression | None = None,
        similar: Mapping[float, LogisticRegression] | None = None,
    ) -> Tuned:  # fmt: skip
        """The fit with the penalty that has the least loss on rows set aside.

        Penalties are tried from the strongest until two in a row are no better by 0.001 nats: weaker ones fit noise, and take longest to do
        so. Each fit starts from the one before.

        Args:
            penalties: candidates, at least one.
            loss: of a fit, on rows that are not fitted, in nats.
            start: a fit to start the first one from.
            similar: fits of nearly the same problem by their penalties, from which to start instead.

        Raises:
            ValueError: if there is no penalty, or one is negative or not finite.
        """
        fits, least, chosen, last = {}, np.inf, None, start
        for penalty in sorted(set(penalties), reverse=True):
            fits[penalty] = last = self.fit(penalty, start=(similar or {}).get(penalty, last), tolerance=_COARSE)
            found = loss(last)
            if chosen is None or found < least - _GAIN:
                chosen, least, worse = penalty, found, 0
            else:
                worse += 1
            if worse == _PATIENCE:
                break
        if chosen is None:
            raise ValueError("penalties: found none; expected at least one")
        fits[chosen] = self.fit(chosen, start=fits[chosen], tolerance=_FINE)
        return Tuned(fits[chosen], least, fits)

    def _objective(self, weights, bias, penalty):
        """Value (float64 sum) and gradients; a chunk of rows at a time."""
        loss = 0.0
        weight_gradient = torch.zeros_like(weights)
        bias_gradient = torch.zeros_like(bias)
        step = max(256, _CHUNK_NUMBERS // len(bias))
        for start in range(0, len(self._rows), step):
            rows, shares = self._rows[start : start + step], self._shares[start : start + step]
            logits = torch.addmm(bias, rows, weights)
            highest = logits.amax(1, keepdim=True)
            probabilities = logits.sub_(highest).clamp_min_(_LEAST_LOGIT).exp_()
            total = probabilities.sum(1, keepdim=True)
            loss += float((shares.double() @ (highest + total.log()).double()).sum())
            probabilities.mul_(shares[:, None] / total)
            weight_gradient.addmm_(rows.T, probabilities)
            bias_gradient += probabilities.sum(0)
        fit = (self._moments.double() * weights.double()).sum() + (self._class_shares.double() * bias.double()).sum()
        loss += float(penalty / 2 * weights.double().square().sum() - fit)
        return loss, weight_gradient - self._moments + penalty * weights, bias_gradient - self._class_shares


def _distinct_rows(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows, and which of them each row is; the rows themselves where most are distinct, since then merging saves nothing."""
    inputs = inputs + np.float32(0)  # -0 and 0 have other bytes
    width = inputs.shape[1] * inputs.itemsize
    if not width:
        return inputs[:1], np.zeros(len(inputs), np.int64)
    as_bytes = inputs.view(np.dtype((np.void, width))).ravel()
    sample = as_bytes[:: max(1, len(as_bytes) // 2000)]
    if len(sample) >= 1000 and len(np.unique(sample)) > 0.98 * len(sample):
        return inputs, np.arange(len(inputs))
    _, first, which = np.unique(as_bytes, return_index=True, return_inverse=True)
    return inputs[first], which
