"""The claims of the paper, each with the rule by which it is judged here.

Intervals are over what is independent: lineages of encoders where encoders are compared, seeds where one recipe is followed, layers where
there is one network. Each claim that rests on training counts the seeds behind it.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from lib import statistics
from lib.claims import LEAST_SEEDS, Claim
from lib.encoders import local
from lib.experiments.machine_interpretability import tables
from lib.measures.machine_interpretability import REFERENCES, TASKS


def claims(
    reported: pd.DataFrame, settings, judges: Sequence[str], *, planted: pd.DataFrame, scores: pd.DataFrame, compared: pd.DataFrame,
    curve: pd.DataFrame, pairs: pd.DataFrame, wide: pd.DataFrame, difficulty: pd.DataFrame, tasks: pd.DataFrame, split: pd.DataFrame,
    dictionaries: pd.DataFrame,
) -> list[Claim]:  # fmt: skip
    """Build the claims from the tables of the notebook; what a profile lacks is "not testable here".

    All are judged with the main similarity, and leave circular judgements out.

    Args:
        reported: the paper's numbers, data/reported/machine_interpretability_score.csv.
        settings: of the notebook.
        judges: the similarities that were at hand; the first is the main one.
        planted: `planted_scores`.
        scores: `survey_of` all encoders.
        compared: `summary` with the accuracy of every encoder.
        curve: `training_curve`, or an empty table.
        pairs: `norms_behind_convolutions`.
        wide: `survey_of` networks of several widths, or an empty table.
        difficulty: `difficulty_curve`, with the column encoder.
        tasks: `task_number_curve`.
        split: `polysemanticity`, with the column encoder, or an empty table.
        dictionaries: the scores of `dictionary_scores`, with the column encoder.
    """
    said = reported.set_index("quantity")
    main, seed = judges[0], settings.seed
    fair = scores[scores["live"] & ~scores["circular"].astype(bool)]
    judged = fair[fair["similarity"] == main]
    layers = tables.depth_and_width(judged)
    trained, trained_layers = (table[table["family"] != settings.untrained] for table in (judged, layers))
    # These three look at one recipe, whose networks do not count if the main similarity was taught what taught them.
    difficulty, split, dictionaries = (
        table[table["encoder"].isin(judged["encoder"])] if len(table) else table for table in (difficulty, split, dictionaries)
    )
    curve, wide = (
        table[(table["similarity"] == main) & ~table["circular"].astype(bool)] if len(table) else table for table in (curve, wide)
    )
    seeds = len(settings.seeds) if any(name.startswith("local:") for name in settings.encoders) else None
    networks = len(settings.seeds) if settings.one_encoder.startswith("local:") else None
    mixed = planted[planted["kind"].str.startswith("any of")]
    accurate = compared[(compared["similarity"] == main) & ~compared["circular"].astype(bool) & (compared["family"] != settings.untrained)]
    accurate = accurate.groupby("lineage")[["accuracy", "score"]].mean().dropna()
    return [
        Claim(
            "a unit of no meaning scores 0.5", "0.5 by construction", "mean of planted random units within 0.5 +- 0.02",
            statistics.student_mean(planted[planted["kind"] == "random"]["score"]), 0.48, 0.52,
        ),
        Claim(
            "a unit for one concept scores near 1", "0.93 derived", "mean of planted indicators above 0.85",
            statistics.student_mean(planted[planted["kind"].str.startswith("indicator of one")]["score"]), low=0.85,
        ),
        Claim(
            "the more concepts a unit mixes, the lower its score", "derived", "planted: Spearman of number and score below 0",
            statistics.correlation(mixed["kind"].str.extract(r"(\d+)")[0].astype(int), mixed["score"], seed=seed), high=0,
        ),
        Claim(
            "untrained units are above chance", "above chance, in a figure", "mean score of untrained units above 0.5",
            _over_networks(layers[layers["family"] == settings.untrained], "score"), low=0.5,
        ),
        Claim(
            "trained units score higher than untrained ones", "yes, in a figure",
            "trained - untrained, paired by seed and layer, mean over families with the same layers, above 0",
            _over_networks(_against_untrained(layers, settings), "gain"), low=0, trained_seeds=seeds,
        ),
        Claim(
            "the first pass over the pictures raises the score", f"to {said.value['training_epoch_1']:.2f} in the first epoch",
            "first checkpoint after it - untrained, mean over seeds, above 0", _first_epoch(curve, settings), low=0, trained_seeds=seeds,
        ),
        Claim(
            "along training the score falls while accuracy rises", "strong anticorrelation, first points left out",
            "Spearman over checkpoints after the first two, mean over seeds, below 0", _along_training(curve, 0), high=0,
            trained_seeds=seeds,
        ),
        Claim(
            "the same, first epoch left out", "one point an epoch", "Spearman over checkpoints after one epoch, mean over seeds, below 0",
            _along_training(curve, _epoch(settings)), high=0, trained_seeds=seeds,
        ),
        Claim(
            "more accurate encoders score lower",
            f"Spearman {said.value['survey_accuracy_spearman']:.2f} over {said.value['survey_models']:.0f} models",
            "Spearman over lineages of trained encoders below 0",
            statistics.correlation(accurate["accuracy"], accurate["score"], seed=seed), high=0, trained_seeds=seeds,
        ),
        Claim(
            "deeper layers score higher", "yes, in a figure", "Spearman of depth and layer score, mean over lineages, above 0",
            _within_encoders(trained_layers, "depth"), low=0, trained_seeds=seeds,
        ),
        Claim(
            "wider layers score higher", "clear for Conv and Linear",
            "Spearman of relative width and layer score, mean over lineages, above 0", _within_encoders(trained_layers, "relative_width"),
            low=0, trained_seeds=seeds,
        ),
        Claim(
            "wider networks score higher", "not asked", "widest - narrowest, mean over seeds, above 0",
            _widest_against_narrowest(wide), low=0, trained_seeds=seeds,
        ),
        Claim(
            "a batch norm behind a convolution scores the same", "Conv above BatchNorm over models; no difference in ResNet-50",
            "mean difference over layers within 0.005",
            statistics.student_mean(pairs.groupby("layer")["difference"].mean()) if len(pairs) else None, -0.005, 0.005,
        ),
        Claim(
            "kinds of layer differ", "Linear > Conv > BatchNorm > LayerNorm over models", "needs many networks with several kinds of layer",
        ),
        Claim(
            "scores of units are skewed to the left", "narrow and medium models", "skewness, mean over lineages, below 0",
            _by_lineage(trained, lambda group: stats.skew(group["score"])), high=0, trained_seeds=seeds,
        ),
        Claim(
            "encoders lie in a narrow band", f"{said.low['survey_model_mean']:.2f} to {said.high['survey_model_mean']:.2f}",
            "span of the means of trained families, layers resampled, at most 0.11", _span(trained_layers, seed), high=0.11,
            trained_seeds=seeds,
        ),
        Claim(
            "encoders differ in the tail of their worst units",
            f"95th percentile about {said.value['survey_95th_percentile']:.2f} for nearly all",
            "sd over lineages of the 5th percentile - of the 95th, above 0", _tails(trained, seed), low=0, trained_seeds=seeds,
        ),
        Claim("GoogLeNet scores highest", "first of 835", "needs many ImageNet networks and DreamSim"),
        Claim(
            "harder queries score lower", "yes, values in a figure", "hardest - standard, paired by unit, below 0",
            _over_networks(_harder(difficulty), "change"), high=0, trained_seeds=networks,
        ),
        Claim(
            "scores settle as tasks are added", "yes, in a figure", "difference from 20 tasks, dealt anew: of 19 - of 1, below 0",
            _settling(tasks), high=0,
        ),
        Claim(
            "units are mixtures that a split makes clearer", "not asked",
            "gain of a split by another judge over a random split, beyond that of random units, above 0",
            _difference(split, "gain", split["layer"] != "null", split["layer"] == "null", seed) if len(split) else None, low=0,
            trained_seeds=networks,
        ),
        Claim(
            "sparse dictionaries gain at most a little over units",
            f"{said.value['resnet50_layer2_2_conv2_layer']:.3f} to at most {said.value['resnet50_layer2_2_conv2_sparse']:.3f}",
            "sparse directions active on 200 pictures or more - units, at most 0.07", _sparse_against_units(dictionaries, judged, seed),
            high=0.07, trained_seeds=networks,
        ),
        Claim(
            "similarities agree on encoders", "DreamSim, LPIPS and DISTS equal per model", "Spearman over lineages, worst pair, above 0.5",
            _agreement_on_lineages(fair, judges, seed), low=0.5, trained_seeds=seeds,
        ),
        Claim(
            "similarities order the units of an encoder differently", "not asked; LPIPS and DISTS agree less with people",
            "Spearman within an encoder, mean over lineages, best pair, below 0.9", _agreement_on_units(fair, judges), high=0.9,
            trained_seeds=seeds,
        ),
        Claim(
            "scores agree with people, per unit",
            f"Pearson {said.value['unit_pearson_natural']:.2f} over {said.value['human_units']:.0f} units",
            "needs people's answers and DreamSim",
        ),
        Claim(
            "scores agree with people, per model",
            f"Pearson {said.value['model_pearson_natural']:.2f} over {said.value['human_models']:.0f} models",
            "needs people's answers and DreamSim",
        ),
    ]  # fmt: skip


def _over_networks(table, column):
    """Mean over what is most independent and numerous enough: families, networks (seeds), else layers; None for an empty table."""
    if not len(table):
        return None
    for level in ("family", "encoder"):
        if level in table and table[level].nunique() >= LEAST_SEEDS:
            return statistics.student_mean(table.groupby(level)[column].mean())
    return statistics.student_mean(table.groupby("layer")[column].mean())


def _seed_of(encoders):
    return encoders.str.extract(r"seed=(\d+)")[0]


def _against_untrained(layers, settings):
    """Layers of trained networks, with the gain over the same layer of the untrained network of the same seed."""
    seeded = layers.assign(seed=_seed_of(layers["encoder"]))
    untrained = seeded["family"] == settings.untrained
    before = seeded[untrained][["seed", "layer", "score"]]
    pairs = seeded[~untrained].dropna(subset="seed").merge(before, on=["seed", "layer"], suffixes=("", "_untrained"))
    # An architecture with a few layers of the same name by chance is another one.
    same = pairs.groupby("encoder")["layer"].transform("size") == before.groupby("seed")["layer"].size().max() if len(pairs) else []
    return pairs.assign(gain=pairs["score"] - pairs["score_untrained"])[same]


def _epoch(settings):
    """Pictures that the followed network is trained on."""
    return local.recipe_named(settings.training).pictures if settings.training else 0


def _first_epoch(curve, settings):
    gains = []
    for _, line in curve.groupby("run") if len(curve) else ():
        line = line.sort_values("presentations")
        later = line[line["presentations"] >= _epoch(settings)]
        if len(later):
            gains.append(later["score"].iloc[0] - line["score"].iloc[0])
    return statistics.student_mean(gains) if gains else None


def _along_training(curve, presentations):
    """Mean over seeds of Spearman's correlation between accuracy and score over the checkpoints after the first two and after so many
    presentations."""
    found = []
    for _, line in curve.groupby("run") if len(curve) else ():
        line = line.sort_values("presentations").iloc[2:]
        line = line[line["presentations"] >= presentations]
        if len(line) > 2 and line["score"].nunique() > 1 and line["accuracy"].nunique() > 1:
            found.append(stats.spearmanr(line["accuracy"], line["score"]).statistic)
    return statistics.student_mean(found) if found else None


def _by_lineage(table, statistic):
    """Mean over lineages of the mean over their encoders of a statistic of each encoder's rows; NaN values are left out."""
    values = [(lineage, statistic(group)) for (lineage, _), group in table.groupby(["lineage", "encoder"], sort=False)]
    by_lineage = pd.DataFrame(values, columns=["lineage", "value"]).dropna().groupby("lineage")["value"].mean()
    return statistics.student_mean(by_lineage) if len(by_lineage) else None


