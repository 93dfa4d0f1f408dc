"""Random views: drawn from the generator alone, crops and mirrors where nothing else is asked, and colours within their range."""

import pytest
import torch

from lib.augmentation import random_view


def pictures(count=8, side=16):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(5)) * 4 - 2


def view(x, seed=0, **settings):
    return random_view(x, torch.Generator().manual_seed(seed), **settings)


def test_a_generator_fixes_the_views_and_nothing_else_does():
    x = pictures()
    torch.manual_seed(3)
    first = view(x)
    torch.manual_seed(4)
    torch.testing.assert_close(view(x), first, rtol=0, atol=0)
    assert not torch.allclose(view(x, seed=1), first)
    generator = torch.Generator().manual_seed(0)
    assert not torch.allclose(random_view(x, generator), random_view(x, generator))


def test_shape_range_and_input_are_kept():
    x = pictures()
    before = x.clone()
    found = view(x, colour=1.5)
    assert found.shape == x.shape
    assert found.abs().max() <= 2
    assert torch.equal(x, before)


def test_each_picture_has_a_view_of_its_own():
    same = pictures(1).expand(8, -1, -1, -1).contiguous()
    found = view(same, colour=0, grey=0)
    assert len({tuple(one.flatten()[:20].tolist()) for one in found}) == 8


def test_without_colour_a_flat_picture_stays_as_it_is():
    x = (torch.rand(8, 3, 1, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1).expand(-1, -1, 16, 16).contiguous()
    torch.testing.assert_close(view(x, colour=0, grey=0), x, rtol=0, atol=1e-6)
    # Grey alone leaves the mean of the channels.
    torch.testing.assert_close(view(x, colour=0, grey=1), x.mean(1, keepdim=True).expand_as(x), rtol=0, atol=1e-6)


def test_crops_are_affine_keep_their_share_and_stay_inside():
    # A picture whose first two channels are its own coordinates in [-1, 1] shows where a view looks.
    side = 64
    line = (torch.arange(side) + 0.5) * 2 / side - 1
    x = torch.stack([line.expand(side, side), line[:, None].expand(side, side), torch.zeros(side, side)]).expand(400, -1, -1, -1)
    found = view(x.contiguous(), colour=0, grey=0, least_area=0.6)
    across = (found[:, 0, 32, 48] - found[:, 0, 32, 16]) / (line[48] - line[16])
    down = (found[:, 1, 48, 32] - found[:, 1, 16, 32]) / (line[48] - line[16])
    area = across.abs() * down
    assert (down > 0).all()
    assert 0.4 < (across < 0).float().mean() < 0.6  # mirrored half of the time: five standard errors are 0.125, seeds are fixed
    assert area.min() > 0.59
    assert area.min() < 0.65
    assert area.max() > 0.93
    assert max(across.abs().max(), down.max()) <= 1 + 1e-3
    for channel, share in ((0, across.abs()), (1, down)):
        centre = found[:, channel, 31:33, 31:33].mean((1, 2))
        assert (centre.abs() + share).max() <= 1 + 1e-3
        assert (centre.abs() + share).max() > 0.99
    # Rows and columns stay rows and columns.
    torch.testing.assert_close(found[:, 0, 10], found[:, 0, 50], rtol=0, atol=1e-5)


def test_no_crop_at_full_area_but_for_the_aspect_ratio():
    x = pictures(200, 8).mean(3, keepdim=True).expand(-1, -1, -1, 8).contiguous()  # constant along rows: only the height matters
    found = view(x, colour=0, grey=0, least_area=1)
    unchanged = (found - x).abs().amax((1, 2, 3)) < 1e-5
    # Where the drawn ratio asks for a view taller than the picture, the height is kept whole: half of the time.
    assert 0.35 < unchanged.float().mean() < 0.65


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_grey_has_its_probability(share, expected):
    x = pictures(1000, 2)
    found = view(x, colour=0, grey=share)
    grey = found.std(1).amax((1, 2)) < 1e-6
    assert grey.float().mean() == pytest.approx(expected, abs=4 * (0.25 / 1000) ** 0.5)


def test_colour_jitter_has_its_range():
    # A flat picture: contrast and saturation find nothing to change but its channels; its mean is multiplied by 1 - c to 1 + c, and each
    # channel is shifted by up to 0.2 c.
    x = torch.full((2000, 3, 2, 2), 0.5)
    found = view(x, colour=0.4, grey=0)[:, :, 0, 0]
    assert found.min() >= 0.5 * 0.6 - 0.08 - 1e-6
    assert found.max() <= 0.5 * 1.4 + 0.08 + 1e-6
    tint = found - found.mean(1, keepdim=True)
    assert 0.06 < tint.abs().max() <= 0.08 * 4 / 3 + 1e-6
    assert found.mean(1).std() == pytest.approx(((0.5 * 0.8) ** 2 / 12 + (0.16**2 / 12) / 3) ** 0.5, rel=0.1)
