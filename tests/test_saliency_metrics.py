"""Saliency measures on networks and maps whose scores are known."""

import numpy as np
import pytest
import torch

from lib.saliency_metrics import (
    PerturbationCurves,
    blurred,
    cropped,
    deletion,
    energy_in_mask,
    equivariance,
    exchanged,
    insertion,
    pointing_game,
    random_maps,
    share_of_objects,
)

N, SIDE = 4, 16
MASKS = np.zeros((N, SIDE, SIDE), bool)
MASKS[:, 4:9, 6:12] = True
PICTURES = torch.zeros(N, 3, SIDE, SIDE)
PICTURES[torch.from_numpy(MASKS)[:, None].expand(-1, 3, -1, -1)] = 1.0
TARGETS = np.array([1, 1, 0, 1])


def sees_the_mask(batch):
    """Two classes; the second is the likelier the brighter the masked region is."""
    inside = torch.from_numpy(MASKS[0]).to(batch)
    bright = (batch.mean(1) * inside).sum((1, 2)) / inside.sum()
    second = torch.sigmoid(8 * (bright - 0.5))
    return torch.stack([1 - second, second], 1)


def always(value):
    return lambda batch: torch.full((len(batch), 2), value, dtype=torch.float64)


@pytest.mark.parametrize("step", [0.036, 0.3, 1.0, 1 / 256, 1e-9])
def test_a_constant_curve_has_exactly_its_height(step):
    for measure in (insertion, deletion):
        curves = measure(always(1.0), PICTURES, MASKS.astype(float), TARGETS, step=step)
        assert curves.areas.tolist() == [1.0] * N
        assert measure(always(0.25), PICTURES, MASKS.astype(float), TARGETS, step=step).areas.tolist() == [0.25] * N
        assert (curves.pixels[0], curves.pixels[-1]) == (0, SIDE * SIDE)
        assert (np.diff(curves.pixels) > 0).all()


def test_a_straight_line_has_half():
    def shown(batch):  # share of pixels that are 1
        share = batch[:, 0].double().mean((1, 2))
        return torch.stack([share, share], 1)

    whole = torch.ones_like(PICTURES)
    for step in (0.036, 0.3):
        curves = insertion(shown, whole, random_maps(N, (SIDE, SIDE)), TARGETS, step=step, start=torch.zeros_like(whole))
        np.testing.assert_allclose(curves.areas, 0.5, atol=1e-6)  # means of single precision pixels
        np.testing.assert_allclose(curves.probability, np.broadcast_to(curves.fractions, curves.probability.shape), atol=1e-6)
        np.testing.assert_allclose(deletion(shown, whole, random_maps(N, (SIDE, SIDE)), TARGETS, step=step).areas, 0.5, atol=1e-6)


def test_curves_are_those_of_the_definition_one_picture_and_step_at_a_time():
    maps = random_maps(N, (SIDE, SIDE))
    curves = insertion(sees_the_mask, PICTURES, maps, TARGETS, step=0.1, batch_size=7)
    soft = blurred(PICTURES)
    for one in range(N):
        order = np.argsort(-maps[one].ravel())
        for number, count in enumerate(range(0, SIDE * SIDE, 26)):
            picture = soft[one].flatten(1).clone()
            picture[:, order[:count]] = PICTURES[one].flatten(1)[:, order[:count]]
            expected = sees_the_mask(picture.reshape(1, 3, SIDE, SIDE))[0, TARGETS[one]]
            assert curves.probability[one, number] == pytest.approx(float(expected), abs=1e-6)
        assert curves.probability[one, -1] == pytest.approx(float(sees_the_mask(PICTURES[one][None])[0, TARGETS[one]]), abs=1e-6)


def test_the_true_mask_comes_before_a_random_map_and_that_before_the_mask_turned_round():
    seen = TARGETS == 1
    maps = [MASKS.astype(float), random_maps(N, (SIDE, SIDE)), -MASKS.astype(float)]
    risen = [insertion(sees_the_mask, PICTURES, one, TARGETS, start=torch.zeros_like(PICTURES)).areas[seen].mean() for one in maps]
    fallen = [deletion(sees_the_mask, PICTURES, one, TARGETS).areas[seen].mean() for one in maps]
    assert risen[0] > risen[1] + 0.1 > risen[2] + 0.2
    assert fallen[0] < fallen[1] - 0.1 < fallen[2] - 0.2


