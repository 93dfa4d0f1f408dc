"""Pieces of pictures: tiles and superpixels."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from lib import datasets, encoders, store
from lib.concept_libraries.elements import GREY, balanced, elements_of, embedded, patches, segments
from lib.datasets.pictures import in_memory


@pytest.fixture(scope="module")
def pictures():
    return datasets.load("scenes", count=60).in_memory()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of its own for every test."""
    monkeypatch.setattr(store, "fetch", partial(store.fetch, folder=tmp_path))


def flat(pixels):
    return in_memory("flat", np.asarray(pixels, np.uint8), np.arange(len(pixels)), tuple("ab"), {})


def test_patches_are_the_tiles_of_a_grid_enlarged():
    pixels = np.zeros((1, 9, 8, 3), np.uint8)
    for row in range(4):
        for column in range(4):
            pixels[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 16 * row + column
    found = patches(flat(pixels), [0])
    assert found.crops.shape == (16, 9, 8, 3)
    for number in range(16):
        assert (found.crops[number] == 16 * (number // 4) + number % 4).all()
    assert (found.pictures == 0).all()


def test_segments_are_cut_out_on_grey():
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    pixels[0, :, 32:] = 255
    found = segments(flat(pixels), [0])
    assert 5 <= len(found) <= 15
    for crop in found.crops:
        rest = crop[(np.abs(crop.astype(int) - GREY) > 60).all(2)]
        # one side of the picture and grey: no segment crosses the edge
        assert not ((rest < 40).any() and (rest > 215).any()) or (rest < 40).mean() < 0.1 or (rest > 215).mean() < 0.1


def test_elements_know_their_picture_and_its_class(pictures):
    chosen = np.array([5, 17, 30])
    for found in (patches(pictures, chosen), segments(pictures, chosen)):
        assert set(found.pictures) == {5, 17, 30}
        np.testing.assert_array_equal(found.classes, pictures.labels[found.pictures])
        assert found.crops.shape[1:] == (64, 64, 3)
        assert found.crops.dtype == np.uint8
    encoder = encoders.load("local:random,width=8")
    vectors = embedded(encoder, patches(pictures, chosen), batch_size=7)
    assert vectors.shape == (48, vectors.shape[1])
    blind = replace(encoder, embed=lambda batch: pytest.fail("embedded again"))
    np.testing.assert_array_equal(vectors, embedded(blind, patches(pictures, chosen)))
    two = patches(pictures, chosen[:1])
    np.testing.assert_allclose(embedded(encoder, two), vectors[:16], atol=1e-5)


def test_elements_of_pictures_are_drawn_evenly(pictures):
    few = pictures.take(np.flatnonzero(pictures.labels < 3))
    least = np.bincount(few.labels).min()
    found = elements_of(few, "patches", per_class=least)
    assert np.bincount(found.classes).tolist() == [16 * least] * 3
    assert (found.cut, found.source) == ("patches", few.identity)


def test_pictures_are_drawn_evenly_over_classes():
    labels = np.random.default_rng(0).integers(0, 5, 200)
    chosen = balanced(labels, 7)
    assert np.bincount(labels[chosen]).tolist() == [7] * 5
    assert (np.diff(chosen) > 0).all()
    assert set(balanced(labels, 7, seed=1)) != set(chosen)
    with pytest.raises(ValueError, match=r"per_class: found 100 for the \d+ pictures of class 0"):
        balanced(labels, 100)


def test_pictures_that_are_too_small_or_without_labels_are_refused(pictures):
    with pytest.raises(ValueError, match="cut: found 'tiles'; expected one of patches, segments"):
        elements_of(pictures, "tiles")
    with pytest.raises(ValueError, match="pictures: found scenes without labels"):
        elements_of(replace(pictures, labels=None), "patches")
    with pytest.raises(ValueError, match="pictures: found one of 3 x 9 pixels; expected at least 4 x 4"):
        patches(flat(np.zeros((1, 3, 9, 3))), [0])
