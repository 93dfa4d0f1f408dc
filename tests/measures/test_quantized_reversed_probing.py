"""QRP: scores that can be derived (specs/qrp.md 6.1, corrected in section 10), and what must not change them."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from lib.logistic_regression import LogisticProblem
from lib.measures.quantized_reversed_probing import (
    _mean_and_interval,
    agreement_with_labels,
    paired_difference,
    quantized_reversed_probing,
)
from lib.measures.reverse_probe import cluster_information, concept_attribution, reverse_probe
from lib.quantisation import given_clusters
from lib.splits import stratified_split

PICTURES = 20_000


def probe_of(clusters, concepts, seed=0):
    return reverse_probe(clusters, np.asarray(concepts), stratified_split(clusters, seed=seed))


def one_hot(values, count):
    return np.eye(count, dtype=np.float32)[values]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# T1 to T7: derived scores


def test_clusters_that_are_the_classes_are_fully_explained(rng):
    concept = rng.integers(0, 50, PICTURES)
    probe = probe_of(concept, one_hot(concept, 50))
    assert probe.score == pytest.approx(probe.entropy, abs=0.01)
    assert probe.normalised == pytest.approx(1, abs=0.002)
    assert probe.residual_perplexity == pytest.approx(1, abs=0.01)
    assert (probe.top_1, probe.top_5) == (1, 1)


@pytest.mark.parametrize(("clusters", "concepts", "density"), [(100, 200, 0.1), (50, 20, 0.5)])
def test_independent_concepts_explain_nothing(clusters, concepts, density, rng):
    labels = rng.integers(0, clusters, PICTURES)
    probe = probe_of(labels, rng.random((PICTURES, concepts)) < density)
    assert -0.02 < probe.score < 0.01
    assert probe.train_score > probe.score


@pytest.mark.parametrize(("error", "expected"), [(0.1, 4.613), (0.3, 3.078), (0.6, 1.304)])
def test_a_symmetric_channel_loses_what_theory_says(error, expected, rng):
    concept = rng.integers(0, 50, PICTURES)
    labels = np.where(rng.random(PICTURES) < error, (concept + rng.integers(1, 50, PICTURES)) % 50, concept)
    probe = probe_of(labels, one_hot(concept, 50))
    spread = np.sqrt(error * (1 - error)) * np.log2(49 * (1 - error) / error)
    assert probe.score == pytest.approx(expected, abs=3 * spread / np.sqrt(len(probe.test)) + 0.02)


def test_xor_needs_the_product_and_and_does_not(rng):
    one, other = rng.integers(0, 2, (2, PICTURES))
    both = np.stack([one, other], 1)
    assert probe_of(one ^ other, both).score == pytest.approx(0, abs=0.005)
    assert probe_of(one ^ other, np.column_stack([both, one * other])).score == pytest.approx(1, abs=0.005)
    assert probe_of(2 * one + other, both).score == pytest.approx(2, abs=0.005)
    assert probe_of(2 * one + other, both[:, :1]).score == pytest.approx(1, abs=0.005)


def test_unions_of_conjunctions_need_pairs(rng):
    # Eight clusters, each the union of two far cells of a 4 x 4 table of colour and object.
    colour, thing = rng.integers(0, 4, (2, PICTURES))
    cluster_of = np.empty((4, 4), int)
    for cell in range(16):
        row, column = divmod(cell, 4)
        cluster_of[row, column] = (column + 4 * (row % 2) + 2 * (row // 2)) % 8
    labels = cluster_of[colour, thing]
    alone, objects, pairs = one_hot(colour, 4), one_hot(thing, 4), one_hot(4 * colour + thing, 16)
    scores = [probe_of(labels, y).score for y in (alone, objects, np.column_stack([alone, objects]), pairs)]
    assert scores[0] == pytest.approx(1, abs=0.02)
    assert scores[1] == pytest.approx(1, abs=0.05)
    assert scores[2] == pytest.approx(2, abs=0.02)
    assert scores[3] == pytest.approx(3, abs=0.02)


def test_a_softmax_world_is_recovered(rng):
    weights, bias = 1.5 * rng.standard_normal((8, 8)), rng.standard_normal(8)
    every = (np.arange(256)[:, None] >> np.arange(8)) & 1
    likely = np.exp(every @ weights + bias)
    likely /= likely.sum(1, keepdims=True)
    marginal = likely.mean(0)
    truth = (likely * np.log2(likely)).sum(1).mean() - (marginal * np.log2(marginal)).sum()
    concepts = rng.integers(0, 2, (PICTURES, 8))
    labels = (concepts @ weights + bias + rng.gumbel(size=(PICTURES, 8))).argmax(1)
    probe = probe_of(labels, concepts)
    assert truth - 0.1 < probe.score < truth + 3 * probe.standard_error
    found, planted = (one - one.mean(1, keepdims=True) for one in (probe.classifier.weights, weights))
    assert np.corrcoef(found.ravel(), planted.ravel())[0, 1] > 0.99


# T9 to T12: invariances, nesting, sums, the null


def test_names_of_clusters_and_concepts_and_the_sign_of_a_concept_do_not_matter(rng):
    concepts = rng.integers(0, 2, (4000, 6))
    labels = (concepts @ rng.standard_normal((6, 5)) + rng.gumbel(size=(4000, 5))).argmax(1)
    split = stratified_split(labels)
    score = reverse_probe(labels, concepts, split).score
    renamed = rng.permutation(5)[labels]
    for other, y in (
        (renamed, concepts), (labels, concepts[:, ::-1]), (labels, np.column_stack([concepts, concepts[:, 0]])),
        (labels, np.abs(concepts - np.array([1, 0, 0, 0, 0, 0]))), (labels, np.column_stack([concepts, np.ones(4000)])),
    ):  # fmt: skip
        assert reverse_probe(other, y, split).score == pytest.approx(score, abs=0.003)
        # without a penalty the optimum itself is the same
        optima = [LogisticProblem(inputs, own).fit(0, tolerance=1e-5).objective for inputs, own in ((concepts, labels), (y, other))]
        assert optima[1] == pytest.approx(optima[0], abs=1e-6)


def test_more_concepts_never_hurt_the_training_pictures(rng):
    concepts = rng.integers(0, 2, (4000, 12))
    labels = (concepts[:, :6] @ rng.standard_normal((6, 5)) + rng.gumbel(size=(4000, 5))).argmax(1)
    split = stratified_split(labels)
    scores = [reverse_probe(labels, concepts[:, :count], split, penalties=[0]).train_score for count in (0, 2, 4, 6, 12)]
    assert scores[0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(scores) > -1e-5).all()


def test_information_of_clusters_sums_to_the_score(rng):
    concept = rng.integers(0, 30, 5000)
    labels = np.where(concept < 10, concept, rng.integers(10, 30, 5000))  # ten clusters are a concept each, twenty are nothing
    probe = probe_of(labels, one_hot(concept, 30))
    information = cluster_information(probe, labels)
    shares = np.bincount(labels[probe.test], minlength=30) / len(probe.test)
    assert np.nansum(shares * information) == pytest.approx(probe.score, abs=1e-9)
    assert information[:10].min() > 4
    assert np.nanmax(information[10:]) < 1.5


def test_attribution_names_the_concept_of_a_cluster(rng):
    concepts = (rng.random((8000, 10)) < 0.2).astype(np.float32)
    labels = np.where(concepts[:, 3] * concepts[:, 5] > 0, 0, 1 + rng.integers(0, 3, 8000))
    found = concept_attribution(probe_of(labels, concepts), labels, concepts)
    assert found.shape == (4, 10)
    assert set(np.argsort(-found[0])[:2]) == {3, 5}
    assert found[0, [3, 5]].min() > 5 * np.abs(np.delete(found[0], [3, 5])).max()


@pytest.mark.slow
def test_p_values_are_uniform_for_concepts_that_say_nothing():
    # T12: most null fits fall back on the constant prediction and tie, which chance must break
    rng = np.random.default_rng(0)
    found = []
    for number in range(40):
        labels = given_clusters(rng.integers(0, 4, 400))
        concepts = rng.integers(0, 2, (400, 3))
        found.append(quantized_reversed_probing(labels, concepts, splits=1, permutations=99, penalties=[0.1, 1e-3], seed=number).p_value)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert min(found) >= 0.01


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # Scores of replicates that differ by clustering, by split and by the pictures tested, all around a known mean.
    rng = np.random.default_rng(0)
    replicates = pd.DataFrame([{"clustering": c, "split": s} for c in range(3) for s in range(3)])
    covered, widths = [], []
    for _ in range(300):
        clusterings, splits = 0.03 * rng.standard_normal(3), 0.02 * rng.standard_normal(3)
        pictures = rng.standard_normal(2000)  # what makes a picture easy is the same in every replicate
        tests = [rng.permutation(2000)[:400] for _ in range(3)]
        gains = [1 + clusterings[c] + splits[s] + pictures[tests[s]] for c in range(3) for s in range(3)]
        mean, low, high = _mean_and_interval(gains, [tests[s] for _ in range(3) for s in range(3)], replicates)
        assert mean == pytest.approx(np.mean([one.mean() for one in gains]))
        covered.append(low <= 1 <= high)
        widths.append(high - low)
    assert 0.93 <= np.mean(covered) <= 1
    # Not idly wide: the standard deviation of the mean is sqrt((0.03^2 + 0.02^2) / 3 + 1 / 1200) = 0.035 or less.
    assert np.median(widths) < 2 * 4.3 * 0.035


def test_each_source_of_variance_alone_gives_the_textbook_interval(rng):
    # Pictures alone: three clusterings that agree on every picture are no more than one.
    replicates = pd.DataFrame([{"clustering": c, "split": 0} for c in range(3)])
    gains, test = rng.standard_normal(400), np.arange(400)
    mean, low, high = _mean_and_interval([gains] * 3, [test] * 3, replicates)
    reach = stats.norm.ppf(0.975) * gains.std() / np.sqrt(400)
    np.testing.assert_allclose([low, high], [mean - reach, mean + reach], rtol=1e-9)
    # Clusterings, or splits, alone: Student's interval of three means, since all pictures of a replicate are alike.
    means = np.array([1.0, 1.2, 1.7])
    reach = stats.t.ppf(0.975, 2) * means.std(ddof=1) / np.sqrt(3)
    for level, other in (("clustering", "split"), ("split", "clustering")):
        replicates = pd.DataFrame({level: range(3), other: 0})
        mean, low, high = _mean_and_interval([np.full(400, one) for one in means], [test] * 3, replicates)
        np.testing.assert_allclose([mean, low, high], [1.3, 1.3 - reach, 1.3 + reach], rtol=1e-9)


def test_bits_and_nats_are_one_score(scores):
    assert scores["both"].nats == pytest.approx(scores["both"].score * np.log(2))
    assert scores["both"].probes[0].nats == pytest.approx(scores["both"].probes[0].score * np.log(2))
    assert scores["both"].probes[0].residual_perplexity == pytest.approx(2 ** scores["both"].probes[0].cross_entropy)


def test_small_clusters_move_the_constant_prediction_off_zero(rng):
    # Shares of training and test pictures differ by rounding, and the constant prediction pays for it (specs/qrp.md 5.5).
    concepts = rng.integers(0, 2, (2000, 3))
    many, few = (probe_of(np.arange(2000) % count, concepts) for count in (700, 10))
    assert many.constant < -0.05
    assert few.constant == pytest.approx(0, abs=0.001)


def test_a_single_cluster_has_nothing_to_explain(rng):
    found = quantized_reversed_probing(given_clusters(np.zeros(200, int)), rng.integers(0, 2, (200, 3)), permutations=3)
    assert (found.score, found.entropy) == (0, 0)
    assert found.interval == (0, 0)
    assert np.isnan([found.normalised, found.calibrated]).all()
    assert 0 < found.p_value <= 1


def test_constant_and_copied_concepts_are_left_out_and_listed(world):
    concepts, networks = world
    more = pd.DataFrame(concepts, columns=[f"concept {i}" for i in range(10)])
    plain = quantized_reversed_probing(networks["colour"], more, clusters=10, clusterings=1, permutations=0)
    found = quantized_reversed_probing(
        networks["colour"], more.assign(never=0, always=1, again=concepts[:, 2]), clusters=10, clusterings=1, permutations=0
    )
    assert found.concepts["use"].tolist() == ["used"] * 10 + ["constant", "constant", "same as concept 2"]
    assert found.used.tolist() == list(range(10))
    assert found.score == plain.score
    assert found.concepts["frequency"].iloc[[10, 11]].tolist() == [0, 1]


def test_clusters_made_before_give_the_same_score_for_other_concepts(world, scores):
    concepts, _ = world
    again = quantized_reversed_probing(scores["both"].clusterings, concepts, permutations=0)
    assert again.score == scores["both"].score
    assert again.interval == scores["both"].interval
    assert len(again.clusterings) == 3


def test_the_number_of_threads_does_not_change_a_bit(world, scores):
    concepts, _ = world
    clusters = scores["both"].assignments[0].labels
    split = stratified_split(clusters)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(reverse_probe(clusters, concepts, split).gains)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_paper_preset_is_stochastic_gradient_descent_without_a_safety_net(rng):
    # T5 again: where concepts are few and clear, the paper's probe finds them too
    one, other = rng.integers(0, 2, (2, PICTURES))
    probe = reverse_probe(2 * one + other, np.stack([one, other], 1), stratified_split(2 * one + other), preset="paper")
    assert probe.score == pytest.approx(2, abs=0.01)
    assert (probe.temperature, probe.ignorance) == (1, 0)
    with pytest.raises(ValueError, match="preset: found 'authors'; expected one of robust, paper"):
        reverse_probe(one, np.stack([one, other], 1), stratified_split(one), preset="authors")


def test_a_value_that_is_not_finite_is_refused_wherever_it_is(rng):
    labels = rng.integers(0, 3, 300)
    split = stratified_split(labels)
    for part in (split.train, split.validation, split.test):
        concepts = rng.integers(0, 2, (300, 4)).astype(float)
        concepts[part[0], 1] = np.nan
        with pytest.raises(ValueError, match="concepts: found float64 values, not all of them finite numbers"):
            reverse_probe(labels, concepts, split)


# T14 and the whole measure


@pytest.fixture(scope="module")
def world():
    """Pictures with a colour and a shape; one network codes both, another only the colour, a third nothing."""
    rng = np.random.default_rng(0)
    colour, shape = rng.integers(0, 5, (2, 3000))
    concepts = np.column_stack([one_hot(colour, 5), one_hot(shape, 5)])
    code = rng.standard_normal((10, 16))
    noise = 0.3 * rng.standard_normal((3, 3000, 16))
    return concepts, {
        "both": concepts @ code + noise[0],
        "colour": concepts[:, :5] @ code[:5] + noise[1],
        "nothing": noise[2],
    }


@pytest.fixture(scope="module")
def scores(world):
    concepts, networks = world
    settings = {"clusters": 25, "permutations": 9, "starts": 3}
    return {name: quantized_reversed_probing(features, concepts, **settings) for name, features in networks.items()}


def test_networks_are_ordered_by_what_they_code(scores):
    assert scores["both"].score > 4
    assert 1.5 < scores["colour"].score < 2.4
    assert scores["nothing"].score == pytest.approx(0, abs=0.02)
    for one in scores.values():
        assert one.interval[0] <= one.score <= one.interval[1]
        assert one.train_score >= one.score - 0.01
        assert one.null < 0.003  # T12: not above 0 but for chance
    assert scores["both"].p_value == 0.1  # the least that 9 permutations allow
    assert scores["both"].calibrated == pytest.approx(scores["both"].normalised, abs=0.02)
    assert scores["both"].clusters["contribution"].sum() == pytest.approx(scores["both"].probes[0].score, abs=1e-9)
    assert len(scores["both"].replicates) == 6


def test_two_networks_are_compared_on_the_same_pictures(scores):
    difference = paired_difference(scores["both"], scores["colour"])
    assert difference.value == pytest.approx(scores["both"].score - scores["colour"].score, abs=0.1)
    assert difference.low > 1.5
    same = paired_difference(scores["both"], scores["both"])
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert difference.count > 400  # of 600 test pictures


def test_coinciding_pictures_tiny_clusters_and_constant_concepts_are_reported(rng):
    features = np.repeat(rng.standard_normal((30, 4)), 20, 0)
    concepts = np.column_stack([np.repeat(np.eye(30)[:, :10], 20, 0), np.zeros(600), np.ones(600)])
    found = quantized_reversed_probing(features, concepts, clusters=100, clusterings=1, splits=1, permutations=1)
    assert (found.replicates["clusters"].item(), found.replicates["empty"].item()) == (30, 70)
    assert np.isfinite(found.score)
    alone = quantized_reversed_probing(given_clusters(np.minimum(np.arange(600), 40)), concepts, splits=1, permutations=0)
    assert alone.replicates["alone"].item() == 40
    assert np.isfinite(alone.score)
    assert np.isnan(alone.p_value)


def test_agreement_with_a_partition_is_zero_by_chance_and_one_for_itself(rng):
    labels = rng.integers(0, 20, 2000)
    assert agreement_with_labels(labels, labels) == pytest.approx(1)
    assert agreement_with_labels(rng.integers(0, 100, 2000), labels) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("features", "concepts", "settings", "message"), [
    (np.zeros((100, 2)), np.zeros((99, 3)), {}, r"concepts: found shape \(99, 3\); expected \(100, concepts\)"),
    (np.zeros((100, 2)), np.zeros(100), {}, r"concepts: found shape \(100,\)"),
    (np.full((100, 2), np.nan), np.zeros((100, 3)), {"clusters": 2}, "features: found 200 values that are not finite"),
    (np.zeros((100, 2)), np.zeros((100, 3)), {"clusters": 101}, "clusters: found 101 for 100 pictures"),
    (np.eye(100), np.full((100, 3), np.inf), {"clusters": 2}, "concepts: found 300 values that are not finite; expected 0 and 1"),
    (np.eye(100), np.full((100, 3), 0.3), {"clusters": 2}, r"concepts: found 300 values such as 0.3; .* \(binarise .* lib.concepts"),
    (np.eye(100), np.zeros((100, 0)), {"clusters": 2}, "concepts: found none; expected at least one column"),
    (1e25 * np.eye(100), np.zeros((100, 3)), {"clusters": 2}, "features: found values up to 1e.25; expected squared lengths that float32"),
    (np.eye(100), np.zeros((100, 3)), {"clusters": 2.0}, "clusters: found 2.0; expected a whole number"),
    (np.eye(100), np.zeros((100, 3)), {"clusters": 2, "penalties": []}, "penalties: found none; expected at least one"),
    (np.arange(50.0)[:, None], np.zeros((50, 3)), {"clusters": 50}, "split: found no test picture among 50 in 50 clusters"),
    ([given_clusters(np.arange(9)), given_clusters(np.arange(8))], np.zeros((9, 1)), {}, r"clusterings of \[9, 8\] pictures"),
    (np.zeros((100, 2)), np.full((100, 1), "red"), {}, "concepts: found <U3 values that are no numbers; expected 0 and 1"),
    (np.full((100, 2), "red"), np.zeros((100, 3)), {"clusters": 2}, "features: found <U3 values; expected numbers"),
    (np.zeros((100, 2)), np.zeros((100, 3)), {"splits": 0}, "splits: found 0; expected at least 1"),
    (np.zeros((100, 2)), np.zeros((100, 3)), {"permutations": -1}, "permutations: found -1; expected at least 0"),
    (np.zeros((100, 2)), np.zeros((100, 3)), {"preset": "authors", "clusters": 2}, "preset: found 'authors'; expected one of robust"),
])  # fmt: skip
def test_bad_input_is_named(features, concepts, settings, message):
    with pytest.raises(ValueError, match=message):
        quantized_reversed_probing(features, concepts, **settings)
