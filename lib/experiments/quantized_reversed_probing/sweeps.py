"""Scores over representations, blocks, numbers of clusters and training: everything of notebook 01 that probes."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score
from tqdm.auto import tqdm

from lib import representations
from lib.datasets.pictures import Pictures
from lib.encoders import local
from lib.keyed_random import generator
from lib.linear_probe import linear_probe
from lib.measures import reversed_probing_analyses as analyses
from lib.measures.quantized_reversed_probing import QuantizedReversedProbing, quantized_reversed_probing, reverse_probe
from lib.quantisation import quantise
from lib.splits import stratified_split

Features = Mapping[str, np.ndarray]
FEW_PENALTIES = (1e-2, 1e-4, 1e-6)  # where 2^B probes are fitted


def features_of(names: Sequence[str], pictures: Pictures) -> dict[str, np.ndarray]:
    """Features by name."""
    return {name: representations.features(name, pictures) for name in tqdm(names, desc="features", leave=False)}


def scores_of(features: Features, concepts, **settings) -> dict[str, QuantizedReversedProbing]:
    """`quantized_reversed_probing` of many representations of the same pictures."""
    return {name: quantized_reversed_probing(one, concepts, **settings) for name, one in tqdm(features.items(), desc="scores", leave=False)}


def summary(scores: Mapping[str, QuantizedReversedProbing], labels=None) -> pd.DataFrame:
    """One row per representation; with labels of a partition also the adjusted mutual information of the clusters with it."""
    rows = []
    for name, one in scores.items():
        row = {
            "representation": name, "score": one.score, "low": one.interval[0], "high": one.interval[1], "train_score": one.train_score,
            "null": one.null, "p_value": one.p_value, "calibrated": one.calibrated, "entropy": one.entropy, "normalised": one.normalised,
            "residual_perplexity": one.replicates["residual_perplexity"].mean(), "top_1": one.replicates["top_1"].mean(),
            "majority": one.replicates["majority"].mean(), "clusters": one.replicates["clusters"].min(),
            "sd_clusterings": one.replicates.groupby("clustering")["score"].mean().std(),
            "sd_splits": np.sqrt(one.replicates.groupby("clustering")["score"].var().mean()),
        }  # fmt: skip
        if labels is not None:
            row["ami"] = np.mean([adjusted_mutual_info_score(labels, assignment.labels) for assignment in one.assignments])
        rows.append(row)
    return pd.DataFrame(rows)


def blocks_alone_and_together(
    features: Features, concepts: pd.DataFrame, *, clusters: int, starts: int, permutations: int, clusterings: int = 1, seed: int = 0
) -> pd.DataFrame:
    """`block_gains` of every representation, with the columns representation and clustering."""
    blocks = analyses.blocks_of(concepts)
    parts = []
    for name, one in tqdm(features.items(), desc="blocks", leave=False):
        for clustering in range(clusterings):
            labels = quantise(one, clusters, starts=starts, seed=seed + clustering).labels
            table = analyses.block_gains(labels, blocks, stratified_split(labels, seed=seed), permutations=permutations, seed=seed)
            parts.append(table.assign(representation=name, clustering=clustering))
    return pd.concat(parts, ignore_index=True)


def cluster_number_curve(features: Features, concepts, numbers: Sequence[int], *, starts: int, seed: int = 0) -> pd.DataFrame:
    """Score and entropy against the number of clusters: representation, clusters, score, entropy, normalised, train_score."""
    rows = []
    for name, one in tqdm(features.items(), desc="numbers of clusters", leave=False):
        for clusters in numbers:
            labels = quantise(one, clusters, starts=starts, seed=seed).labels
            probe = reverse_probe(labels, concepts, stratified_split(labels, seed=seed))
            rows.append({
                "representation": name, "clusters": clusters, "score": probe.score, "entropy": probe.entropy,
                "normalised": probe.normalised, "train_score": probe.train_score,
            })  # fmt: skip
    return pd.DataFrame(rows)


def quantiser_sensitivity(features: Features, concepts, *, clusters: int, starts: int, seed: int = 0) -> pd.DataFrame:
    """The score under each preprocessing and with the paper's settings of k-means: representation, quantiser, score, entropy."""
    rows = []
    for name, one in tqdm(features.items(), desc="quantisers", leave=False):
        ways = {how: {"preprocessing": how, "starts": starts} for how in ("none", "l2", "standardize")}
        ways |= {"pca": {"preprocessing": "pca", "components": min(32, one.shape[1]), "starts": starts}, "paper": {"preset": "paper"}}
        for way, settings in ways.items():
            labels = quantise(one, clusters, seed=seed, **settings).labels
            probe = reverse_probe(labels, concepts, stratified_split(labels, seed=seed))
            rows.append({"representation": name, "quantiser": way, "score": probe.score, "entropy": probe.entropy})
    return pd.DataFrame(rows)


