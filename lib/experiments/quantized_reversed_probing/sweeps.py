"""Scores over representations, blocks, numbers of clusters and training: everything of notebook 01 that probes."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score
from tqdm.auto import tqdm

from lib import representations
from lib.datasets.pictures import Pictures
from lib.encoders import local
from lib.keyed_random import generator
from lib.measures import reversed_probing_analyses as analyses
from lib.measures.quantized_reversed_probing import QuantizedReversedProbing, paired_difference, quantized_reversed_probing
from lib.measures.reverse_probe import reverse_probe
from lib.quantisation import quantise, randomly_merged
from lib.splits import stratified_split
from lib.statistics import proportion

Features = Mapping[str, np.ndarray]
Scores = Mapping[str, QuantizedReversedProbing]
FEW_PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5)  # where many probes are fitted only to be compared with one another


def features_of(names: Sequence[str], pictures: Pictures) -> dict[str, np.ndarray]:
    """Features by name."""
    return {name: representations.features(name, pictures) for name in tqdm(names, desc="features", leave=False)}


def scores_of(features: Features, concepts, **settings) -> dict[str, QuantizedReversedProbing]:
    """`quantized_reversed_probing` of many representations of the same pictures."""
    return {name: quantized_reversed_probing(one, concepts, **settings) for name, one in tqdm(features.items(), desc="scores", leave=False)}


def scores_with(scores: Scores, concepts, *, splits: int, seed: int = 0) -> dict[str, QuantizedReversedProbing]:
    """Scores of the same clusters for other concepts, without a null."""
    return scores_of({name: one.clusterings for name, one in scores.items()}, concepts, splits=splits, permutations=0, seed=seed)


def summary(scores: Scores, labels=None) -> pd.DataFrame:
    """One row per representation; with labels of a partition also the adjusted mutual information of the clusters with it."""
    rows = []
    for name, one in scores.items():
        each = one.replicates.groupby("clustering")["score"]
        row = {
            "representation": name, "score": one.score, "low": one.interval[0], "high": one.interval[1], "train_score": one.train_score,
            "null": one.null, "p_value": one.p_value, "calibrated": one.calibrated, "entropy": one.entropy, "normalised": one.normalised,
            "residual_perplexity": one.replicates["residual_perplexity"].mean(), "top_1": one.replicates["top_1"].mean(),
            "top_5": one.replicates["top_5"].mean(), "majority": one.replicates["majority"].mean(),
            "constant": one.replicates["constant"].mean(), "effective_clusters": 2**one.entropy,
            "clusters": one.replicates["clusters"].min(), "untested": one.replicates["untested"].max(),
            "sd_clusterings": each.mean().std(), "sd_splits": np.sqrt(each.var().mean()),
            "se_pictures": np.mean([probe.standard_error for probe in one.probes]),
        }  # fmt: skip
        if labels is not None:
            row["ami"] = np.mean([adjusted_mutual_info_score(labels, assignment.labels) for assignment in one.clusterings])
            row["nmi"] = np.mean([normalized_mutual_info_score(labels, assignment.labels) for assignment in one.clusterings])
        rows.append(row)
    return pd.DataFrame(rows)


def blocks_alone_and_together(scores: Scores, concepts: pd.DataFrame, *, splits: int, permutations: int, seed: int = 0) -> pd.DataFrame:
    """`block_gains` of every representation, with the column representation."""
    blocks = analyses.blocks_of(concepts)
    settings = {"splits": splits, "permutations": permutations, "penalties": FEW_PENALTIES, "seed": seed}
    return _stacked({
        name: analyses.block_gains(one.clusterings, blocks, **settings) for name, one in tqdm(scores.items(), desc="blocks", leave=False)
    })  # fmt: skip


def best_blocks(scores: Scores, concepts: pd.DataFrame, gains: pd.DataFrame, *, splits: int, seed: int = 0):
    """The score of each representation's best block alone, to be compared picture by picture; gains: `blocks_alone_and_together`."""
    blocks = analyses.blocks_of(concepts)
    best = gains.loc[gains.groupby("representation")["alone"].idxmax()].set_index("representation")["block"]
    return {name: scores_with({name: scores[name]}, blocks[block], splits=splits, seed=seed)[name] for name, block in best.items()}