def _within_encoders(layers, column):
    def correlation(group):
        enough = len(group) > 3 and group[column].nunique() > 1
        return stats.spearmanr(group[column], group["score"]).statistic if enough else np.nan

    return _by_lineage(layers, correlation)


def _widest_against_narrowest(wide):
    if not len(wide):
        return None
    means = wide[wide["live"]].groupby("encoder")["score"].mean().reset_index()
    means = means.assign(width=means["encoder"].str.extract(r"width=(\d+)")[0].astype(int), seed=_seed_of(means["encoder"]))
    table = means.pivot_table(index="seed", columns="width", values="score")
    return statistics.student_mean(table[table.columns.max()] - table[table.columns.min()])


def _span(layers, seed):
    """Largest minus smallest mean over families, of layers that each count once; the bootstrap resamples the layers of every family."""
    families = [group.groupby("layer")["score"].mean().to_numpy() for _, group in layers.groupby("family")]
    if len(families) < 2:
        return None
    rng = np.random.default_rng(seed)
    drawn = np.stack([scores[rng.integers(0, len(scores), (1000, len(scores)))].mean(1) for scores in families])
    low, high = np.quantile(np.ptp(drawn, axis=0), (0.025, 0.975))
    return statistics.Estimate(float(np.ptp([scores.mean() for scores in families])), float(low), float(high), len(families))