def forward_accuracy(features: Features, concepts: pd.DataFrame, labels, *, share: float = 0.5) -> pd.DataFrame:
    """How well linear probes read the class and each factor from the features: representation, class, factors (mean accuracy)."""
    factors = {name: block.argmax(1) for name, block in analyses.blocks_of(concepts).items() if (block.sum(1) == 1).all()}
    rows = []
    for name, one in tqdm(features.items(), desc="forward probes", leave=False):
        found = [linear_probe(one, values, share=share).mean() for values in factors.values()]
        rows.append({"representation": name, "class": linear_probe(one, labels, share=share).mean(), "factors": np.mean(found)})
    return pd.DataFrame(rows)


def training_curve(name: str, seeds: Sequence[int], pictures: Pictures, concepts: pd.DataFrame, **settings) -> pd.DataFrame:
    """Reverse score and forward accuracy at every checkpoint of a local encoder's training, one row per seed and checkpoint."""
    rows = []
    for seed in seeds:
        one = f"{name},seed={seed}"
        for number, step in enumerate(local.recipe_named(one).checkpoint_steps):
            features = {one: representations.features(f"{one},checkpoint={number}", pictures)}
            found = quantized_reversed_probing(features[one], concepts, **settings)
            forward = forward_accuracy(features, concepts, pictures.labels).iloc[0]
            rows.append({
                "seed": seed, "presentations": step * local.BATCH_SIZE, "score": found.score, "low": found.interval[0],
                "high": found.interval[1], "entropy": found.entropy, "class": forward["class"], "factors": forward["factors"],
            })  # fmt: skip
    return pd.DataFrame(rows)


def noisy_experts(
    features: Features, concepts: pd.DataFrame, errors: Sequence[float], *, clusters: int, starts: int, seed: int = 0
) -> pd.DataFrame:
    """What wrong concept labels cost: of each factor a share of the pictures gets the label of another picture.

    Returns:
        One row per representation and share: representation, error, score.
    """
    blocks = analyses.blocks_of(concepts)
    rows = []
    for name, one in tqdm(features.items(), desc="noisy experts", leave=False):
        labels = quantise(one, clusters, starts=starts, seed=seed).labels
        split = stratified_split(labels, seed=seed)
        for error in errors:
            spoiled = []
            for number, block in enumerate(blocks.values()):
                rng = generator(seed, 62, number)
                wrong = rng.random(len(block)) < error
                spoiled.append(np.where(wrong[:, None], block[rng.permutation(len(block))], block))
            rows.append({"representation": name, "error": error, "score": reverse_probe(labels, np.column_stack(spoiled), split).score})
    return pd.DataFrame(rows)


def shapley_of(features: Features, concepts: pd.DataFrame, *, clusters: int, starts: int, seed: int = 0) -> pd.DataFrame:
    """`shapley_over_blocks` of each representation's first clustering, with the column representation."""
    parts = []
    for name, one in tqdm(features.items(), desc="Shapley values", leave=False):
        labels = quantise(one, clusters, starts=starts, seed=seed).labels
        split = stratified_split(labels, seed=seed)
        table = analyses.shapley_over_blocks(labels, analyses.blocks_of(concepts), split, penalties=FEW_PENALTIES)
        parts.append(table.assign(representation=name))
    return pd.concat(parts, ignore_index=True)


def concepts_both_ways(features: np.ndarray, concepts: pd.DataFrame, *, clusters: int, starts: int, seed: int = 0) -> pd.DataFrame:
    """`forward_and_reverse` of one representation's first clustering, with the column block."""
    labels = quantise(features, clusters, starts=starts, seed=seed).labels
    table = analyses.forward_and_reverse(features, labels, concepts, stratified_split(labels, seed=seed))
    return table.assign(block=table["concept"].str.partition(":")[0])


def probes_and_pictures(
    features: np.ndarray, concepts: pd.DataFrame, *, clusters: int, starts: int, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """`probe_ladder`, and `learning_curve` with its limit, of one representation's first clustering."""
    labels = quantise(features, clusters, starts=starts, seed=seed).labels
    split = stratified_split(labels, seed=seed)
    ladder = analyses.probe_ladder(labels, analyses.blocks_of(concepts), split, seed=seed)
    return ladder, *analyses.learning_curve(labels, concepts.to_numpy(np.float32), split, seed=seed)


def with_seeds(names: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Every representation of a local encoder once per seed; others have no seed and are kept as they are."""
    found = []
    for name in names:
        encoder, at, layer = name.partition("@")
        found += [f"{encoder},seed={seed}{at}{layer}" for seed in seeds] if name.startswith("local:") else [name]
    return found


def short(names: Sequence[str]) -> list[str]:
    """Names for labels: without scheme and seed, and of a layer only its stage."""
    return [re.sub(r"(^\w+:)|(,seed=\d+)|(,data=\w+)|(trunk\.)", "", name).replace("@", " ") for name in names]
