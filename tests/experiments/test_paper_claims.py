"""The claims of notebook 04: each rule on tables where the answer is known, and what has no say in it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib.experiments import machine_interpretability as experiments
from lib.experiments.machine_interpretability import paper_claims
from lib.paths import REPORTED

TRAINED = "trained units score higher than untrained ones"


def units_of(family, level, *, similarity="first", seed=0, layers=4, slope=0.05, lineage=None, spread=0.02, sign=1):
    """Scores of one encoder: `level` in its first layer, `slope` more in each further one, which is twice as wide."""
    rng = np.random.default_rng(abs(hash((family, seed))) % 2**32)
    return pd.concat([pd.DataFrame({
        "family": family, "lineage": lineage or family, "encoder": f"{family},seed={seed}" if family.startswith("local:") else family,
        "similarity": similarity, "layer": "abcdefgh"[number], "kind": "Conv", "depth": number / (layers - 1),
        "layer_width": 10 * 2**number, "unit": np.arange(30), "score": level + slope * number + sign * spread * rng.standard_normal(30),
        "live": True, "two_alternative_rate": 0.9, "p_value": 0.001, "null": 0.5, "null_sd": 0.03, "tied_extreme": False,
        "circular": False, "pictures": 1000,
    }) for number in range(layers)], ignore_index=True)  # fmt: skip


@pytest.fixture(scope="module")
def scores():
    """Two recipes, three seeds, two judges."""
    return pd.concat([
        units_of(family, level, similarity=similarity, seed=seed)
        for family, level in (("local:random", 0.6), ("local:supervised", 0.7))
        for similarity in ("first", "second") for seed in range(3)
    ], ignore_index=True)  # fmt: skip


@pytest.fixture
def tables(scores):
    nothing = pd.DataFrame()
    return {
        "planted": experiments.planted_scores(), "scores": scores, "curve": nothing, "wide": nothing, "split": nothing, "tasks": nothing,
        "compared": experiments.summary(scores).assign(accuracy=0.5, family=lambda t: t.encoder.map(experiments.without_seed),
                                                       lineage=lambda t: t.encoder.map(experiments.lineage)),
        "pairs": experiments.norms_behind_convolutions(scores, {}), "difficulty": nothing, "dictionaries": nothing,
    }  # fmt: skip


def settings_of(**changed):
    known = {"seed": 0, "seeds": [0, 1, 2], "encoders": ["local:random", "local:supervised"], "one_encoder": "local:supervised",
             "untrained": "local:random", "training": "local:supervised"}  # fmt: skip
    return SimpleNamespace(**known | changed)


def verdicts(tables, judges=("first", "second"), **settings):
    reported = pd.read_csv(REPORTED / "machine_interpretability_score.csv")
    return {row.claim: row.verdict for row in experiments.claims(reported, settings_of(**settings), list(judges), **tables)}


# Verdicts


def test_what_a_profile_lacks_is_not_testable(tables):
    found = verdicts(tables, encoders=["published:x"], untrained="", training="", one_encoder="published:x")
    for claim in (
        "along training the score falls while accuracy rises", "the same, first epoch left out", TRAINED, "wider networks score higher",
        "the first pass over the pictures raises the score", "harder queries score lower", "scores settle as tasks are added",
        "units are mixtures that a split makes clearer", "sparse dictionaries gain at most a little over units",
        "a batch norm behind a convolution scores the same", "untrained units are above chance",
    ):  # fmt: skip
        assert found[claim] == "not testable here", claim
    assert found["a unit of no meaning scores 0.5"] == "holds"
    assert found["the more concepts a unit mixes, the lower its score"] == "holds"


def test_one_seed_decides_nothing_about_training_and_three_do(tables, scores):
    assert verdicts(tables)[TRAINED] == "holds"
    assert verdicts(tables, seeds=[0])[TRAINED] == "inconclusive (1 seed)"
    lower = scores.assign(score=scores.score - 0.3 * (scores.family == "local:supervised"))
    assert verdicts(tables | {"scores": lower})[TRAINED] == "fails"


def test_the_first_judge_that_is_at_hand_is_the_main_one(tables, scores):
    one = scores[scores.similarity == "second"].assign(score=lambda t: t.score - 0.3 * (t.family == "local:supervised"))
    curve = curve_of([np.linspace(1, 0, 8)]).assign(similarity="second", circular=False)
    found = verdicts(tables | {"scores": one, "curve": curve}, judges=["second"])
    assert found[TRAINED] == "fails"
    assert found["similarities agree on encoders"] == "not testable here"


def test_circular_judgements_have_no_say(tables, scores):
    rest = {
        "curve": pd.DataFrame({"similarity": "first", "circular": True, "run": "r", "presentations": range(0, 80_000, 10_000),
                               "accuracy": np.linspace(0, 1, 8), "score": np.linspace(1, 0, 8)}),
        "difficulty": pd.concat([units_of("local:supervised", level, seed=seed).assign(quantile=quantile)
                                 for quantile, level in ((0.0, 0.9), (0.4, 0.6)) for seed in range(3)]),
        "dictionaries": units_of("local:supervised", 0.9).assign(dictionary="units", active=1.0),
        "wide": pd.concat([units_of(f"local:supervised,width={width}", 0.9, seed=seed).assign(circular=True)
                           for width in (8, 16) for seed in range(3)]),
    }  # fmt: skip
    claims = ("along training the score falls while accuracy rises", "harder queries score lower", "wider networks score higher",
              "untrained units are above chance")  # fmt: skip
    circular = scores.assign(circular=scores.similarity == "first")
    found = verdicts(tables | rest | {"scores": circular})
    assert {found[claim] for claim in claims} == {"not testable here"}
    fair = {name: table.assign(circular=False) for name, table in rest.items()}
    assert "not testable here" not in {verdicts(tables | fair)[claim] for claim in claims}


def test_a_published_network_has_no_seeds_to_wait_for(tables):
    hard = pd.concat([units_of("published:resnet20", level).assign(quantile=quantile) for quantile, level in ((0.0, 0.9), (0.4, 0.6))])
    network = {"encoders": ["published:resnet20"], "one_encoder": "published:resnet20", "training": "", "untrained": ""}
    found = verdicts(tables | {"difficulty": hard, "scores": units_of("published:resnet20", 0.9)}, **network)
    assert found["harder queries score lower"] == "holds"


# Rules, one by one


def curve_of(scores, accuracies=None, step=10_000):
    return pd.concat([
        pd.DataFrame({"run": run, "presentations": step * np.arange(len(line)), "score": line,
                      "accuracy": np.linspace(0, 1, len(line)) if accuracies is None else accuracies})
        for run, line in enumerate(scores)
    ]).sample(frac=1, random_state=0)  # fmt: skip


def test_along_training_leaves_out_what_it_says():
    line = [0.1, 0.2, 0.7, 0.9, 0.8, 0.6, 0.5, 0.4]
    assert paper_claims._along_training(curve_of([line] * 3), 0).value == pytest.approx(-0.8286, abs=1e-4)  # six points, one step upwards
    assert paper_claims._along_training(curve_of([line] * 3), 30_000).value == pytest.approx(-1)
    assert paper_claims._along_training(curve_of([line] * 3), 70_000) is None
    assert paper_claims._along_training(pd.DataFrame(), 0) is None
    assert paper_claims._along_training(curve_of([[0.5] * 8]), 0) is None
    both = paper_claims._along_training(curve_of([line, [*line[:3], *line[:2:-1]]]), 30_000)
    assert (both.value, both.count) == (pytest.approx(0), 2)


def test_the_first_epoch_is_the_first_checkpoint_after_all_pictures_were_shown():
    curve = curve_of([[0.5, 0.6, 0.9, 0.7], [0.5, 0.6, 0.8, 0.7]])  # an epoch is 16,384 pictures
    assert paper_claims._first_epoch(curve, settings_of()).value == pytest.approx(0.35)
    assert paper_claims._first_epoch(curve_of([[0.5, 0.6]]), settings_of()) is None


def test_only_layers_of_the_same_network_are_compared_with_untrained_ones():
    layers = experiments.depth_and_width(pd.concat([
        units_of("local:random", 0.6), units_of("local:supervised", 0.7), units_of("local:clip", 0.9, layers=3),
        units_of("local:simclr", 0.7, seed=1), units_of("published:resnet20", 0.7),
    ]))  # fmt: skip
    gains = paper_claims._against_untrained(layers, settings_of())
    assert set(gains["encoder"]) == {"local:supervised,seed=0"}  # another network, another seed, no seed
    assert gains["gain"].mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("columns", "count"), [
    ({"family": list("aabbccdd"), "encoder": list("12345678")}, 4),
    ({"family": list("aaaaaaaa"), "encoder": list("11223344")}, 4),
    ({"family": list("aaaaaaaa"), "encoder": list("11112222")}, 8),
])  # fmt: skip
def test_the_mean_is_over_families_else_networks_else_layers(columns, count):
    table = pd.DataFrame(columns | {"layer": list("klmnopqr"), "gain": np.arange(8.0)})
    found = paper_claims._over_networks(table, "gain")
    assert (found.value, found.count) == (3.5, count)


def test_correlations_inside_encoders_count_lineages_once():
    layers = experiments.depth_and_width(pd.concat([
        units_of("published:resnet20", 0.6, lineage="resnet", spread=0), units_of("published:resnet32", 0.6, lineage="resnet", spread=0),
        units_of("local:a", 0.9, slope=-0.05, spread=0),
    ]))  # fmt: skip
    found = paper_claims._within_encoders(layers, "depth")
    assert (found.value, found.count) == (pytest.approx(0), 2)
    assert paper_claims._within_encoders(layers.assign(depth=0.5), "depth") is None


def test_the_span_is_between_families_and_its_interval_from_layers():
    flat = pd.concat([units_of(family, level, slope=0, spread=0) for family, level in (("a", 0.6), ("b", 0.7), ("c", 0.75))])
    found = paper_claims._span(experiments.depth_and_width(flat), 0)
    assert (found.value, found.low, found.high, found.count) == (*[pytest.approx(0.15)] * 3, 3)
    steep = pd.concat([units_of(family, level, slope=0.05, spread=0) for family, level in (("a", 0.6), ("b", 0.7), ("c", 0.75))])
    found = paper_claims._span(experiments.depth_and_width(steep), 0)
    assert found.value == pytest.approx(0.15)
    assert found.low < 0.12 < 0.18 < found.high
    assert paper_claims._span(experiments.depth_and_width(units_of("a", 0.6)), 0) is None


def test_tails_tell_whether_the_worst_or_the_best_units_differ():
    def table(low, high):
        return pd.concat([pd.DataFrame({"lineage": str(index), "encoder": str(index), "score": np.linspace(*ends, 101)})
                          for index, ends in enumerate(zip(low, high, strict=True))])  # fmt: skip

    spread, same = np.linspace(0.3, 0.6, 6), np.full(6, 0.95)
    found = paper_claims._tails(table(spread, same), 0)
    assert found.low > 0
    assert found.count == 6
    assert found.value == pytest.approx(np.std(0.95 * spread, ddof=1) - np.std(0.05 * spread, ddof=1))
    assert paper_claims._tails(table(0.5 * same, 0.95 - spread / 3), 0).high < 0
    assert paper_claims._tails(table(spread[:2], same[:2]), 0) is None


def test_harder_is_the_hardest_against_the_standard_queries():
    levels = {0.0: 0.9, 0.2: 0.1, 0.4: 0.6}
    table = pd.concat([units_of("local:a", level, spread=0).assign(quantile=quantile) for quantile, level in levels.items()])
    np.testing.assert_allclose(paper_claims._harder(table)["change"], -0.3)
    assert not len(paper_claims._harder(table[table["quantile"] == 0]))


def test_scores_settle_if_the_intervals_are_apart():
    tasks = pd.DataFrame({"tasks": [1, 19], "difference": [0.1, 0.02], "low": [0.09, 0.01], "high": [0.11, 0.03]})
    tasks = tasks.assign(way="dealt anew", units=50)
    found = paper_claims._settling(tasks)
    assert (found.value, found.low, found.high, found.count) == (*map(pytest.approx, (-0.08, -0.1, -0.06)), 50)


def test_a_network_without_one_side_is_left_out_of_a_difference():
    table = pd.DataFrame({"encoder": list("aabbccd"), "what": list("xyxyxyx"), "score": [1, 0, 2, 1, 3, 2, 100.0]})
    found = paper_claims._difference(table, "score", table["what"] == "x", table["what"] == "y", 0)
    assert (found.value, found.count) == (1, 3)
    assert paper_claims._difference(table, "score", table["what"] == "x", table["what"] == "z", 0) is None
    one = paper_claims._difference(table[table.encoder < "c"], "score", table["what"] == "x", table["what"] == "y", 0)
    assert one.value == 1
    assert one.low < 1 < one.high


def test_only_directions_with_enough_active_pictures_are_compared_with_units():
    judged = units_of("local:a", 0.9)  # 1,000 pictures
    table = pd.concat([
        units_of("local:a", 0.5, slope=0).assign(dictionary="units", active=1.0),
        units_of("local:a", 0.7, slope=0).assign(dictionary="SAE x2", active=0.2, tied_extreme=True),
        units_of("local:a", 0.1, slope=0).assign(dictionary="SAE x8", active=0.199),
        units_of("local:a", 0.1, slope=0).assign(dictionary="PCA", active=1.0),
    ])  # fmt: skip
    assert paper_claims._sparse_against_units(table, judged, 0).value == pytest.approx(0.2, abs=0.01)


def test_the_widest_networks_are_compared_with_the_narrowest_of_their_seed():
    wide = pd.concat([units_of(f"local:a,width={width}", 0.5 + width / 100 + seed / 10, seed=seed, spread=0)
                      for width in (8, 32, 16) for seed in range(3)])  # fmt: skip
    found = paper_claims._widest_against_narrowest(wide)
    assert (found.value, found.high - found.low, found.count) == (pytest.approx(0.24), pytest.approx(0), 3)


def test_agreement_takes_every_pair_of_judges():
    levels = {"first": (0.1, 0.2, 0.3, 0.4), "second": (0.2, 0.3, 0.4, 0.5), "third": (0.5, 0.4, 0.3, 0.2)}
    fair = pd.concat([units_of(f"local:{index}", level, similarity=judge, sign=-1 if judge == "third" else 1)
                      for judge, column in levels.items() for index, level in enumerate(column)])  # fmt: skip
    judges = list(levels)
    assert paper_claims._agreement_on_lineages(fair, judges[:2], 0).value == pytest.approx(1)
    assert paper_claims._agreement_on_lineages(fair, judges[1:], 0).value == pytest.approx(-1)  # neither is the main one
    assert paper_claims._agreement_on_lineages(fair, judges, 0).value == pytest.approx(-1)
    assert paper_claims._agreement_on_units(fair, judges).value == pytest.approx(1)
    assert paper_claims._agreement_on_units(fair, judges[1:]).value < 0.9
    assert paper_claims._agreement_on_units(fair, ["first"]) is None
