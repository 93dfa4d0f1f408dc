"""The claims of the paper, each with the rule by which it is judged here."""

import numpy as np
import pandas as pd

from lib import statistics
from lib.claims import Claim
from lib.experiments.machine_interpretability import tables
from lib.statistics import Estimate


def claims(
    reported: pd.DataFrame,
    settings,
    *,
    planted: pd.DataFrame,
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    against: pd.DataFrame,
    curve: pd.DataFrame,
    pairs: pd.DataFrame,
    shape: pd.DataFrame,
    compared: pd.DataFrame,
    difficulty: pd.DataFrame,
    agreement: pd.DataFrame,
    split: pd.DataFrame,
    dictionaries: pd.DataFrame,
    wide: pd.DataFrame,
) -> list[Claim]:
    """Build the claims from the tables of the notebook; what a profile lacks is "not testable here".

    All are judged with the main similarity, the first of the settings. Claims about trained networks count the seeds behind them; published
    weights are one seed each.
    """
    said = reported.set_index("quantity")
    main, seed = settings.similarities[0], settings.seed
    trained_here = any(name.startswith("local:") for name in settings.encoders)
    seeds = len(settings.seeds) if trained_here else 1
    units = scores[(scores["similarity"] == main) & scores["live"]]
    one_summary, one_compared = summary[summary["similarity"] == main], compared[compared["similarity"] == main]
    random = planted[planted["kind"] == "random"]["score"]
    indicator = planted[planted["kind"].str.startswith("indicator of one")]["score"]
    mixed = planted[planted["kind"].str.startswith("any of")]
    untrained = units[units["family"] == settings.untrained]
    learned = against[(against["similarity"] == main) & (against["family"] == settings.training)]
    hard = difficulty[difficulty["live"]].pivot_table(index=["layer", "unit"], columns="quantile", values="score")
    atoms = dictionaries[(dictionaries["similarity"] == main) & dictionaries["live"]]
    sparse = atoms[atoms["dictionary"].str.startswith("SAE")]
    between = agreement.set_index("what") if len(agreement) else None
    return [
        Claim(
            "a unit of no meaning scores 0.5",
            "0.5 by construction",
            "interval of planted random units within 0.5 +- 0.02",
            statistics.mean(random, seed=seed),
            0.48,
            0.52,
        ),
        Claim(
            "a unit for one concept scores near 1",
            "0.93 derived",
            "planted indicators above 0.85",
            statistics.mean(indicator, seed=seed),
            low=0.85,
        ),
        Claim(
            "the more concepts a unit mixes, the lower its score",
            "derived",
            "planted: correlation of number and score below 0",
            statistics.correlation(mixed["kind"].str.extract(r"(\d+)")[0].astype(int), mixed["score"], seed=seed),
            high=0,
        ),
        Claim(
            "untrained units are above chance",
            "above chance, in a figure",
            "mean of untrained units above 0.5",
            _clustered(untrained, seed),
            low=0.5,
        ),
        Claim(
            "trained units score higher than untrained ones",
            "yes, in a figure",
            "trained - untrained, paired by layer, above 0",
            _row(learned),
            low=0,
            trained_seeds=seeds,
        ),
        Claim(
            "along training the score falls while accuracy rises",
            "strong anticorrelation, first points left out",
            "Spearman over checkpoints after the first two below 0",
            _along_training(curve, main, seed),
            high=0,
            trained_seeds=seeds,
        ),
        Claim(
            "more accurate encoders score lower",
            f"Spearman {said.value['survey_accuracy_spearman']:.2f} over {said.value['survey_models']:.0f} models",
            "Spearman over encoders below 0",
            statistics.correlation(one_compared["accuracy"], one_compared["score"], seed=seed),
            high=0,
            trained_seeds=seeds,
        ),
        Claim(
            "deeper layers score higher",
            "yes, in a figure",
            "mean over encoders of Spearman of depth and layer score above 0",
            tables.within_encoder_correlation(shape, "depth", seed=seed),
            low=0,
            trained_seeds=seeds,
        ),
        Claim(
            "wider layers score higher",
            "clear for Conv and Linear",
            "mean over encoders of Spearman of relative width and layer score above 0",
            tables.within_encoder_correlation(shape, "relative_width", seed=seed),
            low=0,
            trained_seeds=seeds,
        ),
        Claim(
            "wider networks score higher",
            "-",
            "Spearman of width and score over networks above 0",
            _width(wide, seed),
            low=0,
            trained_seeds=seeds,
        ),
        Claim(
            "a batch norm behind a convolution scores the same",
            "Conv above BatchNorm over models; no difference in ResNet-50",
            "mean difference within 0.005",
            statistics.mean(pairs["difference"], clusters=pairs["layer"], seed=seed) if len(pairs) else None,
            -0.005,
            0.005,
        ),
        Claim(
            "scores of units are skewed to the left",
            "narrow and medium models",
            "mean skewness over encoders below 0",
            tables.skewness(units, seed=seed),
            high=0,
            trained_seeds=seeds,
        ),
        Claim(
            "encoders lie in a narrow band",
            f"{said.low['survey_model_mean']:.2f} to {said.high['survey_model_mean']:.2f}",
            "span of encoder means at most 0.11",
            _span(one_summary, units, seed),
            high=0.11,
            trained_seeds=seeds,
        ),
        Claim(
            "harder queries score lower",
            "yes, values in a figure",
            "hardest - standard, paired by unit, below 0",
            statistics.paired_difference(hard[hard.columns.max()], hard[0.0], seed=seed) if hard.shape[1] > 1 else None,
            high=0,
        ),
        Claim(
            "splitting exciting pictures by similarity makes units clearer",
            "-",
            "split - random split, per unit, above 0",
            statistics.mean(split["split"] - split["control"], clusters=split["layer"], seed=seed) if len(split) else None,
            low=0,
        ),
        Claim(
            "sparse dictionaries gain little over units",
            f"{said.value['resnet50_layer2_2_conv2_layer']:.3f} to at most {said.value['resnet50_layer2_2_conv2_sparse']:.3f}",
            "sparse - units within +- 0.07",
            statistics.difference_of_means(sparse["score"], atoms[atoms["dictionary"] == "units"]["score"], seed=seed)
            if len(sparse)
            else None,
            -0.07,
            0.07,
            trained_seeds=seeds,
        ),
        Claim(
            "similarities agree on encoders",
            "DreamSim, LPIPS and DISTS equal per model",
            "Spearman of encoder means above 0.5",
            _agreed(between, "encoders, mean score"),
            low=0.5,
            trained_seeds=seeds,
        ),
        Claim(
            "similarities differ on units",
            "LPIPS and DISTS clearly worse per unit",
            "Spearman over units within an encoder below 0.9",
            _agreed(between, "units within an encoder, mean over encoders"),
            high=0.9,
            trained_seeds=seeds,
        ),
        Claim(
            "scores agree with people, per unit",
            f"Pearson {said.value['unit_pearson_natural']:.2f} over {said.value['human_units']:.0f} units",
            "needs the human answers and DreamSim",
        ),
        Claim(
            "scores agree with people, per model",
            f"Pearson {said.value['model_pearson_natural']:.2f} over {said.value['human_models']:.0f} models",
            "needs the human answers and DreamSim",
        ),
    ]