def _tails(units, seed):
    """How much more encoders differ in their 5th percentile than in their 95th; the bootstrap resamples lineages."""
    tails = units.groupby(["lineage", "encoder"])["score"].quantile([0.05, 0.95]).unstack().groupby("lineage").mean()
    if len(tails) < LEAST_SEEDS:
        return None

    def difference(low, high):
        return np.std(low, ddof=1) - np.std(high, ddof=1)

    low, high = tails[0.05].to_numpy(), tails[0.95].to_numpy()
    found = stats.bootstrap((low, high), difference, paired=True, vectorized=False, n_resamples=1000, method="percentile", rng=seed)
    return statistics.Estimate(float(difference(low, high)), *map(float, found.confidence_interval), len(tails))


def _harder(difficulty):
    """Score at the hardest quantile minus the standard score, of every unit."""
    if not len(difficulty):
        return difficulty
    table = difficulty[difficulty["live"]].pivot_table(index=["encoder", "layer", "unit"], columns="quantile", values="score")
    if table.shape[1] < 2:
        return table.iloc[:0]
    return (table[table.columns.max()] - table[0.0]).rename("change").reset_index()


def _settling(tasks):
    """Difference of two means by the outer ends of their intervals: wider than their difference has, since both are of the same units."""
    rows = tasks[tasks["way"] == "dealt anew"].set_index("tasks") if len(tasks) else {}
    if not len(rows):
        return None
    few, many = rows.loc[1], rows.loc[TASKS - 1]
    return statistics.Estimate(
        many["difference"] - few["difference"], many["low"] - few["high"], many["high"] - few["low"], int(many["units"])
    )


