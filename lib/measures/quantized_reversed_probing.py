"""Quantized Reversed Probing (QRP): how much of a representation can human concepts explain?

Laina, Asano and Vedaldi, "Measuring the Interpretability of Unsupervised Representations via Quantized Reversed Probing", ICLR 2022. The
features of a network are quantised to clusters k, and a linear classifier predicts the cluster of a picture from its concepts y: the
reverse of a usual probe. The score is the information that the concepts give about the cluster, as far as such a classifier can use it,

    I = H(K) - E[-log q(k | y)],        q(k | y) = softmax_k(y W + b),

with both terms on pictures that the classifier has not seen. It is a lower bound of the mutual information between concepts and clusters,
and thus of that between concepts and features, for every W.

What is not established from the paper is settled so: scores are in bits; the normalised score is I / H(K); the classifier is the optimum of
its convex problem with a penalty chosen on validation pictures, calibrated there, and replaced by the constant prediction p(k) where that
is better ("optional ignorance").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize
from sklearn.metrics import adjusted_mutual_info_score

from lib.keyed_random import generator
from lib.logistic_regression import LogisticProblem, LogisticRegression
from lib.quantisation import Clusters, quantise
from lib.splits import Split, stratified_split
from lib.statistics import Estimate

PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_PATIENCE = 2
_TOLERANCE = 1e-4  # leaves about 1e-8 / 2 nats a weight, far below the sampling error of any score
_TEMPERATURES = np.geomspace(0.5, 20, 12)


@dataclass(frozen=True)
class ReverseProbe:
    """One classifier from concepts to clusters on one split of the pictures."""

    score: float  # bits: entropy - cross_entropy, on test pictures
    entropy: float  # bits, of the clusters of the test pictures
    cross_entropy: float  # bits
    train_score: float  # bits, the same on the training pictures with the classifier as fitted: biased upwards
    gains: np.ndarray  # (test pictures,) bits, log2 q(k | y) / p(k): their mean is the score
    test: np.ndarray  # (test pictures,) their indices
    top_1: float  # share of test pictures whose cluster is the likeliest
    top_5: float
    majority: float  # top_1 of the constant prediction
    classifier: LogisticRegression
    temperature: float  # by which logits are divided
    ignorance: float  # weight of the constant prediction in the mixture; 1: the concepts say nothing that generalises

    @property
    def normalised(self) -> float:
        """I / H(K); NaN where all test pictures are in one cluster."""
        return self.score / self.entropy if self.entropy > 0 else float("nan")

    @property
    def residual_perplexity(self) -> float:
        """Between how many equally likely clusters the concepts leave the choice: 2^cross_entropy."""
        return 2.0**self.cross_entropy


@dataclass(frozen=True)
class QuantizedReversedProbing:
    """The score of a representation for a set of concepts, with what is needed to doubt it."""

    score: float  # bits, mean over replicates
    interval: tuple[float, float]  # 95 %, over clusterings, splits and pictures
    null: float  # mean score with the concepts of other pictures
    p_value: float  # share of null scores that are as high, ties in random order; NaN without permutations
    calibrated: float  # (score - null) / (entropy - null): 0 by chance, 1 if the concepts name the cluster
    normalised: float  # score / entropy
    entropy: float  # bits
    train_score: float  # bits: with `score` a bracket around what a linear probe could reach with more pictures
    clusters: pd.DataFrame  # of the first replicate: cluster, size, information (bits), share of the score
    replicates: pd.DataFrame  # one row per clustering and split
    probes: tuple[ReverseProbe, ...]  # as in `replicates`
    assignments: tuple[Clusters, ...]  # as in `replicates`
    null_scores: np.ndarray
    settings: dict[str, float | int | str | None]


def quantized_reversed_probing(
    features, concepts, *, clusters: int = 100, preset: str = "robust", preprocessing: str = "none", clusterings: int = 3, splits: int = 2,
    permutations: int = 19, penalties: Sequence[float] = PENALTIES, starts: int | None = None, bootstrap: int = 1000, seed: int = 0,
) -> QuantizedReversedProbing:  # fmt: skip
    """Quantise features, probe them in reverse, and repeat both for the interval.

    Args:
        features: (pictures, dims), finite; or `Clusters` that a method brings along, which are not made anew.
        concepts: (pictures, concepts) of 0 and 1.
        clusters: K; scores at different K are not comparable.
        preset: "robust" or "paper", of the quantiser (`lib.quantisation.PRESETS`).
        preprocessing: of the quantiser.
        clusterings: k-means seeds.
        splits: splits a clustering.
        permutations: refits with the concepts of other pictures, on the first clustering; 0 leaves the null out.
        penalties: as in `reverse_probe`.
        starts: of k-means, as in `quantise`.
        bootstrap: resamples for the interval.
        seed: of everything random.

    Raises:
        ValueError: if shapes disagree, values are not finite, or a setting is out of range.
    """
    concepts = np.asarray(concepts)
    given = isinstance(features, Clusters)
    pictures = len(features.labels) if given else len(np.asarray(features))
    if concepts.ndim != 2 or len(concepts) != pictures:
        raise ValueError(f"concepts: found shape {concepts.shape}; expected ({pictures}, concepts), one row per picture")
    for name, value in {"clusterings": clusterings, "splits": splits, "permutations": permutations + 1, "bootstrap": bootstrap}.items():
        if value < 1:
            raise ValueError(f"{name}: found {value - (name == 'permutations')}; expected at least {int(name != 'permutations')}")
    rows, probes, assignments = [], [], []
    for clustering in range(1 if given else clusterings):
        one = features if given else quantise(
            features, clusters, preset=preset, preprocessing=preprocessing, starts=starts, seed=seed + clustering,
        )  # fmt: skip
        for number in range(splits):
            split = stratified_split(one.labels, seed=seed + number)
            probe = reverse_probe(one.labels, concepts, split, penalties=penalties)
            probes.append(probe)
            assignments.append(one)
            rows.append({
                "clustering": clustering, "split": number, "score": probe.score, "entropy": probe.entropy, "normalised": probe.normalised,
                "train_score": probe.train_score, "residual_perplexity": probe.residual_perplexity, "top_1": probe.top_1,
                "top_5": probe.top_5, "majority": probe.majority, "penalty": probe.classifier.penalty, "ignorance": probe.ignorance,
                "clusters": one.count, "empty": one.empty, "alone": split.alone,
            })  # fmt: skip
    replicates = pd.DataFrame(rows)
    null_scores = np.array([
        _permuted(assignments[0].labels, concepts, penalties, seed, number) for number in range(permutations)
    ])  # fmt: skip
    low, high = _interval([probe.gains for probe in probes], replicates["clustering"].to_numpy(), bootstrap, seed)
    score, entropy = replicates["score"].mean(), replicates["entropy"].mean()
    null = float(null_scores.mean()) if permutations else 0.0
    information = cluster_information(probes[0], assignments[0].labels)
    own = np.bincount(assignments[0].labels[probes[0].test], minlength=assignments[0].count) / len(probes[0].test)
    return QuantizedReversedProbing(
        score=float(score),
        interval=(low, high),
        null=null if permutations else float("nan"),
        p_value=_p_value(probes[0].score, null_scores, seed),
        calibrated=float((score - null) / (entropy - null)) if entropy > null else float("nan"),
        normalised=float(replicates["normalised"].mean()),
        entropy=float(entropy),
        train_score=float(replicates["train_score"].mean()),
        clusters=pd.DataFrame({
            "cluster": np.arange(assignments[0].count), "size": assignments[0].sizes, "information": information,
            "contribution": np.nan_to_num(information) * own,
        }),
        replicates=replicates,
        probes=tuple(probes),
        assignments=tuple(assignments),
        null_scores=null_scores,
        settings={
            "clusters": assignments[0].requested, "preset": preset, "preprocessing": preprocessing, "clusterings": clusterings,
            "splits": splits, "permutations": permutations, "bootstrap": bootstrap, "seed": seed, "pictures": pictures,
            "concepts": concepts.shape[1],
        },
    )  # fmt: skip


def paired_difference(
    first: QuantizedReversedProbing, second: QuantizedReversedProbing, *, bootstrap: int = 1000, seed: int = 0
) -> Estimate:
    """Score of one representation minus that of another on the same pictures, in bits.

    Replicate by replicate, on the pictures that both test: what makes a picture easy for both cancels. The two should have entropies alike,
    since a score cannot exceed its entropy.

    Raises:
        ValueError: if they have other replicates or pictures.
    """
    columns = ["clustering", "split"]
    if not first.replicates[columns].equals(second.replicates[columns]) or first.settings["pictures"] != second.settings["pictures"]:
        raise ValueError("first, second: found other replicates or pictures; expected the same clusterings, splits and pictures")
    differences = []
    for one, other in zip(first.probes, second.probes, strict=True):
        _, here, there = np.intersect1d(one.test, other.test, assume_unique=True, return_indices=True)
        differences.append(one.gains[here] - other.gains[there])
    low, high = _interval(differences, first.replicates["clustering"].to_numpy(), bootstrap, seed)
    return Estimate(float(np.mean([one.mean() for one in differences])), low, high, int(np.mean([len(one) for one in differences])))


def _interval(gains, clustering, resamples, seed):
    """Percentiles of the mean over replicates, drawing clusterings, then splits of each, then pictures of each.

    The mean over resampled pictures is drawn from its normal limit: there are hundreds of them.
    """
    rng = generator(seed, 31)
    means = np.array([one.mean() for one in gains])
    errors = np.array([one.std() / np.sqrt(len(one)) for one in gains])
    groups = [np.flatnonzero(clustering == one) for one in np.unique(clustering)]
    drawn = np.empty(resamples)
    for number in range(resamples):
        chosen = [groups[one] for one in rng.integers(0, len(groups), len(groups))]
        rows = np.concatenate([rng.choice(group, len(group)) for group in chosen])
        drawn[number] = rng.normal(means[rows], errors[rows]).mean()
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def _permuted(labels, concepts, penalties, seed, number):
    """The score with the concepts of other pictures."""
    order = generator(seed, 32, number).permutation(len(labels))
    return reverse_probe(labels, concepts[order], stratified_split(labels, seed=seed), penalties=penalties).score


def _p_value(score, null_scores, seed):
    """(1 + how many are as high) / (1 + how many there are), with ties (constant predictions score alike) in random order."""
    if not len(null_scores):
        return float("nan")
    ties = np.isclose(null_scores, score, rtol=0, atol=1e-9)
    above = int((null_scores[~ties] > score).sum()) + int(generator(seed, 33).integers(0, ties.sum() + 1))
    return (1 + above) / (1 + len(null_scores))


def reverse_probe(clusters, concepts, split: Split, *, penalties: Sequence[float] = PENALTIES) -> ReverseProbe:
    """Fit the reverse probe and score it on the test pictures.

    Args:
        clusters: (pictures,) integers from 0 without gaps.
        concepts: (pictures, concepts) of 0 and 1, or any finite numbers; no column is needed.
        split: which pictures train, choose the penalty and the calibration, and test.
        penalties: candidates, in nats per squared weight, tried from the strongest until two in a row are no better on the validation
            pictures; the constant prediction is always a candidate.

    Raises:
        ValueError: if shapes disagree or values are not finite (see `LogisticProblem`).
    """
    clusters, concepts = np.asarray(clusters), np.asarray(concepts)
    if concepts.ndim != 2 or clusters.shape != concepts.shape[:1]:
        found = f"{clusters.shape} and {concepts.shape}"
        raise ValueError(f"clusters, concepts: found shapes {found}; expected (pictures,) and (pictures, concepts)")
    count = int(clusters.max()) + 1
    problem = LogisticProblem(concepts[split.train], clusters[split.train], classes=count)
    prior = np.log(np.bincount(clusters[split.train], minlength=count) / len(split.train))
    fitted = chosen = best = None
    worse = 0
    for penalty in sorted(set(penalties), reverse=True):
        fitted = problem.fit(penalty, start=fitted, tolerance=_TOLERANCE)
        calibration = _calibrated(fitted, concepts[split.validation], clusters[split.validation], prior)
        if best is None or calibration[0] < best[0]:
            chosen, best, worse = fitted, calibration, 0
        else:
            worse += 1
        if worse == _PATIENCE:  # weaker penalties fit noise, and take longest to do so
            break
    _, temperature, ignorance = best
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


def agreement_with_labels(clusters, labels) -> float:
    """Adjusted mutual information of clusters with a partition, e.g. the class: 0 by chance whatever the number of clusters."""
    return float(adjusted_mutual_info_score(labels, clusters))


def _calibrated(classifier, concepts, clusters, prior):
    """The temperature and the weight of the constant prediction with the least validation loss: (loss in nats, temperature, weight)."""
    if not len(clusters):
        return np.inf, 1.0, 1.0
    rows = np.arange(len(clusters))
    constant = np.exp(prior[clusters])
    logits = np.asarray(concepts, np.float32) @ classifier.weights + classifier.bias
    best = (-prior[clusters].mean(), 1.0, 1.0)
    for temperature in _TEMPERATURES:
        own = np.exp(_log_softmax(logits / np.float32(temperature))[rows, clusters].astype(float))

        def loss(weight, own=own):
            return -np.log((1 - weight) * own + weight * constant).mean()

        found = optimize.minimize_scalar(loss, bounds=(1e-6, 1), method="bounded", options={"xatol": 1e-4})
        if found.fun < best[0]:
            best = float(found.fun), float(temperature), float(found.x)
    return best


def _scored(classifier, temperature, ignorance, clusters, concepts, split, prior):
    own = clusters[split.test]
    rows = np.arange(len(own))
    logits = np.asarray(concepts[split.test], np.float32) @ classifier.weights + classifier.bias
    log_likely = _log_softmax(logits / np.float32(temperature))
    mixture = np.exp(prior) * ignorance + (1 - ignorance) * np.exp(log_likely.astype(float))
    shares = np.bincount(own, minlength=len(prior)) / len(own)
    gains = np.log2(mixture[rows, own]) - np.log2(shares[own])
    entropy = float(-np.log2(shares[own]).mean())
    order = np.argsort(-mixture, axis=1, kind="stable")[:, :5]
    trained = clusters[split.train]
    train_loss = -classifier.log_probabilities(concepts[split.train])[np.arange(len(trained)), trained].astype(float).mean()
    return ReverseProbe(
        score=float(gains.mean()),
        entropy=entropy,
        cross_entropy=entropy - float(gains.mean()),
        train_score=float((-prior[trained].mean() - train_loss) / np.log(2)),
        gains=gains,
        test=split.test,
        top_1=float((order[:, 0] == own).mean()),
        top_5=float((order == own[:, None]).any(1).mean()),
        majority=float((own == prior.argmax()).mean()),
        classifier=classifier,
        temperature=temperature,
        ignorance=ignorance,
    )


def _log_softmax(logits):
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