def shapley_of(scores: Scores, concepts: pd.DataFrame) -> pd.DataFrame:
    """`shapley_over_blocks` of each representation's first clustering and split, with the column representation."""
    blocks = analyses.blocks_of(concepts)
    found = {}
    for name, one in tqdm(scores.items(), desc="Shapley values", leave=False):
        clusters, split = _first(one)
        found[name] = analyses.shapley_over_blocks(clusters, blocks, split, penalties=FEW_PENALTIES)
    return _stacked(found)


def cluster_number_curve(features: Features, concepts, numbers: Sequence[int], *, starts: int, seed: int = 0) -> pd.DataFrame:
    """Score against the number of clusters: representation, clusters, score, low, high (of pictures), entropy, normalised, train_score."""
    rows = []
    for name, one in tqdm(features.items(), desc="numbers of clusters", leave=False):
        for clusters in numbers:
            probe = _probe(quantise(one, clusters, starts=starts, seed=seed).labels, concepts, seed)
            rows.append({
                "representation": name, "clusters": clusters, **_scored(probe), "train_score": probe.train_score,
                "constant": probe.constant,
            })  # fmt: skip
    return pd.DataFrame(rows)


def quantiser_sensitivity(features: Features, concepts, *, clusters: int, starts: int, seed: int = 0) -> pd.DataFrame:
    """The score under each preprocessing, with another seed, and with the paper's settings.

    Returns:
        representation, quantiser, probe, score, low, high (over pictures), entropy, normalised, ami (of the clusters with the default's).
    """
    rows = []
    for name, one in tqdm(features.items(), desc="quantisers", leave=False):
        robust = {"starts": starts, "seed": seed}
        ways = {how: robust | {"preprocessing": how} for how in ("none", "l2", "standardize")}
        ways["pca"] = robust | {"preprocessing": "pca", "components": min(32, one.shape[1])}
        ways["other seed"] = robust | {"seed": seed + 1}
        ways["paper"] = {"preset": "paper", "seed": seed}
        labels = {way: quantise(one, clusters, **settings).labels for way, settings in ways.items()}
        for way, probing in [*((way, "robust") for way in ways), ("paper", "paper")]:
            probe = _probe(labels[way], concepts, seed, preset=probing)
            ami = adjusted_mutual_info_score(labels["none"], labels[way])
            rows.append({"representation": name, "quantiser": way, "probe": probing, **_scored(probe), "ami": ami})
    return pd.DataFrame(rows)


def native_and_kmeans(scores: Scores, features: Features, pictures: Pictures, concepts, *, starts: int, seed: int = 0) -> pd.DataFrame:
    """Clusters that an encoder brings along (the classes of its head) beside k-means at the same number of clusters.

    Returns:
        representation, clusters (how they were made), count, score, low, high (over pictures), entropy, normalised. Encoders without a head
        and layers are left out.
    """
    rows = []
    for name, one in tqdm(features.items(), desc="native clusters", leave=False):
        if ":" not in name or "@" in name or "+" in name or name == representations.DESCRIPTOR or name.startswith("pca:"):
            continue
        native = representations.native_clusters(name, pictures)
        if native is None or native.count < 2:
            continue
        kmeans, many = quantise(one, native.count, starts=starts, seed=seed), scores[name].clusterings[0]
        ways = {"classes of its head": native, "k-means": kmeans}
        if many.count > native.count:
            ways[f"k-means with {many.count}, merged at random"] = randomly_merged(many, native.count, seed=seed)
        for way, found in ways.items():
            rows.append({"representation": name, "clusters": way, "count": found.count, **_scored(_probe(found.labels, concepts, seed))})
    return pd.DataFrame(rows, columns=["representation", "clusters", "count", "score", "low", "high", "entropy", "normalised"])


