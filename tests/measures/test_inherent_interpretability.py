"""The Inherent Interpretability Score against cases whose answer is known (specs/iis.md, T1 to T16)."""

import itertools
import warnings

import numpy as np
import pytest
from scipy.stats import ortho_group

from lib.concept_heads import correct_through
from lib.concept_libraries.library import given, prototypes, random_directions
from lib.linear_head import fitted_head, tuning_rows
from lib.measures.inherent_interpretability import GRID, area, inherent_interpretability, paired_difference
from lib.sparse_concepts import ranks

CLASSES, DIMS, PICTURES = 10, 64, 2000
DENSE = {"sparsities": (0.0, 0.5), "banks": 1, "bootstrap": 200}
PENALTIES = (1e-2, 1e-3)


@pytest.fixture(scope="module")
def world():
    """Ten Gaussian classes in 64 dimensions, well but not perfectly separated: training and test pictures, and the class means."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((CLASSES, DIMS)) * 0.45
    labels = np.tile(np.arange(CLASSES), 2 * PICTURES // CLASSES)
    features = means[labels] + rng.standard_normal((2 * PICTURES, DIMS))
    return features[:PICTURES], labels[:PICTURES], features[PICTURES:], labels[PICTURES:], means


def score(world, vectors, **settings):
    defaults = {"penalties": PENALTIES, "normalisation": "none"}
    library = vectors if hasattr(vectors, "kind") else given(vectors)
    return inherent_interpretability(*world[:4], library, **DENSE | defaults | settings)


def test_the_area_is_the_trapezoid():  # T1
    raw, normalised = area(GRID, np.ones(8))
    assert raw == pytest.approx(0.98, abs=1e-12)
    assert normalised == pytest.approx(1, abs=1e-12)
    grid = np.array([1.0, 0.3, 0.0, 0.6])
    assert area(grid, 1 - grid)[0] == pytest.approx(0.5)
    several = area(GRID, np.stack([np.ones(8), np.zeros(8)]))[0]
    np.testing.assert_allclose(several, [0.98, 0])


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ([0.5], r"sparsities: found \[0.5\]; expected at least two"),
        ([0.1, 0.5, 0.1], "sparsities: found 0.1 more than once; expected each once"),
        ([0, 1.2], "sparsities: found 1.2; expected numbers from 0 to 1"),
    ],
)
def test_grids_that_have_no_area_are_refused(grid, message):
    with pytest.raises(ValueError, match=message):
        area(grid, np.ones(len(grid)))


def test_the_weights_of_the_head_as_concepts_lose_nothing(world):  # T4
    features, labels = world[:2]
    head = fitted_head(features, labels, tuning_rows(labels), classes=CLASSES, penalties=PENALTIES)
    vectors = head.classifier.weights.T
    assert score(world, vectors).curve["retention"][0] == pytest.approx(1, abs=0.001)
    assert score(world, vectors, normalisation="picture").curve["retention"][0] == pytest.approx(1, abs=0.002)


def test_an_orthonormal_basis_loses_nothing(world):  # T5
    basis = ortho_group.rvs(DIMS, random_state=0)
    assert score(world, basis).curve["retention"][0] == pytest.approx(1, abs=0.001)


def test_concepts_beside_the_classes_say_nothing(world):  # T6
    means = world[4] - world[4].mean(0)
    _, _, rows = np.linalg.svd(means)
    found = score(world, rows[CLASSES - 1 :], sparsities=GRID)
    expected = 1 / CLASSES / found.accuracy.value
    np.testing.assert_allclose(found.curve["retention"], expected, atol=0.03)
    assert found.corrected.low < 0.03
    assert abs(found.corrected.value) < 0.04


def test_class_means_as_concepts_need_one_each(world):  # T7
    # Where classes lie apart: else the largest of ten noisy activations is not always that of the class.
    apart = [one + 0.5 * world[4][own] for one, own in ((world[0], world[1]), (world[2], world[3]))]
    found = score((apart[0], world[1], apart[1], world[3]), world[4], sparsities=(0.0, 0.5, 0.9), normalisation="picture")
    assert (found.curve["retention"] >= 0.99).all()
    assert found.curve["kept"].tolist() == [10, 5, 1]
    near = score(world, world[4], sparsities=(0.0, 0.5, 0.9), normalisation="picture")
    assert 0.9 < near.curve["retention"].iloc[-1] < found.curve["retention"].iloc[-1]
    labels = np.tile(np.arange(5), 100)
    perfect = inherent_interpretability(np.eye(5)[labels], labels, np.eye(5)[labels], labels, given(np.eye(5)), normalisation="none")
    np.testing.assert_array_equal(perfect.curve["retention"], 1)
    assert perfect.normalised.value == perfect.normalised.low == 1


def test_a_representation_at_chance_is_refused_and_not_praised(world):  # T8
    rng = np.random.default_rng(1)
    shuffled = (world[0], rng.permutation(world[1]), world[2], rng.permutation(world[3]))
    found = score(shuffled, rng.standard_normal((50, DIMS)), sparsities=GRID)
    assert found.normalised.value == pytest.approx(1, abs=0.12)
    assert found.normalised.low < 1 < found.normalised.high
    assert np.isnan(found.corrected.value)
    assert found.refused.startswith("accuracy: found 0.")
    assert found.curve["corrected"].isna().all()
    assert not score(world, world[4]).refused


def test_scales_and_the_order_of_concepts_do_not_matter(world):  # T9
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((40, DIMS))
    settings = {"sparsities": (0.0, 0.5, 0.9), "bootstrap": 1}
    for scale, how in itertools.product((1e-20, 1e-3, 7, 1e20), ("picture", "none")):
        rescaled = (world[0] * scale, world[1], world[2] * scale, world[3])
        one, other = (score(data, vectors * size, normalisation=how, **settings) for data, size in ((world, 1), (rescaled, scale)))
        assert other.full.value == pytest.approx(one.full.value, abs=0.001)
    order, base = rng.permutation(40), score(world, vectors, **settings)
    np.testing.assert_array_equal(score(world, vectors[order], **settings).curve["accuracy"], base.curve["accuracy"])
    turn = ortho_group.rvs(DIMS, random_state=1)
    turned = score((world[0] @ turn, world[1], world[2] @ turn, world[3]), vectors @ turn, **settings)
    np.testing.assert_allclose(turned.curve["accuracy"], base.curve["accuracy"], atol=0.002)
    assert turned.accuracy.value == pytest.approx(base.accuracy.value, abs=0.002)


def test_the_sign_of_a_concept_does_not_matter(world):  # T10
    vectors = np.random.default_rng(3).standard_normal((40, DIMS))
    flipped = vectors * np.where(np.arange(40) % 3, 1, -1)[:, None]
    for how in ("none", "concept"):
        first, second = (score(world, one, sparsities=(0.0, 0.5, 0.9), normalisation=how).curve["accuracy"] for one in (vectors, flipped))
        np.testing.assert_allclose(first, second, atol=0.002)


def test_real_concepts_beat_random_ones_and_intervals_cover_the_score(world):
    found = score(world, world[4], sparsities=GRID, normalisation="picture", banks=3)
    assert found.excess.low > 0.05
    for name in ("raw", "normalised", "full", "corrected", "excess", "accuracy"):
        one = getattr(found, name)
        assert one.low <= one.value <= one.high
        assert one.count == PICTURES
    assert found.raw.value == pytest.approx(0.98 * found.normalised.value)
    random = score(world, random_directions(10, DIMS, seed=9), sparsities=GRID, normalisation="picture", banks=3)
    assert random.excess.low < 0.05


def test_the_whole_curve_ends_at_the_commonest_class(world):
    rng = np.random.default_rng(4)
    keep = (world[1] != 0) | (rng.random(PICTURES) < 0.3), (world[3] != 0) | (rng.random(PICTURES) < 0.3)
    part = (world[0][keep[0]], world[1][keep[0]], world[2][keep[1]], world[3][keep[1]])
    given_end = score(part, world[4], sparsities=(0.0, 0.5, 1.0))
    shares = np.bincount(part[1]) / len(part[1])
    assert given_end.chance == pytest.approx(max((part[3] == shares.argmax()).mean(), shares[part[3]].mean()))
    assert given_end.curve["accuracy"].iloc[-1] == pytest.approx(given_end.chance)
    assert given_end.curve["penalty"].notna().sum() == 2
    assert np.isnan(given_end.curve["objective"].iloc[-1])
    implied = score(part, world[4], sparsities=(0.0, 0.5))
    assert given_end.full.value == pytest.approx(implied.full.value)
    assert given_end.corrected.value == pytest.approx(implied.corrected.value)


def test_the_interval_covers_what_other_test_pictures_give(world):
    rng, times = np.random.default_rng(5), 60
    vectors = rng.standard_normal((30, DIMS))
    found = score(world, vectors, sparsities=(0.0, 0.5, 0.9))
    labels = rng.integers(0, CLASSES, times * PICTURES)
    fresh = world[4][labels] + rng.standard_normal((times * PICTURES, DIMS))
    other = score((*world[:2], fresh, labels), vectors, sparsities=(0.0, 0.5, 0.9), bootstrap=1)
    accuracy, right = (one.reshape(*one.shape[:-1], times, PICTURES).mean(-1) for one in (other.correct_representation, other.correct[0]))
    spread = (found.curve["high"] - found.curve["low"]) / 3.92
    np.testing.assert_allclose((right / accuracy).std(1, ddof=1), spread, rtol=0.3)


def test_training_loss_rises_with_sparsity(world):
    found = score(world, np.random.default_rng(6).standard_normal((50, DIMS)), sparsities=GRID, penalties=(1e-3,))
    assert (np.diff(found.curve["objective"]) > -1e-3).all()


def test_the_grid_may_come_in_any_order(world):
    vectors = np.random.default_rng(7).standard_normal((20, DIMS))
    first, second = (score(world, vectors, sparsities=grid) for grid in ((0.0, 0.5, 0.9), (0.9, 0.0, 0.5)))
    assert first.raw.value == pytest.approx(second.raw.value, abs=1e-12)
    np.testing.assert_array_equal(second.curve["kept"], [2, 20, 10])
    np.testing.assert_allclose(second.curve["objective"], first.curve["objective"][[2, 0, 1]])


def test_concepts_made_from_the_test_pictures_are_flagged(world):  # T16
    rows = np.arange(40)
    library = prototypes(world[2][rows], world[3][rows], 20, source={"dataset": "scenes", "seed": 0})
    with pytest.warns(UserWarning, match="libraries: found concepts made from the test pictures"):
        assert score(world, library, test_source={"dataset": "scenes", "seed": 0}).leaked
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not score(world, library, test_source={"dataset": "scenes", "seed": 1}).leaked
        assert not score(world, library).leaked
    other = prototypes(world[2][rows], world[3][rows], 20, source={"dataset": "scenes", "seed": 1})
    for source in ({"dataset": "scenes", "seed": 0, "count": 50}, {"dataset": "scenes", "seed": 0, "taken": ["0123"]}):
        with pytest.warns(UserWarning, match="libraries: found concepts made from the test pictures"):  # some of them
            assert inherent_interpretability(*world[:4], [other, library], **DENSE, test_source=source).leaked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: np.ones((4, 3)), 1: np.zeros(4, int)}, "test_features: found 64 dims; expected 3"),
        ({0: np.full((PICTURES, DIMS), np.nan)}, "features: found 128000 values that are not finite"),
        ({1: np.zeros(PICTURES, int)}, "labels: found one class, 0; expected at least two"),
        ({1: np.arange(PICTURES)}, "labels: found 1 picture of class 0; expected two a class"),
        ({1: np.zeros(PICTURES)}, "labels: found float64 of shape"),
        ({3: np.zeros(PICTURES, int)}, "test_labels: found one class, 0; expected at least two"),
        ({3: np.full(PICTURES, 77)}, "test_labels: found class 77; expected classes of the training pictures alone"),
        ({3: np.zeros(5, int)}, r"test_labels: found int64 of shape \(5,\); expected integers of shape \(2000,\)"),
    ],
)
def test_bad_input_is_named(world, change, message):
    changed = [change.get(number, one) for number, one in enumerate(world[:4])]
    with pytest.raises(ValueError, match=message):
        score(changed, world[4])


def test_settings_and_libraries_that_do_not_fit_are_named(world):
    with pytest.raises(ValueError, match="features, vectors: found shapes"):
        score(world, np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"libraries: found \[\(10, 64, 'picture'\), \(11, 64, 'picture'\)\]; expected one size"):
        inherent_interpretability(*world[:4], [random_directions(count, DIMS) for count in (10, 11)])
    for name, value in (("banks", -1), ("banks", 1.5), ("bootstrap", 0), ("bootstrap", 10.5)):
        with pytest.raises(ValueError, match=f"{name}: found {value}; expected a whole number from"):
            score(world, world[4], **{name: value})
    with pytest.raises(ValueError, match="libraries: found 2 concepts; expected at least 3, whose activations can be standardised"):
        score(world, world[4][:2], normalisation="picture")


def test_without_random_directions_there_is_no_excess(world):
    found = score(world, world[4], banks=0)
    assert np.isnan(found.excess.value)
    assert found.curve["random"].isna().all()
    assert found.correct_random.shape == (0, 2, len(world[3]))
    assert found.full == score(world, world[4]).full
    with pytest.raises(ValueError, match=r"number: found 'excess', which one of the two has not \(no banks\)"):
        paired_difference(found, found, "excess")


def test_a_concept_that_comes_twice_is_counted_twice(world):
    twice = score(world, np.concatenate([world[4], world[4][:3]]))
    assert twice.settings["repeated"] == 3
    assert twice.curve["kept"].tolist() == [13, 7]
    assert score(world, world[4]).settings["repeated"] == 0


def test_chance_is_that_of_the_better_guess_without_a_picture():
    rng = np.random.default_rng(8)
    labels, features = np.repeat(np.arange(5), 100), rng.standard_normal((500, 8))
    rare = np.repeat(np.arange(5), [10, 120, 120, 120, 130])  # the first class, commonest in training by accident, is rare here
    noise = rng.standard_normal((500, 8))
    settings = {"libraries": random_directions(20, 8), "sparsities": (0.0, 0.5), "banks": 0, "bootstrap": 50}
    found = inherent_interpretability(features, labels, noise, rare, **settings)
    assert found.chance == pytest.approx(0.2)
    assert found.refused
    skewed = np.repeat(np.arange(5), [300, 50, 50, 50, 50])
    found = inherent_interpretability(features, skewed, noise, rare, **settings)
    assert found.chance == pytest.approx(0.6 * 0.02 + 0.1 * 0.98)  # guesses as often as in training
    assert inherent_interpretability(features, skewed, noise, skewed, **settings).chance == pytest.approx(0.6)


def answers(*shares):
    """Stands in for heads: of the first library that asks, this share of the test pictures is right, and so on."""
    left = list(shares)

    def through(_, features, labels, test_features, test_labels, *rest, **settings):
        right = np.arange(len(test_labels)) % 100 < 100 * left.pop(0)
        return {"correct": np.tile(right, (len(rest[2]), 1)), "objective": np.zeros(len(rest[2]))}

    return through


def several(count):
    return [random_directions(20, DIMS, seed=seed) for seed in range(count)]


def test_the_excess_is_over_the_mean_of_all_banks(world):
    settings = {"sparsities": (0.0, 1.0), "banks": 2, "bootstrap": 20}
    found = inherent_interpretability(*world[:4], several(2), **settings, through=answers(0.9, 0.7, 0.5, 0.1))
    assert found.curve["accuracy"][0] == pytest.approx(0.8)
    assert found.excess.value == pytest.approx((0.8 - 0.3) / 2 / found.accuracy.value)


def test_libraries_are_resampled_and_their_deviations_widened(world):
    settings = {"sparsities": (0.0, 0.5), "banks": 0, "bootstrap": 400}
    alike, apart, alone = (
        inherent_interpretability(*world[:4], several(len(shares)), **settings, through=answers(*shares)).normalised
        for shares in ((0.5, 0.5), (0.2, 0.8), (0.5,))
    )
    assert alike.high - alike.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert apart.value == pytest.approx(alike.value)
    accuracy = score(world, world[4]).accuracy.value
    assert apart.high - apart.low == pytest.approx(2**0.5 * 0.6 / accuracy, rel=0.15)  # a quarter of the resamples has one of them twice


@pytest.mark.slow
def test_the_interval_of_the_excess_covers_none_where_libraries_differ_by_chance_alone():
    rng, covered = np.random.default_rng(9), []
    labels = np.arange(300) % 3
    features = np.eye(3)[labels] + 0.3 * rng.standard_normal((300, 3))

    def through(vectors, *data, **settings):
        right = rng.random(300) < rng.normal(0.6, 0.05)
        return {"correct": np.tile(right, (2, 1)), "objective": np.zeros(2)}

    settings = {"sparsities": (0.0, 0.5), "banks": 3, "bootstrap": 200, "penalties": (1e-2,), "through": through}
    for seed in range(150):
        libraries = [random_directions(5, 3, seed=number) for number in range(3)]
        excess = inherent_interpretability(features, labels, features, labels, libraries, **settings, seed=seed).excess
        covered.append(excess.low <= 0 <= excess.high)
    assert 0.9 <= np.mean(covered) <= 0.99  # 95 % promised; binomial 95 % limits of 150 runs are 0.91 and 0.98


def test_banks_are_different_and_libraries_come_first(world):
    seen = []

    def through(vectors, *data, **settings):
        seen.append(vectors)
        return correct_through(vectors, *data, **settings)

    assert score(world, world[4], banks=3, through=through).full == score(world, world[4], banks=3).full
    np.testing.assert_array_equal(seen[0], world[4].astype(np.float32))
    assert len({one.tobytes() for one in seen}) == 4


def test_a_picture_is_judged_without_the_other_test_pictures(world):
    tuned, first = tuning_rows(world[1]), world[3] == 0  # whose own mean would hide what their class has in common
    for how in ("picture", "concept", "none"):
        every, some = (
            correct_through(world[4], *world[:2], tested, truth, tuned, CLASSES, np.array([0.0, 0.5]), normalisation=how)["correct"]
            for tested, truth in ((world[2], world[3]), (world[2][first], world[3][first]))
        )
        np.testing.assert_array_equal(every[:, first], some)


def test_what_is_silenced_at_random_differs_between_training_and_test(world, monkeypatch):
    drawn = []
    monkeypatch.setattr("lib.concept_heads.ranks", lambda values, **how: drawn.append(ranks(values, **how)) or drawn[-1])
    score(world, world[4], order="random", banks=0)
    assert not np.array_equal(*drawn)


def test_left_of_the_grid_the_first_retention_counts(world):
    found = score(world, world[4], sparsities=(0.2, 0.5))
    first, second = found.curve["retention"]
    end = found.chance / found.accuracy.value
    assert found.full.value == pytest.approx(0.2 * first + 0.3 * (first + second) / 2 + 0.5 * (second + end) / 2)


def test_a_difference_is_paired_by_picture(world):
    first, second = (score(world, random_directions(20, DIMS, seed=seed), sparsities=GRID) for seed in (0, 1))
    found = paired_difference(first, second, "full", seed=3)
    assert found.value == pytest.approx(first.full.value - second.full.value)
    assert found.low < found.value < found.high
    alone = np.hypot(first.full.high - first.full.low, second.full.high - second.full.low)
    assert found.high - found.low < alone  # test pictures that are hard for both cancel
    same = paired_difference(first, first, "accuracy")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    apart = inherent_interpretability(*world[:4], several(2), **DENSE | {"banks": 0}, through=answers(0.2, 0.8))
    own = paired_difference(apart, apart, "normalised")  # libraries of two scores are drawn on their own
    assert own.low < -0.3 < 0.3 < own.high
    other = score((*world[:2], world[2][::2], world[3][::2]), random_directions(20, DIMS), sparsities=GRID)
    with pytest.raises(ValueError, match="first, second: found other test pictures or sparsities; expected the same"):
        paired_difference(first, other)
    shuffled = np.random.default_rng(0).permutation(world[1])
    chance = score((world[0], shuffled, *world[2:]), random_directions(20, DIMS), sparsities=GRID)
    with pytest.raises(ValueError, match="number: found 'corrected', which one of the two has not"):
        paired_difference(first, chance, "corrected")
    with pytest.raises(ValueError, match="number: found 'retention'; expected one of raw, normalised, full"):
        paired_difference(first, second, "retention")
