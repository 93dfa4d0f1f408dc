"""Maps in colours."""

import matplotlib as mpl
import numpy as np
import pytest

from lib.heat_maps import COLOURS, heat, overlaid

RAMP = np.linspace(0, 1, 101)[None, :, None].repeat(101, 2)
ENDS = [np.array(mpl.colormaps[COLOURS](end)[:3]) * 255 for end in (0.0, 1.0)]


def test_least_is_dark_and_most_is_light_whatever_the_scale():
    found = heat(RAMP, 101)
    np.testing.assert_array_equal(found, heat(5 * RAMP - 3, 101))
    np.testing.assert_allclose(found[0, [0, -1], 0], ENDS, atol=0.5)
    coarse = heat(RAMP[:, ::50, ::50], 6)
    assert (coarse[0, :2] == coarse[0, 0, 0]).all()  # places stay square


def test_a_map_lies_over_its_picture_in_grey():
    pixels = np.full((1, 101, 101, 3), (30, 60, 90), np.uint8)
    found = overlaid(pixels, RAMP, strength=0.25)
    np.testing.assert_allclose(found[0, [0, -1], 0], 0.75 * 60 + 0.25 * np.array(ENDS), atol=0.6)
    assert (overlaid(pixels, RAMP, strength=0) == 60).all()
    with pytest.raises(ValueError, match=r"maps: found shape \(1, 50, 101\); expected \(1, 101, 101\)"):
        overlaid(pixels, RAMP[:, :50])
