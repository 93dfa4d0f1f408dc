"""What lies behind a score of Quantized Reversed Probing: blocks of concepts, richer probes, more pictures, and concepts seen both ways.

A block is the set of concepts of one kind, e.g. all colours. Everything here refits the reverse probe (`lib.measures.reverse_probe`) on
clusters made before, and returns tables. Where nothing else is said, an interval is of one clustering and one split: normal, over test
pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
from scipy import optimize, sparse, special, stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lib import processes
from lib.keyed_random import generator, keys
from lib.measures.quantized_reversed_probing import (
    QuantizedReversedProbing,
    distinct,
    paired_difference,
    permutation_p_value,
    quantized_reversed_probing,
)
from lib.measures.reverse_probe import PENALTIES, cluster_information, reverse_probe
from lib.quantisation import Clusters
from lib.splits import Split, stratified_split
from lib.statistics import Estimate

LEAST_PERMUTATIONS = 19  # with fewer no p-value reaches 0.05
Blocks = Mapping[str, np.ndarray]  # name -> (pictures, concepts of the block)


def blocks_of(concepts: pd.DataFrame) -> dict[str, np.ndarray]:
    """Concepts grouped by the part of their name before the colon: "colour: red" and "colour: blue" are one block."""
    names = [str(column).partition(":")[0].strip() for column in concepts.columns]
    return {name: concepts.loc[:, [other == name for other in names]].to_numpy(np.float32) for name in dict.fromkeys(names)}


def joined(blocks: Blocks, names: Sequence[str] | None = None) -> np.ndarray:
    """The concepts of several blocks side by side; all of them by default, none for an empty list."""
    names = list(blocks) if names is None else list(names)
    if unknown := [name for name in names if name not in blocks]:
        raise ValueError(f"blocks: found {unknown[0]!r}; expected some of {', '.join(blocks)}")
    rows = len(next(iter(blocks.values())))
    return np.concatenate([np.zeros((rows, 0), np.float32), *(blocks[name] for name in names)], 1)


def block_gains(
    clusterings: Sequence[Clusters], blocks: Blocks, *, splits: int = 1, permutations: int = 9, penalties: Sequence[float] = PENALTIES,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Every block alone, and what it adds to all others.

    Args:
        clusterings: of one representation.
        blocks: name -> (pictures, concepts) of 0 and 1.
        splits: of the pictures.
        permutations: of the rows of a block, on the first clustering.
        penalties: of the probe of all blocks.
        seed: of splits and permutations.

    Returns:
        One row a block, as `block_gain` says.
    """
    settings = {"splits": splits, "permutations": 0, "penalties": penalties, "seed": seed}
    everything = quantized_reversed_probing(list(clusterings), joined(blocks), **settings)
    return pd.DataFrame([block_gain(everything, name, blocks=blocks, permutations=permutations, penalties=penalties) for name in blocks])


def block_gain(
    everything: QuantizedReversedProbing, name: str, *, blocks: Blocks, permutations: int, penalties: Sequence[float] = PENALTIES
) -> dict:
    """One block alone, and what it adds to all others: gain(S | B) = I(B and S) - I(B).

    Concepts of chance cost a little on test pictures, so a gain is to be compared with that of the same block with its rows permuted.

    Args:
        everything: the score for all blocks.
        name: of the block.
        blocks: all of them, as `everything` was given them.
        permutations: of the rows of the block, on the first clustering.
        penalties: of the probe of the block alone; the others keep those chosen in `everything`.

    Returns:
        block, concepts, alone, alone_low, alone_high, gain, gain_low, gain_high (intervals over clusterings, splits and pictures),
        null_mean, null_sd, p_value (of the gain on the first clustering; NaN for fewer than 19 permutations). All information is in bits.
    """
    block, seed = blocks[name], everything.settings["seed"]
    kept = everything.replicates["penalty"].unique()  # what leaving one block out changes is little beside what the penalty would

    def scored(concepts, penalties):
        settings = {"splits": everything.settings["splits"], "permutations": 0, "penalties": penalties, "seed": seed}
        return quantized_reversed_probing(everything.clusterings, _something(concepts), **settings)

    without, alone = scored(joined(blocks, [other for other in blocks if other != name]), kept), scored(block, penalties)
    gain = paired_difference(everything, without)
    base = without.probes[0].score
    null = np.array([_with_shuffled(everything, blocks, name, seed, number) for number in range(permutations)]) - base
    enough = permutations >= LEAST_PERMUTATIONS
    return {
        "block": name, "concepts": block.shape[1], "alone": alone.score, "alone_low": alone.interval[0], "alone_high": alone.interval[1],
        "gain": gain.value, "gain_low": gain.low, "gain_high": gain.high,
        "null_mean": null.mean() if permutations else np.nan, "null_sd": null.std() if permutations else np.nan,
        "p_value": permutation_p_value(everything.probes[0].score - base, null, seed) if enough else np.nan,
    }  # fmt: skip


