"""Blocks, ladders and curves on clusters whose explanation is known."""

import numpy as np
import pandas as pd
import pytest

from lib.measures.quantized_reversed_probing import quantized_reversed_probing
from lib.measures.reverse_probe import reverse_probe
from lib.measures.reversed_probing_analyses import (
    best_pairs,
    block_gain,
    block_gains,
    block_gains_of_clusters,
    blocks_of,
    forward_and_reverse,
    joined,
    learning_curve,
    probe_ladder,
    screened_pairs,
    shapley_over_blocks,
)
from lib.quantisation import given_clusters
from lib.splits import stratified_split

PENALTIES = (1e-2, 1e-4)


@pytest.fixture(scope="module")
def world():
    """Clusters are colour x shape; size says nothing; two more concepts organise only by their exclusive or."""
    rng = np.random.default_rng(0)
    colour, shape, size = rng.integers(0, (4, 3, 5), (6000, 3)).T
    one, other = rng.integers(0, 2, (2, 6000))
    columns = [f"{block}: {i}" for block, count in (("colour", 4), ("shape", 3), ("size", 5)) for i in range(count)]
    values = np.column_stack([np.eye(4)[colour], np.eye(3)[shape], np.eye(5)[size], one, other])
    concepts = pd.DataFrame(values, columns=[*columns, "mark: a", "mark: b"])
    clusters = 3 * colour + shape
    return clusters, 2 * clusters + (one ^ other), concepts, stratified_split(clusters)


def test_blocks_are_the_parts_before_the_colon(world):
    blocks = blocks_of(world[2])
    assert {name: block.shape[1] for name, block in blocks.items()} == {"colour": 4, "shape": 3, "size": 5, "mark": 2}
    np.testing.assert_array_equal(joined(blocks), world[2].to_numpy())
    assert joined(blocks, []).shape == (6000, 0)
    with pytest.raises(ValueError, match="blocks: found 'taste'; expected some of colour, shape, size, mark"):
        joined(blocks, ["taste"])


def test_blocks_gain_what_they_alone_can_say(world):
    clusters, _, concepts, _ = world
    table = block_gains([given_clusters(clusters)], blocks_of(concepts), permutations=4, penalties=PENALTIES).set_index("block")
    np.testing.assert_allclose(table["alone"], [2, np.log2(3), 0, 0], atol=0.02)
    np.testing.assert_allclose(table["gain"], [2, np.log2(3), 0, 0], atol=0.02)
    np.testing.assert_allclose(table["null_mean"], 0, atol=0.02)
    assert table["p_value"].isna().all()  # four permutations allow none below 0.2
    assert (table["null_sd"] < 0.02).all()
    for column in ("alone", "gain"):
        assert (table[f"{column}_low"] <= table[column]).all()
        assert (table[f"{column}_high"] - table[f"{column}_low"] < 0.1).all()
    only = block_gains([given_clusters(clusters)], {"colour": blocks_of(concepts)["colour"]}, permutations=0, penalties=PENALTIES)
    assert only["gain"].item() == pytest.approx(only["alone"].item(), abs=0.001)  # there is nothing else
    enough = block_gains([given_clusters(clusters)], {"colour": blocks_of(concepts)["colour"]}, permutations=19, penalties=PENALTIES)
    assert enough["p_value"].item() == pytest.approx(1 / 20)


def test_one_block_gains_the_same_as_among_all(world):
    clusters, _, concepts, _ = world
    blocks, settings = blocks_of(concepts), {"splits": 2, "penalties": PENALTIES, "seed": 3}
    table = block_gains([given_clusters(clusters)], blocks, permutations=1, **settings).set_index("block")
    everything = quantized_reversed_probing(given_clusters(clusters), joined(blocks), permutations=0, **settings)
    alone = block_gain(everything, "shape", blocks=blocks, permutations=1, penalties=PENALTIES)
    assert {name: value for name, value in alone.items() if name not in ("block", "p_value")} == (
        table.loc["shape"].drop("p_value").to_dict()
    )