def test_only_the_order_of_a_map_counts():
    maps = random_maps(N, (SIDE, SIDE))
    one, other = (insertion(sees_the_mask, PICTURES, some, TARGETS).probability for some in (maps, np.exp(5 * maps) - 3))
    np.testing.assert_array_equal(one, other)


def test_batches_change_nothing():
    maps = random_maps(N, (SIDE, SIDE))
    one, other = (deletion(sees_the_mask, PICTURES, maps, TARGETS, batch_size=size).probability for size in (1, 1000))
    np.testing.assert_allclose(one, other, atol=1e-7)


def test_constant_maps_go_in_random_order_not_line_by_line():
    flat = np.zeros((N, SIDE, SIDE))
    half = torch.zeros(N, 1, SIDE, SIDE)

    def upper(batch):  # how much of the upper half, and of the lower, is exchanged
        return torch.stack([batch[:, 0, : SIDE // 2].mean((1, 2)), batch[:, 0, SIDE // 2 :].mean((1, 2))], 1)

    curves = exchanged(upper, half, torch.ones_like(half), flat, np.zeros(N, int), step=0.5)
    np.testing.assert_allclose(curves.probability[:, 1], 0.5, atol=0.15)
    assert len(set(curves.probability[:, 1])) > 1
    again = exchanged(upper, half, torch.ones_like(half), flat, np.zeros(N, int), step=0.5)
    np.testing.assert_array_equal(curves.probability, again.probability)
    other = exchanged(upper, half, torch.ones_like(half), flat, np.zeros(N, int), step=0.5, seed=1)
    assert (curves.probability != other.probability).any()


def test_the_area_of_uneven_steps_is_the_trapezoids():
    curves = PerturbationCurves(np.array([0, 3, 10]), np.array([[0.0, 1.0, 0.5]]))
    assert curves.areas[0] == pytest.approx(np.trapezoid([0, 1, 0.5], [0, 0.3, 1.0]))


def test_pointing_game_and_energy_of_known_maps():
    inside, outside = MASKS.astype(float), (~MASKS).astype(float)
    both = inside.copy()
    both[:, 0, 0] = 1.0  # one of 31 equal maxima is outside
    assert pointing_game(inside, MASKS).tolist() == [1] * N
    assert pointing_game(outside, MASKS).tolist() == [0] * N
    np.testing.assert_allclose(pointing_game(both, MASKS), 30 / 31)
    np.testing.assert_allclose(energy_in_mask(both, MASKS), 30 / 31)
    np.testing.assert_allclose(energy_in_mask(np.ones_like(inside), MASKS), 30 / 256)
    assert np.isnan(energy_in_mask(np.zeros_like(inside), MASKS)).all()


def test_equivariance_is_a_cosine():
    maps = random_maps(N, (SIDE, SIDE))
    np.testing.assert_allclose(equivariance(maps, 3 * maps), 1)
    np.testing.assert_allclose(equivariance(MASKS.astype(float), (~MASKS).astype(float)), 0)
    assert np.isnan(equivariance(maps, np.zeros_like(maps))).all()


def test_windows_lie_in_their_pictures_and_are_as_wide_as_asked():
    """Of a picture whose values are its coordinates a window has coordinates too: three quarters as far apart."""
    down, across = torch.meshgrid(torch.arange(SIDE, dtype=torch.float64), torch.arange(SIDE, dtype=torch.float64), indexing="ij")
    ramps = torch.stack([down, across])[None].repeat(6, 1, 1, 1)
    cut = cropped(ramps, share=0.75, seed=3)
    inner = cut[:, :, 1:-1, 1:-1]  # at the edges of a picture there is nothing to interpolate to
    torch.testing.assert_close(inner[:, 0].diff(dim=1), torch.full_like(inner[:, 0].diff(dim=1), 0.75))
    torch.testing.assert_close(inner[:, 1].diff(dim=2), torch.full_like(inner[:, 1].diff(dim=2), 0.75))
    corners = 0.75 * torch.tensor([0.5, SIDE - 0.5]) - 0.5  # of a window at the very top, the first and the last place
    assert (inner[:, 0].amin((1, 2)) >= corners[0] + 0.75 - 1e-6).all()
    assert (inner[:, 0].amax((1, 2)) <= corners[1] + SIDE / 4 - 0.75 + 1e-6).all()
    assert len({tuple(corner) for corner in cut[:, :, 1, 1].tolist()}) == 6
    torch.testing.assert_close(cropped(ramps[:2], share=0.75, seed=3), cut[:2])
    torch.testing.assert_close(cropped(ramps, share=1), ramps)
    assert not torch.equal(cropped(ramps, share=0.75, seed=4), cut)
    with pytest.raises(ValueError, match="share: found"):
        cropped(ramps, share=1.5)


def test_a_floor_does_not_make_maps_alike():
    first, second = MASKS.astype(float), (~MASKS).astype(float)
    assert equivariance(100 + first, 100 + second).min() > 0.99
    np.testing.assert_allclose(equivariance(100 + first, 100 + second, centred=True), -1)
    np.testing.assert_allclose(equivariance(first, 5 + 3 * first, centred=True), 1)
    assert np.isnan(equivariance(first, np.full_like(first, 0.1), centred=True)).all()


def test_objects_that_get_their_share_are_fairly_seen():
    masks = np.zeros((1, 2, SIDE, SIDE), bool)
    masks[0, 0, :4, :4], masks[0, 1, 8:, 8:] = True, True  # 16 and 64 pixels
    assert share_of_objects(np.ones((1, SIDE, SIDE)), masks)[0] == pytest.approx(0)
    unfair = np.zeros((1, SIDE, SIDE))
    unfair[0, :4, :4], unfair[0, 8:, 8:] = 4.0, 1.0  # half and half
    assert share_of_objects(unfair, masks)[0] == pytest.approx(0.5 * np.log(0.5 / 0.2) + 0.5 * np.log(0.5 / 0.8))
    assert share_of_objects(unfair, masks, target="map")[0] == pytest.approx(0.2 * np.log(0.2 / 0.5) + 0.8 * np.log(0.8 / 0.5))
    one_only = np.zeros((1, SIDE, SIDE))
    one_only[0, 0, 0] = 1
    assert share_of_objects(one_only, masks)[0] == pytest.approx(np.log(1 / 0.2))
    assert share_of_objects(one_only, masks, target="map")[0] == np.inf
    assert np.isnan(share_of_objects(np.zeros((1, SIDE, SIDE)), masks)[0])


def test_random_maps_are_uniform_and_each_pictures_own():
    maps = random_maps(50, (SIDE, SIDE))
    assert 0 <= maps.min() <= maps.max() < 1
    assert maps.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * maps.size))
    np.testing.assert_array_equal(maps[:3], random_maps(3, (SIDE, SIDE)))
    assert (maps[0] != maps[1]).all()


@pytest.mark.parametrize(("changed", "message"), [
    ({"maps": np.zeros((N, SIDE))}, "maps: found shape"),
    ({"maps": np.full((N, SIDE, SIDE), np.nan)}, "not finite"),
    ({"maps": np.zeros((N, SIDE, SIDE + 1))}, "before, after, maps: found shapes"),
    ({"targets": np.zeros(N + 1, int)}, "targets: found int64 of shape"),
    ({"targets": np.zeros(N)}, "targets: found float64"),
    ({"targets": np.full(N, 2)}, "targets: found 2 to 2; expected 0 to 1"),
    ({"targets": np.full(N, -1)}, "targets: found -1 to -1"),
    ({"step": 0}, "step: found 0"),
    ({"step": 1.5}, "step: found 1.5"),
])  # fmt: skip
def test_bad_input_is_named(changed, message):
    arguments = {"maps": np.zeros((N, SIDE, SIDE)), "targets": TARGETS, "step": 0.1} | changed
    with pytest.raises(ValueError, match=message):
        insertion(sees_the_mask, PICTURES, arguments["maps"], arguments["targets"], step=arguments["step"])


@pytest.mark.parametrize(("measure", "maps", "masks", "message"), [
    (pointing_game, np.zeros((N, SIDE, SIDE)), np.zeros((N, SIDE, SIDE), bool), "masks: found 4 without a pixel"),
    (pointing_game, np.zeros((N, SIDE, SIDE)), np.ones((N, SIDE, SIDE)), "masks: found float64"),
    (energy_in_mask, -np.ones((N, SIDE, SIDE)), MASKS, "negative value"),
    (share_of_objects, np.ones((N, SIDE, SIDE)), MASKS, "masks: found bool of shape"),
    (share_of_objects, np.ones((N, SIDE, SIDE)), np.zeros((N, 2, SIDE, SIDE), bool), "8 objects without a pixel"),
    (equivariance, np.ones((N, SIDE, SIDE)), np.ones((N, SIDE, 2)), "expected the same"),
])  # fmt: skip
def test_bad_masks_are_named(measure, maps, masks, message):
    with pytest.raises(ValueError, match=message):
        measure(maps, masks)
