"""Scenes: the same bytes whatever the batch, factors and shortcut as asked, masks that match what is drawn, true captions."""

import hashlib
import itertools
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage, stats

from lib.datasets.pictures import Pictures
from lib.datasets.scenes import CLASS_NAMES, FACTORS, assigned_background, masks, render, scenes
from lib.datasets.scenes.captions import GROUNDS, place
from lib.datasets.scenes.factors import uniform

P_VALUE = 1e-4          # a test of frequencies fails below it; seeds are fixed, so it fails always or never


@pytest.fixture(scope="module")
def hundred():
    return scenes(100, seed=3)


@pytest.fixture(scope="module")
def many():
    return scenes(20_000, seed=11)


# Identity of a picture

def test_streams_are_philox_in_counter_order():
    # The reference computes number 1234 alone: block 1234 // 4 of Philox4x64, reached by advancing the counter.
    key = np.frombuffer(hashlib.sha256(b"scenes/7/shape").digest()[:16], dtype="<u8")
    alone = np.random.Philox(key=key).advance(1234 // 4).random_raw(4)[1234 % 4]
    assert uniform(7, "shape", 2000)[1234] == int(alone >> np.uint64(11)) / 2**53


def test_same_picture_whatever_count_batch_order_and_threads(hundred):
    whole = hundred.read(np.arange(100))
    assert whole.shape == (100, 64, 64, 3)
    assert whole.dtype == np.uint8
    order = np.random.default_rng(0).permutation(100)
    assert (hundred.read(order) == whole[order]).all()
    assert all((hundred.read(np.array([index]))[0] == whole[index]).all() for index in (0, 31, 32, 33, 99))
    for size in (1, 7, 33):
        assert (np.concatenate([pictures for _, pictures in hundred.take(np.arange(40)).batches(size)]) == whole[:40]).all()
    assert (scenes(317, seed=3).read(np.arange(100)) == whole).all()
    with ThreadPoolExecutor(4) as pool:
        assert (np.concatenate(list(pool.map(hundred.read, np.split(np.arange(100), 10)))) == whole).all()
    assert hundred.read(np.arange(0)).shape == (0, 64, 64, 3)


def test_seeds_and_pictures_differ(hundred):
    whole = hundred.read(np.arange(100))
    assert len({picture.tobytes() for picture in whole}) == 100
    assert (scenes(100, seed=4).read(np.arange(100)) != whole).any(axis=(1, 2, 3)).all()
    assert scenes(100, seed=4).identity != hundred.identity == scenes(100, seed=3).identity


@pytest.mark.parametrize("size", [32, 96])
def test_other_sizes_show_the_same_scene(hundred, size):
    pictures = scenes(8, seed=3, size=size).read(np.arange(8))
    assert pictures.shape == (8, size, size, 3)
    coarse = [ndimage.zoom(batch.astype(float), (1, 8 / batch.shape[1], 8 / batch.shape[1], 1), order=1, grid_mode=True, mode="nearest")
              for batch in (pictures, hundred.read(np.arange(8)))]
    # The same 8x8 thumbnail, while grain and fine textures differ: correlation over pixels of each picture.
    for one, other in zip(*coarse, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.6


def test_subset_keeps_masks_and_factors_together(hundred):
    taken = hundred.take(np.array([5, 99, 5]))
    assert isinstance(taken, Pictures)
    assert (taken.read(np.array([1])) == hundred.read(np.array([99]))).all()
    assert (taken.masks([1]).object == hundred.masks([99]).object).all()
    assert (taken.rerender(1) == hundred.read(np.array([99]))[0]).all()
    assert taken.captions[0] == hundred.captions[5]


# Frequencies

def test_factors_are_uniform_and_pairwise_independent(many):
    for factor, values in FACTORS.items():
        counts = many.factors[factor].value_counts().reindex(values)
        assert stats.chisquare(counts).pvalue > P_VALUE, factor
    for one, other in itertools.combinations(FACTORS, 2):
        counts = many.factors.groupby([one, other], observed=False).size().unstack()
        assert stats.chi2_contingency(counts).pvalue > P_VALUE, (one, other)
    assert stats.chisquare(np.bincount(many.labels, minlength=20)).pvalue > P_VALUE


@pytest.mark.parametrize("shortcut", [0.0, 0.5, 0.9, 1.0])
def test_shortcut_is_as_strong_as_asked(shortcut):
    drawn = scenes(6000, seed=5, shortcut=shortcut)
    background = drawn.factors["background"].cat.codes.to_numpy()
    assigned = drawn.labels % 6
    assert (assigned_background(drawn.labels) == assigned).all()
    hits = int((background == assigned).sum())
    expected = shortcut + (1 - shortcut) / 6
    assert stats.binomtest(hits, 6000, expected).pvalue > P_VALUE if shortcut < 1 else hits == 6000
    if shortcut < 1:            # the other five backgrounds are equally likely
        others = (background - assigned) % 6
        assert stats.chisquare(np.bincount(others, minlength=6)[1:]).pvalue > P_VALUE
    # Nothing but the background hangs on the shortcut.
    plain = scenes(6000, seed=5)
    assert (drawn.factors.drop(columns="background") == plain.factors.drop(columns="background")).all(axis=None)


def test_fixed_factor_leaves_the_others(hundred):
    stars = scenes(100, seed=3, fixed={"shape": "star"})
    assert (stars.factors["shape"] == "star").all()
    assert (stars.factors.drop(columns="shape") == hundred.factors.drop(columns="shape")).all(axis=None)
    assert {CLASS_NAMES[label].split()[1] for label in stars.labels} == {"star"}


# What is known about a picture

def test_labels_and_concepts_tell_the_factors(hundred):
    assert len(CLASS_NAMES) == 20
    assert hundred.concepts.shape == (100, 38)
    assert all(kind.kind == "b" for kind in hundred.concepts.dtypes)
    for index, row in hundred.factors.iterrows():
        assert CLASS_NAMES[hundred.labels[index]] == f"{row['texture']} {row['shape']}"
        true = hundred.concepts.columns[hundred.concepts.iloc[index]]
        assert set(true) == {f"{factor}: {row[factor]}" for factor in FACTORS}


def test_captions_name_the_truth_and_nothing_else(many):
    told = many.take(np.arange(3000))
    for caption, row in zip(told.captions, told.factors.to_dict("records"), strict=True):
        assert f"{row['size']} {row['colour']} {row['texture']} {row['shape']}" in caption
        assert re.search(rf"at the {place(row['row'], row['column'])}( {GROUNDS[row['background']]}| and a|$| with| a )", caption)
        assert [background for background, words in GROUNDS.items() if words in caption] == [row["background"]]
        assert [thing for thing in FACTORS["distractor"] if f"a {thing}" in caption] == [row["distractor"]] * (row["distractor"] != "none")
    assert len({word for caption in many.captions for word in caption.split()}) == 47
    assert len({re.sub(r"\b(small|medium|large) \w+ \w+ \w+", "X", caption).split()[0] for caption in told.captions}) == 4


# What is drawn

def grown(mask, pixels):
    """The masks (n, h, w), each grown by a number of pixels in all directions."""
    return ndimage.binary_dilation(mask, np.ones((1, 3, 3)), iterations=pixels)


def shrunk(mask):
    return ndimage.binary_erosion(mask, np.ones((1, 3, 3)), border_value=1)


def changed(one, other):
    return (one != other).any(axis=-1)


def test_object_mask_is_where_the_colour_factor_shows(hundred):
    # Colours enter nothing but the object, so two of them tell its place, but for anti-aliased edges of a pixel.
    two = [hundred.factors.assign(colour=colour) for colour in ("blue", "yellow")]
    seen, mask = changed(*map(render, two)), hundred.masks(np.arange(100)).object
    assert seen[mask].all()
    assert not (seen & ~grown(mask, 1)).any()
    # Most is drawn just where it should be: pixels seen outside the mask are those less than half covered.
    assert mask.sum() > 0.8 * seen.sum()


def test_without_an_object_only_object_and_shadow_are_missing(hundred):
    seen = changed(render(hundred.factors), render(hundred.factors, without=["object"]))
    mask = hundred.masks(np.arange(100)).object
    assert seen[shrunk(mask)].mean() > 0.99                                  # a pixel may have the background's colour by chance
    assert not (seen & ~grown(mask, 6)).any()                                # a shadow is thrown 2 pixels and is 3 pixels soft
    assert (seen & ~grown(mask, 1)).any(axis=(1, 2)).mean() > 0.9            # and there is one


def test_distractor_mask_is_where_the_distractor_is(hundred):
    seen = changed(render(hundred.factors), render(hundred.factors, without=["distractor"]))
    mask, present = hundred.masks(np.arange(100)).distractor, (hundred.factors["distractor"] != "none").to_numpy()
    assert (mask.any(axis=(1, 2)) == present).all()
    assert (seen.any(axis=(1, 2)) == present).all()
    assert seen[shrunk(mask)].mean() > 0.99
    assert not (seen & ~grown(mask, 6)).any()


def test_distractor_never_touches_the_object(many):
    found = masks(many.factors[:2000], size=32)
    assert not (found.object & found.distractor).any()


@pytest.mark.parametrize("texture", FACTORS["texture"])
def test_tone_masks_match_the_colours_drawn(texture):
    # Red over blue is 0.42 in blue's first tone and 0.72 in its second one; light and shadow scale both channels alike.
    drawn = scenes(40, seed=9, fixed={"colour": "blue", "texture": texture})
    pixels, found = drawn.read(np.arange(40)).astype(float), drawn.masks(np.arange(40))
    light = pixels[..., 0] / pixels[..., 2] > 0.57
    assert light[shrunk(found.second_tone)].mean() > 0.99
    assert light[shrunk(found.first_tone)].mean() < 0.01
    assert (light == found.second_tone)[found.object].mean() > 0.9
    assert ((found.first_tone ^ found.second_tone) == found.object).all()
    assert not (found.first_tone & found.second_tone).any()
    assert 0.35 < found.second_tone.sum() / found.object.sum() < 0.65


def test_size_and_place_are_as_named(hundred):
    area = {size: masks(hundred.factors.assign(size=size)).object.sum(axis=(1, 2)) for size in FACTORS["size"]}
    assert (area["small"] * 1.4 < area["medium"]).all()
    assert (area["medium"] * 1.4 < area["large"]).all()
    found = hundred.masks(np.arange(100)).object
    y, x = (found.sum(axis=axis) @ ((np.arange(64) + 0.5) / 64) / found.sum(axis=(1, 2)) for axis in (2, 1))
    # Cells are 0.2 wide; the jitter is 0.025 at most, the rest is for what the border of the picture cuts off and for whole pixels.
    assert np.abs(y - (0.3 + 0.2 * hundred.factors["row"].cat.codes)).max() < 0.035
    assert np.abs(x - (0.3 + 0.2 * hundred.factors["column"].cat.codes)).max() < 0.035


def test_every_value_of_every_factor_changes_the_picture(hundred):
    for factor, values in FACTORS.items():
        pictures = np.stack([hundred.rerender(0, **{factor: value}) for value in values])
        assert len({picture.tobytes() for picture in pictures}) == len(values), factor


# Changing one factor

def test_rerender_without_changes_is_the_picture(hundred):
    assert (hundred.rerender(17) == hundred.read(np.array([17]))[0]).all()


def test_rerender_changes_only_what_was_asked(hundred):
    for index in range(20):
        base, found = hundred.rerender(index), hundred.masks([index])
        for factor, value, may_change in (
            ("colour", "white", grown(found.object, 1)[0]),
            ("texture", "ringed", grown(found.object, 1)[0]),
            ("background", "sand", ~shrunk(found.object)[0] & ~shrunk(shrunk(found.distractor))[0]),
            ("distractor", "none", grown(found.distractor, 6)[0]),
        ):
            other = hundred.rerender(index, **{factor: value})
            assert not (changed(base, other) & ~may_change).any(), factor
            assert (base != other).any() == (hundred.factors[factor][index] != value), factor


def test_distractor_stays_when_size_or_shape_change(hundred):
    before = hundred.masks(np.arange(100)).distractor
    assert (masks(hundred.factors.assign(size="large", shape="star")).distractor == before).all()
    moved = (masks(hundred.factors.assign(row="top")).distractor != before).any(axis=(1, 2))
    assert 0 < moved.mean() < 0.5           # only where the object is in the way


# Bad input

@pytest.mark.parametrize(("arguments", "message"), [
    ({"count": 0}, "count: found 0"),
    ({"count": 2.5}, "count: found 2.5"),
    ({"count": 5, "seed": -1}, "seed: found -1"),
    ({"count": 5, "size": 31}, "size: found 31; expected a whole number of pixels, at least 32"),
    ({"count": 5, "shortcut": 1.3}, r"shortcut: found 1.3; expected a number in \[0, 1\]"),
    ({"count": 5, "shortcut": float("nan")}, "shortcut: found nan"),
    ({"count": 5, "fixed": {"form": "star"}}, "factor: found 'form'; expected one of shape, texture"),
    ({"count": 5, "fixed": {"shape": "cube"}}, "shape: found 'cube'; expected one of disc, square"),
    ({"count": 5, "shortcut": 0.5, "fixed": {"background": "sky"}}, "not both"),
])
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        scenes(**arguments)


def test_bad_changes_and_tables_are_named(hundred):
    with pytest.raises(ValueError, match="colour: found 'mauve'; expected one of red"):
        hundred.rerender(0, colour="mauve")
    with pytest.raises(ValueError, match="factor: found 'color'"):
        hundred.rerender(0, color="red")
    with pytest.raises(ValueError, match="background: found 'sea'"):
        render(hundred.factors.assign(background="sea"))
    with pytest.raises(ValueError, match="no column 'grain x'"):
        render(hundred.factors.drop(columns="grain x"))
    with pytest.raises(ValueError, match=r"without: found \['shadow'\]; expected layers from object, distractor"):
        render(hundred.factors, without=["shadow"])
