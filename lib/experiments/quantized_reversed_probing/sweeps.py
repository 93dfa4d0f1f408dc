"""Scores over representations, blocks, numbers of clusters and training: everything of notebook 01 that probes."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score
from tqdm.auto import tqdm

from lib import processes, representations
from lib.datasets.pictures import Pictures
from lib.encoders import local
from lib.keyed_random import generator
from lib.measures import reversed_probing_analyses as analyses
from lib.measures.quantized_reversed_probing import QuantizedReversedProbing, paired_difference, quantized_reversed_probing
from lib.measures.reverse_probe import reverse_probe
from lib.quantisation import quantise, randomly_merged
from lib.representations import checkpoints, with_seeds
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
    work = partial(quantized_reversed_probing, concepts=concepts, **settings)
    return processes.share_out(work, {name: (one,) for name, one in features.items()}, description="scores")


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
    """`block_gain` of every representation and block, with the column representation."""
    blocks = analyses.blocks_of(concepts)
    clusterings = {name: one.clusterings for name, one in scores.items()}
    settings = {"splits": splits, "permutations": 0, "penalties": FEW_PENALTIES, "seed": seed}
    everything = scores_of(clusterings, analyses.joined(blocks), **settings)
    rows = processes.share_out(
        partial(analyses.block_gain, blocks=blocks, permutations=permutations, penalties=FEW_PENALTIES),
        {(name, block): (one, block) for name, one in everything.items() for block in blocks}, description="blocks",
    )  # fmt: skip
    return pd.DataFrame([row | {"representation": name} for (name, _), row in rows.items()])


def best_blocks(scores: Scores, concepts: pd.DataFrame, gains: pd.DataFrame, *, splits: int, seed: int = 0):
    """The score of each representation's best block alone, to be compared picture by picture; gains: `blocks_alone_and_together`.

    Which block is best is decided for the first seed of a representation, the only one that need be in `gains`.
    """
    blocks = analyses.blocks_of(concepts)
    gains = gains.assign(family=gains["representation"].map(representations.family))
    best = gains.loc[gains.groupby("family")["alone"].idxmax()].set_index("family")["block"]
    settings = {"splits": splits, "permutations": 0, "seed": seed}
    chosen = {name: blocks[best[representations.family(name)]] for name in scores}
    return processes.share_out(
        partial(quantized_reversed_probing, **settings), {name: (scores[name].clusterings, block) for name, block in chosen.items()},
        description="best blocks",
    )  # fmt: skip


def shapley_of(scores: Scores, concepts: pd.DataFrame) -> pd.DataFrame:
    """`shapley_over_blocks` of each representation's first clustering and split, with the column representation."""
    blocks = analyses.blocks_of(concepts)
    found = {}
    for name, one in scores.items():
        clusters, split = _first(one)
        found[name] = analyses.shapley_over_blocks(clusters, blocks, split, penalties=FEW_PENALTIES)
    return _stacked(found)


def cluster_number_curve(features: Features, concepts, numbers: Sequence[int], *, starts: int, seed: int = 0) -> pd.DataFrame:
    """Score against the number of clusters: representation, clusters, score, low, high (of pictures), entropy, normalised, train_score."""
    found = processes.share_out(
        partial(_at_number, concepts=np.asarray(concepts), starts=starts, seed=seed),
        {(name, clusters): (one, clusters) for name, one in features.items() for clusters in numbers}, description="numbers of clusters",
    )  # fmt: skip
    return pd.DataFrame([{"representation": name, "clusters": clusters, **row} for (name, clusters), row in found.items()])


def _at_number(features, clusters, concepts, starts, seed):
    probe = _probe(quantise(features, clusters, starts=starts, seed=seed).labels, concepts=concepts, seed=seed)
    return {**_scored(probe), "train_score": probe.train_score, "constant": probe.constant}


def quantiser_sensitivity(features: Features, concepts, *, clusters: int, starts: int, seed: int = 0) -> pd.DataFrame:
    """The score under each preprocessing, with another seed, and with the paper's settings.

    Returns:
        representation, quantiser, probe, score, low, high (over pictures), entropy, normalised, ami (of the clusters with the default's).
    """
    robust = {"starts": starts, "seed": seed}
    ways = {how: robust | {"preprocessing": how} for how in ("none", "l2", "standardize", "pca")}
    ways |= {"other seed": robust | {"seed": seed + 1}, "paper": {"preset": "paper", "seed": seed}}
    made = processes.share_out(
        partial(_quantised, clusters=clusters),
        {(name, way): (one, settings) for name, one in features.items() for way, settings in ways.items()}, description="quantisers",
    )  # fmt: skip
    probings = [*((way, "robust") for way in ways), ("paper", "paper")]
    probes = processes.share_out(
        partial(_probe, concepts=np.asarray(concepts), seed=seed),
        {(name, way, preset): (made[name, way].labels, preset) for name in features for way, preset in probings}, description="probes",
    )  # fmt: skip
    return pd.DataFrame([
        {
            "representation": name, "quantiser": way, "probe": preset, **_scored(probe),
            "ami": adjusted_mutual_info_score(made[name, "none"].labels, made[name, way].labels),
        }
        for (name, way, preset), probe in probes.items()
    ])  # fmt: skip


