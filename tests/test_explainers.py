"""Explainers on networks whose maps are known, against libraries, and on bad input."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from lib.explainers import explain, grad_cam, group_cam, random_masks, rise

SIDE = 12


class Places(nn.Module):
    """Maps are ReLUs of a convolution; logits are weighted means of maps, as after global average pooling."""

    def __init__(self, channels=6, classes=3, stride=2):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.maps = nn.Sequential(nn.Conv2d(1, channels, 3, stride, 1), nn.BatchNorm2d(channels), nn.ReLU())
            self.linear = nn.Linear(channels, classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.linear(self.maps(x).mean((2, 3))))


@pytest.fixture
def network():
    return Places().eval()


@pytest.fixture
def batch():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((5, 1, SIDE, SIDE)).astype(np.float32))


TARGETS = torch.tensor([0, 1, 2, 1, 1])


def test_grad_cam_after_mean_pooling_is_the_class_map(network, batch):
    maps = network.maps(batch).detach()
    weighted = (maps * network.linear.weight[TARGETS].detach()[:, :, None, None]).sum(1, keepdim=True).clamp_min(0)
    expected = interpolate(weighted / maps[0, 0].numel(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    np.testing.assert_allclose(explain("Grad-CAM", network, "maps", batch, TARGETS), expected, atol=1e-6)


def test_a_linear_network_of_one_channel_has_that_channel_as_its_map():
    network = Places(channels=1, classes=2, stride=1).eval()
    nn.init.ones_(network.linear.weight)
    batch = torch.rand(2, 1, SIDE, SIDE)
    found = grad_cam(network, "maps", batch, torch.tensor([0, 1]))
    np.testing.assert_allclose(found.detach() * SIDE * SIDE, network.maps(batch)[:, 0].detach(), atol=1e-5)


def test_rise_is_the_mean_probability_over_masks_that_show_a_place(network, batch):
    drawn = random_masks(40, (SIDE, SIDE), cells=3)
    found = rise(network, "", batch, TARGETS, masks=40, cells=3, batch_size=7)
    for one in range(len(batch)):
        total, weight = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
        for mask in drawn:
            with torch.no_grad():
                probable = network(batch[one][None] * mask).softmax(1)[0, TARGETS[one]]
            total, weight = total + float(probable) * mask.numpy(), weight + mask.numpy()
        np.testing.assert_allclose(found[one], total / weight, atol=1e-5)


def test_rise_of_a_network_that_never_changes_its_mind_is_constant(network, batch):
    nn.init.zeros_(network.linear.weight)
    found = rise(network, "", batch, TARGETS, masks=300, cells=3)
    np.testing.assert_allclose(found.amax((1, 2)) - found.amin((1, 2)), 0, atol=1e-5)


def test_rise_finds_the_place_that_counts():
    class Corner(nn.Module):
        def forward(self, x):
            bright = x[:, 0, :3, :3].mean((1, 2))
            return torch.stack([torch.zeros_like(bright), 6 * bright - 3], 1)

    found = rise(Corner().eval(), "", torch.ones(1, 1, SIDE, SIDE), torch.tensor([1]), masks=1000, cells=4)[0]
    assert found[:3, :3].mean() > found[4:, 4:].mean() + 0.2


def test_random_masks_have_their_share_and_are_smooth():
    drawn = random_masks(2000, (15, 10), cells=5, shown=0.3)
    assert tuple(drawn.shape) == (2000, 15, 10)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    # A pixel's mean over masks: at most as spread as a coin of 0.3.
    np.testing.assert_allclose(drawn.mean(0), 0.3, atol=5 * np.sqrt(0.21 / 2000))
    assert torch.equal(drawn, random_masks(2000, (15, 10), cells=5, shown=0.3))
    assert not torch.equal(drawn, random_masks(2000, (15, 10), cells=5, shown=0.3, seed=1))


def test_group_cam_is_its_formula_one_group_at_a_time(network, batch):
    from lib.saliency_metrics import blurred

    found = explain("Group-CAM", network, "maps", batch, TARGETS, groups=3)
    soft = blurred(batch)
    for one in range(len(batch)):
        x, blur, target = batch[one][None], soft[one][None], int(TARGETS[one])
        maps = network.maps(x).detach()
        weights = network.linear.weight[target].detach() / maps[0, 0].numel()
        total = torch.zeros(SIDE, SIDE)
        for group in ((0, 1), (2, 3), (4, 5)):
            part = sum(weights[c] * maps[0, c] for c in group).clamp_min(0)
            part = torch.where(part >= part.flatten().quantile(0.7), part, 0)
            mask = interpolate(part[None, None], size=(SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0]
            mask = (mask - mask.min()) / (mask.max() - mask.min()).clamp_min(1e-12)
            with torch.no_grad():
                gained = network(mask * x + (1 - mask) * blur).softmax(1)[0, target] - network(blur).softmax(1)[0, target]
            total += gained * mask
        np.testing.assert_allclose(found[one], total.clamp_min(0), atol=1e-5)


def test_more_groups_than_channels_are_one_each(network, batch):
    first, second = (group_cam(network, "maps", batch, TARGETS, groups=groups) for groups in (6, 100))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["Grad-CAM", "Group-CAM", "RISE"])
def test_maps_belong_to_their_picture_and_leave_the_network_as_it_was(network, batch, name):
    settings = {"masks": 20} if name == "RISE" else {}
    network.train()
    network.linear.eval()
    whole = explain(name, network, "maps", batch, TARGETS, **settings)
    assert (network.training, network.linear.training) == (True, False)
    assert not network.maps._forward_hooks
    assert all(one.grad is None for one in network.parameters())
    assert tuple(whole.shape) == (5, SIDE, SIDE)
    assert whole.min() >= 0
    for one in range(5):
        alone = explain(name, network, "maps", batch[one : one + 1], TARGETS[one : one + 1], **settings)
        np.testing.assert_allclose(alone[0], whole[one], atol=1e-5)


@pytest.mark.parametrize("name", ["Grad-CAM++", "Score-CAM"])
def test_methods_of_the_optional_package_run_or_say_what_is_missing(network, batch, name):
    try:
        import pytorch_grad_cam  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"needs the package grad-cam"):
            explain(name, network, "maps", batch, TARGETS)
        pytest.skip("grad-cam is not installed: its maps are not compared")
    expected = (_plus_plus if name == "Grad-CAM++" else _by_scores)(network, batch)
    network.requires_grad_(False)
    found = explain(name, network, "maps", batch, TARGETS)
    assert not network.maps._forward_hooks
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)  # the library scales by a range that it enlarges by 1e-7, and its scores by 1e-9


def _scaled(maps):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-12)


def _plus_plus(network, batch):
    """Closed form where logits are linear in the maps: the gradient g of a channel is the same at every place."""
    maps = network.maps(batch).detach()
    places = maps[0, 0].numel()
    gradient = network.linear.weight[TARGETS].detach()[:, :, None, None] / places
    alpha = torch.where(gradient != 0, gradient**2 / (2 * gradient**2 + maps.sum((2, 3), keepdim=True) * gradient**3 + 1e-6), 0)
    weights = alpha * gradient.clamp_min(0) * places
    combined = (weights * maps).sum(1).clamp_min(0)
    return _scaled(interpolate(_scaled(combined)[:, None], size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0])


def _by_scores(network, batch):
    """Channel by channel: the logit of the masked picture, softmax over channels."""
    maps = network.maps(batch).detach()
    masks = interpolate(maps, size=(SIDE, SIDE), mode="bilinear", align_corners=True)  # as the library has it
    scores = torch.zeros(maps.shape[:2])
    with torch.no_grad():
        for channel in range(maps.shape[1]):
            scaled = _scaled(masks[:, channel])
            scores[:, channel] = network(batch * scaled[:, None]).gather(1, TARGETS[:, None])[:, 0]
    combined = (scores.softmax(1)[:, :, None, None] * maps).sum(1).clamp_min(0)
    return _scaled(interpolate(_scaled(combined)[:, None], size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0])


@pytest.mark.parametrize(("changed", "message"), [
    ({"name": "LIME"}, "name: found 'LIME'"),
    ({"targets": TARGETS[:2]}, "batch, targets: found 5 pictures and 2 classes"),
    ({"layer": "nowhere"}, "found the layer 'nowhere'"),
    ({"targets": TARGETS + 1}, "targets: found 1 to 3; expected 0 to 2"),
    ({"layer": "linear"}, "expected feature maps"),
])  # fmt: skip
def test_bad_input_is_named(network, batch, changed, message):
    arguments = {"name": "Grad-CAM", "layer": "maps", "targets": TARGETS} | changed
    with pytest.raises(ValueError, match=message):
        explain(arguments["name"], network, arguments["layer"], batch, arguments["targets"])


def test_parts_of_a_batch_change_nothing_and_gradients_stay_the_callers(network, batch):
    network.linear.weight.grad = torch.full_like(network.linear.weight, 7.0)
    whole = explain("Grad-CAM", network, "maps", batch, TARGETS)
    parts = explain("Grad-CAM", network, "maps", batch, TARGETS, at_once=2)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert (network.linear.weight.grad == 7).all()
    assert network.linear.bias.grad is None


def test_a_network_without_gradients_is_explained_alike(network, batch):
    whole = {name: explain(name, network, "maps", batch, TARGETS) for name in ("Grad-CAM", "Group-CAM")}
    network.requires_grad_(False)
    for name, maps in whole.items():
        np.testing.assert_allclose(explain(name, network, "maps", batch, TARGETS), maps, atol=1e-6)


@pytest.mark.parametrize("settings", [{"groups": 0}, {"threshold": 1.5}, {"batch_size": 0}])
def test_bad_groups_are_named(network, batch, settings):
    with pytest.raises(ValueError, match="groups, threshold, batch_size: found"):
        group_cam(network, "maps", batch, TARGETS, **settings)


@pytest.mark.parametrize("settings", [{"masks": 0}, {"cells": 0}, {"shown": 1.0}])
def test_bad_masks_are_named(network, batch, settings):
    with pytest.raises(ValueError, match="masks, cells, shown, batch_size: found"):
        rise(network, "", batch, TARGETS, **settings)