def _difference(table, column, first, second, seed):
    """Mean of one part of the rows minus that of another: per network where there are enough, else by a bootstrap over the rows of both."""
    if not (first.any() and second.any()):
        return None
    by_network = (table[first].groupby("encoder")[column].mean() - table[second].groupby("encoder")[column].mean()).dropna()
    if len(by_network) >= LEAST_SEEDS:
        return statistics.student_mean(by_network)
    return statistics.difference_of_means(table[first][column], table[second][column], seed=seed)


def _sparse_against_units(dictionaries, judged, seed):
    """A direction that is active on fewer pictures than it has references gets some of them at random, and is left out."""
    if not len(dictionaries):
        return None
    table = dictionaries[(dictionaries["similarity"] == judged["similarity"].iloc[0]) & dictionaries["live"]]
    enough = table["active"] * judged["pictures"].iloc[0] >= TASKS * (REFERENCES + 1)
    return _difference(table, "score", table["dictionary"].str.startswith("SAE") & enough, table["dictionary"] == "units", seed)


def _agreement_on_lineages(fair, judges, seed):
    means = fair.groupby(["lineage", "similarity"])["score"].mean().unstack()
    pairs = [means[list(pair)].dropna() for pair in combinations(judges, 2) if set(pair) <= set(means)]
    found = [statistics.correlation(*pair.T.to_numpy(), seed=seed) for pair in pairs if len(pair) > 2]
    return min(found, key=lambda one: one.value) if found else None


def _agreement_on_units(fair, judges):
    found = [tables.agreement_on_units(fair, *pair, "score") for pair in combinations(judges, 2)]
    return max((one for one in found if one is not None), key=lambda one: one.value, default=None)