def _something(concepts):
    """Concepts, or where there are none one that is never there: the prediction is constant in both cases."""
    return concepts if concepts.shape[1] else np.zeros((len(concepts), 1), np.float32)


def _with_shuffled(everything, blocks, name, seed, number):
    """The score of the first clustering and split when the rows of one block are permuted."""
    order = generator(seed, 41, number).permutation(len(blocks[name]))
    concepts = joined({**blocks, name: blocks[name][order]})
    # What copied a concept of the block does so no longer, and is left out no longer.
    columns = distinct(concepts)
    clusters, classifier = everything.assignments[0].labels, everything.probes[0].classifier
    start = classifier if np.array_equal(np.flatnonzero(columns), everything.used) else None
    split = stratified_split(clusters, seed=seed)
    return reverse_probe(clusters, concepts[:, columns], split, penalties=[classifier.penalty], start=start).score


def shapley_over_blocks(clusters, blocks: Blocks, split: Split, *, penalties: Sequence[float] = PENALTIES) -> pd.DataFrame:
    """How the score divides among blocks, whatever the order of adding them: Shapley values, from 2^B fits.

    The penalty is chosen once, for all blocks together.

    Returns:
        One row a block: block, value, low, high (bits); the values sum to the score of all blocks minus that of none.

    Raises:
        ValueError: if there are more than 10 blocks.
    """
    names = list(blocks)
    if len(names) > 10:
        raise ValueError(f"blocks: found {len(names)}; expected at most 10, since 2^B probes are fitted")
    subsets = [subset for size in range(len(names) + 1) for subset in combinations(names, size)]
    everything = reverse_probe(clusters, joined(blocks), split, penalties=penalties).classifier
    gains = processes.share_out(
        partial(_gains_of_some, clusters=clusters, blocks=blocks, split=split, everything=everything),
        {frozenset(subset): (subset,) for subset in subsets}, description="Shapley values",
    )  # fmt: skip
    rows = []
    for name in names:
        value = 0.0  # of every test picture
        for subset in map(frozenset, subsets):
            if name not in subset:
                weight = factorial(len(subset)) * factorial(len(names) - len(subset) - 1) / factorial(len(names))
                value = value + weight * (gains[subset | {name}] - gains[subset])
        rows.append({"block": name, **_with_interval("value", value)})
    return pd.DataFrame(rows)


def _gains_of_some(names, *, clusters, blocks, split, everything):
    """What the concepts of some blocks say about each test picture, with the penalty of the classifier of everything."""
    block_of = np.repeat(list(blocks), [block.shape[1] for block in blocks.values()])
    start = replace(everything, weights=everything.weights[np.isin(block_of, list(names))])
    return reverse_probe(clusters, joined(blocks, names), split, penalties=[everything.penalty], start=start).gains


def block_gains_of_clusters(everything: QuantizedReversedProbing, blocks: Blocks) -> pd.DataFrame:
    """What each block adds to all others in each cluster of the first clustering and split, (clusters, blocks) bits.

    It is what the cluster's I_k loses when the block is left out; probes without a block keep the penalty. Weighted by the clusters' shares
    of the test pictures, a block's values sum to its gain.

    Args:
        everything: the score for all blocks.
        blocks: all of them, as `everything` was given them.
    """
    probe, clusters = everything.probes[0], everything.assignments[0]
    whole, found = cluster_information(probe, clusters.labels), {}
    settings = {"splits": 1, "permutations": 0, "penalties": [probe.classifier.penalty], "seed": everything.settings["seed"]}
    for name in blocks:
        without = quantized_reversed_probing(clusters, _something(joined(blocks, [other for other in blocks if other != name])), **settings)
        found[name] = whole - without.clusters["information"]
    return pd.DataFrame(found)