def forward_accuracy(features: Features, concepts: pd.DataFrame, labels) -> pd.DataFrame:
    """How well a linear probe reads the class, and each block of which every picture has exactly one concept.

    Returns:
        representation, class, class_low, class_high (Wilson's interval), factors (mean over the blocks): accuracy on a half of the pictures
        drawn at random, fitted on the others.
    """
    factors = {name: block for name, block in analyses.blocks_of(concepts).items() if (block.sum(1) == 1).all() and name != "class"}
    factors = {"class": np.eye(np.max(labels) + 1, dtype=np.float32)[labels], **factors}
    bounds = np.cumsum([0, *(block.shape[1] for block in factors.values())])
    truth = np.concatenate(list(factors.values()), 1)
    fitted, tested = np.array_split(generator(0, 63).permutation(len(truth)), 2)
    rows = []
    for name, one in tqdm(features.items(), desc="forward probes", leave=False):
        predicted = analyses.read_linearly(one, truth, fitted, tested)
        right = [(predicted[:, low:high].argmax(1) == truth[tested, low:high].argmax(1)) for low, high in pairwise(bounds)]
        accuracy = proportion(int(right[0].sum()), len(tested))
        rows.append({
            "representation": name, "class": accuracy.value, "class_low": accuracy.low, "class_high": accuracy.high,
            "factors": np.mean(right[1:]) if len(right) > 1 else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)


def rank_moves(table: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Where each representation stands by two columns, 1 the highest, the largest moves first: representation, both ranks, moves."""
    ranks = table[["representation"]].assign(**{name: table[name].rank(ascending=False) for name in (first, second)})
    ranks["moves"] = ranks[first] - ranks[second]
    return ranks.reindex(ranks["moves"].abs().sort_values(ascending=False, kind="stable").index).reset_index(drop=True)


def training_curve(names: Sequence[str], seeds: Sequence[int], pictures: Pictures, concepts: pd.DataFrame, **settings) -> pd.DataFrame:
    """Reverse score and forward accuracy at every checkpoint of local encoders' training, one row per encoder, seed and checkpoint."""
    rows = []
    for name, seed in [(name, seed) for name in names for seed in seeds]:
        one = f"{name},seed={seed}"
        for number, step in enumerate(tqdm(local.recipe_named(one).checkpoint_steps, desc=f"{one} along training", leave=False)):
            features = {one: representations.features(f"{one},checkpoint={number}", pictures)}
            found = quantized_reversed_probing(features[one], concepts, **settings)
            forward = forward_accuracy(features, concepts, pictures.labels).iloc[0]
            rows.append({
                "encoder": name, "seed": seed, "checkpoint": number, "presentations": step * local.BATCH_SIZE, "score": found.score,
                "low": found.interval[0], "high": found.interval[1], "entropy": found.entropy, "normalised": found.normalised,
                "class": forward["class"], "factors": forward["factors"],
            })  # fmt: skip
    return pd.DataFrame(rows)


def noisy_experts(scores: Scores, concepts: pd.DataFrame, errors: Sequence[float], *, seed: int = 0) -> pd.DataFrame:
    """What wrong concept labels cost: of each block a share of the pictures gets the concepts of a picture drawn at random.

    Returns:
        One row per representation and share: representation, error, score, low, high (over pictures), entropy, normalised, and what is lost
        against the first share, paired by picture: loss, loss_low, loss_high (bits).
    """
    blocks = analyses.blocks_of(concepts)
    rows = []
    for name, one in tqdm(scores.items(), desc="noisy experts", leave=False):
        clusters, split = _first(one)
        whole = None
        for error in errors:
            spoiled = []
            for number, block in enumerate(blocks.values()):
                rng = generator(seed, 62, number)
                wrong = rng.random(len(block)) < error
                spoiled.append(np.where(wrong[:, None], block[rng.permutation(len(block))], block))
            probe = reverse_probe(clusters, np.column_stack(spoiled), split)
            whole = probe if whole is None else whole
            lost = whole.gains - probe.gains
            reach = 1.96 * lost.std() / np.sqrt(len(lost))
            losses = {"loss": lost.mean(), "loss_low": lost.mean() - reach, "loss_high": lost.mean() + reach}
            rows.append({"representation": name, "error": error, **_scored(probe), **losses})
    return pd.DataFrame(rows)


def stand_ins(scores: Scores, experts: Mapping[str, pd.DataFrame], *, splits: int, seed: int = 0) -> pd.DataFrame:
    """The score when another source names the class, and what is lost against the first source, paired by picture.

    Args:
        scores: of the representations.
        experts: source -> its concepts: first the true class, then e.g. people or another network.
        splits: of the pictures.
        seed: of the splits.

    Returns:
        representation, source, score, low, high, loss, loss_low, loss_high (bits).
    """
    found = {source: scores_with(scores, concepts, splits=splits, seed=seed) for source, concepts in experts.items()}
    truth = next(iter(found.values()))
    rows = []
    for source, several in found.items():
        for name, one in several.items():
            loss = paired_difference(truth[name], one)
            rows.append({
                "representation": name, "source": source, "score": one.score, "low": one.interval[0], "high": one.interval[1],
                "loss": loss.value, "loss_low": loss.low, "loss_high": loss.high,
            })  # fmt: skip
    return pd.DataFrame(rows)


def concepts_both_ways(score: QuantizedReversedProbing, features: np.ndarray, concepts: pd.DataFrame) -> pd.DataFrame:
    """`forward_and_reverse` of a representation's first clustering and split, with the column block."""
    clusters, split = _first(score)
    table = analyses.forward_and_reverse(features, clusters, concepts, split)
    return table.assign(block=table["concept"].str.partition(":")[0])


def probes_and_pictures(score: QuantizedReversedProbing, concepts: pd.DataFrame, *, seed: int = 0):
    """`probe_ladder`, and `learning_curve` with its limit, of a representation's first clustering and split."""
    clusters, split = _first(score)
    ladder = analyses.probe_ladder(clusters, analyses.blocks_of(concepts), split, seed=seed)
    return ladder, *analyses.learning_curve(clusters, concepts.to_numpy(np.float32), split, seed=seed)


def with_seeds(names: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Every representation of a local encoder once per seed; others have no seed and are kept as they are."""
    found = []
    for name in names:
        encoder, mark, rest = re.fullmatch(r"([^@+]*)([@+]?)(.*)", name).groups()
        found += [f"{encoder},seed={seed}{mark}{rest}" for seed in seeds] if name.startswith("local:") else [name]
    return found


def short(names: Sequence[str]) -> list[str]:
    """Names for labels: without scheme and seed, and of a layer only its stage."""
    return [re.sub(r"(^\w+:(?!\d))|(,seed=\d+)|(,data=\w+)|(trunk\.)", "", name).replace("@", " ") for name in names]


def _first(score):
    """Cluster of every picture and the split, of the first replicate."""
    clusters = score.assignments[0].labels
    return clusters, stratified_split(clusters, seed=score.settings["seed"])


def _probe(labels, concepts, seed, **settings):
    return reverse_probe(labels, concepts, stratified_split(labels, seed=seed), seed=seed, **settings)


def _scored(probe):
    reach = 1.96 * probe.standard_error
    return {
        "score": probe.score, "low": probe.score - reach, "high": probe.score + reach, "entropy": probe.entropy,
        "normalised": probe.normalised,
    }  # fmt: skip


def _stacked(tables):
    return pd.concat([table.assign(representation=name) for name, table in tables.items()], ignore_index=True)
