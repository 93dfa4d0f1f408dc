"""The sweeps, cards and claims of notebook 01 on representations whose answer is known."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from lib import datasets
from lib.experiments import quantized_reversed_probing as experiments
from lib.experiments.evidence import TOO_LITTLE
from lib.experiments.quantized_reversed_probing import paper_claims
from lib.experiments.quantized_reversed_probing.cards import Cards
from lib.measures.quantized_reversed_probing import quantized_reversed_probing
from lib.statistics import Estimate

SETTINGS = {"clusters": 20, "starts": 2}
CHAIN = ["pixels", "both", "shape"]
SIX = ["published:resnet20", "published:convMed_normal", "published:autoencoder_64", "pixels", "pca:64", "local:random,seed=0"]


@pytest.fixture(scope="module")
def world():
    """Representations of pictures with a colour and a shape: nothing, both weakly, both, the colour, the shape."""
    rng = np.random.default_rng(0)
    colour, shape = rng.integers(0, (5, 4), (2500, 2)).T
    columns = [*(f"colour: {i}" for i in range(5)), *(f"shape: {i}" for i in range(4))]
    concepts = pd.DataFrame(np.column_stack([np.eye(5)[colour], np.eye(4)[shape]]), columns=columns)
    code = rng.standard_normal((9, 12))
    values = concepts.to_numpy()
    clean = {
        "noise,seed=0": 0 * values @ code, "pixels": 0.3 * values @ code, "both": values @ code, "colour": values[:, :5] @ code[:5],
        "shape": values[:, 5:] @ code[5:], "noise,seed=1": 0 * values @ code, "noise,seed=2": 0 * values @ code,
    }  # fmt: skip
    return {name: one + 0.3 * rng.standard_normal(one.shape) for name, one in clean.items()}, concepts, shape


@pytest.fixture(scope="module")
def scores(world):
    features, concepts, _ = world
    return experiments.scores_of(features, concepts, clusterings=2, splits=1, permutations=2, **SETTINGS)


@pytest.fixture(scope="module")
def gains(world, scores):
    return experiments.blocks_alone_and_together(scores, world[1], splits=1, permutations=1)


def test_planted_cases_come_out_as_derived():
    table = experiments.planted_scores(pictures=6000)
    allowed = 3 * (table["high"] - table["low"]) / 3.92 + 0.02
    assert ((table["score"] - table["expected"]).abs() < allowed).all()
    assert len(table) == 13


def test_the_summary_orders_representations(world, scores):
    table = experiments.summary(scores, world[2]).set_index("representation")
    assert table["score"].idxmax() == "both"
    assert table.loc["noise,seed=0", "score"] == pytest.approx(0, abs=0.03)
    assert (table["train_score"] >= table["score"] - 0.01).all()
    assert table.loc["shape", "ami"] > 0.4 > 0.1 > table.loc["noise,seed=0", "ami"]
    assert (table["low"] <= table["score"]).all()
    assert table["sd_splits"].isna().all()  # one split says nothing of it
    assert (table["se_pictures"] < 0.1).all()


def test_blocks_say_what_each_representation_codes(world, scores, gains):
    by = gains.set_index(["representation", "block"])["gain"].unstack()
    assert by.loc["colour", "colour"] > 1 > 0.1 > by.loc["colour", "shape"]
    assert by.loc["shape", "shape"] > 1 > 0.1 > by.loc["shape", "colour"]
    best = experiments.best_blocks(scores, world[1], gains, splits=1)
    alone = gains.set_index(["representation", "block"])["alone"]
    for name in ("colour", "shape"):
        assert best[name].score == pytest.approx(alone[name, name], abs=0.01)
    values = experiments.shapley_of({"shape": scores["shape"]}, world[1]).set_index("block")["value"]
    assert values["shape"] > 1 > 0.1 > values["colour"]


def test_wrong_labels_cost_information_and_all_wrong_leaves_none(world, scores):
    table = experiments.noisy_experts({"both": scores["both"]}, world[1], [0.0, 0.3, 1.0]).set_index("error")["score"]
    assert table[0.0] == pytest.approx(scores["both"].probes[0].score, abs=1e-6)
    losses = experiments.noisy_experts({"both": scores["both"]}, world[1], [0.0, 0.3]).set_index("error")
    assert losses.loc[0.3, "loss"] == pytest.approx(table[0.0] - table[0.3])
    assert losses.loc[0.3, "loss_low"] > 0 == losses.loc[0.0, "loss_high"]
    assert table[0.0] > table[0.3] + 0.5
    assert table[1.0] == pytest.approx(0, abs=0.05)


def test_other_sources_of_the_class_are_scored_on_the_same_clusters(world, scores):
    _, concepts, _ = world
    shape = concepts.filter(regex="^shape")
    table = experiments.stand_ins(scores, {"class": shape, "expert=a": shape.sample(frac=1, random_state=0)}, splits=1)
    by = table.pivot(index="representation", columns="source", values="score")
    assert by.loc["shape", "class"] > 1
    assert (by["expert=a"] < 0.05).all()
    lost = table[table["source"] == "expert=a"].set_index("representation")
    np.testing.assert_allclose(lost["loss"], (by["class"] - by["expert=a"])[lost.index], atol=1e-6)


def test_more_clusters_have_more_entropy_and_every_quantiser_is_asked(world):
    features, concepts, _ = world
    two = {name: features[name] for name in ("both", "noise,seed=0")}
    table = experiments.cluster_number_curve(two, concepts.to_numpy(), [5, 20], starts=2).set_index(["representation", "clusters"])
    assert (table.loc["both", "entropy"].diff().dropna() > 1).all()
    assert table.loc[("both", 20), "score"] > table.loc[("both", 5), "score"]
    quantisers = experiments.quantiser_sensitivity(two, concepts.to_numpy(), **SETTINGS)
    one = quantisers[quantisers["representation"] == "both"]
    assert one["quantiser"].tolist() == ["none", "l2", "standardize", "pca", "other seed", "paper", "paper"]
    assert one["probe"].tolist() == ["robust"] * 6 + ["paper"]
    assert one["ami"].iloc[0] == 1
    assert one["ami"].iloc[[1, 2, 4, 5]].max() < 1  # all 12 principal components are only a rotation


def test_forward_probes_read_what_is_there(world):
    features, concepts, labels = world
    table = experiments.forward_accuracy(features, concepts, labels).set_index("representation")
    assert table.loc["both", ["class", "factors"]].min() > 0.95
    assert table.loc["noise,seed=0", "class"] == pytest.approx(1 / 4, abs=0.05)
    assert table.loc["noise,seed=0", "factors"] == pytest.approx((1 / 5 + 1 / 4) / 2, abs=0.05)
    assert table.loc["colour", "class"] == pytest.approx(1 / 4, abs=0.06)
    assert (table["class_low"] < table["class"]).all()
    assert (table["class"] < table["class_high"]).iloc[0]
    assert table.loc["colour", "factors"] == pytest.approx((1 + 1 / 4) / 2, abs=0.06)


def test_the_largest_moves_come_first_and_have_intervals():
    table = pd.DataFrame({"representation": list("abcd"), "forward": [0.9, 0.8, 0.7, 0.1], "score": [1.0, 3, 2, 4]})
    for column, reach in (("forward", 1e-6), ("score", [1e-6, 5, 5, 1e-6])):
        table[f"{column}_low"], table[f"{column}_high"] = table[column] - reach, table[column] + reach
    moves = experiments.rank_moves(table, "forward", "score")
    assert moves["representation"].tolist()[:2] == ["a", "d"]
    assert moves["moves"].tolist()[:2] == [-3, 3]
    by = moves.set_index("representation")
    assert (by.loc["a", "moves_low"], by.loc["b", "moves_low"]) < (-2, -1)
    assert by.loc["d", "moves_high"] == 3  # it is the last forwards for sure
    sure = table.assign(score_low=table["score"] - 1e-6, score_high=table["score"] + 1e-6)
    sure = experiments.rank_moves(sure, "forward", "score")
    assert (sure["moves_low"] == sure["moves"]).all()
    assert (sure["moves_high"] == sure["moves"]).all()


def test_ranks_of_what_is_trained_several_times_vary_with_the_seeds():
    names = [*(f"local:random,seed={seed}" for seed in range(3)), *(f"local:simclr,seed={seed}" for seed in range(3))]
    table = pd.DataFrame({"representation": names, "forward": [0.1] * 3 + [0.2] * 3, "score": [1.0, 2, 3, 2, 3, 1.5]})
    for column in ("forward", "score"):
        table[f"{column}_low"] = table[f"{column}_high"] = table[column]
    moves = experiments.rank_moves(table, "forward", "score").set_index("representation")
    assert moves.index.tolist() == ["local:random", "local:simclr"]
    assert moves.loc["local:random", ["moves", "moves_low", "moves_high"]].tolist() == [0, 0, 1]


def test_clusters_of_a_head_are_compared_at_their_own_number():
    pictures = datasets.load("scenes", count=300)
    name = "local:supervised,width=8,presentations=512,pictures=512,seed=0"
    features = experiments.features_of(["pixels", "local:random,width=8,seed=0", name, f"{name}@trunk.stage1"], pictures)
    scores = experiments.scores_of(features, pictures.concepts, clusters=25, starts=1, clusterings=1, splits=1, permutations=0)
    table = experiments.native_and_kmeans(scores, features, pictures, pictures.concepts.to_numpy(), starts=1)
    assert set(table["representation"]) == {name}
    count = table["count"].iloc[0]
    assert table["clusters"].tolist() == ["classes of its head", "k-means", "k-means with 25, merged at random"]
    assert (table["count"] == count).all()
    assert (table["entropy"] <= np.log2(count) + 1e-9).all()


@pytest.fixture(scope="module")
def explained(world, scores):
    return experiments.explained_clusters(scores["both"], world[1])


def test_explained_clusters_name_what_they_are_made_of(world, scores, explained):
    _, concepts, _ = world
    score, sizes = scores["both"], scores["both"].assignments[0].sizes
    np.testing.assert_allclose(explained["most"], np.log2(2500 / sizes))
    np.testing.assert_allclose(explained["share"], explained["information"] / explained["most"])
    np.testing.assert_allclose(explained["information"], score.clusters["information"], atol=1e-6)  # one split
    assert (explained["tested"] == np.bincount(score.assignments[0].labels[score.probes[0].test])).all()
    assert ((explained["low"] <= explained["information"]) & (explained["information"] <= explained["high"])).all()
    for row in explained.itertuples():
        members = concepts[score.assignments[0].labels == row.cluster]
        first, second = row.pair.split(" & ")
        assert first.startswith("colour")
        assert second.startswith("shape")
        both = concepts[first] * concepts[second] == 1
        assert row.recall == pytest.approx(both[members.index].mean())
        assert row.precision == pytest.approx(both[members.index].sum() / both.sum())
        assert all(members[name].mean() > concepts[name].mean() for name in row.present.split("; "))
        assert all(members[name].mean() < concepts[name].mean() for name in row.absent.split("; ") if name)
    assert (explained[["without colour", "without shape"]].mean() > 1).all()


def test_a_picture_that_several_splits_test_counts_once(world):
    features, concepts, _ = world
    score = quantized_reversed_probing(features["both"], concepts, clusterings=1, splits=4, permutations=0, **SETTINGS)
    found = experiments.explained_clusters(score, concepts)
    labels = score.assignments[0].labels
    tested = np.unique(np.concatenate([probe.test for probe in score.probes]))
    np.testing.assert_array_equal(found["tested"], np.bincount(labels[tested]))
    gains = pd.concat([pd.Series(probe.gains, probe.test) for probe in score.probes])
    own = gains[labels[gains.index] == 0].groupby(level=0).mean()
    assert found["information"][0] == pytest.approx(own.mean())
    assert found["high"][0] - found["information"][0] == pytest.approx(1.96 * own.std() / np.sqrt(len(own)))


def test_a_block_that_another_repeats_adds_nothing_to_any_cluster(world):
    features, concepts, _ = world
    twice = concepts.join(concepts.filter(regex="^shape").rename(columns=lambda name: name.replace("shape", "form")))
    score = quantized_reversed_probing(features["both"], twice, clusterings=1, splits=1, permutations=0, **SETTINGS)
    found = experiments.explained_clusters(score, twice)
    np.testing.assert_allclose(found[["without shape", "without form"]], 0, atol=2e-3)  # as exact as the fits
    assert found["without colour"].mean() > 1


def test_cards_show_members_and_pictures_that_belong_elsewhere(world, scores, explained):
    _, concepts, _ = world
    cards = experiments.cluster_cards(scores["both"], concepts, explained, best=True, count=3)
    assert cards.members.shape == (3, 6)
    assert cards.others.shape == (3, 3)
    labels = scores["both"].assignments[0].labels
    for row, members, others in zip(cards.table.itertuples(), cards.members, cards.others, strict=True):
        assert (labels[members] == row.cluster).all()
        assert (labels[others] != row.cluster).all()
        assert concepts.iloc[others][row.pair.split(" & ")].to_numpy().mean() >= 0.5  # of others drawn at random 0.22
    worst = experiments.cluster_cards(scores["both"], concepts, explained, best=False, count=3)
    assert worst.table["share"].max() <= cards.table["share"].min()
    assert (cards.table["tested"] >= 10).all()


@pytest.fixture(scope="module")
def tables(world, scores, gains):
    features, concepts, labels = world
    shape, colour = concepts.filter(regex="^shape"), concepts.filter(regex="^colour")
    of = {name: experiments.scores_with(scores, one, splits=1) for name, one in
          {"class": shape, "colour": colour, "class and colour": concepts}.items()}  # fmt: skip
    of["best block"] = experiments.best_blocks(scores, concepts, gains, splits=1)
    table = experiments.summary(scores, labels).merge(experiments.forward_accuracy(features, concepts, labels), on="representation")
    table["class_score"] = [of["class"][name].score for name in table["representation"]]
    curve = pd.DataFrame({
        "encoder": "local:toy", "seed": np.repeat([0, 1, 2], 4), "presentations": 3 * [0, 1, 2, 3], "score": 3 * [0.1, 0.5, 0.4, 0.9],
        "class": 3 * [0.1, 0.8, 0.8, 0.8],
    })  # fmt: skip
    sources = {"class": shape, "expert=a": shape.mul(np.arange(len(shape)) < 2000, axis=0)}
    return {
        "planted": experiments.planted_scores(pictures=3000), "scores": scores, "of": of, "table": table, "curve": curve,
        "numbers": experiments.cluster_number_curve(features, concepts.to_numpy(), [4, 10, 20], starts=2),
        "noisy": experiments.noisy_experts(scores, concepts, [0.0, 0.2]),
        "replaced": experiments.stand_ins(scores, sources, splits=1),
    }  # fmt: skip


def test_the_claims_come_out_on_representations_that_are_known(tables):
    found = {one.claim: one for one in experiments.claims(SimpleNamespace(seeds=[0, 1, 2], chain=CHAIN, clusters=20), **tables)}
    verdicts = {claim: one.verdict for claim, one in found.items()}
    assert verdicts["linear probes see conjunctions and not unions of them"] == "holds"
    assert verdicts["features of chance score 0 (R1)"] == "holds"
    assert verdicts["concepts of other pictures explain nothing (R1)"] == "holds"
    assert verdicts["colour adds to the class in pixels (R3)"] == "holds"
    # The last of the chain codes shape alone; of two clusterings the interval is sometimes wider than what counts as nothing.
    assert abs(found["colour adds nothing to the class in the last layer (R3)"].here.value) < 0.05
    assert verdicts["along training of toy the score rises (R4)"] == "holds"
    assert found["forward accuracy of toy saturates earlier than the score (R4)"].here.value == 2
    assert verdicts["forward accuracy of toy saturates earlier than the score (R4)"] == "holds"
    assert verdicts["wrong concept labels lower the score (R6)"] == "holds"
    spoiled = tables["noisy"].query("error == 0.2 and not representation.str.startswith('noise')")
    assert found["wrong concept labels lower the score (R6)"].here.value == pytest.approx(spoiled["loss"].min())
    assert spoiled["loss"].min() > 0.1
    # the representation of colour alone knows nothing of the class that could be lost, so it is not every one that loses
    assert verdicts["a network as expert scores below the true class (R6)"] != "holds"
    known = tables | {"replaced": tables["replaced"][tables["replaced"]["representation"] != "colour"]}
    found = {one.claim: one.verdict for one in experiments.claims(SimpleNamespace(seeds=[0, 1, 2], chain=CHAIN, clusters=20), **known)}
    assert found["a network as expert scores below the true class (R6)"] == "holds"
    one_seed = {one.claim: one.verdict for one in experiments.claims(SimpleNamespace(seeds=[0], chain=CHAIN, clusters=20), **tables)}
    assert one_seed["along training of toy the score rises (R4)"] == "inconclusive (1 seed)"
    assert one_seed["features of chance score 0 (R1)"] == "holds"


def test_claims_that_lack_their_tables_are_not_testable(tables):
    lacking = tables | {"curve": pd.DataFrame(), "replaced": pd.DataFrame()}
    found = {one.claim: one.verdict for one in experiments.claims(SimpleNamespace(seeds=[0], chain=CHAIN, clusters=20), **lacking)}
    assert not [claim for claim in found if claim.startswith("along training")]
    assert found["a network as expert keeps the order (R6)"] == "not testable here"


def test_a_chain_rises_if_every_step_does(scores):
    # From nothing to both is the largest step, from both to the shape alone the only one downwards.
    found = paper_claims._steps(scores, ["noise", "both", "shape"], [0])
    assert found.value == pytest.approx(scores["shape"].score - scores["both"].score, abs=0.1)
    assert found.high < 0
    assert paper_claims._steps(scores, ["noise", "shape", "both"], [0, 1]).low > 0  # what has no seed is the same for each


def test_a_pair_turned_round_is_read_better_and_explained_less(scores):
    named = pd.DataFrame({"class_low": [0.8, 0.1, 0.3], "class_high": [0.9, 0.2, 0.85]}, index=["shape", "both", "colour"])
    found = paper_claims._turned_round(scores, named, [0])  # shape is read better than both, and explained less; colour is not apart
    assert found.value == pytest.approx(scores["both"].score - scores["shape"].score, abs=0.1)
    assert found.low > 1
    assert paper_claims._turned_round(scores, named.drop(["both", "colour"]), [0]) is TOO_LITTLE


@pytest.mark.parametrize(("scores", "expected"), [([1.0, 2, 2.5, 2.6], 1.0), ([1.0, 2, 4, 8], 0.0), ([1.0, 2, 2.5, 6], 0.5)])
def test_concavity_is_falling_slopes(scores, expected):
    line = pd.DataFrame({"clusters": [10, 20, 30, 40], "score": scores})
    numbers = pd.concat([line.assign(representation=name) for name in SIX])
    found = paper_claims._concave(numbers)
    assert (found.value, found.low, found.high, found.count) == (expected, expected, expected, 6)
    mixed = pd.concat([numbers[numbers["representation"] != "pixels"], line.assign(representation="pixels", score=[1.0, 2, 4, 8])])
    assert paper_claims._concave(mixed).value == pytest.approx(5 / 6 * expected)
    assert paper_claims._concave(numbers[numbers["representation"] != "pixels"]) is TOO_LITTLE  # five are too few
    assert paper_claims._concave(numbers[numbers["clusters"] < 30]) is None  # two numbers have no triple


def test_a_search_over_pairs_is_as_undecided_as_its_most_undecided_pair(monkeypatch):
    named = pd.DataFrame({"class_low": [0.8, 0.1, 0.2], "class_high": [0.9, 0.15, 0.3]}, index=["a", "b", "c"])
    known = {("b", "a"): (-0.3, -0.5, -0.1), ("c", "a"): (-0.1, -0.6, 0.4), ("b", "c"): (-0.2, -0.3, -0.1)}
    monkeypatch.setattr(paper_claims, "paired_difference", lambda one, other: Estimate(*known[one, other], 9))
    found = paper_claims._turned_round({name: name for name in "abc"}, named, [0])
    wider = scipy_stats.norm.ppf(1 - 0.025 / 3) / scipy_stats.norm.ppf(0.975)
    assert found.value == -0.1
    assert found.low == pytest.approx(-0.2 - 0.1 * wider)
    assert found.high == pytest.approx(-0.1 + 0.5 * wider)  # not below 0, although the pair with the highest lower end is
    assert found.count == 3


MANY = ["noise", "pixels", "local:random", "local:supervised", *(f"pca:{count}" for count in range(2, 7))]
KNOWN = {
    "dataset": "scenes", "representations": ["noise", "pixels", "local:random", "local:supervised"], "blocks": ["given"],
    "chain": ["pixels", "local:random", "local:supervised"], "explained": ["pixels"], "varied": ["pixels"], "seeds": [0], "training": [],
    "clusters": 40, "numbers": [10], "starts": 1, "clusterings": 1, "splits": 1, "permutations": 1, "block_permutations": 1,
    "errors": [0.0, 0.2],
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [
    ({"representations": ["pixels", "local:supervised"]}, "representations: found none called 'noise'"),
    ({"representations": [*KNOWN["representations"], "local:simklr"]}, "simklr"),
    ({"representations": [*KNOWN["representations"], "published:resnet21"]}, "published: found 'resnet21'"),
    ({"representations": [*KNOWN["representations"], "published:resnet20+noise=-1"]}, "expected a level of noise from 0"),
    ({"chain": ["local:random", "pixels", "local:supervised"]}, "chain: found .* expected pixels and at least two more"),
    ({"explained": ["local:simclr"]}, "explained: found 'local:simclr'; expected some of the representations"),
    ({"varied": ["pixels", "pixels"]}, r"varied: found \['pixels', 'pixels'\]"),
    ({"varied": ["local:simclr"]}, "varied: found 'local:simclr'; expected some of the representations"),
    ({"training": ["published:resnet20"]}, "training: found 'published:resnet20'; expected local encoders"),
    ({"training": ["local:simklr"]}, "simklr"),
    ({"clusters": 41}, "clusters, numbers: found 41; expected 2 to a 25th of the 1000 pictures"),
    ({"splits": 0}, "splits: found 0"),
    ({"permutations": 0}, "permutations: found 0; expected at least 1"),
    ({"errors": [0.0, 1.5]}, "errors: found .* expected shares from 0 to 1"),
    ({"errors": [0.2, 0.0]}, "errors: found .* expected 0 first, with which others are compared, and 0.2"),
    ({"errors": [0.0, 1.0]}, "errors: found .* expected 0 first, with which others are compared, and 0.2"),
    ({"block_permutations": 0}, "block_permutations: found 0; expected at least 1"),
    ({"blocks": ["class"]}, r"blocks: found \['class'\], without colours; expected 'colour' among them"),
    ({"representations": MANY, "varied": MANY}, "varied: found 9; expected at most 8, which can be told apart by colour"),
    ({"seeds": []}, r"seeds: found \[\]; expected at least one"),
    ({"blocks": []}, r"blocks: found \[\]; expected at least one"),
])  # fmt: skip
def test_each_mistake_in_the_settings_is_named(change, message):
    pictures = datasets.load("scenes", count=1000)
    experiments.check(SimpleNamespace(**KNOWN), pictures)
    with pytest.raises(ValueError, match=message):
        experiments.check(SimpleNamespace(**KNOWN | change), pictures)


def test_what_is_not_at_hand_is_left_out_with_a_reason(monkeypatch):
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    there, absent = experiments.at_hand(["pixels", "local:random", "published:convMed_pgd+noise=0.5", "expert=published:uva_googlenet"])
    assert there == ["pixels", "local:random"]
    assert len(absent) == 2
    assert absent[0].startswith("left out, not at hand: published:convMed_pgd+noise=0.5 (")


def test_scores_are_those_of_the_measure(world, scores):
    features, concepts, _ = world
    again = quantized_reversed_probing(features["both"], concepts.to_numpy(), clusterings=2, splits=1, permutations=2, **SETTINGS)
    assert again.score == scores["both"].score


def test_a_card_sheet_shows_members_a_gap_and_the_others():
    pictures = datasets.load("scenes", count=20).in_memory()
    cards = Cards(np.array([[0, 1], [2, 3]]), np.array([[4], [5]]), ["1 of 2 bits", "0 of 2 bits"], pd.DataFrame())
    figure = experiments.card_sheet(cards, pictures)
    shown = [image.get_array() for image in figure.axes[0].images]
    np.testing.assert_array_equal(np.stack(shown), pictures.read([0, 1, 4, 2, 3, 5]))
    left = [image.get_extent()[0] for image in figure.axes[0].images]
    assert left[2] - left[1] == pytest.approx(2 * (left[1] - left[0]))  # an empty cell lies between
    assert {text.get_text() for text in figure.axes[0].texts} >= {"1 of 2 bits", "0 of 2 bits", "members, drawn at random"}
    plt.close(figure)
