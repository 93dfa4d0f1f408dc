"""What can be said of a picture from its pixels: colours against a formula of our own, thirds against pictures whose order is known."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.color import rgb2lab

from lib.concepts.pixel_experts import TYPICAL_COLOURS, colour_terms, experts
from lib.datasets.pictures import in_memory

TERMS = tuple(TYPICAL_COLOURS)
RED, BLUE, WHITE, GREEN = (TYPICAL_COLOURS[name][0] for name in ("red", "blue", "white", "green"))


def expert(name, pictures):
    return experts([name], pictures)[name]


def colour_term(pixels):
    return int(colour_terms(rgb2lab(pixels[None]))[0])


def pictures_of(pixels):
    pixels = np.asarray(pixels, np.uint8)
    return in_memory("toy", pixels, np.zeros(len(pixels), int), ("any",), {})


def values_of(name, pictures):
    """The value of each picture, checked to be exactly one."""
    values, found = expert(name, pictures)
    assert found.shape == (len(pictures), len(values))
    assert found.dtype == bool
    assert (found.sum(1) == 1).all()
    return [values[index] for index in found.argmax(1)]


def lab(colour):
    """CIELAB of one sRGB colour under D65, from the definitions (IEC 61966-2-1, CIE 15)."""
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in np.asarray(colour) / 255]
    x, y, z = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = (t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x / 0.95047, y, z / 1.08883))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def ringed(side, colours):
    """A picture of square rings, given from the outermost inwards; the last colour fills the rest."""
    picture = np.empty((side, side, 3), np.uint8)
    for ring, colour in enumerate(colours):
        picture[ring : side - ring, ring : side - ring] = colour
    return picture


# Colours


def test_there_are_the_eleven_basic_colour_terms():
    assert sorted(TERMS) == ["black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow"]


@pytest.mark.parametrize("block", ["colour", "border"])
def test_typical_colours_have_their_own_name(block):
    named = [(name, colour) for name, colours in TYPICAL_COLOURS.items() for colour in colours]
    assert values_of(block, pictures_of([np.full((8, 8, 3), colour) for _, colour in named])) == [name for name, _ in named]


@pytest.mark.parametrize(("colour", "name"), [
    ((135, 206, 235), "blue"), ((0, 0, 128), "blue"), ((210, 180, 140), "brown"), ((255, 0, 0), "red"), ((34, 139, 34), "green"),
    ((128, 128, 0), "green"), ((211, 211, 211), "grey"), ((255, 192, 203), "pink"), ((128, 0, 128), "purple"), ((139, 69, 19), "brown"),
    ((255, 165, 0), "orange"), ((255, 255, 0), "yellow"),
])  # fmt: skip
def test_colours_of_the_web_have_the_name_that_people_give_them(colour, name):
    # sky blue, navy, tan, red, forest green, olive, light grey, pink, purple, saddle brown, orange, yellow
    assert TERMS[colour_term(np.array([colour], np.uint8))] == name


def test_any_colour_has_the_name_of_the_nearest_typical_colour():
    colours = np.random.default_rng(0).integers(0, 256, (300, 3), dtype=np.uint8)
    distances = np.array([
        [min(np.linalg.norm(lab(colour) - lab(typical)) for typical in group) for group in TYPICAL_COLOURS.values()] for colour in colours
    ])  # fmt: skip
    nearest, second = np.sort(distances)[:, :2].T
    clear = second - nearest > 0.05  # constants are rounded to four digits here
    assert clear.sum() > 290
    found = [colour_term(colour[None]) for colour in colours[clear]]
    assert found == distances[clear].argmin(1).tolist()
    assert len(set(found)) > 8


def test_the_commonest_colour_wins_and_of_equally_common_ones_the_first():
    # the mean of red and green would be neither
    assert TERMS[colour_term(np.array([RED] * 3 + [GREEN] * 4, np.uint8))] == "green"
    assert TERMS[colour_term(np.array([RED] * 4 + [GREEN] * 3, np.uint8))] == "red"
    assert TERMS[colour_term(np.array([GREEN] * 3 + [RED] * 3, np.uint8))] == "red"


def test_the_border_is_the_outermost_eighth_of_the_side():
    # Rings of a 32 x 32 picture hold 124, 116, 108, 100, 92 ... pixels. With a fifth ring blue would win in the first picture, and
    # without the fourth red in the second.
    first = ringed(32, [RED, RED, BLUE, BLUE, BLUE, WHITE])
    second = ringed(32, [RED, WHITE, BLUE, BLUE, GREEN])
    assert values_of("border", pictures_of([first, second])) == ["red", "blue"]
    assert values_of("colour", pictures_of([first, second])) == ["white", "green"]


def test_the_border_is_on_all_four_sides():
    # Of the 112 border pixels of 16 x 16 one side holds 32, and the other 80 are shared out among three colours.
    picture = np.empty((16, 16, 3), np.uint8)
    picture[:] = np.array([BLUE, WHITE, GREEN])[np.arange(256).reshape(16, 16) % 3]
    picture[:2] = RED
    assert values_of("border", pictures_of([np.rot90(picture, turns) for turns in range(4)])) == ["red"] * 4


def test_the_border_follows_the_shorter_side_and_is_at_least_a_pixel():
    # 16 x 64: two pixels. Rings hold 156, 148, 140 pixels: red wins, with a third ring blue would.
    wide = np.full((16, 64, 3), WHITE, np.uint8)
    for ring, colour in enumerate([RED, BLUE, BLUE]):
        wide[ring : 16 - ring, ring : 64 - ring] = colour
    assert values_of("border", pictures_of([wide])) == ["red"]
    tiny = ringed(4, [RED, BLUE])
    tiny[0] = tiny[3, 0] = BLUE  # the ring: 7 red, 5 blue; the whole: 7 red, 9 blue
    assert values_of("border", pictures_of([tiny])) == ["red"]
    assert values_of("colour", pictures_of([tiny])) == ["blue"]


def test_grey_pictures_and_pictures_of_various_sizes_are_taken():
    grey = in_memory("grey", np.array([0, 128, 255], np.uint8)[:, None, None].repeat(4, 1).repeat(5, 2), np.zeros(3, int), ("any",), {})
    assert values_of("colour", grey) == ["black", "grey", "white"]
    mixed = [np.full((4 + number, 9, 3), colour, np.uint8) for number, colour in enumerate([RED, BLUE, GREEN])]
    pictures = replace(grey, read=lambda chosen: [mixed[number] for number in chosen])
    assert values_of("colour", pictures) == values_of("border", pictures) == ["red", "blue", "green"]


# Thirds


def striped(dark, light, stripes):
    """Upright stripes of equal width, 24 pixels in all, of two greys."""
    columns = np.arange(24) * stripes // 24 % 2
    return np.where(columns, light, dark)[None, :, None].repeat(24, 0).repeat(3, 2)


def test_brightness_contrast_and_edges_sort_pictures_by_mean_spread_and_steps():
    settings = [(0, 60, 12), (20, 200, 2), (60, 90, 8), (100, 255, 4), (110, 160, 6), (200, 250, 2)]
    pictures = pictures_of([striped(*one) for one in settings])
    dark, light = (np.array([lab((one[side],) * 3)[0] for one in settings]) for side in (0, 1))
    steps = np.array([one[2] - 1 for one in settings])
    # of stripes of equal width the mean is half the sum, the spread half the difference, and every boundary is a step of the difference
    orders = {"brightness": dark + light, "contrast": light - dark, "edges": steps * (light - dark)}
    assert len({tuple(np.argsort(one)) for one in orders.values()}) == 3
    names = {"brightness": ("dark", "middle", "bright"), "contrast": ("low", "middle", "high"), "edges": ("few", "some", "many")}
    for block, numbers in orders.items():
        assert expert(block, pictures)[0] == names[block]
        assert values_of(block, pictures) == [names[block][rank // 2] for rank in np.argsort(np.argsort(numbers))]


def test_brightness_is_the_mean_lightness():
    # a quarter of white on black (mean L* 25, median 0, most 100), evenly dark (12) and evenly bright (54)
    quarter = np.zeros((8, 8, 3))
    quarter[:4, :4] = 255
    pictures = pictures_of([quarter, np.full((8, 8, 3), 33), np.full((8, 8, 3), 128)])
    assert values_of("brightness", pictures) == ["middle", "dark", "bright"]


def test_lightness_is_not_the_mean_of_channels():
    # green is lighter than a grey of the same mean, blue darker
    pictures = pictures_of([np.full((6, 6, 3), colour) for colour in ((0, 0, 240), (80, 80, 80), (0, 240, 0))])
    assert values_of("brightness", pictures) == ["dark", "middle", "bright"]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1, 0, 0]), (9, [3, 3, 3]), (10, [4, 3, 3]), (11, [4, 4, 3])])
def test_thirds_are_as_equal_as_they_can_be_even_where_all_pictures_are_alike(count, sizes):
    _, found = expert("brightness", pictures_of(np.full((count, 4, 4, 3), 77)))
    assert found.sum(0).tolist() == sizes


def test_thirds_are_of_the_whole_set_and_not_of_a_batch():
    levels = np.random.default_rng(0).permutation(np.linspace(0, 255, 1023).astype(int))
    rank = np.argsort(np.argsort(levels, kind="stable"), kind="stable")
    pictures = pictures_of(levels[:, None, None, None].repeat(3, 3))
    assert values_of("brightness", pictures) == [("dark", "middle", "bright")[one // 341] for one in rank]
