"""Batches: what is cut out of photographs, and pictures of one size as they are."""

import numpy as np
import pytest
import torch
from PIL import Image

from lib.datasets.pictures import Pictures, in_memory
from lib.encoders.networks import normalised
from lib.lico.loading import AREA, CUT, RATIO, _middle, _part, loader

SIZES = ((40, 60), (90, 50), (64, 64))


@pytest.fixture
def photographs():
    """Of three sizes; red is the place from left to right, green from top to bottom."""
    pixels = []
    for height, width in SIZES:
        across, down = np.broadcast_to(np.arange(width), (height, width)), np.broadcast_to(np.arange(height)[:, None], (height, width))
        pixels.append(np.stack([across * 255 // (width - 1), down * 255 // (height - 1), np.zeros_like(down)], 2).astype(np.uint8))
    return Pictures("photographs", lambda rows: [pixels[row] for row in rows], 3, np.array([0, 1, 0]), ("a", "b"), None, {}), pixels


def test_the_middle_is_taken_where_nothing_is_augmented(photographs):
    pictures, pixels = photographs
    found = loader(pictures, CUT, side=32)([0, 1], None)
    assert found.shape == (2, 3, 32, 32)
    half = 40 / (256 / 224) / 2
    expected = Image.fromarray(pixels[0]).resize((32, 32), Image.Resampling.BILINEAR, (30 - half, 20 - half, 30 + half, 20 + half))
    assert torch.equal(found[0], normalised(np.array(expected)[None])[0])


def test_parts_lie_inside_and_have_the_areas_and_shapes_asked_for():
    drawing = torch.Generator().manual_seed(0)
    for height, width in SIZES:
        boxes = np.array([_part((height, width), drawing) for _ in range(300)])
        left, upper, right, lower = boxes.T
        assert (boxes >= 0).all()
        assert (right <= width).all()
        assert (lower <= height).all()
        parts = (right - left) * (lower - upper) / (height * width)
        assert AREA[0] - 1e-9 <= parts.min() < 0.2 < 0.7 < parts.max() <= AREA[1] + 1e-9
        assert (np.abs(np.log((right - left) / (lower - upper))) <= np.log(RATIO[1]) + 1e-9).all()


def test_of_what_no_part_fits_the_middle_is_taken():
    assert _part((5, 1000), torch.Generator().manual_seed(0)) == _middle((5, 1000))


def test_photographs_are_cut_out_anew_and_the_same_with_one_generator(photographs):
    pictures, _ = photographs
    load = loader(pictures, CUT, side=16)
    first, again, other = (load([0, 1, 2], torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    red = torch.cat([load([0], torch.Generator().manual_seed(seed))[:, 0] for seed in range(40)])
    rising = red.diff(dim=2).mean((1, 2)) > 0
    assert 8 < int(rising.sum()) < 32  # about half are mirrored


def test_pictures_of_one_size_stay_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    pictures = in_memory("some", pixels, np.zeros(3), ("a",), {})
    assert torch.equal(loader(pictures, side=32)([2, 0], None), normalised(pixels[[2, 0]]))


@pytest.mark.parametrize(("augmentation", "side", "message"), [
    ("croped", 32, "augmentation: found 'croped'; expected one of flipped, cropped,"),
    (CUT, 0, "side: found 0 with pictures that are cut out, resized and flipped; expected the pixels a side"),
])  # fmt: skip
def test_what_cannot_be_done_with_pictures_is_named(photographs, augmentation, side, message):
    with pytest.raises(ValueError, match=message):
        loader(photographs[0], augmentation, side=side)