def _quantised(features, settings, clusters):
    components = {"components": min(32, features.shape[1])} if settings.get("preprocessing") == "pca" else {}
    return quantise(features, clusters, **settings, **components)


def native_and_kmeans(scores: Scores, features: Features, pictures: Pictures, concepts, *, starts: int, seed: int = 0) -> pd.DataFrame:
    """Clusters that an encoder brings along (the classes of its head) beside k-means at the same number of clusters.

    Returns:
        representation, clusters (how they were made), count, score, low, high (over pictures), entropy, normalised. Encoders without a head
        and layers are left out.
    """
    natives = {}
    for name in tqdm([name for name in features if _has_head(name)], desc="native clusters", leave=False):
        native = representations.native_clusters(name, pictures)
        if native is not None and native.count > 1:
            natives[name] = native
    again = processes.share_out(
        partial(quantise, starts=starts, seed=seed), {name: (features[name], one.count) for name, one in natives.items()},
        description="k-means at their number",
    )  # fmt: skip
    ways = {}
    for name, native in natives.items():
        ways |= {(name, "classes of its head"): native, (name, "k-means"): again[name]}
        many = scores[name].clusterings[0]
        if many.count > native.count:
            ways[name, f"k-means with {many.count}, merged at random"] = randomly_merged(many, native.count, seed=seed)
    probes = processes.share_out(
        partial(_probe, concepts=np.asarray(concepts), seed=seed), {way: (found.labels,) for way, found in ways.items()},
        description="probes",
    )  # fmt: skip
    rows = [
        {"representation": name, "clusters": way, "count": ways[name, way].count, **_scored(probe)} for (name, way), probe in probes.items()
    ]
    return pd.DataFrame(rows, columns=["representation", "clusters", "count", "score", "low", "high", "entropy", "normalised"])


def _has_head(name):
    special = name.startswith("pca:") or name == representations.DESCRIPTOR
    return ":" in name and "@" not in name and "+" not in name and not special