def _clustered(units, seed):
    return statistics.mean(units["score"], clusters=units["layer"], seed=seed) if len(units) else None


def _row(table):
    if not len(table):
        return None
    one = table.iloc[0]
    return Estimate(float(one["difference"]), float(one["low"]), float(one["high"]), int(one["layers"]))


def _along_training(curve, main, seed):
    """Mean over seeds of Spearman's correlation between accuracy and score over the checkpoints after the first two."""
    if not len(curve):
        return None
    lines = [line.sort_values("presentations").iloc[2:] for _, line in curve[curve["similarity"] == main].groupby("run")]
    if len(lines) == 1:
        return statistics.correlation(lines[0]["accuracy"], lines[0]["score"], seed=seed)
    return statistics.mean([statistics.correlation(line["accuracy"], line["score"], resamples=2).value for line in lines], seed=seed)


def _width(wide, seed):
    if not len(wide):
        return None
    means = wide[wide["live"]].groupby("encoder")["score"].mean()
    widths = means.index.str.extract(r"width=(\d+)")[0].astype(int)
    return statistics.correlation(widths, means, seed=seed)


def _span(summary, units, seed):
    """Largest minus smallest encoder mean, with a bootstrap over the units of each encoder."""
    if len(summary) < 2:
        return None
    rng = np.random.default_rng(seed)
    groups = [group["score"].to_numpy() for _, group in units.groupby("encoder")]
    resampled = [np.ptp([rng.choice(values, len(values)).mean() for values in groups]) for _ in range(500)]
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(float(np.ptp([values.mean() for values in groups])), float(low), float(high), len(groups))


def _agreed(between, what):
    if between is None or what not in between.index:
        return None
    one = between.loc[[what]].iloc[0]
    return Estimate(float(one["spearman"]), float(one["low"]), float(one["high"]), int(one["n"]))
