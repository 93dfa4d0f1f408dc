"""Noise on weights: how much, on which tensors, and what names it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lib.encoders.encoder import Encoder
from lib.encoders.weight_noise import add_weight_noise
from lib.encoders.weights import weights_sha256

MAPS = ("0.weight", "2.weight", "4.weight")  # two convolutions of one shape and a linear map


def encoder():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(32, 32, 3), nn.BatchNorm2d(32), nn.Conv2d(32, 32, 3), nn.Flatten(), nn.Linear(32, 200),
    ).eval()  # fmt: skip
    with torch.no_grad():
        module[2].weight.mul_(100).add_(3)
        module[1].running_mean.normal_()
        module[1].running_var.uniform_(0.01, 2)
        module[1].weight.normal_()
    module.register_buffer("table", torch.arange(6.0).reshape(2, 3))  # not learned, though it has two axes
    identity = {"architecture": "toy", "weights": weights_sha256(module)}
    return Encoder("toy:net", module, preprocess=len, embed=module, classify=None, identity=identity, circular_labels="cifar10")


def state(one):
    return {key: value.clone() for key, value in one.module.state_dict().items()}


def change(level, seed=0):
    """What the noise added to each tensor, and the tensors before."""
    one = encoder()
    before = state(one)
    after = state(add_weight_noise(one, level, seed=seed))
    return {key: (after[key] - before[key]).double().numpy() for key in before}, before


def test_no_noise_changes_no_weight():
    one = encoder()
    before, identity = state(one), one.identity
    found = add_weight_noise(one, 0)
    assert all(torch.equal(value, before[key]) for key, value in state(found).items())
    assert found.identity == identity


@pytest.mark.parametrize("level", [0.01, 0.5, 2.0])
@pytest.mark.parametrize("key", MAPS)
def test_the_noise_is_normal_with_the_level_times_the_spread_of_the_weights(key, level):
    noise, before = change(level)
    weights, noise = before[key].double().numpy().ravel(), noise[key].ravel()
    spread, count = level * weights.std(), noise.size
    tolerance = 4 / np.sqrt(count)  # four standard errors
    assert noise.std() == pytest.approx(spread, rel=tolerance / np.sqrt(2))
    assert noise.mean() == pytest.approx(0, abs=tolerance * spread)
    assert np.mean(np.abs(noise) < spread) == pytest.approx(0.6827, abs=0.47 * tolerance)
    assert abs(np.corrcoef(noise, weights)[0, 1]) < tolerance


def test_every_tensor_has_noise_of_its_own():
    noise, _ = change(0.5)
    assert abs(np.corrcoef(noise[MAPS[0]].ravel(), noise[MAPS[1]].ravel())[0, 1]) < 4 / np.sqrt(noise[MAPS[0]].size)


def test_batch_norms_and_biases_stay_as_they_are():
    noise, _ = change(2.0)
    assert {key for key, value in noise.items() if value.any()} == set(MAPS)
    assert {"0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "4.bias"} < set(noise)


def test_level_and_seed_determine_the_weights_and_are_in_the_identity():
    found = {(level, seed): add_weight_noise(encoder(), level, seed=seed) for level in (0.5, 1.0) for seed in (0, 1)}
    again = add_weight_noise(encoder(), 0.5, seed=1)
    assert all(torch.equal(value, again.module.state_dict()[key]) for key, value in state(found[0.5, 1]).items())
    assert again.identity == found[0.5, 1].identity
    assert len({one.identity["weights"] for one in found.values()} | {encoder().identity["weights"]}) == 5
    assert all(one.identity == {"architecture": "toy", "weights": weights_sha256(one.module)} for one in found.values())
    half = found[0.5, 0]
    assert add_weight_noise(encoder(), 0.5).identity == half.identity  # the default seed
    # twice the level is twice the same noise
    start, end = state(encoder()), state(found[1.0, 0])
    for key in MAPS:
        torch.testing.assert_close(end[key] - start[key], 2 * (state(half)[key] - start[key]), rtol=1e-3, atol=1e-4)


def test_everything_else_of_the_encoder_stays_and_the_module_is_the_same_one():
    one = encoder()
    found = add_weight_noise(one, 0.25)
    assert found == replace(one, name="toy:net+noise=0.25", identity=found.identity)
    assert found.module is one.module
    assert all(parameter.requires_grad for parameter in found.module.parameters())


@pytest.mark.parametrize("level", [-0.1, float("nan"), float("inf")])
def test_bad_levels_are_named_and_change_nothing(level):
    one = encoder()
    with pytest.raises(ValueError, match=rf"^level: found {level}; expected a number from 0$"):
        add_weight_noise(one, level)
    assert weights_sha256(one.module) == one.identity["weights"]
