"""Tables made of tables: summaries, comparisons and correlations of scores, each with its interval."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import scikit_posthocs
from scipy import stats

from lib import encoders, statistics
from lib.encoders import published


def without_seed(name: str) -> str:
    """An encoder's name without its seed and checkpoint: what is the same over seeds."""
    return ",".join(part for part in name.split(",") if not part.startswith(("seed=", "checkpoint=")))


def lineage(name: str) -> str:
    """What encoders that are not independent share: the design of a published network, else the name without its seed."""
    scheme, base, _ = encoders.parse(name)
    return f"published:{published.design_of(base)}" if scheme == "published" else without_seed(name)


def summary(scores: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Each encoder under each similarity: mean over units with a bootstrap over layers, mean over layers, percentiles, null, and how many
    units differ from it."""
    rows = []
    for (name, similarity_name), group in scores.groupby(["encoder", "similarity"], sort=False):
        live = group[group["live"]]
        mean, low, high = statistics.bootstrap_mean(live["score"], clusters=live["layer"], seed=seed)
        rows.append({
            "encoder": name, "similarity": similarity_name, "circular": bool(group["circular"].any()),
            "pictures": int(group["pictures"].iloc[0]), "score": mean, "low": low, "high": high,
            "layer_mean": live.groupby("layer")["score"].mean().mean(),
            "percentile_5": live["score"].quantile(0.05), "percentile_95": live["score"].quantile(0.95), "skewness": live["score"].skew(),
            "two_alternative_rate": live["two_alternative_rate"].mean(), "null": live["null"].mean(),
            "significant": (live["p_value"] < 0.05).mean(), "units": len(live), "constant_units": int((~group["live"]).sum()),
            "tied_units": int(live["tied_extreme"].sum()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def mean_by(scores: pd.DataFrame, columns: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """Mean score of each group of units: columns, score, low, high, units, resampled.

    The bootstrap resamples what is independent: encoders where a group has several, else layers where it has several, else units.
    """
    rows = []
    for group_name, group in scores.groupby(list(columns), sort=False):
        resampled = next((column for column in ("encoder", "layer") if column in group and group[column].nunique() > 1), "unit")
        clusters = None if resampled == "unit" else group[resampled]
        mean, low, high = statistics.bootstrap_mean(group["score"], clusters=clusters, seed=seed)
        rate = {"two_alternative_rate": group["two_alternative_rate"].mean()} if "two_alternative_rate" in group else {}
        rows.append(
            dict(zip(columns, group_name, strict=True))
            | {"score": mean, "low": low, "high": high, "units": len(group), "resampled": resampled}
            | rate
        )
    return pd.DataFrame(rows)


def null_band(scores: pd.DataFrame) -> tuple[float, float]:
    """Where 95 % of the units of no meaning score, by the normal approximation: mean null +- 1.96 sd of the null."""
    mean, sd = scores["null"].mean(), scores["null_sd"].mean()
    return mean - 1.96 * sd, mean + 1.96 * sd


def layer_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean score of the live units of every layer: lineage, family, encoder, similarity, layer, kind, depth, layer_width, score."""
    columns = ["lineage", "family", "encoder", "similarity", "layer", "kind", "depth", "layer_width"]
    return scores[scores["live"]].groupby(columns, sort=False)["score"].mean().reset_index()


def against_untrained(scores: pd.DataFrame, untrained: str, *, seed: int = 0) -> pd.DataFrame:
    """Trained minus untrained, paired by layer, for every family that has the untrained network's layers; one row per similarity and
    family.

    Layers of all seeds are pooled; the bootstrap resamples layers.
    """
    means = layer_means(scores).groupby(["family", "similarity", "layer"], sort=False)["score"].mean().reset_index()
    base = means[means["family"] == untrained].set_index(["similarity", "layer"])["score"]
    rows = []
    for (similarity, family), group in means[means["family"] != untrained].groupby(["similarity", "family"], sort=False):
        pairs = group.set_index(["similarity", "layer"])["score"].to_frame("trained").join(base.rename("untrained"), how="inner")
        if len(pairs) >= 3:
            one = statistics.paired_difference(pairs["trained"], pairs["untrained"], seed=seed)
            rows.append(
                {
                    "similarity": similarity,
                    "family": family,
                    "untrained": pairs["untrained"].mean(),
                    "trained": pairs["trained"].mean(),
                    "difference": one.value,
                    "low": one.low,
                    "high": one.high,
                    "layers": one.count,
                }
            )
    return pd.DataFrame(rows, columns=["similarity", "family", "untrained", "trained", "difference", "low", "high", "layers"])


def norms_behind_convolutions(scores: pd.DataFrame, followed: dict[str, str]) -> pd.DataFrame:
    """Units of batch norms that directly follow a convolution, beside the convolution's: layer, unit, convolution, norm, difference.

    Args:
        scores: of the units of one encoder under one similarity.
        followed: batch norm -> the convolution whose output it reads, as `lib.activations.norms_behind_convolutions` finds it.
    """
    by_layer = {layer: group.set_index("unit")["score"] for layer, group in scores.groupby("layer", sort=False)}
    rows = [
        pd.DataFrame({"layer": before, "convolution": by_layer[before], "norm": by_layer[norm]}).reset_index().dropna()
        for norm, before in followed.items()
        if norm in by_layer and before in by_layer
    ]
    columns = ["unit", "layer", "convolution", "norm"]
    found = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns, dtype=float)
    return found.assign(difference=found["norm"] - found["convolution"])


