"""MIS against brute force, planted units, exact invariances and bad input (specs/mis.md 6.2 and 6.3; T-numbers are the spec's)."""

import numpy as np
import pytest

from lib.extremes import extremes
from lib.measures.machine_interpretability import (
    calibrate_temperature,
    hard_query_ranks,
    machine_interpretability,
    null_distribution,
    task_pictures,
)
from lib.planted import clustered_embeddings

N, K = 20, 9


def brute_force(result_top, result_bottom, units, embeddings, temperature, seed=0):
    """The definition, one query and one reference at a time."""
    scores = []
    references_top, queries_top = task_pictures(result_top, units, seed=seed)
    references_bottom, queries_bottom = task_pictures(result_bottom, units, seed=seed)
    for u in range(len(units)):
        per_task = []
        for i in range(N):

            def similarity(query, references):
                return sum(float(embeddings[query] @ embeddings[e]) for e in references) / K

            positive = similarity(queries_top[u, i], references_top[u, i]) - similarity(queries_top[u, i], references_bottom[u, i])
            negative = similarity(queries_bottom[u, i], references_top[u, i]) - similarity(queries_bottom[u, i], references_bottom[u, i])
            per_task.append(1 / (1 + np.exp(-(positive - negative) / temperature)))
        scores.append(np.mean(per_task))
    return np.array(scores)


@pytest.fixture(scope="module")
def world():
    return clustered_embeddings()


@pytest.fixture(scope="module")
def small():
    """1,000 pictures, 8 units of every kind, for exact checks."""
    rng = np.random.default_rng(0)
    embeddings, concept = clustered_embeddings(concepts=5, pictures_each=200, dims=32)
    activations = rng.standard_normal((1000, 8))
    activations[:, :4] += 3 * (concept[:, None] == np.arange(4))
    return activations, embeddings, concept


def indicator(concept, which, rng, noise=1e-3):
    return np.isin(concept, which) + noise * rng.standard_normal(len(concept))


# T1
def test_closed_form_equals_brute_force(small):
    activations, embeddings, _ = small
    ranked = extremes(activations, seed=3)
    expected = brute_force(ranked.top, ranked.bottom, ranked.units, embeddings, 0.16, seed=3)
    got = machine_interpretability(activations, embeddings, seed=3, null_units=5)
    np.testing.assert_allclose(got.units["score"], expected, atol=1e-12)


def test_pairwise_similarity_gives_the_same_score(small):
    activations, embeddings, _ = small
    dots = machine_interpretability(activations, embeddings, null_units=5)
    pairs = machine_interpretability(activations, lambda a, b: (embeddings[a] * embeddings[b]).sum(1), null_units=5)
    np.testing.assert_allclose(pairs.units["score"], dots.units["score"], atol=1e-12)


# T3
def test_invariances(small):
    activations, embeddings, _ = small

    def scores(activations, similarity=embeddings, **settings):
        return machine_interpretability(activations, similarity, null_units=5, **settings).units["score"].to_numpy()

    base = scores(activations)
    np.testing.assert_array_equal(scores(np.exp(activations)), base)  # I1
    np.testing.assert_allclose(scores(-activations), base, rtol=0, atol=1e-15)  # I2
    shifted = scores(activations, lambda a, b: (embeddings[a] * embeddings[b]).sum(1) + 5)  # I3
    np.testing.assert_allclose(shifted, base, atol=1e-12)
    np.testing.assert_allclose(scores(activations, 2 * embeddings, temperature=4 * 0.16), base, atol=1e-12)  # I4: f is quadratic in z


def test_sign_flip_of_tied_units_changes_nothing(small):
    activations, embeddings, _ = small
    rectified = np.maximum(activations - 1.5, 0)
    one, other = (machine_interpretability(sign * rectified, embeddings, null_units=5).units["score"] for sign in (1, -1))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-15)


