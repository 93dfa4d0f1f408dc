"""Quantized Reversed Probing (QRP): how much of a representation can human concepts explain?

Laina, Asano and Vedaldi, "Measuring the Interpretability of Unsupervised Representations via Quantized Reversed Probing", ICLR 2022. The
features of a network are quantised to clusters k, and a linear classifier predicts the cluster of a picture from its concepts y: the
reverse of a usual probe (`lib.measures.reverse_probe`). The score is the information that the concepts give about the cluster, as far as
such a classifier can use it,

    I = H(K) - E[-log q(k | y)],        q(k | y) = softmax_k(y W + b),

a lower bound of the mutual information between concepts and clusters, and thus of that between concepts and features.

What is not established from the paper is settled so: scores are in bits (`nats` gives the other unit); the normalised score is I / H(K);
clusters are made from all pictures and then split; both presets are described where they are made (`lib.quantisation`,
`lib.measures.reverse_probe`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import adjusted_mutual_info_score

from lib.keyed_random import generator
from lib.measures.reverse_probe import PENALTIES, ReverseProbe, cluster_information, reverse_probe
from lib.quantisation import Clusters, quantise
from lib.splits import stratified_split
from lib.statistics import Estimate


@dataclass(frozen=True)
class QuantizedReversedProbing:
    """The score of a representation for a set of concepts, with what is needed to doubt it."""

    score: float  # bits, mean over replicates
    interval: tuple[float, float]  # 95 %, over clusterings, splits and pictures
    null: float  # mean score with the concepts of other pictures; NaN without permutations
    p_value: float  # of the first replicate: share of null scores that are as high, ties in random order; NaN without permutations
    calibrated: float  # (score - null) / (entropy - null): 0 by chance, 1 if the concepts name the cluster
    normalised: float  # score / entropy
    entropy: float  # bits
    train_score: float  # bits: with `score` a bracket around what a linear probe could reach with more pictures
    clusters: pd.DataFrame  # of the first replicate: cluster, size, information (bits), contribution to its score
    concepts: pd.DataFrame  # concept, frequency, use: "used", "constant" or "same as ..." (the last two are left out of the probe)
    replicates: pd.DataFrame  # one row per clustering and split
    probes: tuple[ReverseProbe, ...]  # as in `replicates`
    assignments: tuple[Clusters, ...]  # as in `replicates`
    null_scores: np.ndarray
    settings: dict[str, object]

    @property
    def nats(self) -> float:
        """The score in nats."""
        return self.score * float(np.log(2))

    @property
    def clusterings(self) -> list[Clusters]:
        """Each clustering once."""
        return [self.assignments[row] for row in np.flatnonzero(~self.replicates["clustering"].duplicated())]

    @property
    def used(self) -> np.ndarray:
        """Columns of the concepts that the probes were given."""
        return np.flatnonzero(self.concepts["use"] == "used")


def quantized_reversed_probing(
    features, concepts, *, clusters: int = 100, preset: str = "robust", preprocessing: str = "none", components: int | None = None,
    clusterings: int = 3, splits: int = 2, permutations: int = 20, penalties: Sequence[float] = PENALTIES, starts: int | None = None,
    seed: int = 0,
) -> QuantizedReversedProbing:  # fmt: skip
    """Quantise features, probe them in reverse, and repeat both for the interval.

    The interval is of the mean over replicates and adds three variances: between clusterings, between splits, and between pictures, which
    all replicates share; Student's quantile has the degrees of freedom of Satterthwaite. Splits differ in their pictures as well, so the
    interval is rather too wide than too narrow. What was not varied (one clustering, one split) does not count.

    Args:
        features: (pictures, dims), finite; or `Clusters` that were made before or that a method brings along, one or several clusterings.
        concepts: (pictures, concepts) of 0 and 1, an array or a DataFrame with names. Constant ones and copies are left out and listed.
        clusters: K; scores at different K are not comparable.
        preset: "robust" or "paper", of quantiser and probe.
        preprocessing: of the quantiser.
        components: of the quantiser, for preprocessing "pca".
        clusterings: k-means seeds; of given clusters, all are taken.
        splits: splits a clustering.
        permutations: refits with the concepts of other pictures, on the first clustering; 0 leaves the null out.
        penalties: as in `reverse_probe`.
        starts: of k-means, as in `quantise`.
        seed: of everything random.

    Raises:
        ValueError: if shapes disagree, values are not finite, concepts are not 0 and 1 or there are none, or a setting is out of range.
    """
    given = [features] if isinstance(features, Clusters) else list(features) if _are_clusters(features) else None
    pictures = len(given[0].labels) if given else len(np.asarray(features))
    if given and len({len(one.labels) for one in given}) > 1:
        raise ValueError(f"features: found clusterings of {[len(one.labels) for one in given]} pictures; expected the same pictures")
    for name, value in {"clusterings": clusterings, "splits": splits, "permutations": permutations + 1}.items():
        if value < 1:
            raise ValueError(f"{name}: found {value - (name == 'permutations')}; expected at least {int(name != 'permutations')}")
    concepts, listed = _usable(concepts, pictures)
    rows, probes, assignments = [], [], []
    for clustering in range(len(given) if given else clusterings):
        one = given[clustering] if given else quantise(
            features, clusters, preset=preset, preprocessing=preprocessing, components=components, starts=starts, seed=seed + clustering,
        )  # fmt: skip
        for number in range(splits):
            split = stratified_split(one.labels, seed=seed + number)
            probe = reverse_probe(one.labels, concepts, split, preset=preset, penalties=penalties, seed=seed)
            tested = np.bincount(one.labels[split.test], minlength=one.count) > 0
            probes.append(probe)
            assignments.append(one)
            rows.append({
                "clustering": clustering, "split": number, "score": probe.score, "entropy": probe.entropy, "normalised": probe.normalised,
                "train_score": probe.train_score, "residual_perplexity": probe.residual_perplexity, "top_1": probe.top_1,
                "top_5": probe.top_5, "majority": probe.majority, "constant": probe.constant, "penalty": probe.classifier.penalty,
                "temperature": probe.temperature,
                "ignorance": probe.ignorance, "clusters": one.count, "empty": one.empty, "alone": split.alone,
                "untested": 1 - one.sizes[tested].sum() / pictures,
            })  # fmt: skip
    replicates = pd.DataFrame(rows)
    null_scores = np.array([
        _permuted(assignments[0].labels, concepts, number, preset=preset, penalties=penalties, seed=seed) for number in range(permutations)
    ])  # fmt: skip
    score, low, high = _mean_and_interval([probe.gains for probe in probes], [probe.test for probe in probes], replicates)
    entropy = replicates["entropy"].mean()
    null = float(null_scores.mean()) if permutations else 0.0
    information = cluster_information(probes[0], assignments[0].labels)
    own = np.bincount(assignments[0].labels[probes[0].test], minlength=assignments[0].count) / len(probes[0].test)
    return QuantizedReversedProbing(
        score=score,
        interval=(low, high),
        null=null if permutations else float("nan"),
        p_value=permutation_p_value(probes[0].score, null_scores, seed),
        calibrated=float((score - null) / (entropy - null)) if entropy > max(null, 0) else float("nan"),
        normalised=float(replicates["normalised"].mean()),
        entropy=float(entropy),
        train_score=float(replicates["train_score"].mean()),
        clusters=pd.DataFrame({
            "cluster": np.arange(assignments[0].count), "size": assignments[0].sizes, "information": information,
            "contribution": np.nan_to_num(information) * own,
        }),
        concepts=listed,
        replicates=replicates,
        probes=tuple(probes),
        assignments=tuple(assignments),
        null_scores=null_scores,
        settings={
            **{name: value for name, value in assignments[0].settings.items() if name != "seed"}, "clusters": assignments[0].requested,
            "quantiser": assignments[0].settings["preset"], "preset": preset, "clusterings": replicates["clustering"].nunique(),
            "splits": splits, "permutations": permutations, "penalties": tuple(penalties),
            "seed": seed, "pictures": pictures, "concepts": concepts.shape[1],
        },
    )  # fmt: skip


def paired_difference(first: QuantizedReversedProbing, second: QuantizedReversedProbing) -> Estimate:
    """Score of one representation minus that of another on the same pictures, in bits.

    Replicate by replicate, on the pictures that both test: what makes a picture easy for both cancels. The two should have entropies alike,
    since a score cannot exceed its entropy.

    Raises:
        ValueError: if they have other replicates or pictures.
    """
    columns = ["clustering", "split"]
    if not first.replicates[columns].equals(second.replicates[columns]) or first.settings["pictures"] != second.settings["pictures"]:
        raise ValueError("first, second: found other replicates or pictures; expected the same clusterings, splits and pictures")
    differences, tests = [], []
    for one, other in zip(first.probes, second.probes, strict=True):
        both, here, there = np.intersect1d(one.test, other.test, assume_unique=True, return_indices=True)
        differences.append(one.gains[here] - other.gains[there])
        tests.append(both)
    value, low, high = _mean_and_interval(differences, tests, first.replicates)
    return Estimate(value, low, high, int(np.mean([len(one) for one in tests])))


def agreement_with_labels(clusters, labels) -> float:
    """Adjusted mutual information of clusters with a partition, e.g. the class: 0 by chance whatever the number of clusters."""
    return float(adjusted_mutual_info_score(labels, clusters))


def _are_clusters(features):
    return isinstance(features, list | tuple) and len(features) > 0 and all(isinstance(one, Clusters) for one in features)


def _usable(concepts, pictures):
    """Concepts that can say something, (pictures, concepts) float32, and a table of all of them."""
    values = np.asarray(concepts)
    if values.ndim != 2 or len(values) != pictures:
        raise ValueError(f"concepts: found shape {values.shape}; expected ({pictures}, concepts), one row per picture")
    if not values.shape[1]:
        raise ValueError("concepts: found none; expected at least one column")
    try:
        values = values.astype(np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"concepts: found {values.dtype} values that are no numbers; expected 0 and 1") from None
    if not np.isfinite(values).all():
        raise ValueError(f"concepts: found {np.count_nonzero(~np.isfinite(values))} values that are not finite; expected 0 and 1")
    if len(other := values[(values != 0) & (values != 1)]):
        help_ = "binarise soft or scored concepts first, e.g. lib.concepts.binarised(concepts, 0.2)"
        raise ValueError(f"concepts: found {len(other)} values such as {other[0]:g}; expected 0 and 1 ({help_})")
    names = [str(name) for name in getattr(concepts, "columns", range(values.shape[1]))]
    use, seen = [], {}
    for number, (column, packed) in enumerate(zip(values.T, np.packbits(values.astype(bool), axis=0).T, strict=True)):
        first = seen.setdefault(packed.tobytes(), number)
        use.append("constant" if column.min() == column.max() else "used" if first == number else f"same as {names[first]}")
    listed = pd.DataFrame({"concept": names, "frequency": values.mean(0), "use": use})
    return values[:, listed["use"] == "used"], listed


def distinct(concepts: np.ndarray) -> np.ndarray:
    """(concepts,) bool: columns of 0 and 1 that are neither constant nor copies of one before them."""
    return (_usable(concepts, len(concepts))[1]["use"] == "used").to_numpy()


def _mean_and_interval(gains, tests, replicates):
    """The mean over replicates with its 95 % interval, as `quantized_reversed_probing` says; gains and tests: one array a replicate."""
    means = np.array([one.mean() for one in gains])
    # What one picture moves the mean by, in all replicates that test it: the bootstrap over pictures in its limit.
    influence = np.zeros(1 + max(int(test.max()) for test in tests))
    for one, test, mean in zip(gains, tests, means, strict=True):
        influence[test] += (one - mean) / (len(one) * len(gains))
    variance, uncertainty = np.square(influence).sum(), 0.0
    for level in ("clustering", "split"):
        group = pd.Series(means).groupby(replicates[level].to_numpy()).mean()
        if len(group) > 1:
            between = group.var() / len(group)
            variance += between
            uncertainty += between**2 / (len(group) - 1)
    freedom = variance**2 / uncertainty if uncertainty > 0 else np.inf
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    mean = float(means.mean())
    return mean, float(mean - reach), float(mean + reach)


def _permuted(labels, concepts, number, *, preset, penalties, seed):
    """The score with the concepts of other pictures."""
    order = generator(seed, 32, number).permutation(len(labels))
    split = stratified_split(labels, seed=seed)
    return reverse_probe(labels, concepts[order], split, preset=preset, penalties=penalties, seed=seed).score


def permutation_p_value(score: float, null_scores: np.ndarray, seed: int = 0) -> float:
    """(1 + how many are as high) / (1 + how many there are), with ties (constant predictions score alike) in random order.

    NaN if there are none.
    """
    if not len(null_scores):
        return float("nan")
    ties = np.isclose(null_scores, score, rtol=0, atol=1e-9)
    above = int((null_scores[~ties] > score).sum()) + int(generator(seed, 33).integers(0, ties.sum() + 1))
    return (1 + above) / (1 + len(null_scores))
