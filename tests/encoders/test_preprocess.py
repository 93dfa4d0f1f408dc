"""From pictures to batches: closed form, torchvision as reference, and bad input."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from lib.encoders.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess

HALF = (0.5, 0.5, 0.5)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_values_are_scaled_per_channel():
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[..., 0], picture[..., 1] = 255, 51
    batch = Preprocess(2, 2, (0.5, 0.1, 0.0), (0.5, 0.2, 2.0))(picture)
    assert batch.shape == (1, 3, 2, 2)
    assert batch.dtype == torch.float32
    np.testing.assert_allclose(batch[0, :, 0, 0], [1.0, 0.5, 0.0], rtol=1e-6)


def test_pixels_keep_their_places():
    pictures = noise(3, 8, 8, 3)
    batch = Preprocess(8, 8, (0, 0, 0), (1, 1, 1))(pictures)
    np.testing.assert_allclose(batch.permute(0, 2, 3, 1) * 255, pictures, rtol=1e-6)


# Sizes whose longer side needs no rounding up (torchvision rounds it down, we round to the nearest) and whose crop has a middle.
@pytest.mark.parametrize(("height", "width"), [(90, 120), (120, 90), (64, 64), (40, 60)])
def test_resize_and_crop_against_torchvision(height, width):
    picture = noise(height, width, 3)
    reference = torchvision.transforms.Compose([
        torchvision.transforms.Resize(64), torchvision.transforms.CenterCrop(56), torchvision.transforms.ToTensor(),
        torchvision.transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ])(Image.fromarray(picture))
    torch.testing.assert_close(Preprocess(64, 56, IMAGENET_MEAN, IMAGENET_STD)([picture])[0], reference, rtol=1e-5, atol=1e-5)


def test_an_array_and_a_list_give_the_same():
    pictures, preprocess = noise(4, 40, 30, 3), Preprocess(32, 32, HALF, HALF)
    assert torch.equal(preprocess(pictures), preprocess(list(pictures)))
    small = noise(4, 32, 32, 3)
    assert torch.equal(preprocess(small), preprocess(list(small)))           # resizing to its own size changes nothing


def test_the_callers_pictures_are_untouched():
    pictures = noise(2, 32, 32, 3)
    before = pictures.copy()
    Preprocess(32, 32, HALF, HALF)(pictures).zero_()
    np.testing.assert_array_equal(pictures, before)


@pytest.mark.parametrize(("pictures", "message"), [
    (np.zeros((2, 32, 32, 3)), r"found float64 of shape \(32, 32, 3\); expected uint8"),
    (np.zeros((2, 32, 32), np.uint8), r"found uint8 of shape \(32, 32\)"),
    (np.zeros((2, 3, 32, 32), np.uint8), r"found uint8 of shape \(3, 32, 32\)"),
    ([np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32, 4), np.uint8)], r"found uint8 of shape \(32, 32, 4\)"),
    ([], "found none"),
    (np.zeros((0, 32, 32, 3), np.uint8), "found none"),
])
def test_bad_pictures_are_named(pictures, message):
    with pytest.raises(ValueError, match=message):
        Preprocess(32, 32, HALF, HALF)(pictures)
