"""The claims of the paper, each with the rule by which it is judged here.

Intervals are over what is independent: seeds where there are at least three, else layers, or families of encoders where encoders are
compared. Each claim that rests on training counts the networks behind it.
"""

import numpy as np
import pandas as pd
from scipy import stats

from lib import statistics
from lib.claims import LEAST_SEEDS, Claim
from lib.experiments.machine_interpretability import tables


def claims(
    reported: pd.DataFrame, settings, *, planted: pd.DataFrame, scores: pd.DataFrame, compared: pd.DataFrame, curve: pd.DataFrame,
    pairs: pd.DataFrame, wide: pd.DataFrame, difficulty: pd.DataFrame, split: pd.DataFrame, dictionaries: pd.DataFrame,
) -> list[Claim]:  # fmt: skip
    """Build the claims from the tables of the notebook; what a profile lacks is "not testable here".

    All are judged with the main similarity, the first of the settings, and leave circular judgements out.

    Args:
        reported: the paper's numbers, data/reported/machine_interpretability_score.csv.
        settings: of the notebook.
        planted: `planted_scores`.
        scores: `survey_of` all encoders.
        compared: `summary` with the accuracy of every encoder.
        curve: `training_curve`, or an empty table.
        pairs: `norms_behind_convolutions`.
        wide: `survey_of` networks of several widths, or an empty table.
        difficulty: `difficulty_curve`, with the column encoder.
        split: `polysemanticity`, with the column encoder, or an empty table.
        dictionaries: the scores of `dictionary_scores`, with the column encoder.
    """
    said = reported.set_index("quantity")
    main, seed = settings.similarities[0], settings.seed
    units = scores[scores["live"] & ~scores["circular"].astype(bool)]
    judged = units[units["similarity"] == main]
    layers = tables.depth_and_width(judged) if len(judged) else pd.DataFrame(columns=["family", "encoder", "layer", "score"])
    seeds = len(settings.seeds) if any(name.startswith("local:") for name in settings.encoders) else None
    learned = _against_untrained(layers, settings)
    hard = _harder(difficulty)
    networks = difficulty["encoder"].nunique()
    mixed = planted[planted["kind"].str.startswith("any of")]
    one_compared = compared[(compared["similarity"] == main) & ~compared["circular"].astype(bool)]
    families = one_compared.groupby("family")[["accuracy", "score"]].mean().dropna()
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
            "trained units score higher than untrained ones", "yes, in a figure", "trained - untrained, paired by seed and layer, above 0",
            _over_networks(learned, "gain"), low=0, trained_seeds=learned["encoder"].nunique(),
        ),
        Claim(
            "along training the score falls while accuracy rises", "strong anticorrelation, first points left out",
            "Spearman over checkpoints after the first two, mean over seeds, below 0", _along_training(curve, main, seed), high=0,
            trained_seeds=curve["run"].nunique() if len(curve) else None,
        ),
        Claim(
            "more accurate encoders score lower",
            f"Spearman {said.value['survey_accuracy_spearman']:.2f} over {said.value['survey_models']:.0f} models",
            "Spearman over families of encoders below 0",
            statistics.correlation(families["accuracy"], families["score"], seed=seed), high=0, trained_seeds=seeds,
        ),
        Claim(
            "deeper layers score higher", "yes, in a figure", "Spearman of depth and layer score, mean over families, above 0",
            _within_encoders(layers, "depth"), low=0, trained_seeds=seeds,
        ),
        Claim(
            "wider layers score higher", "clear for Conv and Linear",
            "Spearman of relative width and layer score, mean over families, above 0", _within_encoders(layers, "relative_width"), low=0,
            trained_seeds=seeds,
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
            "scores of units are skewed to the left", "narrow and medium models", "skewness, mean over families, below 0",
            _by_family(judged, lambda group: stats.skew(group["score"])), high=0, trained_seeds=seeds,
        ),
        Claim(
            "encoders lie in a narrow band", f"{said.low['survey_model_mean']:.2f} to {said.high['survey_model_mean']:.2f}",
            "span of the means of trained encoders, mean over seeds, at most 0.11", _span(judged, settings), high=0.11, trained_seeds=seeds,
        ),
        Claim(
            "harder queries score lower", "yes, values in a figure", "hardest - standard, paired by unit, below 0",
            _over_networks(hard, "change"), high=0, trained_seeds=networks,
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
            "sparse directions with untied extremes - units, at most 0.07", _sparse_against_units(dictionaries, main, seed), high=0.07,
            trained_seeds=networks,
        ),
        Claim(
            "similarities agree on encoders", "DreamSim, LPIPS and DISTS equal per model", "Spearman over families, worst pair, above 0.5",
            _agreement_on_families(units, settings, seed), low=0.5, trained_seeds=seeds,
        ),
        Claim(
            "similarities order the units of an encoder differently", "LPIPS and DISTS clearly worse per unit",
            "Spearman within an encoder, mean over families and pairs, below 0.9", _agreement_on_units(units, settings), high=0.9,
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
    """Mean over networks (seeds) where there are enough, else over layers; None for an empty table."""
    if not len(table):
        return None
    by_network = table.groupby("encoder")[column].mean()
    return statistics.student_mean(by_network if len(by_network) >= LEAST_SEEDS else table.groupby("layer")[column].mean())


def _seed_of(encoders):
    return encoders.str.extract(r"seed=(\d+)")[0]


def _against_untrained(layers, settings):
    """Layers of the network that training is followed on, with the gain over the same layer of the untrained network of the same seed."""
    columns = ["encoder", "layer", "gain"]
    if not (settings.training and settings.untrained and len(layers)):
        return pd.DataFrame(columns=columns)
    trained, untrained = (
        layers[layers["family"] == family].assign(seed=lambda table: _seed_of(table["encoder"]))
        for family in (settings.training, settings.untrained)
    )
    pairs = trained.merge(untrained, on=["seed", "layer"], suffixes=("", "_untrained"))
    return pairs.assign(gain=pairs["score"] - pairs["score_untrained"])[columns]


def _along_training(curve, main, seed):
    """Mean over seeds of Spearman's correlation between accuracy and score over the checkpoints after the first two."""
    if not len(curve):
        return None
    lines = [line.sort_values("presentations").iloc[2:] for _, line in curve[curve["similarity"] == main].groupby("run")]
    if len(lines) == 1:
        return statistics.correlation(lines[0]["accuracy"], lines[0]["score"], seed=seed)
    return statistics.student_mean([stats.spearmanr(line["accuracy"], line["score"]).statistic for line in lines])


def _by_family(table, statistic):
    """Mean over families of the mean over their encoders of a statistic of each encoder's rows; NaN values are left out."""
    values = [(family, statistic(group)) for (family, _), group in table.groupby(["family", "encoder"], sort=False)]
    by_family = pd.DataFrame(values, columns=["family", "value"]).dropna().groupby("family")["value"].mean()
    return statistics.student_mean(by_family) if len(by_family) else None


def _within_encoders(layers, column):
    def correlation(group):
        enough = len(group) > 3 and group[column].nunique() > 1
        return stats.spearmanr(group[column], group["score"]).statistic if enough else np.nan

    return _by_family(layers, correlation)


def _widest_against_narrowest(wide):
    if not len(wide):
        return None
    means = wide[wide["live"]].groupby("encoder")["score"].mean().reset_index()
    means = means.assign(width=means["encoder"].str.extract(r"width=(\d+)")[0].astype(int), seed=_seed_of(means["encoder"]))
    table = means.pivot_table(index="seed", columns="width", values="score")
    return statistics.student_mean(table[table.columns.max()] - table[table.columns.min()])


def _span(judged, settings):
    """Largest minus smallest mean over the trained encoders of a seed and those that have no seed; then the mean over seeds."""
    trained = judged[judged["family"] != settings.untrained]
    means = trained.groupby("encoder")["score"].mean().reset_index()
    seeds = _seed_of(means["encoder"])
    groups = [means[(seeds == str(one)) | seeds.isna()] for one in settings.seeds]
    return statistics.student_mean([np.ptp(group["score"]) for group in groups]) if all(len(group) > 1 for group in groups) else None


def _harder(difficulty):
    """Score at the hardest quantile minus the standard score, of every unit."""
    table = difficulty[difficulty["live"]].pivot_table(index=["encoder", "layer", "unit"], columns="quantile", values="score")
    if table.shape[1] < 2:
        return pd.DataFrame(columns=["encoder", "layer", "change"])
    return (table[table.columns.max()] - table[0.0]).rename("change").reset_index()


def _difference(table, column, first, second, seed):
    """Mean of one part of the rows minus that of another: per network where there are enough, else by a bootstrap over the rows of both."""
    if not (first.any() and second.any()):
        return None
    if table["encoder"].nunique() < LEAST_SEEDS:
        return statistics.difference_of_means(table[first][column], table[second][column], seed=seed)
    return statistics.student_mean(table[first].groupby("encoder")[column].mean() - table[second].groupby("encoder")[column].mean())


def _sparse_against_units(dictionaries, main, seed):
    table = dictionaries[(dictionaries["similarity"] == main) & dictionaries["live"]]
    sparse = table["dictionary"].str.startswith("SAE") & ~table["tied_extreme"].astype(bool)
    return _difference(table, "score", sparse, table["dictionary"] == "units", seed)


def _judged_beside_the_main_one(table, settings):
    return [name for name in settings.similarities[1:] if name in table and settings.similarities[0] in table]


def _agreement_on_families(units, settings, seed):
    means = units.groupby(["family", "similarity"])["score"].mean().unstack()
    others = _judged_beside_the_main_one(means, settings)
    found = [statistics.correlation(*means[[settings.similarities[0], other]].dropna().T.to_numpy(), seed=seed) for other in others]
    return min(found, key=lambda one: one.value) if found else None


def _agreement_on_units(units, settings):
    table = units.pivot_table(index=["family", "encoder", "layer", "unit"], columns="similarity", values="score").reset_index()
    others = _judged_beside_the_main_one(table, settings)
    if not others:
        return None

    def correlation(group):
        pairs = [group[[settings.similarities[0], other]].dropna() for other in others]
        return np.nanmean([stats.spearmanr(pair.iloc[:, 0], pair.iloc[:, 1]).statistic if len(pair) > 3 else np.nan for pair in pairs])

    return _by_family(table, correlation)