def test_a_block_that_another_repeats_has_nothing_to_lose_by_shuffling(world):
    # Shuffled, the first of two copies is a block of chance beside the second; before, it was the second that was left out as a copy.
    clusters, _, concepts, _ = world
    blocks = blocks_of(concepts)
    for order in (("colour", "again"), ("again", "colour")):
        twice = {order[0]: blocks["colour"], order[1]: blocks["colour"], "shape": blocks["shape"]}
        table = block_gains([given_clusters(clusters)], twice, permutations=3, penalties=PENALTIES).set_index("block")
        np.testing.assert_allclose(table.loc[["colour", "again"], ["gain", "null_mean"]], 0, atol=0.02)


def test_what_blocks_add_in_each_cluster_sums_to_what_they_add(world):
    clusters, _, concepts, split = world
    blocks = blocks_of(concepts)
    # Colour says nothing about clusters of the last shape, which are joined.
    clusters = np.where(clusters % 3 == 2, 8, np.minimum(clusters - clusters // 3, 7))
    split = stratified_split(clusters)
    probe = reverse_probe(clusters, joined(blocks), split, penalties=PENALTIES)
    everything = quantized_reversed_probing(given_clusters(clusters), joined(blocks), splits=1, permutations=0, penalties=PENALTIES)
    assert everything.score == probe.score
    table = block_gains_of_clusters(everything, blocks)
    shares = np.bincount(clusters[split.test]) / len(split.test)
    for name in blocks:
        rest = joined(blocks, [other for other in blocks if other != name])
        without = reverse_probe(clusters, rest, split, penalties=[probe.classifier.penalty])
        assert shares @ table[name] == pytest.approx(probe.score - without.score, abs=1e-3)
    of_shape = np.bincount(clusters[split.train])[:8].reshape(4, 2)  # without colour, a cluster is one of the four of its shape
    np.testing.assert_allclose(table["colour"], [*-np.log2(of_shape / of_shape.sum(0)).ravel(), 0], atol=0.05)
    np.testing.assert_allclose(table[["size", "mark"]], 0, atol=0.05)


def test_the_best_pair_of_a_cluster_is_the_one_it_was_made_of(world):
    clusters, _, concepts, _ = world
    found = best_pairs(clusters, concepts)
    expected = [(f"colour: {colour}", f"shape: {shape}") for colour in range(4) for shape in range(3)]
    assert list(zip(found["first"], found["second"], strict=True)) == expected
    np.testing.assert_allclose(found[["precision", "recall"]], 1)
    share = np.bincount(clusters) / len(clusters)
    np.testing.assert_allclose(found["bits"], -share * np.log2(share) - (1 - share) * np.log2(1 - share))  # the entropy of membership
    half = best_pairs(clusters // 2, concepts.filter(regex="colour|shape"))  # two of twelve cells each
    assert half["recall"].between(0.4, 0.6).any()
    assert (half["precision"] > 0.99).sum() >= 4
    with pytest.raises(ValueError, match="concepts: found 1; expected at least two to pair"):
        best_pairs(clusters, concepts.iloc[:, :1])


def test_a_pair_that_is_never_there_explains_nothing():
    concepts = pd.DataFrame({"a": [1, 1, 0, 0], "b": [0, 0, 1, 1], "c": [1, 0, 1, 0]})
    none = best_pairs([0, 0, 1, 1], pd.DataFrame({"a": [1, 1, 0, 0], "b": [0, 1, 0, 0], "c": [1, 0, 0, 0]}))
    assert none[["first", "second"]].to_numpy().tolist() == [["", ""], ["", ""]]  # b and c are never there without a
    assert none[["bits", "precision", "recall"]].isna().all(axis=None)
    found = best_pairs([0, 0, 1, 1], concepts)
    assert found[["first", "second"]].to_numpy().tolist() == [["a", "c"], ["b", "c"]]
    np.testing.assert_allclose(found["recall"], 0.5)


def test_repeated_blocks_share_their_value_and_all_values_sum_to_the_score(world):
    clusters, _, concepts, split = world
    blocks = blocks_of(concepts)
    blocks = {"colour": blocks["colour"], "colour again": blocks["colour"], "shape": blocks["shape"]}
    values = shapley_over_blocks(clusters, blocks, split, penalties=PENALTIES).set_index("block")
    np.testing.assert_allclose(values["value"], [1, 1, np.log2(3)], atol=0.02)
    assert ((values["low"] <= values["value"]) & (values["value"] <= values["high"])).all()
    everything, nothing = (reverse_probe(clusters, joined(blocks, names), split, penalties=PENALTIES).score for names in (None, []))
    assert values["value"].sum() == pytest.approx(everything - nothing, abs=1e-4)  # as exact as the fits
    with pytest.raises(ValueError, match="blocks: found 11; expected at most 10"):
        shapley_over_blocks(clusters, {str(i): blocks["shape"] for i in range(11)}, split)


@pytest.mark.slow
def test_the_ladder_finds_what_only_interactions_explain(world):
    _, clusters, concepts, _ = world
    split = stratified_split(clusters)
    table = probe_ladder(clusters, blocks_of(concepts), split, pairs=5, penalties=PENALTIES)
    assert table["probe"].tolist() == ["constant", "best block (colour)", "all concepts", "with products of pairs", "boosted trees"]
    assert table["score"][0] <= 0  # shares of training and test pictures differ by rounding
    np.testing.assert_allclose(table["score"][:4], [0, 2, 2 + np.log2(3), 3 + np.log2(3)], atol=0.08)
    assert 2.8 + np.log2(3) < table["score"][4] < 3 + np.log2(3)  # trees find the exclusive or, less sharply
    assert (table["low"] <= table["score"]).all()
    np.testing.assert_allclose(table["gain"], table["score"] - table["score"][2], atol=1e-9)
    assert table["gain_low"][3] > 0.8
    additive = reverse_probe(clusters, concepts.to_numpy(), split, penalties=PENALTIES)
    best = screened_pairs(clusters, concepts.to_numpy(), split, additive.classifier, 1)
    assert best.tolist() == [[12, 13]]


def test_the_learning_curve_leads_to_the_truth():
    rng = np.random.default_rng(0)
    concept = rng.integers(0, 20, 12_000)
    clusters = np.where(rng.random(12_000) < 0.3, (concept + rng.integers(1, 20, 12_000)) % 20, concept)
    truth = np.log2(20) + 0.3 * np.log2(0.3) + 0.7 * np.log2(0.7) - 0.3 * np.log2(19)
    shares = (0.02, 0.1, 0.3, 0.6, 1.0)
    table, limit = learning_curve(clusters, np.eye(20)[concept], stratified_split(clusters), shares=shares, penalties=(1e-6,))
    assert table["score"].iloc[0] < table["score"].iloc[-1]
    assert table["train_score"].iloc[0] > table["train_score"].iloc[-1]
    assert limit.value == pytest.approx(truth, abs=0.1)
    assert limit.low < limit.value < limit.high
    _, intercept = np.polyfit(1 / table["pictures"][-3:], table["score"][-3:], 1)
    assert limit.value == pytest.approx(intercept, abs=1e-6)


def test_a_concept_can_be_present_without_organising(world):
    clusters, _, concepts, split = world
    rng = np.random.default_rng(1)
    values = concepts.to_numpy()
    code = np.column_stack([values[:, :7], 0.05 * values[:, 7:12]])
    features = code @ rng.standard_normal((12, 12)) + 0.005 * rng.standard_normal((6000, 12))
    table = forward_and_reverse(features, clusters, concepts.assign(always=1), split, penalties=PENALTIES).set_index("concept")
    assert "always" not in table.index
    assert table.loc["size: 0", "forward"] > 0.9
    assert table.loc["size: 0", "alone"] == pytest.approx(0, abs=0.01)
    assert table.loc["colour: 0", "forward"] > 0.9
    assert table.loc["colour: 0", "alone"] == pytest.approx(0.811, abs=0.02)  # the entropy of one in four
    assert table.loc["mark: a", "forward"] == pytest.approx(0.5, abs=0.06)
    assert table.loc["colour: 0", "gain"] < 0.05  # the other colours name it
    assert table.loc["colour: 0", "entropy"] == pytest.approx(0.811, abs=0.02)
    assert table.loc["colour: 0", "share"] == pytest.approx(1, abs=0.02)


def test_every_cluster_keeps_its_share_of_fewer_pictures():
    rng = np.random.default_rng(0)
    clusters = np.concatenate([np.arange(200) % 40, np.full(2000, 40)])  # forty of five pictures and a large one
    table, _ = learning_curve(clusters, rng.integers(0, 2, (2200, 3)), stratified_split(clusters), shares=(0.1, 0.5, 1.0))
    assert np.isfinite(table["score"]).all()
    np.testing.assert_allclose(table["pictures"], [40 + 128, 80 + 640, 128 + 1280], rtol=0.1)
