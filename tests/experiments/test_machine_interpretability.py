"""The tables, controls and claims of notebook 04 on cases whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib import planted
from lib.experiments import machine_interpretability as experiments
from lib.experiments.machine_interpretability import sweeps
from lib.extremes import extremes


@pytest.fixture(scope="module")
def scores():
    """Two families of two layers; the trained one scores 0.1 more in every layer, under both similarities, the second of which reverses the
    units."""
    rng = np.random.default_rng(0)
    rows = []
    for family, level in (("local:random", 0.6), ("local:supervised", 0.7)):
        for number, layer in enumerate(("a", "b", "c", "d")):
            base = level + 0.05 * number + 0.02 * rng.standard_normal(30)
            for similarity, value in (("first", base), ("second", 1.4 - base)):
                rows.append(pd.DataFrame({
                    "family": family, "lineage": family, "encoder": f"{family},seed=0",
                    "similarity": similarity, "layer": layer, "kind": "Conv",
                    "depth": number / 3, "layer_width": 10 * 2**number,
                    "unit": np.arange(30), "score": value, "live": True, "two_alternative_rate": value,
                    "p_value": 0.001, "null": 0.5, "null_sd": 0.03, "tied_extreme": False,
                    "circular": False, "pictures": 1000,
                }))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def test_names_with_and_without_seeds():
    assert experiments.with_seeds(["local:a,width=8", "published:b"], [0, 1]) == [
        "local:a,width=8,seed=0",
        "local:a,width=8,seed=1",
        "published:b",
    ]
    assert experiments.without_seed("local:a,width=8,seed=1,checkpoint=3") == "local:a,width=8"
    assert experiments.short(["local:a,network=vit,seed=1", "published:b", "oracle:concepts"]) == ["a vit", "b", "oracle:concepts"]


def test_summary_is_the_mean_of_live_units(scores):
    broken = scores.copy()
    broken.loc[broken.index[0], ["live", "score"]] = [False, np.nan]
    table = experiments.summary(broken).set_index(["encoder", "similarity"])
    expected = broken[(broken.family == "local:random") & (broken.similarity == "first")]["score"].mean()
    row = table.loc[("local:random,seed=0", "first")]
    assert row["score"] == pytest.approx(expected)
    assert (row["units"], row["constant_units"]) == (119, 1)
    assert row["low"] < row["score"] < row["high"]


def test_difference_to_untrained_is_paired_by_layer(scores):
    table = experiments.against_untrained(scores, "local:random").set_index("similarity")
    assert table.loc["first", "difference"] == pytest.approx(0.1, abs=0.01)
    assert table.loc["first", "high"] - table.loc["first", "low"] < 0.05  # the layers' own spread of 0.15 cancels
    assert table.loc["second", "difference"] == pytest.approx(-0.1, abs=0.01)
    assert not len(experiments.against_untrained(scores, ""))


def test_norm_is_paired_with_the_convolution_that_it_reads(scores):
    one = scores[(scores.family == "local:random") & (scores.similarity == "first")].copy()
    norm = one[one.layer == "a"].assign(layer="a norm", kind="BatchNorm", score=lambda t: t.score + 0.001)
    table = pd.concat([one[one.layer == "a"], norm, one[one.layer == "b"]])
    pairs = experiments.norms_behind_convolutions(table, {"a norm": "a", "b norm": "b", "norm": "unmeasured"})
    assert len(pairs) == 30
    assert set(pairs["layer"]) == {"a"}
    np.testing.assert_allclose(pairs["difference"], 0.001)
    assert not len(experiments.norms_behind_convolutions(one, {}))


def test_depth_and_relative_width(scores):
    layers = experiments.depth_and_width(scores[scores.similarity == "first"])
    assert layers.groupby("layer")["relative_width"].first().tolist() == [0.125, 0.25, 0.5, 1.0]


def test_networks_of_one_design_are_one_lineage():
    names = ["published:resnet20", "published:resnet56", "published:uva_resnet", "local:simclr,width=8,seed=1", "timm:resnet18"]
    assert [experiments.lineage(name) for name in names] == [
        "published:resnet", "published:resnet", "published:uva_resnet", "local:simclr,width=8", "timm:resnet18",
    ]  # fmt: skip


def test_means_resample_encoders_then_layers_then_units():
    rng = np.random.default_rng(0)
    levels = {"encoder": 0.1 * rng.standard_normal(6), "layer": 0.03 * rng.standard_normal(5)}
    units = pd.DataFrame([
        {"what": "x", "encoder": encoder, "layer": layer, "score": one + other + 0.001 * rng.standard_normal()}
        for encoder, one in enumerate(levels["encoder"]) for layer, other in enumerate(levels["layer"]) for _ in range(40)
    ])  # fmt: skip
    by_encoder, by_layer, by_unit = (
        experiments.mean_by(part, ["what"]).iloc[0]
        for part in (units, units[units.encoder == 0], units[(units.encoder == 0) & (units.layer == 0)])
    )
    assert [one["resampled"] for one in (by_encoder, by_layer, by_unit)] == ["encoder", "layer", "unit"]
    widths = [one["high"] - one["low"] for one in (by_encoder, by_layer, by_unit)]
    assert widths[0] == pytest.approx(2 * 1.96 * levels["encoder"].std() / np.sqrt(6), rel=0.2)
    assert widths[1] == pytest.approx(2 * 1.96 * levels["layer"].std() / np.sqrt(5), rel=0.2)
    assert widths[2] == pytest.approx(2 * 1.96 * 0.001 / np.sqrt(40), rel=0.5)


def test_bins_hold_the_mean_of_their_layers_and_lineages_are_resampled():
    shape = pd.DataFrame({"lineage": list("aabb"), "depth": [0.0, 1.0, 0.1, 0.9], "score": [0.9, 0.5, 0.7, 0.5]})
    table = experiments.in_bins(shape, "depth", bins=2)
    np.testing.assert_allclose(table[["depth", "score"]], [[0.05, 0.8], [0.95, 0.5]])
    assert table["layers"].tolist() == [2, 2]
    np.testing.assert_allclose(table[["low", "high"]], [[0.7, 0.9], [0.5, 0.5]])  # one of both lineages, or both
    assert len(experiments.in_bins(shape, "depth", bins=5)) == 2  # empty bins are left out


def test_the_peak_of_training_is_found_by_run_whatever_the_order_of_rows():
    curve = pd.DataFrame({
        "similarity": "judge", "run": ["one"] * 3 + ["two"] * 3, "presentations": [0, 100, 200, 200, 0, 100],
        "score": [0.6, 0.9, 0.7, 0.8, 0.5, 0.6], "accuracy": [0.1, 0.4, 0.9, 0.8, 0.2, 0.3],
    })  # fmt: skip
    table = experiments.training_peaks(curve).set_index("run")
    assert table.loc["one"].drop("similarity").tolist() == [0.6, 0.9, 100, 0.4, 0.7, 0.9]
    assert table.loc["two"].drop("similarity").tolist() == [0.5, 0.8, 200, 0.8, 0.8, 0.8]


def test_agreement_tells_units_from_encoders(scores):
    table = experiments.agreement(scores, ["first", "second"]).set_index("what")["spearman"]
    assert table["units of an encoder, score"] == pytest.approx(-1)
    assert "encoders, mean score" not in table  # two encoders have no correlation
    assert not len(experiments.agreement(scores, ["first"]))


def test_null_band(scores):
    assert experiments.null_band(scores) == pytest.approx((0.5 - 1.96 * 0.03, 0.5 + 1.96 * 0.03))


def test_kinds_are_compared_as_scikit_posthocs_does(scores):
    one = scores[scores.similarity == "first"].assign(
        kind=lambda t: np.where(t.family == "local:random", "Conv", "Linear"), layer=lambda t: t.family + t.layer
    )
    table = experiments.kinds_compared(one)
    groups = [group["score"] for _, group in one.groupby(["kind", "layer"])["score"].mean().reset_index().groupby("kind")]
    assert table["Kruskal-Wallis p"].iloc[0] == pytest.approx(stats.kruskal(*groups).pvalue)
    assert {"p against Conv", "p against Linear"} <= set(table.columns)


def test_splitting_helps_units_that_mix_and_not_those_that_do_not():
    embeddings, concept = planted.clustered_embeddings()
    embeddings = embeddings.astype(np.float32)
    rng = np.random.default_rng(0)
    noise = 1e-3 * rng.standard_normal((len(concept), 20))
    for width, gains in ((1, False), (2, True)):
        units = np.stack([np.isin(concept, np.arange(s, s + width)) for s in range(20)], 1) + noise
        ranked = extremes(units)
        halves = sweeps._two_means(sweeps.torch.from_numpy(embeddings), sweeps.torch.from_numpy(ranked.top.astype(np.int64)))
        shuffled = rng.permuted(halves, axis=1)
        split, control = (sweeps._mean_of_halves(ranked, one, embeddings, 0.16, 0) for one in (halves, shuffled))
        gain = np.nanmean(split - control)
        assert (gain > 0.1) == gains
        if width == 2:
            truth = concept[ranked.top] == concept[ranked.top][:, :1]
            assert (np.maximum((halves == truth).mean(1), (halves != truth).mean(1)) > 0.99).all()