def forward_accuracy(features: Features, concepts: pd.DataFrame, labels, *, seed: int = 0) -> pd.DataFrame:
    """How well a linear probe reads the class, and each block of which every picture has exactly one concept.

    Returns:
        representation, class, class_low, class_high (Wilson's interval), factors (mean over the blocks): accuracy on a half of the pictures
        drawn at random, fitted on the others.
    """
    factors = {name: block for name, block in analyses.blocks_of(concepts).items() if (block.sum(1) == 1).all() and name != "class"}
    factors = {"class": np.eye(np.max(labels) + 1, dtype=np.float32)[labels], **factors}
    bounds = np.cumsum([0, *(block.shape[1] for block in factors.values())])
    truth = np.concatenate(list(factors.values()), 1)
    fitted, tested = np.array_split(generator(seed, 63).permutation(len(truth)), 2)
    read = processes.share_out(
        partial(analyses.read_linearly, concepts=truth, train=fitted, test=tested), {name: (one,) for name, one in features.items()},
        description="forward probes",
    )  # fmt: skip
    rows = []
    for name, predicted in read.items():
        right = [(predicted[:, low:high].argmax(1) == truth[tested, low:high].argmax(1)) for low, high in pairwise(bounds)]
        accuracy = proportion(int(right[0].sum()), len(tested))
        rows.append({
            "representation": name, "class": accuracy.value, "class_low": accuracy.low, "class_high": accuracy.high,
            "factors": np.mean(right[1:]) if len(right) > 1 else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)


def rank_moves(table: pd.DataFrame, first: str, second: str, *, resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Where each representation stands by two columns, 1 the highest, the largest moves first.

    Args:
        table: one row a representation and seed of training: representation, and of each column its value, `_low` and `_high`.
        first: a column.
        second: another.
        resamples: of the interval: values are drawn from normal distributions about their means, each by itself, with the variance between
            seeds and that of each value; what pictures have in common is not taken off, so intervals are rather too wide.
        seed: of the draws.

    Returns:
        representation (without its seed), both ranks, moves (ranks gained), moves_low, moves_high (95 %).
    """
    names = table["representation"].map(representations.family)
    rng, ranks, drawn = generator(seed, 64), {}, {}
    for column in (first, second):
        values = table[column].groupby(names)
        errors = ((table[f"{column}_high"] - table[f"{column}_low"]) / 3.92).pow(2).groupby(names).mean()
        spread = np.sqrt(errors + (values.var() / values.size()).fillna(0)).to_numpy()
        ranks[column] = values.mean().rank(ascending=False)
        draws = values.mean().to_numpy() + spread * rng.standard_normal((resamples, len(spread)))
        drawn[column] = stats.rankdata(-draws, axis=1)
    moves = pd.DataFrame(ranks).assign(moves=ranks[first] - ranks[second])
    moves["moves_low"], moves["moves_high"] = np.quantile(drawn[first] - drawn[second], (0.025, 0.975), axis=0)
    order = moves["moves"].abs().sort_values(ascending=False, kind="stable").index
    return moves.loc[order].rename_axis("representation").reset_index()


def training_curve(names: Sequence[str], seeds: Sequence[int], pictures: Pictures, concepts: pd.DataFrame, **settings) -> pd.DataFrame:
    """Reverse score and forward accuracy at every checkpoint of local encoders' training, one row per encoder, seed and checkpoint."""
    for name in with_seeds(names, seeds):
        local.trained(local.recipe_named(name))  # where it has not been: with all threads, before others need it
    followed = checkpoints(names, seeds)
    features = processes.share_out(
        representations.features, {name: (name, pictures) for name in followed}, description="features along training"
    )  # fmt: skip
    scores = scores_of(features, concepts, **settings)
    forward = forward_accuracy(features, concepts, pictures.labels, seed=settings.get("seed", 0)).set_index("representation")
    return pd.DataFrame([
        {
            **followed[name], "score": found.score, "low": found.interval[0], "high": found.interval[1], "entropy": found.entropy,
            "normalised": found.normalised, "class": forward.loc[name, "class"], "factors": forward.loc[name, "factors"],
        }
        for name, found in scores.items()
    ])  # fmt: skip


def noisy_experts(scores: Scores, concepts: pd.DataFrame, errors: Sequence[float], *, seed: int = 0) -> pd.DataFrame:
    """What wrong concept labels cost: of each block a share of the pictures gets the concepts of a picture drawn at random.

    Returns:
        One row per representation and share: representation, error, score, low, high (over pictures), entropy, normalised, and what is lost
        against the first share, paired by picture: loss, loss_low, loss_high (bits).
    """
    rows = processes.share_out(
        partial(_spoiled, blocks=analyses.blocks_of(concepts), errors=errors, seed=seed),
        {name: _first(one) for name, one in scores.items()}, description="noisy experts",
    )  # fmt: skip
    return _stacked(rows)


def _spoiled(clusters, split, blocks, errors, seed):
    rows, whole = [], None
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
        rows.append({"error": error, **_scored(probe), **losses})
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


def concepts_both_ways(scores: Scores, features: Features, concepts: pd.DataFrame) -> pd.DataFrame:
    """`forward_and_reverse` of each representation's first clustering and split, with the columns representation and block."""
    tables = {}
    for name, one in scores.items():
        clusters, split = _first(one)
        tables[name] = analyses.forward_and_reverse(features[name], clusters, concepts, split)
    table = _stacked(tables)
    return table.assign(block=table["concept"].str.partition(":")[0])


def probes_and_pictures(score: QuantizedReversedProbing, concepts: pd.DataFrame, *, seed: int = 0):
    """`probe_ladder`, and `learning_curve` with its limit, of a representation's first clustering and split."""
    clusters, split = _first(score)
    found = processes.share_out(_called, {
        "ladder": (analyses.probe_ladder, clusters, analyses.blocks_of(concepts), split, seed),
        "curve": (analyses.learning_curve, clusters, concepts.to_numpy(np.float32), split, seed),
    }, description="probes and pictures")  # fmt: skip
    return found["ladder"], *found["curve"]


def _called(function, clusters, concepts, split, seed):
    return function(clusters, concepts, split, seed=seed)


def _first(score):
    """Cluster of every picture and the split, of the first replicate."""
    clusters = score.assignments[0].labels
    return clusters, stratified_split(clusters, seed=score.settings["seed"])


def _probe(labels, preset="robust", *, concepts, seed):
    return reverse_probe(labels, concepts, stratified_split(labels, seed=seed), preset=preset, seed=seed)


def _scored(probe):
    reach = 1.96 * probe.standard_error
    return {
        "score": probe.score, "low": probe.score - reach, "high": probe.score + reach, "entropy": probe.entropy,
        "normalised": probe.normalised,
    }  # fmt: skip


def _stacked(tables):
    return pd.concat([table.assign(representation=name) for name, table in tables.items()], ignore_index=True)
