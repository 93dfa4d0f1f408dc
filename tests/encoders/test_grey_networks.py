"""The two networks of the attribution paper's code."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lib import datasets
from lib.attribution.sites import depends_on_batch
from lib.encoders import grey_networks
from lib.encoders.grey_networks import ConstrainedEncoder, GreyAutoEncoder, autoencoder, built, grey, grey_pictures


def test_digits_are_enlarged_from_their_own_pixels():
    digits, shown = datasets.load("digits", count=5, seed=3), grey_pictures("digits", count=5, seed=3)
    small = torch.as_tensor(digits.read(np.arange(5))[:, ::4, ::4, 0], dtype=torch.float32)[:, None]
    expected = functional.interpolate(small, size=(28, 28), mode="bilinear")
    pixels = shown.read(np.arange(5))
    assert pixels.shape == (5, 28, 28, 3)
    assert np.abs(pixels[..., 0] - expected[:, 0].numpy()).max() <= 0.5
    assert (shown.labels == digits.labels).all()
    assert shown.identity != digits.identity
    torch.testing.assert_close(grey(pixels)[:, 0], torch.as_tensor(pixels).float().mean(3) / 255)
    assert torch.equal(grey(torch.as_tensor(pixels)), grey(pixels))
    with pytest.raises(ValueError, match=r"pictures: found shape \(5, 32, 32, 3\); expected \(n, 28, 28, 3\)"):
        grey(digits.read(np.arange(5)))


def test_mnist_is_as_it_is(mirror):
    shown, mnist = grey_pictures("mnist", count=3, seed=1), datasets.load("mnist", count=3, seed=1)
    assert np.array_equal(shown.read(np.arange(3)), mnist.read(np.arange(3)))


def test_layers_are_those_of_the_specification():
    network = GreyAutoEncoder()
    x = torch.rand(4, 1, 28, 28)
    assert network.conv1(x).shape == (4, 8, 14, 14)
    assert network.conv2(network.conv1(x)).shape == (4, 4, 7, 7)
    assert network.embed(x).shape == (4, 32)
    assert network(x).shape == x.shape
    assert not any("bias" in name for name, _ in network.named_parameters() if name.startswith("conv"))
    constrained = ConstrainedEncoder(5)
    assert constrained.below(x).shape == (4, 8, 14, 14)
    code, logits, drawn = constrained(x)
    assert (code.shape, logits.shape, drawn.shape) == ((4, 5), (4, 10), (4, 784))
    assert sum(value.numel() for value in constrained.parameters()) == 208 + 804 + 980 + 60 + 192 + 25_872


def test_pooling_before_the_activation_is_the_same():
    block = grey_networks._block(1, 8, 5, True, nn.Softplus(), bias=True)
    convolution, norm, pool, activation = block
    x = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(block(x), pool(activation(norm(convolution(x)))), rtol=1e-6, atol=1e-7)


def test_batch_statistics_are_a_choice():
    assert depends_on_batch(GreyAutoEncoder(batch_statistics=True))
    assert not depends_on_batch(GreyAutoEncoder())
    assert depends_on_batch(ConstrainedEncoder(2))


def test_initial_weights_belong_to_the_seed():
    first, same, other = (built(ConstrainedEncoder, seed, latent=3).above[2].weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_training_lowers_the_error_and_is_kept(monkeypatch):
    monkeypatch.setattr(grey_networks.store, "fetch", lambda kind, inputs, make, code: make())
    trained = autoencoder("digits", presentations=64 * 40)
    untrained = autoencoder("digits", presentations=0)
    assert trained.name == "auto-encoder on digits, seed 0"
    assert untrained.name == "auto-encoder on digits, seed 0, untrained"
    x = trained.preprocess(grey_pictures("digits", count=100).read(np.arange(100)))
    errors = [float(functional.mse_loss(one.module(x), x)) for one in (trained, untrained)]
    assert errors[0] < 0.5 * errors[1]
    assert trained.identity != untrained.identity
    assert untrained.identity != autoencoder("digits", presentations=0, batch_statistics=True).identity


def test_unknown_data_are_refused():
    with pytest.raises(ValueError, match="data: found 'scenes'; expected 'digits' or 'mnist'"):
        autoencoder("scenes")
