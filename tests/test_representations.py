"""Representations by name."""

import numpy as np
import pytest

from lib import activations, datasets, encoders, representations


@pytest.fixture(scope="module")
def pictures():
    return datasets.load("scenes", count=60)


def test_pixels_are_averages_of_blocks(pictures):
    found = representations.features("pixels", pictures)
    assert found.shape == (60, 16 * 16 * 3)
    expected = pictures.read(np.arange(60)).reshape(60, 16, 4, 16, 4, 3).mean((2, 4)).reshape(60, -1) / 255
    np.testing.assert_allclose(found, expected, atol=1 / 255 + 1e-6)  # rows and columns are averaged in turn, to whole levels


def test_noise_has_nothing_to_do_with_the_pictures(pictures):
    found = representations.features("noise", pictures)
    np.testing.assert_array_equal(found[:20], representations.features("noise", pictures.take(np.arange(40, 60))))
    assert found.std() == pytest.approx(1, abs=0.05)


def test_an_encoder_gives_its_embedding_and_a_layer_its_means(pictures):
    name = "local:random,width=8"
    encoder = encoders.load(name)
    np.testing.assert_allclose(representations.features(name, pictures), activations.embeddings(encoder, pictures), atol=1e-6)
    layer = "trunk.stage2.0.conv1"
    expected = activations.activations(encoder, pictures, [layer])[layer]
    np.testing.assert_allclose(representations.features(f"{name}@{layer}", pictures), expected, atol=1e-6)
    assert representations.features("descriptor:hog_colour", pictures).shape[0] == 60


@pytest.mark.parametrize(("name", "message"), [
    ("pixel", "expected scheme:base"), ("local:randon", "randon"), ("local:random,width=8@trunk.stage9", "nearest: trunk.stage"),
])  # fmt: skip
def test_unknown_names_are_refused(name, message, pictures):
    with pytest.raises(ValueError, match=message):
        representations.features(name, pictures)