def best_pairs(clusters, concepts: pd.DataFrame) -> pd.DataFrame:
    """Of every cluster the conjunction of two concepts that says most about being in it, on all pictures.

    A description, not a test: it is the best of many pairs on the pictures that it describes.

    Args:
        clusters: (pictures,) integers from 0.
        concepts: (pictures, concepts) of 0 and 1, with names; at least two.

    Returns:
        One row a cluster: first, second (concepts), bits (mutual information of "both are there" and "in this cluster"), precision (share
        of the pictures with both that are in the cluster), recall (share of the cluster that has both). Only pairs that are commoner in
        the cluster than elsewhere count, and none of which one concept is never there without the other ("bird" and "animal"); where
        there is none the names are empty and the numbers NaN.

    Raises:
        ValueError: if there are fewer than two concepts.
    """
    if concepts.shape[1] < 2:
        raise ValueError(f"concepts: found {concepts.shape[1]}; expected at least two to pair")
    values, clusters = concepts.to_numpy(np.float32), np.asarray(clusters)
    total, sizes = len(clusters), np.bincount(clusters)
    members = sparse.csr_array((np.ones(total, np.float32), (clusters, np.arange(total))))
    pairs = np.column_stack(np.triu_indices(values.shape[1], 1))
    inside = np.concatenate([members @ (values[:, one, None] * values[:, one + 1 :]) for one in range(values.shape[1] - 1)], 1)
    with_both = inside.sum(0)
    # Shares of the pictures that have both or not, in this cluster or not: (2, 2, clusters, pairs).
    outside = with_both - inside
    cells = np.array([[inside, outside], [sizes[:, None] - inside, total - sizes[:, None] - outside]]) / total
    expected = cells.sum(1, keepdims=True) * cells.sum(0, keepdims=True)
    bits = special.rel_entr(cells, expected).sum((0, 1)) / np.log(2)
    nested = with_both == values.sum(0)[pairs].min(1)
    commoner = (cells[0, 0] > expected[0, 0]) & ~nested
    best = np.where(commoner, bits, -1).argmax(1)
    rows, names = np.arange(len(sizes)), concepts.columns.to_numpy().astype(object)
    both = inside[rows, best]
    with np.errstate(invalid="ignore"):
        found = pd.DataFrame({
            "first": names[pairs[best, 0]], "second": names[pairs[best, 1]], "bits": bits[rows, best],
            "precision": both / with_both[best], "recall": both / sizes,
        })  # fmt: skip
    found.loc[~commoner.any(1)] = ["", "", np.nan, np.nan, np.nan]
    return found


def probe_ladder(
    clusters, blocks: Blocks, split: Split, *, pairs: int = 64, penalties: Sequence[float] = PENALTIES, seed: int = 0
) -> pd.DataFrame:
    """Probes of growing power on the same concepts: what is explained by sums, what only by interactions, what not at all.

    The steps are the constant prediction, the best single block, all concepts (the measure itself), all concepts with products of pairs
    (the `pairs` products that fit the residuals of the training pictures best), and boosted trees.

    Returns:
        One row a step: probe, score, low, high, gain, gain_low, gain_high (over all concepts, paired by picture; bits). Trees see the same
        few pictures a cluster and are not tuned: where they gain nothing, there may still be interactions.
    """
    concepts = joined(blocks)
    own, trained = np.asarray(clusters)[split.test], np.asarray(clusters)[split.train]
    shares = [np.bincount(part, minlength=np.max(clusters) + 1) / len(part) for part in (trained, own)]
    singles = {name: reverse_probe(clusters, block, split, penalties=penalties) for name, block in blocks.items()}
    best = max(singles, key=lambda name: singles[name].score)
    additive = reverse_probe(clusters, concepts, split, penalties=penalties)
    products = _products(concepts, screened_pairs(clusters, concepts, split, additive.classifier, pairs))
    steps = {
        "constant": np.log2(shares[0][own]) - np.log2(shares[1][own]),
        f"best block ({best})": singles[best].gains,
        "all concepts": additive.gains,
        "with products of pairs": reverse_probe(clusters, np.column_stack([concepts, products]), split, penalties=penalties).gains,
        "boosted trees": _tree_gains(np.asarray(clusters), concepts, split, seed),
    }
    rows = []
    for name, gains in steps.items():
        gain = _with_interval("gain", gains - additive.gains)
        paired = {"gain": gain["gain"], "gain_low": gain["low"], "gain_high": gain["high"]}
        rows.append({"probe": name, **_with_interval("score", gains), **paired})
    return pd.DataFrame(rows)