def kinds_compared(scores: pd.DataFrame) -> pd.DataFrame:
    """Kinds of layer by their layers' mean scores: mean and number of layers of each, and Conover's p-value against every other kind
    (Holm), as in the paper."""
    means = scores[scores["live"]].groupby(["kind", "layer"], sort=False)["score"].mean().reset_index()
    table = means.groupby("kind")["score"].agg(["mean", "size"])
    several = table.index[table["size"] >= 3]
    if len(several) < 2:
        return table
    compared = means[means["kind"].isin(several)]
    table["Kruskal-Wallis p"] = stats.kruskal(*(group["score"] for _, group in compared.groupby("kind"))).pvalue
    return table.join(
        scikit_posthocs.posthoc_conover(compared, val_col="score", group_col="kind", p_adjust="holm").add_prefix("p against ")
    )


def depth_and_width(scores: pd.DataFrame) -> pd.DataFrame:
    """`layer_means` with `relative_width`: the layer's width over that of the widest layer of its kind in the same encoder."""
    means = layer_means(scores)
    return means.assign(relative_width=means["layer_width"] / means.groupby(["encoder", "kind"])["layer_width"].transform("max"))


def in_bins(shape: pd.DataFrame, column: str, *, bins: int = 6, seed: int = 0) -> pd.DataFrame:
    """Mean score of layers in equal bins of a column between 0 and 1: column (mean in the bin), score, low, high, layers.

    The bootstrap resamples lineages of encoders.
    """
    rows = []
    for _, group in shape.groupby(pd.cut(shape[column], bins=np.linspace(0, 1, bins + 1), include_lowest=True), observed=True):
        mean, low, high = statistics.bootstrap_mean(group["score"], clusters=group["lineage"], seed=seed)
        rows.append({column: group[column].mean(), "score": mean, "low": low, "high": high, "layers": len(group)})
    return pd.DataFrame(rows)


def training_peaks(curve: pd.DataFrame) -> pd.DataFrame:
    """When the score of each training run is highest: similarity, run, start, peak, after (pictures shown), accuracy_at_peak, end,
    end_accuracy."""
    rows = []
    for (similarity, run), line in curve.sort_values("presentations").groupby(["similarity", "run"], sort=False):
        first, peak, last = line.iloc[0], line.loc[line["score"].idxmax()], line.iloc[-1]
        rows.append({
            "similarity": similarity, "run": run, "start": first["score"], "peak": peak["score"], "after": int(peak["presentations"]),
            "accuracy_at_peak": peak["accuracy"], "end": last["score"], "end_accuracy": last["accuracy"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def correlations(table: pd.DataFrame, first: str, second: str, *, seed: int = 0) -> pd.DataFrame:
    """Spearman and Pearson correlation of two columns within each similarity, with bootstrap intervals over rows."""
    rows = []
    for similarity, group in table.groupby("similarity", sort=False):
        for kind in ("spearman", "pearson"):
            one = statistics.correlation(group[first], group[second], kind=kind, seed=seed)
            rows.append(
                {"similarity": similarity, "kind": kind, "correlation": one.value, "low": one.low, "high": one.high, "n": one.count}
            )
    return pd.DataFrame(rows)


def agreement(scores: pd.DataFrame, similarities: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """How well pairs of similarities agree, by Spearman's correlation.

    Over the units of an encoder (mean over lineages, for the score and for the two-alternative rate), and over the mean scores of lineages.
    """
    live = scores[scores["live"]]
    rows = []
    for first, second in combinations(similarities, 2):
        means = live.pivot_table(index="lineage", columns="similarity", values="score", sort=False)[[first, second]].dropna()
        for what, one in (
            ("units of an encoder, score", agreement_on_units(live, first, second, "score")),
            ("units of an encoder, two-alternative rate", agreement_on_units(live, first, second, "two_alternative_rate")),
            ("encoders, mean score", statistics.correlation(means[first], means[second], seed=seed) if len(means) > 2 else None),
        ):
            if one is not None:
                rows.append({
                    "first": first, "second": second, "what": what, "spearman": one.value, "low": one.low, "high": one.high, "n": one.count,
                })  # fmt: skip
    return pd.DataFrame(rows, columns=["first", "second", "what", "spearman", "low", "high", "n"])


def agreement_on_units(live: pd.DataFrame, first: str, second: str, column: str) -> statistics.Estimate | None:
    """Spearman's correlation of two similarities over the units of an encoder, mean over lineages; None where no encoder has both."""
    table = live.pivot_table(index=["lineage", "encoder", "layer", "unit"], columns="similarity", values=column)
    if first not in table or second not in table:
        return None
    pairs = table[[first, second]].dropna().groupby(["lineage", "encoder"])
    found = pairs.apply(lambda group: stats.spearmanr(group[first], group[second]).statistic if len(group) > 3 else np.nan)
    by_lineage = found.groupby("lineage").mean().dropna()
    return statistics.student_mean(by_lineage) if len(by_lineage) else None


def three_layers(scores: pd.DataFrame) -> list[str]:
    """The first, the middle and the last layer of a table of scores, by depth."""
    layers = scores.drop_duplicates("layer").sort_values("depth")["layer"].tolist()
    return list(dict.fromkeys([layers[0], layers[len(layers) // 2], layers[-1]]))
