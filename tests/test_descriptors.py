"""HOG + colour: what it must tell apart, what must not matter, and the histogram against a slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.descriptors import COLOUR_LEVELS, _colours, hog_colour

RED, BLUE = (200, 30, 30), (30, 30, 200)
HOG_DIMS = 7 * 7 * 4 * 9


def stripes(colour, *, vertical, period=8, side=64):
    on = (np.arange(side) // period % 2).astype(bool)
    on = np.broadcast_to(on if vertical else on[:, None], (side, side))
    return np.where(on[..., None], np.array(colour, np.uint8), np.uint8(230))


def test_each_half_has_the_length_it_was_given_and_no_mean():
    rows = hog_colour(np.stack([stripes(RED, vertical=True), stripes(BLUE, vertical=False)]))
    assert rows.shape == (2, HOG_DIMS + COLOUR_LEVELS**3)
    assert rows.dtype == np.float32
    for half in (rows[:, :HOG_DIMS], rows[:, HOG_DIMS:]):
        np.testing.assert_allclose((half**2).sum(1), 0.5, rtol=1e-5)
        np.testing.assert_allclose(half.mean(1), 0, atol=1e-7)


def test_shape_and_colour_are_seen_apart():
    red_vertical, red_horizontal, blue_vertical = hog_colour(
        [stripes(RED, vertical=True), stripes(RED, vertical=False), stripes(BLUE, vertical=True)])
    colour, shape = slice(HOG_DIMS, None), slice(HOG_DIMS)
    # Same pixels in another arrangement: the histogram cannot tell, the gradients can; and the other way round.
    assert red_vertical[colour] @ red_horizontal[colour] == pytest.approx(0.5, abs=1e-6)
    assert red_vertical[shape] @ red_horizontal[shape] < 0.1
    assert red_vertical[shape] @ blue_vertical[shape] > 0.49
    # Half of the pixels share a colour: uncentred 1/2, and centring 216 bins moves that by about 1/216.
    assert red_vertical[colour] @ blue_vertical[colour] == pytest.approx(0.25, abs=0.01)


def test_flat_pictures_are_compared_by_colour_alone():
    flat = np.stack([np.full((64, 64, 3), colour, np.uint8) for colour in (RED, RED, BLUE)])
    rows = hog_colour(flat)
    assert not rows[:, :HOG_DIMS].any()
    assert rows[0] @ rows[1] == pytest.approx(0.5, abs=1e-6)
    assert rows[0] @ rows[2] < 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_histogram_matches_a_slow_reference(seed):
    pictures = np.random.default_rng(seed).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    edges = [np.arange(0, COLOUR_LEVELS + 1) * 256 / COLOUR_LEVELS] * 3
    expected = [np.sqrt(np.histogramdd(picture.reshape(-1, 3), edges)[0].ravel() / 64**2) for picture in pictures]
    np.testing.assert_allclose(_colours(pictures), expected, rtol=1e-6)


def test_neighbours_in_the_batch_and_the_container_do_not_matter():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), dtype=np.uint8)
    together = hog_colour(pictures)
    np.testing.assert_array_equal(together, hog_colour(list(pictures)))
    np.testing.assert_array_equal(together[2:3], hog_colour(pictures[2:3]))


def test_sizes_may_differ():
    small, large = stripes(RED, vertical=True, period=4, side=32), stripes(RED, vertical=True, period=16, side=128)
    rows = hog_colour([small, large])
    assert rows[0] @ rows[1] > 0.7


@pytest.mark.parametrize("bad", [np.zeros((1, 8, 8), np.uint8), np.zeros((1, 8, 8, 3)), [np.zeros((8, 8, 4), np.uint8)]])
def test_bad_pictures_are_named(bad):
    with pytest.raises(ValueError, match=r"pictures: found .* expected uint8 of shape \(height, width, 3\)"):
        hog_colour(bad)
