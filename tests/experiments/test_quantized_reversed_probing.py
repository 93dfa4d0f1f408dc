"""The sweeps, cards and claims of notebook 01 on representations whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib import datasets
from lib.experiments import quantized_reversed_probing as experiments
from lib.experiments.quantized_reversed_probing import paper_claims
from lib.measures.quantized_reversed_probing import quantized_reversed_probing

SETTINGS = {"clusters": 20, "starts": 2}


@pytest.fixture(scope="module")
def world():
    """Five representations of pictures with a colour and a shape: nothing, both weakly, both, the colour, the shape."""
    rng = np.random.default_rng(0)
    colour, shape = rng.integers(0, (5, 4), (2500, 2)).T
    columns = [*(f"colour: {i}" for i in range(5)), *(f"shape: {i}" for i in range(4))]
    concepts = pd.DataFrame(np.column_stack([np.eye(5)[colour], np.eye(4)[shape]]), columns=columns)
    code = rng.standard_normal((9, 12))
    values = concepts.to_numpy()
    clean = {
        "noise": 0 * values @ code, "pixels": 0.3 * values @ code, "both": values @ code, "colour": values[:, :5] @ code[:5],
        "shape": values[:, 5:] @ code[5:],
    }  # fmt: skip
    return {name: one + 0.3 * rng.standard_normal(one.shape) for name, one in clean.items()}, concepts, 4 * colour + shape


@pytest.fixture(scope="module")
def scores(world):
    features, concepts, _ = world
    return experiments.scores_of(features, concepts.to_numpy(), clusterings=2, splits=1, permutations=2, **SETTINGS)


def test_planted_cases_come_out_as_derived():
    table = experiments.planted_scores(pictures=6000)
    allowed = 3 * (table["high"] - table["low"]) / 3.92 + 0.02
    assert ((table["score"] - table["expected"]).abs() < allowed).all()
    assert len(table) == 12


def test_names_of_representations():
    names = experiments.with_seeds(["noise", "local:simclr", "local:supervised,width=8@trunk.a", "published:resnet20"], [0, 1])
    assert names == [
        "noise", "local:simclr,seed=0", "local:simclr,seed=1", "local:supervised,width=8,seed=0@trunk.a",
        "local:supervised,width=8,seed=1@trunk.a", "published:resnet20",
    ]  # fmt: skip
    assert experiments.short(names)[::2] == ["noise", "simclr", "supervised,width=8 a"]


def test_the_summary_orders_representations(world, scores):
    table = experiments.summary(scores, world[2]).set_index("representation")
    assert table["score"].idxmax() == "both"
    assert table.loc["noise", "score"] == pytest.approx(0, abs=0.03)
    assert (table["train_score"] >= table["score"] - 0.01).all()
    assert table.loc["both", "ami"] > 0.8 > 0.1 > table.loc["noise", "ami"]
    assert (table["low"] <= table["score"]).all()


def test_blocks_say_what_each_representation_codes(world):
    features, concepts, _ = world
    table = experiments.blocks_alone_and_together(features, concepts, permutations=1, clusterings=2, **SETTINGS)
    gains = table.groupby(["representation", "block"])["gain"].mean().unstack()
    assert gains.loc["colour", "colour"] > 1 > 0.1 > gains.loc["colour", "shape"]
    assert gains.loc["shape", "shape"] > 1 > 0.1 > gains.loc["shape", "colour"]
    assert set(table["clustering"]) == {0, 1}


def test_wrong_labels_cost_information_and_all_wrong_leaves_none(world):
    features, concepts, _ = world
    table = experiments.noisy_experts({"both": features["both"]}, concepts, [0.0, 0.3, 1.0], **SETTINGS).set_index("error")["score"]
    assert table[0.0] > table[0.3] + 0.5
    assert table[1.0] == pytest.approx(0, abs=0.05)


def test_more_clusters_have_more_entropy_and_every_quantiser_is_asked(world):
    features, concepts, _ = world
    two = {name: features[name] for name in ("both", "noise")}
    table = experiments.cluster_number_curve(two, concepts.to_numpy(), [5, 20], starts=2).set_index(["representation", "clusters"])
    assert (table.loc["both", "entropy"].diff().dropna() > 1).all()
    assert table.loc[("both", 20), "score"] > table.loc[("both", 5), "score"]
    quantisers = experiments.quantiser_sensitivity(two, concepts.to_numpy(), **SETTINGS)
    assert quantisers.groupby("representation")["quantiser"].apply(list).iloc[0] == ["none", "l2", "standardize", "pca", "paper"]


def test_forward_probes_read_what_is_there(world):
    features, concepts, labels = world
    table = experiments.forward_accuracy(features, concepts, labels).set_index("representation")
    assert table.loc["both", "factors"] > 0.95
    assert table.loc["noise", "factors"] == pytest.approx((1 / 5 + 1 / 4) / 2, abs=0.05)
    assert table.loc["colour", "factors"] == pytest.approx((1 + 1 / 4) / 2, abs=0.06)


def test_cards_show_members_and_name_their_concepts(world, scores):
    _, concepts, _ = world
    cards = experiments.cluster_cards(scores["both"], concepts, best=True, count=3)
    assert cards.pictures.shape == (3, 8)
    for row, members in zip(cards.table.itertuples(), cards.pictures, strict=True):
        assert (scores["both"].assignments[0].labels[members] == row.cluster).all()
        for name in row.present.split("; "):
            assert concepts[name].iloc[members].mean() > 0.5
    worst = experiments.cluster_cards(scores["both"], concepts, best=False, count=3)
    assert worst.table["information"].max() <= cards.table["information"].min()


def test_the_claims_come_out_on_representations_that_are_known(world, scores):
    features, concepts, labels = world
    table = experiments.summary(scores, labels).merge(experiments.forward_accuracy(features, concepts, labels), on="representation")
    curve = pd.DataFrame({"seed": np.repeat([0, 1, 2], 4), "presentations": 3 * [0, 1, 2, 3], "score": 3 * [0.1, 0.5, 0.4, 0.9]})
    tables = {
        "planted": experiments.planted_scores(pictures=3000), "scores": scores, "table": table, "curve": curve, "deep": "both", "seed": 0,
        "blocks": experiments.blocks_alone_and_together(features, concepts, permutations=1, clusterings=2, **SETTINGS),
        "numbers": experiments.cluster_number_curve(features, concepts.to_numpy(), [10, 20], starts=2),
        "experts": experiments.noisy_experts(features, concepts, [0.0, 0.2], **SETTINGS),
    }  # fmt: skip
    found = {one.claim: one.verdict for one in experiments.claims(SimpleNamespace(seeds=[0, 1, 2]), **tables)}
    assert found["linear probes see conjunctions and not unions of them"] == "holds"
    assert found["features of chance score 0"] == "holds"
    assert found["concepts of other pictures explain nothing"] == "holds"
    assert found["a trained network is explained better than pixels"] == "holds"
    assert found["along training the score rises"] == "holds"
    one_seed = {one.claim: one.verdict for one in experiments.claims(SimpleNamespace(seeds=[0]), **tables)}
    assert one_seed["along training the score rises"] == "inconclusive (1 seed)"
    assert one_seed["features of chance score 0"] == "holds"


def test_the_least_kendall_correlation_is_that_of_the_worst_pair():
    table = pd.DataFrame({10: [1, 2, 3, 4], 20: [1, 2, 3, 4], 50: [4, 3, 2, 1]}, index=list("abcd"))
    assert paper_claims._least_kendall(table).value == -1
    assert paper_claims._least_kendall(table[[10, 20]]).low == 1
    assert paper_claims._least_kendall(table.iloc[:3]) is None


@pytest.mark.parametrize(("change", "message"), [
    ({"representations": ["pixels", "local:supervised"]}, "representations: found none called 'noise'"),
    ({"representations": ["noise", "pixels", "local:supervised", "local:simklr"]}, "simklr"),
    ({"training": "published:resnet20"}, "training: found 'published:resnet20'; expected a local encoder"),
    ({"clusters": 300}, "clusters, numbers: found 300; expected 2 to a tenth of the 1000 pictures"),
    ({"splits": 0}, "splits: found 0"),
    ({"permutations": 0}, "permutations: found 0; expected at least 1"),
    ({"errors": [0.0, 1.5]}, "errors: found .* expected shares from 0 to 1"),
    ({"seeds": []}, r"seeds: found \[\]; expected at least one"),
])  # fmt: skip
def test_each_mistake_in_the_settings_is_named(change, message):
    known = {"dataset": "scenes", "representations": ["noise", "pixels", "local:supervised"], "deep": "local:supervised", "seeds": [0],
             "training": "", "clusters": 50, "numbers": [10], "starts": 1, "clusterings": 1, "splits": 1, "permutations": 1,
             "errors": [0.0]}  # fmt: skip
    pictures = datasets.load("scenes", count=1000)
    experiments.check(SimpleNamespace(**known), pictures)
    with pytest.raises(ValueError, match=message):
        experiments.check(SimpleNamespace(**known | change), pictures)


def test_scores_are_those_of_the_measure(world, scores):
    features, concepts, _ = world
    again = quantized_reversed_probing(features["both"], concepts.to_numpy(), clusterings=2, splits=1, permutations=2, **SETTINGS)
    assert again.score == scores["both"].score
