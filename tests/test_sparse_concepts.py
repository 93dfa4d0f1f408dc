"""Projection on concepts and sparsification: counts, nesting, ties, forms and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.sparse_concepts import concept_activations, kept, normalised, ranks, sparsified

GRID = (0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98)


@pytest.fixture(scope="module")
def activations():
    return np.random.default_rng(0).standard_normal((30, 200)).astype(np.float32)


def test_so_many_concepts_are_kept_as_the_sparsity_says(activations):  # T2
    assert [kept(200, one) for one in GRID] == [200, 180, 140, 100, 60, 20, 10, 4]
    for sparsity in GRID:
        assert (np.count_nonzero(sparsified(activations, kept(200, sparsity)), axis=1) == kept(200, sparsity)).all()
    assert kept(100, 0.29) == 71  # although 100 * 0.29 < 29
    assert kept(50, 1.0) == kept(3, 0.99) == 1


def test_what_is_kept_is_nested_and_survivors_stay_or_shrink_by_the_threshold(activations):  # T3
    places = ranks(activations)
    before = np.ones_like(activations, bool)
    for sparsity in GRID:
        keep = kept(200, sparsity)
        mask, soft, weighted = (sparsified(activations, keep, places, form=form) for form in ("mask", "soft", "reweight"))
        stays = mask != 0
        assert (before | ~stays).all()
        np.testing.assert_array_equal(mask[stays], activations[stays])
        threshold = np.where(stays, 0, np.abs(activations)).max(1, keepdims=True)
        expected = np.sign(activations) * np.maximum(np.abs(activations) - threshold, 0)
        np.testing.assert_allclose(soft, np.where(stays, expected, 0), atol=1e-6)
        np.testing.assert_allclose(weighted, activations * np.abs(soft), atol=1e-6)
        assert (np.abs(mask).min(1, where=stays, initial=np.inf) >= threshold[:, 0]).all()
        before = stays


def test_of_equals_the_first_stays():
    equal = np.array([[1, -1, 1, 0.5]])
    assert sparsified(equal, 2).tolist() == [[1, -1, 0, 0]]
    assert ranks(equal).tolist() == [[0, 1, 2, 3]]
    assert ranks(equal, order="most").tolist() == [[1, 2, 3, 0]]


def test_the_order_of_removal_can_be_turned_round_or_drawn(activations):
    least, most, drawn, again = (
        ranks(activations, order=order, seed=seed) for order, seed in (("least", 0), ("most", 0), ("random", 1), ("random", 1))
    )
    np.testing.assert_array_equal(least + most, 199)
    np.testing.assert_array_equal(drawn, again)
    np.testing.assert_array_equal(np.sort(drawn, axis=1), np.arange(200)[None].repeat(30, 0))
    assert abs(np.corrcoef(drawn.ravel(), least.ravel())[0, 1]) < 0.05


def test_activations_are_projections_on_directions():
    features, vectors = np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[0.0, 2.0], [-5.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(concept_activations(features, vectors), [[4, -3, 7 / 2**0.5], [0, -1, 1 / 2**0.5]], rtol=1e-6)
    for scale in (1e25, 1e-25):  # squares of these are out of reach of float32
        np.testing.assert_allclose(concept_activations(features, scale * vectors), concept_activations(features, vectors), rtol=1e-6)


def test_normalisation_is_per_picture_or_per_concept(activations):
    picture = normalised(activations)
    np.testing.assert_allclose(picture.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(picture.std(1), 1, atol=1e-4)
    train, test = activations[:20] * 3 + 7, activations[20:] * 3 + 7
    concept = normalised(test, train, how="concept")
    np.testing.assert_allclose(concept, (test - train.mean(0)) / train.std(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(normalised(np.ones((4, 3)), how="concept"), 0)  # a concept that never changes says nothing
    rounded = np.where(np.arange(4)[:, None] % 2, np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1)))
    assert np.abs(normalised(rounded, how="concept")).max() < 1e-6  # nor does one that changes by rounding alone
    np.testing.assert_array_equal(normalised(activations, how="none"), activations)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_matches_the_definition_one_picture_at_a_time(seed, keep):
    one = np.random.default_rng(seed).integers(-3, 4, (1, 12)).astype(np.float32)  # with ties
    order = sorted(range(12), key=lambda index: (-abs(one[0, index]), index))
    expected = [one[0, index] if index in order[:keep] else 0 for index in range(12)]
    assert sparsified(one, keep)[0].tolist() == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kept(10, 1.1), "sparsity: found 1.1; expected a number from 0 to 1"),
        (lambda: kept(10, -0.1), "sparsity: found -0.1"),
        (lambda: sparsified(np.ones((2, 3)), 4), "keep: found 4; expected 1 to 3 concepts"),
        (lambda: sparsified(np.ones((2, 3)), 0), "keep: found 0"),
        (lambda: sparsified(np.ones((2, 3)), 1, form="hard"), "form: found 'hard'; expected one of mask, soft, reweight"),
        (lambda: ranks(np.ones((2, 3)), order="first"), "order: found 'first'; expected one of least, most, random"),
        (lambda: normalised(np.ones((2, 3)), how="l2"), "normalisation: found 'l2'; expected one of picture, concept, none"),
        (lambda: concept_activations(np.ones((2, 3)), np.ones((2, 4))), r"features, vectors: found shapes \(2, 3\) and \(2, 4\)"),
        (lambda: concept_activations(np.ones((2, 3)), np.zeros((1, 3))), "vectors: found 1 that are 0; expected directions"),
        (lambda: concept_activations(np.full((2, 3), np.nan), np.ones((1, 3))), "features: found 6 values that are not finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