def screened_pairs(clusters, concepts, split: Split, classifier, count: int) -> np.ndarray:
    """The pairs of concepts whose product correlates most with the residuals of a fitted probe on its training pictures, (count, 2).

    For a product z the squared slope of the loss, scaled by the spread of z: sum_k (z' (p_k - 1[k]))^2 / (n var z).
    """
    rows, own = np.asarray(concepts, np.float32)[split.train], np.asarray(clusters)[split.train]
    residuals = np.exp(classifier.log_probabilities(rows))
    residuals[np.arange(len(own)), own] -= 1
    scores = np.zeros((rows.shape[1],) * 2)
    for first in range(rows.shape[1]):
        products = rows[:, first, None] * rows[:, first + 1 :]
        spread = products.var(0) * len(rows)
        slopes = np.square(products.T @ residuals).sum(1)
        scores[first, first + 1 :] = np.where(spread > 0, slopes / np.maximum(spread, 1e-12), 0)
    order = np.argsort(-scores, axis=None, kind="stable")[: min(count, np.count_nonzero(scores))]
    return np.column_stack(np.unravel_index(order, scores.shape))


def learning_curve(
    clusters, concepts, split: Split, *, shares: Sequence[float] = (0.15, 0.3, 0.45, 0.7, 1.0), penalties: Sequence[float] = PENALTIES,
    bootstrap: int = 1000, seed: int = 0,
) -> tuple[pd.DataFrame, Estimate]:  # fmt: skip
    """The score with fewer training pictures, and where I(N) = I_inf - a / N leads.

    Returns:
        Rows of pictures (trained on), score, low, high, train_score; and I_inf in bits by least squares over the three largest sizes, with
        its bootstrap over test pictures, which knows nothing of the misfit: an extrapolation, not a measurement. Every cluster keeps its
        share of the training pictures, at least one.
    """
    own = np.asarray(clusters)[split.train]
    order = np.lexsort((keys(seed, 42, split.train), own))
    rank = np.empty(len(own), np.int64)
    rank[order] = np.arange(len(own)) - np.searchsorted(own[order], own[order])
    rows, gains = [], []
    for share in shares:
        part = split.train[rank < np.maximum(1, np.round(share * np.bincount(own)[own]))]
        probe = reverse_probe(clusters, concepts, Split(part, split.validation, split.test, split.alone), penalties=penalties)
        gains.append(probe.gains)
        rows.append({"pictures": len(part), **_with_interval("score", probe.gains), "train_score": probe.train_score})
    table = pd.DataFrame(rows)
    # The limit is linear in the scores: one row of the pseudo-inverse, applied to every resample.
    used = table["pictures"].nlargest(3).index
    to_limit = np.linalg.pinv(np.column_stack([np.ones(len(used)), -1 / table["pictures"][used]]))[0]
    by_picture = to_limit @ np.stack([gains[row] for row in used])
    count = len(by_picture)
    weights = generator(seed, 43).multinomial(count, np.full(count, 1 / count), size=bootstrap)
    low, high = np.quantile(weights @ by_picture / count, (0.025, 0.975))
    return table, Estimate(float(by_picture.mean()), float(low), float(high), count)


