"""The tables, controls and claims of notebook 04 on cases whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib import planted
from lib.experiments import machine_interpretability as experiments
from lib.experiments.machine_interpretability import paper_claims, sweeps
from lib.extremes import extremes
from lib.paths import REPORTED


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
                    "family": family, "encoder": f"{family},seed=0", "similarity": similarity, "layer": layer, "kind": "Conv",
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


def test_norm_is_paired_with_the_convolution_before_it(scores):
    one = scores[(scores.family == "local:random") & (scores.similarity == "first")].copy()
    norm = one[one.layer == "a"].assign(layer="a norm", kind="BatchNorm", score=lambda t: t.score + 0.001)
    pairs = experiments.norms_behind_convolutions(pd.concat([one[one.layer == "a"], norm, one[one.layer == "b"]]))
    assert len(pairs) == 30
    np.testing.assert_allclose(pairs["difference"], 0.001)
    assert not len(experiments.norms_behind_convolutions(one))


def test_depth_and_relative_width(scores):
    layers = experiments.depth_and_width(scores[scores.similarity == "first"])
    assert layers.groupby("layer")["relative_width"].first().tolist() == [0.125, 0.25, 0.5, 1.0]
    assert paper_claims._within_encoders(layers, "depth").value == pytest.approx(1.0)
    assert paper_claims._within_encoders(layers.assign(depth=0.5), "depth") is None


def test_bins_hold_the_mean_of_their_layers_and_families_are_resampled():
    shape = pd.DataFrame({"family": list("aabb"), "depth": [0.0, 1.0, 0.1, 0.9], "score": [0.9, 0.5, 0.7, 0.5]})
    table = experiments.in_bins(shape, "depth", bins=2)
    np.testing.assert_allclose(table[["depth", "score"]], [[0.05, 0.8], [0.95, 0.5]])
    assert table["layers"].tolist() == [2, 2]
    np.testing.assert_allclose(table[["low", "high"]], [[0.7, 0.9], [0.5, 0.5]])  # one of both families, or both
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
    assert table["units within an encoder, mean over encoders"] == pytest.approx(-1)
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


def test_along_training_needs_the_points_after_the_first_two():
    curve = pd.DataFrame(
        {
            "similarity": "first",
            "run": "r",
            "presentations": range(8),
            "accuracy": np.linspace(0, 1, 8),
            "score": [0.1, 0.2, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
        }
    )
    assert paper_claims._along_training(curve, "first", 0).value == pytest.approx(-1)
    assert paper_claims._along_training(pd.DataFrame(), "first", 0) is None


@pytest.fixture
def tables_of_the_notebook(scores):
    """Enough for the claims: eight layers' worth of scores of two local families, one seed."""
    one = scores.assign(encoder=lambda t: t.encoder)
    nothing = pd.DataFrame()
    return {
        "planted": experiments.planted_scores(), "scores": one, "curve": nothing, "wide": nothing, "split": nothing,
        "compared": experiments.summary(one).assign(accuracy=0.5, family=lambda t: t.encoder.map(experiments.without_seed)),
        "pairs": experiments.norms_behind_convolutions(one[one.similarity == "first"]), "difficulty": one.assign(quantile=0.0),
        "dictionaries": one.assign(dictionary="units"),
    }  # fmt: skip


def verdicts(tables, **settings):
    known = {"similarities": ["first", "second"], "seed": 0, "seeds": [0], "encoders": ["local:random", "local:supervised"],
             "untrained": "local:random", "training": "local:supervised"}  # fmt: skip
    reported = pd.read_csv(REPORTED / "machine_interpretability_score.csv")
    return {row.claim: row.verdict for row in experiments.claims(reported, SimpleNamespace(**known | settings), **tables)}


def test_what_a_profile_lacks_is_not_testable(tables_of_the_notebook):
    found = verdicts(tables_of_the_notebook, encoders=["published:x"], untrained="", training="")
    assert found["along training the score falls while accuracy rises"] == "not testable here"
    assert found["trained units score higher than untrained ones"] == "not testable here"
    assert found["a unit of no meaning scores 0.5"] == "holds"
    assert found["the more concepts a unit mixes, the lower its score"] == "holds"


def test_one_seed_decides_nothing_about_training_and_three_do(tables_of_the_notebook, scores):
    claim = "trained units score higher than untrained ones"
    assert verdicts(tables_of_the_notebook)[claim] == "inconclusive (1 seed)"
    rng = np.random.default_rng(0)
    for shift, verdict in ((0.0, "holds"), (-0.3, "fails")):
        three = pd.concat([
            scores.assign(encoder=scores.family + f",seed={seed}", score=scores.score + 0.001 * rng.standard_normal(len(scores))
                          + shift * (scores.family == "local:supervised"))
            for seed in range(3)])  # fmt: skip
        assert verdicts(tables_of_the_notebook | {"scores": three}, seeds=[0, 1, 2])[claim] == verdict


def test_circular_judgements_are_left_out(tables_of_the_notebook, scores):
    circular = tables_of_the_notebook | {"scores": scores.assign(circular=scores.similarity == "first")}
    assert verdicts(circular)["untrained units are above chance"] == "not testable here"
