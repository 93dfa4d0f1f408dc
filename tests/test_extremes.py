"""Streaming selection against a full sort, ties, and what a ranking must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.extremes import StreamingExtremes, extremes, full_order
from lib.keyed_random import keys


def reference(activations, count, seed):
    """Straight from the definition: sort each unit by (value, key); the tied group that spans both sides is shared, smallest keys to the
    side that needs fewer."""
    tops, bottoms = [], []
    for unit, column in enumerate(np.asarray(activations).T):
        key = keys(seed, unit, np.arange(len(column)))
        top = np.lexsort((key, -column))[:count]
        bottom = np.lexsort((key, column))[:count]
        if column[top[-1]] == column[bottom[-1]]:
            tied = np.flatnonzero(column == column[top[-1]])
            tied = list(tied[np.argsort(key[tied])])
            above, below = [i for i in top if column[i] > column[tied[0]]], [i for i in bottom if column[i] < column[tied[0]]]
            need_top, need_bottom = count - len(above), count - len(below)
            if need_top <= need_bottom:
                top, bottom = above + tied[:need_top], below + tied[need_top : need_top + need_bottom]
            else:
                bottom, top = below + tied[:need_bottom], above + tied[need_bottom : need_bottom + need_top]
        tops.append(top)
        bottoms.append(bottom)
    return np.array(tops), np.array(bottoms)


def worlds(rng, pictures, units):
    smooth = rng.standard_normal((pictures, units))
    yield "random", smooth
    yield "sorted", np.sort(smooth, axis=0)
    yield "reversed", np.sort(smooth, axis=0)[::-1]
    yield "few levels", rng.integers(0, 4, (pictures, units)).astype(float)
    yield "rectified", np.maximum(smooth - 1, 0)
    yield "sparse", smooth * (rng.random((pictures, units)) < 0.02)
    yield "constant", np.ones((pictures, units))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 90))
@settings(max_examples=25, deadline=None)
def test_streaming_equals_a_full_sort_in_any_order_and_batch(seed, count, tile):
    rng = np.random.default_rng(seed)
    pictures, units = 40 + 3 * count, 5
    for name, activations in worlds(rng, pictures, units):
        top, bottom = reference(activations, count, seed)
        stream = StreamingExtremes(units, count=count, seed=seed, tile=tile)
        for batch in np.array_split(rng.permutation(pictures), rng.integers(1, 8)):
            stream.update(activations[batch], batch)
        result = stream.result()
        np.testing.assert_array_equal(result.top, top, err_msg=name)
        np.testing.assert_array_equal(result.bottom, bottom, err_msg=name)


def test_group_maxima_shortcut_is_exact_on_wide_rows():
    # wide enough that candidates are preselected by group maxima, with and without heavy ties
    rng = np.random.default_rng(0)
    for name, activations in worlds(rng, 3000, 4):
        top, bottom = reference(activations, 200, 5)
        result = extremes(activations, count=200, seed=5)
        np.testing.assert_array_equal(result.top, top, err_msg=name)
        np.testing.assert_array_equal(result.bottom, bottom, err_msg=name)


def test_no_picture_is_on_both_sides_and_a_sign_flip_swaps_the_sides():
    rng = np.random.default_rng(1)
    for name, activations in worlds(rng, 500, 6):
        plain, flipped = extremes(activations, count=60), extremes(-activations, count=60)
        for unit in range(6):
            assert not set(plain.top[unit]) & set(plain.bottom[unit]), name
        if name != "constant":
            np.testing.assert_array_equal(plain.top, flipped.bottom, err_msg=name)
            np.testing.assert_array_equal(plain.bottom, flipped.top, err_msg=name)


def test_statistics_match_numpy_whatever_the_tiles():
    rng = np.random.default_rng(2)
    activations = rng.standard_normal((700, 3)) * [1, 100, 1e-3] + [0, 5, -2]
    activations[:, 0] *= rng.random(700) < 0.7
    stream = StreamingExtremes(3, count=20, tile=97)
    for batch in np.array_split(np.arange(700), 9):
        stream.update(activations[batch], batch)
    statistics = stream.result().statistics
    np.testing.assert_allclose(statistics["mean"], activations.mean(0), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(statistics["sd"], activations.std(0), rtol=1e-10)
    np.testing.assert_array_equal(statistics["minimum"], activations.min(0))
    np.testing.assert_array_equal(statistics["maximum"], activations.max(0))
    np.testing.assert_allclose(statistics["active"], (activations != 0).mean(0), rtol=1e-12)


def test_ties_and_constant_units_are_reported():
    rng = np.random.default_rng(3)
    smooth, rectified, constant = (
        rng.standard_normal(400),
        np.maximum(rng.standard_normal(400), 0),
        np.full(400, 3.0) + 1e-9 * rng.random(400),
    )
    statistics = extremes(np.stack([smooth, rectified, constant], 1), count=100).statistics
    assert statistics["constant"].tolist() == [False, False, True]
    assert statistics["tied_bottom"].tolist()[:2] == [0.0, 1.0]
    assert statistics["tied_top"].tolist()[:2] == [0.0, 0.0]
    assert statistics["tied_extreme"].tolist()[:2] == [False, True]


def test_a_class_sorted_tie_is_not_one_class():
    # a silent unit on class-sorted pictures: a stable sort would return one class
    labels = np.repeat(np.arange(40), 500)
    result = extremes(np.zeros((20_000, 1)) + (np.arange(20_000) == 0)[:, None], count=200)
    assert len(np.unique(labels[result.bottom[0]])) > 30


def test_full_order_begins_and_ends_with_the_extremes():
    rng = np.random.default_rng(4)
    activations = rng.integers(0, 50, (600, 4)).astype(float)
    order, result = full_order(activations, seed=9), extremes(activations, count=50, seed=9)
    np.testing.assert_array_equal(order[:, :50], result.top)
    assert all(set(np.take(activations[:, u], order[u, -50:])) == set(np.take(activations[:, u], result.bottom[u])) for u in range(4))


def test_take_keeps_the_units_names():
    result = extremes(np.random.default_rng(5).standard_normal((100, 6)), count=10).take([4, 1])
    assert result.units.tolist() == [4, 1]
    assert len(result.statistics) == 2


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (np.zeros(500), r"activations: found shape \(500,\)"),
        (np.zeros((399, 2)), "found 399 pictures; expected at least 400"),
        (np.where(np.arange(500)[:, None] == 3, np.nan, np.zeros((500, 2))), "unit 0 has values that are not finite"),
        (np.where(np.arange(500)[:, None] == 3, [0, np.inf], np.zeros((500, 2))), "unit 1 has values that are not finite"),
    ],
)
def test_bad_input_is_named(activations, message):
    with pytest.raises(ValueError, match=message):
        extremes(activations)


@pytest.mark.parametrize("pictures", [[0, 1, 2, 3, 3], [0, 1, 1, 4, 4], [1, 2, 3, 4, 5], [0, 1, 2, 3, -4]])
def test_a_picture_that_comes_twice_is_refused(pictures):
    stream = StreamingExtremes(1, count=2)
    stream.update(np.zeros((5, 1)), np.array(pictures))
    with pytest.raises(ValueError, match="each once"):
        stream.result()