def forward_and_reverse(
    features, clusters, concepts: pd.DataFrame, split: Split, *, penalties: Sequence[float] = PENALTIES
) -> pd.DataFrame:
    """Each concept both ways: can it be read from the features (forward), and does it organise the clusters (reverse)?

    Args:
        features: (pictures, dims).
        clusters: (pictures,) integers from 0.
        concepts: (pictures, concepts) of 0 and 1, with names.
        split: of the pictures.
        penalties: of the reverse probe.

    Returns:
        One row a concept that is present and absent among both training and test pictures: concept, frequency, entropy (bits, of the
        concept), forward (area under the ROC curve of a linear probe on test pictures), alone (bits), share (alone / entropy, which cannot
        exceed 1), gain over all others (bits).
    """
    values = concepts.to_numpy(np.float32)
    everything = reverse_probe(clusters, values, split, penalties=penalties)
    both = [(part.min(0) < part.max(0)) for part in (values[split.train], values[split.test])]
    chosen = np.flatnonzero(both[0] & both[1])
    predicted = read_linearly(np.asarray(features, np.float32), values[:, chosen], split.train, split.test)
    areas = [roc_auc_score(values[split.test, column], read) for column, read in zip(chosen, predicted.T, strict=True)]
    reverse = processes.share_out(
        partial(_alone_and_gained, clusters=clusters, values=values, split=split, everything=everything),
        {column: (column,) for column in chosen}, description="concepts",
    )  # fmt: skip
    frequency = values[:, chosen].mean(0)
    entropy = stats.entropy([frequency, 1 - frequency], base=2)
    alone, gain = np.array(list(reverse.values())).reshape(-1, 2).T
    return pd.DataFrame({
        "concept": concepts.columns[chosen], "frequency": frequency, "entropy": entropy, "forward": areas, "alone": alone,
        "share": alone / entropy, "gain": gain,
    })  # fmt: skip


def _alone_and_gained(column, *, clusters, values, split, everything):
    """What one concept says alone, and beyond all others; what leaving it out changes is little beside what the penalty would."""
    kept, others = [everything.classifier.penalty], np.arange(values.shape[1]) != column
    start = replace(everything.classifier, weights=everything.classifier.weights[others])
    rest = reverse_probe(clusters, values[:, others], split, penalties=kept, start=start).score
    return reverse_probe(clusters, values[:, [column]], split, penalties=kept).score, everything.score - rest


def read_linearly(features, concepts, train, test) -> np.ndarray:
    """Every concept predicted from the features by ridge regression, (test, concepts); the penalty of each by leave-one-out.

    Args:
        features: (pictures, dims).
        concepts: (pictures, concepts).
        train: indices of the pictures to fit on.
        test: indices of those to predict.
    """
    probe = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-1, 5, 7), alpha_per_target=True))
    probe.fit(features[train], concepts[train])
    return probe.predict(features[test]).reshape(len(test), -1)


def _with_interval(name, gains):
    """The mean over test pictures and its normal interval, as columns of a table."""
    reach = 1.96 * gains.std() / np.sqrt(len(gains))
    return {name: gains.mean(), "low": gains.mean() - reach, "high": gains.mean() + reach}


def _products(concepts, pairs):
    return concepts[:, pairs[:, 0]] * concepts[:, pairs[:, 1]]


def _tree_gains(clusters, concepts, split, seed):
    """Gains of boosted trees, mixed with the constant prediction as validation pictures ask for, as in `reverse_probe`."""
    trees = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8, early_stopping=False, random_state=seed)
    with threadpool_limits(1):  # a tree of few pictures is little work
        trees.fit(concepts[split.train], clusters[split.train])
    prior = np.bincount(clusters[split.train]) / len(split.train)

    def likely(part, weight):
        own = clusters[part]
        predicted = trees.predict_proba(concepts[part])[np.arange(len(own)), own]
        return (1 - weight) * predicted + weight * prior[own]

    weight = optimize.minimize_scalar(lambda one: -np.log(likely(split.validation, one)).mean(), bounds=(1e-6, 1), method="bounded").x
    own = clusters[split.test]
    shares = np.bincount(own, minlength=len(prior)) / len(own)
    return np.log2(likely(split.test, weight)) - np.log2(shares[own])