# T4
def test_a_batch_norm_behind_a_convolution_scores_the_same(small):
    import torch

    torch.manual_seed(0)
    _, embeddings, _ = small
    convolution, norm = torch.nn.Conv2d(3, 6, 3, dtype=torch.float64), torch.nn.BatchNorm2d(6, dtype=torch.float64)
    norm.weight.data = torch.tensor([1.0, -2, 0.5, -0.1, 3, 1], dtype=torch.float64)  # gamma of either sign
    norm.running_mean.normal_()
    norm.eval()
    with torch.no_grad():
        before = convolution(torch.randn(1000, 3, 8, 8, dtype=torch.float64))
        after = norm(before)
    scores = [machine_interpretability(x.mean((2, 3)).numpy(), embeddings, null_units=5).units["score"] for x in (before, after)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-15)


# T5
def test_tasks_take_one_picture_of_every_rank_bin_and_none_twice():
    units = np.arange(7)
    side = np.broadcast_to(np.arange(200), (7, 200))  # picture index = rank
    references, queries = task_pictures(side, units)
    np.testing.assert_array_equal(np.sort(references // N, axis=2), np.broadcast_to(np.arange(K), (7, N, K)))
    np.testing.assert_array_equal(np.sort(queries, axis=1), np.broadcast_to(np.arange(180, 200), (7, N)))
    everything = np.concatenate([references.reshape(7, -1), queries], axis=1)
    np.testing.assert_array_equal(np.sort(everything, axis=1), side)
    assert not np.array_equal(references[0], references[1])  # units are shuffled independently
    np.testing.assert_array_equal(task_pictures(side[4:5], units[4:5])[0][0], references[4])  # and by their own name


# T6
def test_planted_units_score_as_derived(world):
    embeddings, concept = world
    rng = np.random.default_rng(1)
    pictures = len(concept)
    several = {k: np.stack([indicator(concept, np.arange(s, s + k), rng) for s in range(0, 40 - k + 1, 2)], 1) for k in (1, 2, 4, 8, 20)}
    by_k = {k: machine_interpretability(units, embeddings, null_units=5).score for k, units in several.items()}
    assert by_k[1] == pytest.approx(0.927, abs=0.01)
    assert by_k[1] == pytest.approx(1 / (1 + np.exp(-(0.51 - 0.09) / 0.16)), abs=0.03)
    for k, value in ((2, 0.776), (4, 0.658), (8, 0.600), (20, 0.563)):
        assert by_k[k] == pytest.approx(value, abs=0.025)
    assert list(by_k.values()) == sorted(by_k.values(), reverse=True)

    opponents = np.stack([indicator(concept, [a], rng) - indicator(concept, [a + 1], rng) for a in range(0, 38, 2)], 1)
    opponent = machine_interpretability(opponents, embeddings, null_units=5).score
    assert opponent == pytest.approx(0.993, abs=0.005)

    noisy = [
        machine_interpretability(
            np.stack([snr * (concept == c) + rng.standard_normal(pictures) for c in range(20)], 1), embeddings, null_units=5
        ).score
        for snr in (1, 2, 4)
    ]
    np.testing.assert_allclose(noisy, [0.524, 0.636, 0.922], atol=0.02)

    inside = embeddings @ rng.standard_normal((embeddings.shape[1], 20))
    assert machine_interpretability(inside, embeddings, null_units=5).score == pytest.approx(0.931, abs=0.02)


def test_random_units_score_half_and_are_not_significant(world):
    embeddings, concept = world
    result = machine_interpretability(np.random.default_rng(2).standard_normal((len(concept), 600)), embeddings)
    standard_error = result.units["score"].std() / np.sqrt(600)
    assert abs(result.score - 0.5) < 3 * standard_error
    assert result.units["score"].std() == pytest.approx(0.028, abs=0.004)
    assert result.null == pytest.approx(0.5, abs=0.004)
    assert (result.units["p_value"] < 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert result.interval[0] < result.score < result.interval[1]


def test_planted_table_with_weaker_clusters():
    embeddings, concept = clustered_embeddings(within=0.35)
    rng = np.random.default_rng(3)
    single = np.stack([indicator(concept, [c], rng) for c in range(20)], 1)
    assert machine_interpretability(single, embeddings, null_units=5).score == pytest.approx(0.817, abs=0.015)


def test_a_concept_of_fewer_than_200_pictures_loses_its_queries(world):
    embeddings, concept = world
    rng = np.random.default_rng(4)
    full, short = (
        np.stack([indicator(concept, [c], rng) * (np.cumsum(concept == c) <= size) for c in range(20)], 1) for size in (500, 185)
    )
    rich, poor = (
        machine_interpretability(units + 1e-3 * rng.standard_normal(units.shape), embeddings, null_units=5).score for units in (full, short)
    )
    assert poor < rich - 0.2


# T7
def test_ties_do_not_make_class_sorted_silence_look_meaningful(world):
    embeddings, concept = world
    rng = np.random.default_rng(5)
    sparse = (rng.random((len(concept), 60)) < 0.02) * rng.random((len(concept), 60))
    order = rng.permutation(len(concept))
    sorted_score = machine_interpretability(sparse, embeddings, null_units=5)
    shuffled_score = machine_interpretability(sparse[order], embeddings[order], null_units=5)
    for result in (sorted_score, shuffled_score):
        assert abs(result.score - 0.5) < 4 * 0.028 / np.sqrt(60)
        assert result.units["tied_extreme"].all()


# T8
def test_constant_units_have_no_score_and_do_not_count(small):
    activations, embeddings, _ = small
    with_dead = np.concatenate([activations, np.full((1000, 1), 2.0)], 1)
    result = machine_interpretability(with_dead, embeddings, null_units=5)
    assert result.units["live"].tolist() == [True] * 8 + [False]
    assert np.isnan(result.units["score"].iloc[8])
    assert result.score == machine_interpretability(activations, embeddings, null_units=5).score


# T9
def test_a_unit_scores_the_same_alone_and_in_company_and_for_any_extremes_source(small):
    activations, embeddings, _ = small
    together = machine_interpretability(activations, embeddings, reshuffles=3, null_units=5)
    ranked = extremes(activations)
    alone = [machine_interpretability(ranked.take([u]), embeddings, reshuffles=3, null_units=5).score for u in range(8)]
    np.testing.assert_allclose(alone, together.units["score"], rtol=0, atol=1e-15)
    again = machine_interpretability(activations, embeddings, reshuffles=3, null_units=5)
    np.testing.assert_array_equal(again.units["score"], together.units["score"])
    other = machine_interpretability(activations, embeddings, reshuffles=3, null_units=5, seed=1)
    assert (other.units["score"] != together.units["score"]).any()


def test_threads_do_not_change_a_score(small):
    import torch

    activations, embeddings, _ = small
    threads = torch.get_num_threads()
    scores = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            scores.append(machine_interpretability(activations, embeddings.astype(np.float32), null_units=5).units["score"])
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*scores)


# T10
@pytest.mark.parametrize(("stored", "tolerance"), [(np.float32, 1e-6), (np.float16, 1e-4), ("int8", 2e-3)])
def test_embeddings_may_be_stored_coarsely(small, stored, tolerance):
    activations, embeddings, _ = small
    coarse = (
        np.round(embeddings * 127 / np.abs(embeddings).max()) / 127 * np.abs(embeddings).max()
        if stored == "int8"
        else embeddings.astype(stored).astype(np.float32)
    )
    exact, rounded = (machine_interpretability(activations, z, null_units=5).units["score"] for z in (embeddings, coarse))
    np.testing.assert_allclose(rounded, exact, atol=tolerance)


# T11
@pytest.mark.parametrize(
    ("quantile", "start", "stop"), [(0.01, 12811, 1268356), (0.05, 64058, 1217109), (0.15, 192175, 1088992), (0.02, 25623, 1255544)]
)
def test_hard_queries_start_where_the_human_study_takes_them(quantile, start, stop):
    low, high = hard_query_ranks(1_281_167, quantile)
    assert (low.start, low.stop - low.start) == (start, 20)
    assert (high.stop, high.stop - high.start) == (stop, 20)


def test_harder_queries_lower_the_score_of_a_narrow_concept(world):
    embeddings, concept = world
    rng = np.random.default_rng(6)
    units = np.stack([indicator(concept, [c], rng) for c in range(10)], 1)
    inside, outside = (machine_interpretability(units, embeddings, query_quantile=q, null_units=5).score for q in (0.015, 0.05))
    assert inside == pytest.approx(0.927, abs=0.02)  # rank 300 of a concept of 500 pictures is still inside
    assert outside == pytest.approx(0.5, abs=0.05)  # rank 1000 is not


def test_hard_queries_use_no_picture_twice_even_where_many_are_tied():
    from lib.measures.machine_interpretability import _with_hard_queries
    rng = np.random.default_rng(0)
    activations = rng.standard_normal((2000, 4))
    for unit, silent in ((1, 0.2), (2, 0.5), (3, 0.95)):
        activations[rng.random(2000) < silent, unit] = 0
        activations[:, unit] = np.maximum(activations[:, unit], 0)
    ranked = extremes(activations)
    top, bottom = _with_hard_queries(ranked.top, ranked.bottom, activations, 0.15, N, 0)
    both = np.concatenate([top, bottom], 1)
    assert all(len(np.unique(row)) == 2 * N * (K + 1) for row in both)
    ascending = np.argsort(activations[:, 0])                                   # no ties: exactly the ranks of the human study
    np.testing.assert_array_equal(np.sort(bottom[0, -N:]), np.sort(ascending[300:320]))
    np.testing.assert_array_equal(np.sort(top[0, -N:]), np.sort(ascending[1680:1700]))


def test_hard_queries_that_overlap_the_references_are_refused(small):
    activations, embeddings, _ = small
    with pytest.raises(ValueError, match=r"query_quantile: found 0.01, rank 10 of 1000 pictures; expected a quantile from 0.2 to 0.48"):
        machine_interpretability(activations, embeddings, query_quantile=0.01)


# T12
def test_dividing_reaches_what_the_printed_form_cannot(world):
    embeddings, concept = world
    units = np.stack([indicator(concept, [c], np.random.default_rng(c)) for c in range(20)], 1)
    divided = machine_interpretability(units, embeddings, null_units=5)
    printed = machine_interpretability(units, embeddings, literal_alpha=0.16, null_units=5)
    assert divided.score > 0.655
    assert printed.score == pytest.approx(0.5175, abs=0.001)
    assert divided.two_alternative_rate == printed.two_alternative_rate


def test_parts_of_the_evidence_add_up_and_name_the_side(world):
    # one shared embedding for everything but the concept: only the positive references can tell the queries apart
    embeddings, concept = world
    rng = np.random.default_rng(8)
    result = machine_interpretability(np.stack([indicator(concept, [c], rng) for c in range(10)], 1), embeddings, null_units=5)
    logit = np.log(result.units["positive_only"] / (1 - result.units["positive_only"]))
    assert result.units["positive_only"].mean() > 0.85
    assert result.units["negative_only"].mean() < 0.6
    assert (logit > 0).all()


def test_reshuffles_lower_the_noise_and_are_reported(world):
    embeddings, concept = world
    units = np.random.default_rng(9).standard_normal((len(concept), 30)) + 1.5 * (concept[:, None] == np.arange(30))
    once, often = (machine_interpretability(units, embeddings, reshuffles=r, null_units=5) for r in (1, 16))
    assert once.units["standard_error_reshuffles"].isna().all()
    spread = np.std([machine_interpretability(units[:, :1], embeddings, null_units=5, seed=s).score for s in range(24)])
    assert often.units["standard_error_reshuffles"].mean() == pytest.approx(spread / 4, rel=0.6)
    np.testing.assert_allclose(often.units["score"], once.units["score"], atol=6 * spread + 0.01)


def test_a_null_distribution_can_be_drawn_before_and_shared(small):
    activations, embeddings, _ = small
    drawn = null_distribution(1000, embeddings, units=50, seed=3)
    shared, own = (machine_interpretability(activations, embeddings, seed=3, **null) for null in ({"null": drawn}, {"null_units": 50}))
    np.testing.assert_array_equal(shared.null_scores, drawn)
    np.testing.assert_array_equal(shared.units["p_value"], own.units["p_value"])
    assert shared.settings == own.settings
    for broken in (np.zeros((2, 2)), np.zeros(0), np.array([np.nan])):
        with pytest.raises(ValueError, match=r"null: found an array of shape .*; expected \(null units,\) finite scores"):
            machine_interpretability(activations, embeddings, null=broken)


def test_null_distribution_is_what_permuting_gives(small):
    activations, embeddings, _ = small
    rng = np.random.default_rng(10)
    permuted = rng.permuted(np.repeat(activations[:, :1], 400, axis=1), axis=0)
    by_permuting = machine_interpretability(permuted, embeddings, null_units=5).units["score"]
    drawn = null_distribution(1000, embeddings, units=400)
    assert by_permuting.mean() == pytest.approx(drawn.mean(), abs=4 * drawn.std() / np.sqrt(200))
    assert by_permuting.std() == pytest.approx(drawn.std(), rel=0.2)


def test_temperature_is_dreamsims_at_dreamsims_scale(world):
    # w - b = 0.42 and logit(0.93) = 2.587
    embeddings, concept = world
    indicators = concept[:, None] == np.arange(40)
    temperature = calibrate_temperature(embeddings, indicators)
    assert temperature == pytest.approx(0.42 / 2.587, rel=0.02)
    # I4: a similarity on another scale gets its temperature on that scale, and so the same scores
    assert calibrate_temperature(3 * embeddings, indicators) == pytest.approx(9 * temperature, rel=1e-6)


def test_temperature_of_a_blind_similarity_is_refused(world):
    embeddings, concept = world
    blind = np.random.default_rng(0).standard_normal(embeddings.shape)
    with pytest.raises(ValueError, match="expected it clearly above 0"):
        calibrate_temperature(blind, concept[:, None] == np.arange(40))
    with pytest.raises(ValueError, match="at least 200 pictures"):
        calibrate_temperature(embeddings, np.arange(len(concept))[:, None] < 100)
    with pytest.raises(ValueError, match="target: found 1"):
        calibrate_temperature(embeddings, concept[:, None] == np.arange(40), target=1)


GOOD = np.random.default_rng(0).standard_normal((400, 2)), np.eye(400)


@pytest.mark.parametrize(
    ("activations", "similarity", "settings", "message"),
    [
        (GOOD[0][:399], GOOD[1][:399], {}, "found 399 pictures; expected at least 400"),
        (GOOD[0][:, 0], GOOD[1], {}, r"activations: found shape \(400,\)"),
        (GOOD[0], GOOD[1][:300], {}, r"similarity: found shape \(300, 400\); expected \(400, dims\)"),
        (GOOD[0], np.full((400, 3), np.nan), {}, "1200 embedding values that are not finite"),
        (np.where(GOOD[0] > 2, np.inf, GOOD[0]), GOOD[1], {}, "not finite"),
        (np.zeros((400, 2)), GOOD[1], {}, "every unit is constant"),
        (GOOD[0], GOOD[1], {"temperature": 0}, "temperature: found 0"),
        (GOOD[0], GOOD[1], {"literal_alpha": -1}, "literal_alpha: found -1"),
        (GOOD[0], GOOD[1], {"tasks": 0}, "tasks: found 0"),
        (GOOD[0], GOOD[1], {"bootstrap": 0}, "bootstrap: found 0; expected at least 1"),
        (GOOD[0], GOOD[1], {"query_quantile": float("nan")}, "query_quantile: found nan"),
        (GOOD[0], GOOD[1].astype(int), {}, "similarity: found embeddings of int64; expected floating-point numbers"),
        (extremes(GOOD[0], count=100), GOOD[1], {}, "found Extremes with 100 pictures a side; expected at least 200"),
        (extremes(GOOD[0]), GOOD[1], {"query_quantile": 0.3}, "found Extremes together with query_quantile"),
    ],
)
def test_bad_input_is_named(activations, similarity, settings, message):
    with pytest.raises(ValueError, match=message):
        machine_interpretability(activations, similarity, **settings)
