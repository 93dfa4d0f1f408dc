"""The reverse probe: a linear classifier that predicts the cluster of a picture from its concepts, and what it says.

    I = H(K) - E[-log q(k | y)],        q(k | y) = softmax_k(y W + b),

with both terms on pictures that the classifier has not seen. For every W this is, in expectation, a lower bound of the mutual information
of concepts and clusters (Laina et al. 2022, section 3), and as W is linear it credits what a simple rule can use, not more.

Two presets. `robust`, the default: the optimum of the convex problem with a penalty chosen on validation pictures, calibrated there, and
replaced by the constant prediction p(k) where that is better ("optional ignorance", Xu et al. 2020). `paper`: stochastic gradient descent
with the paper's settings, the epoch chosen on validation pictures, nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lib.logistic_regression import LogisticProblem, LogisticRegression
from lib.splits import Split
from lib.stochastic_logistic_regression import stochastic_fit
from lib.torch_threads import exactly

PRESETS = ("robust", "paper")
PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_TEMPERATURES = np.geomspace(0.5, 20, 12)
_LEAST_IGNORANCE = 1e-6
_HALVINGS = 24


@dataclass(frozen=True)
class ReverseProbe:
    """One classifier from concepts to clusters on one split of the pictures."""

    score: float  # bits: entropy - cross_entropy, on test pictures
    entropy: float  # bits, of the clusters of the test pictures
    cross_entropy: float  # bits
    train_score: float  # bits, the same on the training pictures, calibrated or as fitted, whichever is higher: biased upwards
    gains: np.ndarray  # (test pictures,) bits, log2 q(k | y) / p(k): their mean is the score
    test: np.ndarray  # (test pictures,) their indices
    top_1: float  # share of test pictures whose cluster is the likeliest
    top_5: float
    majority: float  # top_1 of the constant prediction
    constant: float  # bits, score of the constant prediction: 0 but for what rounding does to the shares of small clusters
    classifier: LogisticRegression
    temperature: float  # by which logits are divided
    ignorance: float  # weight of the constant prediction in the mixture; 1: the concepts say nothing that generalises

    @property
    def nats(self) -> float:
        """The score in nats."""
        return self.score * float(np.log(2))

    @property
    def normalised(self) -> float:
        """I / H(K); NaN where all test pictures are in one cluster."""
        return self.score / self.entropy if self.entropy > 0 else float("nan")

    @property
    def residual_perplexity(self) -> float:
        """Between how many equally likely clusters the concepts leave the choice: 2^cross_entropy."""
        return 2.0**self.cross_entropy

    @property
    def standard_error(self) -> float:
        """Of the score, over test pictures, bits."""
        return float(self.gains.std() / np.sqrt(len(self.gains)))


@exactly(1)  # calibration is little work; a fit sets its own number
def reverse_probe(
    clusters, concepts, split: Split, *, preset: str = "robust", penalties: Sequence[float] = PENALTIES,
    start: LogisticRegression | None = None, seed: int = 0,
) -> ReverseProbe:  # fmt: skip
    """Fit the reverse probe and score it on the test pictures.

    Args:
        clusters: (pictures,) integers from 0 without gaps.
        concepts: (pictures, concepts) of 0 and 1, or any finite numbers; no column is needed.
        split: which pictures train, choose the penalty and the calibration, and test.
        preset: "robust" or "paper", see above.
        penalties: of the robust preset: candidates, in nats per squared weight, tried as `LogisticProblem.tuned` says on the validation
            pictures; the constant prediction is always a candidate.
        start: of the robust preset: a classifier of the same shape from which to start, to save time where one is close.
        seed: of the paper preset: of the order in which pictures are shown.

    Raises:
        ValueError: if shapes disagree, values are not finite numbers, no picture is tested, or a setting is unknown.
    """
    clusters, concepts = np.asarray(clusters), np.asarray(concepts)
    if concepts.ndim != 2 or clusters.shape != concepts.shape[:1]:
        found = f"{clusters.shape} and {concepts.shape}"
        raise ValueError(f"clusters, concepts: found shapes {found}; expected (pictures,) and (pictures, concepts)")
    if concepts.dtype.kind not in "biuf" or not np.isfinite(concepts).all():
        raise ValueError(f"concepts: found {concepts.dtype} values, not all of them finite numbers; expected finite numbers")
    if preset not in PRESETS:
        raise ValueError(f"preset: found {preset!r}; expected one of {', '.join(PRESETS)}")
    if not len(split.test):
        raise ValueError(f"split: found no test picture among {len(clusters)} in {clusters.max() + 1} clusters; expected fewer clusters")
    count = int(clusters.max()) + 1
    problem = LogisticProblem(concepts[split.train], clusters[split.train], classes=count)
    prior = np.log(np.bincount(clusters[split.train], minlength=count) / len(split.train))
    validation = concepts[split.validation], clusters[split.validation]
    if preset == "paper":
        fit = stochastic_fit(concepts[split.train], clusters[split.train], *validation, classes=count, seed=seed)
        return _scored(fit.best, 1.0, 0.0, clusters, concepts, split, prior)

    chosen = problem.tuned(penalties, lambda fitted: _calibrated(fitted, *validation, prior)[0], start=start).classifier
    _, temperature, ignorance = _calibrated(chosen, *validation, prior)
    return _scored(chosen, temperature, ignorance, clusters, concepts, split, prior)


def cluster_information(probe: ReverseProbe, clusters) -> np.ndarray:
    """What concepts say about each cluster, (clusters,) bits; NaN for one without a test picture.

    I_k = mean over its test pictures of log2 q(k | y) / p(k). With p(k) the shares of the test pictures, sum_k p(k) I_k is exactly the
    score.
    """
    own = np.asarray(clusters)[probe.test]
    count = int(np.max(clusters)) + 1
    sizes = np.bincount(own, minlength=count)
    with np.errstate(invalid="ignore"):
        return np.bincount(own, weights=probe.gains, minlength=count) / sizes


def concept_attribution(probe: ReverseProbe, clusters, concepts) -> np.ndarray:
    """What each concept adds to the logit of each cluster on the cluster's own test pictures, (clusters, concepts) nats.

    phi_kc = mean over test pictures i of cluster k of W_ck (y_ic - mean y_c), with every concept's weights centred over clusters, since
    adding the same to all of them changes no probability. For an additive model these are the Shapley values of the concepts.
    """
    own, shown = np.asarray(clusters)[probe.test], np.asarray(concepts, float)[probe.test]
    weights = probe.classifier.weights - probe.classifier.weights.mean(1, keepdims=True)
    count = probe.classifier.weights.shape[1]
    sums = np.zeros((count, shown.shape[1]))
    np.add.at(sums, own, shown - shown.mean(0))
    with np.errstate(invalid="ignore"):
        return weights.T * sums / np.bincount(own, minlength=count)[:, None] / probe.temperature


def _calibrated(classifier, concepts, clusters, prior):
    """The temperature and the weight of the constant prediction with the least validation loss: (loss in nats, temperature, weight).

    For each temperature the loss is convex in the weight, so its minimum is where the slope changes sign.
    """
    if not len(clusters):
        return np.inf, 1.0, 1.0
    logits = torch.from_numpy(np.asarray(concepts, np.float32) @ classifier.weights + classifier.bias)
    rows = np.arange(len(clusters))
    own = np.stack([torch.log_softmax(logits / float(one), 1).numpy()[rows, clusters] for one in _TEMPERATURES]).astype(float)
    own = np.exp(own)  # (temperatures, pictures)
    gap = np.exp(prior[clusters]) - own
    low, high = np.full((2, len(own), 1), [[[_LEAST_IGNORANCE]], [[1.0]]])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rising = (gap / (own + middle * gap)).mean(1, keepdims=True) < 0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    weights = (low + high) / 2
    losses = -np.log(own + weights * gap).mean(1)
    least = int(losses.argmin())
    constant = -prior[clusters].mean()
    if losses[least] >= constant - 1e-9:
        return float(constant), 1.0, 1.0
    return float(losses[least]), float(_TEMPERATURES[least]), float(weights[least, 0])


def _mixture(classifier, temperature, ignorance, concepts, prior):
    """ln q(k | y) of the calibrated classifier, (pictures, clusters) float64."""
    logits = torch.from_numpy(np.asarray(concepts, np.float32) @ classifier.weights + classifier.bias)
    likely = torch.log_softmax(logits.double() / temperature, 1).numpy()
    if ignorance == 0:
        return likely
    with np.errstate(divide="ignore"):  # of a weight of 1
        return np.logaddexp(prior + np.log(ignorance), likely + np.log1p(-ignorance))


def _scored(classifier, temperature, ignorance, clusters, concepts, split, prior):
    own, trained = clusters[split.test], clusters[split.train]
    rows = np.arange(len(own))
    mixture = _mixture(classifier, temperature, ignorance, concepts[split.test], prior)
    shares = np.bincount(own, minlength=len(prior)) / len(own)
    mine = mixture[rows, own]
    gains = mine / np.log(2) - np.log2(shares[own])
    entropy = float(-np.log2(shares[own]).mean())
    # Of equally likely clusters the first counts as the likelier.
    rank = (mixture > mine[:, None]).sum(1) + ((mixture == mine[:, None]) & (np.arange(len(prior)) < own[:, None])).sum(1)
    ways = [_mixture(classifier, *way, concepts[split.train], prior) for way in ((1.0, 0.0), (temperature, ignorance))]
    train_loss = min(-way[np.arange(len(trained)), trained].mean() for way in ways)
    return ReverseProbe(
        score=float(gains.mean()),
        entropy=entropy,
        cross_entropy=entropy - float(gains.mean()),
        train_score=float((-prior[trained].mean() - train_loss) / np.log(2)),
        gains=gains,
        test=split.test,
        top_1=float((rank == 0).mean()),
        top_5=float((rank < 5).mean()),
        majority=float((own == prior.argmax()).mean()),
        constant=float((prior[own] / np.log(2) - np.log2(shares[own])).mean()),
        classifier=classifier,
        temperature=temperature,
        ignorance=ignorance,
    )
