"""Hooks leave no trace, maps become the right numbers, and one streamed pass equals the whole matrix."""

import gc

import numpy as np
import pytest
import torch
from torch import nn

from lib import activations as module
from lib.activations import activations, captured, embeddings, kind, layers, maps, norms_behind_convolutions, stream, unit_means
from lib.datasets.pictures import in_memory
from lib.encoders.encoder import Encoder
from lib.encoders.networks import VisionTransformer
from lib.extremes import extremes


class Network(nn.Module):
    """A convolution, an in-place ReLU behind it, a linear layer with an in-place ReLU of its own, and a layer that never runs."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.middle = nn.Conv2d(4, 6, 3)
        self.hidden = nn.Linear(6, 5)
        self.last = nn.Linear(5, 2)
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        x = nn.functional.relu_(self.middle(nn.functional.relu_(self.norm(self.first(x)))))
        return self.last(nn.functional.relu_(self.hidden(x.mean((2, 3)))))


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network().eval()


@pytest.fixture
def encoder(network):
    return encoder_of(network)


@pytest.fixture(scope="module")
def pictures():
    return noise(60)


def encoder_of(network, embed=None):
    def preprocess(pictures):
        return torch.as_tensor(np.asarray(pictures)).permute(0, 3, 1, 2).float() / 64 - 2

    return Encoder("test:tiny", network, preprocess, embed or network, None, {})


def noise(count):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return in_memory("noise", pixels, np.zeros(count), ("noise",), {"noise": count})


def by_hand(network, x):
    """Every layer's output before the ReLU behind it, one call after the other."""
    with torch.no_grad():
        first = network.first(x)
        norm = network.norm(first)
        middle = network.middle(norm.relu())
        hidden = network.hidden(middle.relu().mean((2, 3)))
        return {"first": first, "norm": norm, "middle": middle, "hidden": hidden, "last": network.last(hidden.relu())}


def hooks_of(network):
    return sum(len(layer._forward_hooks) for layer in network.modules())


# Layers

def test_layers_are_listed_in_order_and_the_ends_left_out(network):
    assert layers(network) == ["first", "norm", "middle", "hidden", "last", "unused"]
    assert layers(network, (nn.Linear,)) == ["hidden", "last", "unused"]
    # The first convolution goes with the norm behind it, and the last linear layer.
    assert layers(network, inner_only=True) == ["middle", "hidden", "last"]
    no_norm = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2))
    assert layers(no_norm, inner_only=True) == ["2", "3"]
    assert layers(nn.Sequential(nn.ReLU()), inner_only=True) == []


@pytest.mark.parametrize(("layer", "expected"), [
    (nn.Conv2d(1, 1, 1), "Conv"), (nn.Linear(1, 1), "Linear"), (nn.BatchNorm2d(1), "BatchNorm"), (nn.LayerNorm(1), "LayerNorm"),
    (nn.GroupNorm(1, 1), "GroupNorm"), (nn.MultiheadAttention(1, 1).out_proj, "Linear"), (nn.ReLU(), "ReLU"),
])
def test_kinds_have_the_papers_names(layer, expected):
    assert kind(layer) == expected


class Residual(nn.Module):
    """A pre-activation block: by definition `norm` follows `convolution`, but it reads the sum of the block before."""

    def __init__(self):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.convolution, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.last, self.last_norm, self.unused = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.stem_norm(self.stem(x)).relu()
        x = self.norm(x + self.convolution(x)).relu()
        return self.last_norm(self.last(x)).mean((2, 3))


def test_a_norm_follows_the_convolution_that_it_reads_and_not_the_one_defined_before(pictures):
    network = Residual().eval()
    assert norms_behind_convolutions(encoder_of(network), pictures) == {"stem_norm": "stem", "last_norm": "last"}
    assert hooks_of(network) == 0


# Hooks

@pytest.mark.parametrize("reduce", [None, unit_means])
def test_what_is_captured_precedes_an_in_place_relu(network, reduce):
    x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    expected = by_hand(network, x)
    assert all((expected[name] < 0).any() for name in ("norm", "middle", "hidden"))  # what the ReLUs would change
    with captured(network, list(expected), reduce) as outputs:
        network(x)
    for name, value in expected.items():
        torch.testing.assert_close(outputs[name], reduce(value) if reduce else value)
        assert not outputs[name].requires_grad


def test_hooks_go_after_success_and_after_an_exception(network, encoder, pictures):
    with captured(network, ["first"]):
        assert hooks_of(network) == 1
    assert hooks_of(network) == 0
    with pytest.raises(RuntimeError), captured(network, ["first", "last"]):
        network(torch.zeros(1, 7, 8, 8))
    assert hooks_of(network) == 0
    with pytest.raises(ZeroDivisionError):
        activations(encoder, pictures, ["first"], transforms={"new": ("last", lambda _: 1 // 0)})
    assert hooks_of(network) == 0
    stream(encoder, pictures, ["first"], count=10)
    assert hooks_of(network) == 0


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_gradients_are_left_alone(network, encoder, pictures, training):
    network.train(training)
    network.last.eval()
    network.hidden.weight.requires_grad_(False)
    network.last.weight.grad = torch.ones_like(network.last.weight)
    modes = [layer.training for layer in network.modules()]
    stream(encoder, pictures, ["first"], count=10)
    next(maps(encoder, pictures, "last"))
    embeddings(encoder, pictures)
    assert [layer.training for layer in network.modules()] == modes
    assert [name for name, value in network.named_parameters() if not value.requires_grad] == ["hidden.weight"]
    assert [name for name, value in network.named_parameters() if value.grad is not None] == ["last.weight"]
    assert (network.last.weight.grad == 1).all()


def test_a_waiting_generator_of_maps_changes_nothing_for_the_caller(network, encoder, pictures):
    waiting = maps(encoder, pictures, "middle", batch_size=20)
    next(waiting)
    assert torch.is_grad_enabled()
    assert hooks_of(network) == 0
    assert len(next(waiting)) == 20
    del waiting
    gc.collect()
    assert torch.is_grad_enabled()


def test_an_unknown_layer_is_refused_with_the_nearest_names(network):
    with pytest.raises(ValueError, match=r"layers: found 'midle'; expected .* nearest: middle"), captured(network, ["midle"]):
        pass
    with pytest.raises(ValueError, match="nearest: first, norm, middle, hidden, last"), captured(network, ["######"]):
        pass
    assert hooks_of(network) == 0


def test_a_layer_that_returns_no_tensor_is_refused():
    attention = nn.MultiheadAttention(4, 1)
    x = torch.zeros(2, 1, 4)
    with pytest.raises(TypeError, match="attention returned tuple"), captured(nn.ModuleDict({"attention": attention}), ["attention"]):
        attention(x, x, x)


@pytest.mark.parametrize("ask", [
    lambda encoder, pictures: activations(encoder, pictures, ["first", "unused"]),
    lambda encoder, pictures: activations(encoder, pictures, ["first"], transforms={"new": ("unused", torch.abs)}),
    lambda encoder, pictures: next(maps(encoder, pictures, "unused")),
])
def test_a_layer_that_does_not_run_is_named(encoder, pictures, ask):
    with pytest.raises(ValueError, match="'unused' was not reached in a forward pass of test:tiny"):
        ask(encoder, pictures)


# Reduction

def test_outputs_of_every_shape_become_one_number_a_unit():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(unit_means(x), [[x[n, c].numpy().mean() for c in range(3)] for n in range(2)], atol=1e-7)
    tokens = x.reshape(2, 20, 3)
    np.testing.assert_allclose(unit_means(tokens), [[tokens[n, :, c].numpy().mean() for c in range(3)] for n in range(2)], atol=1e-7)
    assert torch.equal(unit_means(x[..., 0, 0]), x[..., 0, 0])
    for shape in ((3,), (1, 2, 3, 4, 5)):
        with pytest.raises(ValueError, match="output: found shape"):
            unit_means(torch.zeros(shape))


def test_tokens_of_a_transformer_count_with_the_class_token(pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = VisionTransformer(width=32, side=8).eval()
    encoder = encoder_of(transformer)
    tokens = torch.cat(list(maps(encoder, pictures, "transformer.blocks.1.mlp.fc2")))
    assert tokens.shape == (60, 65, 32)
    found = activations(encoder, pictures, ["transformer.blocks.1.mlp.fc2"])["transformer.blocks.1.mlp.fc2"]
    np.testing.assert_allclose(found, tokens.mean(1).numpy(), atol=1e-5)
    assert np.abs(found - tokens[:, 1:].mean(1).numpy()).max() > 1e-4


# One pass

def test_the_matrix_is_what_the_layers_give_by_hand(network, encoder, pictures):
    expected = by_hand(network, encoder.preprocess(pictures.read(np.arange(60))))
    found = activations(encoder, pictures, list(expected), batch_size=13)
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], unit_means(value).numpy(), atol=1e-6)
    np.testing.assert_allclose(embeddings(encoder, pictures, batch_size=13), found["last"], atol=1e-6)
    np.testing.assert_allclose(torch.cat(list(maps(encoder, pictures, "middle", batch_size=13))), expected["middle"], atol=1e-6)


def test_streamed_extremes_are_those_of_the_matrix_whatever_the_batch_and_threads(encoder, pictures):
    names = ["first", "middle", "hidden", "last"]
    threads = torch.get_num_threads()
    try:
        for batch_size, number in ((256, 1), (7, 2), (1, 1)):
            torch.set_num_threads(number)
            matrix = activations(encoder, pictures, names, batch_size=batch_size)
            found = stream(encoder, pictures, names, count=20, seed=3, batch_size=batch_size)
            assert list(found) == names
            for name in names:
                expected = extremes(matrix[name], count=20, seed=3)
                np.testing.assert_array_equal(found[name].top, expected.top)
                np.testing.assert_array_equal(found[name].bottom, expected.bottom)
                np.testing.assert_allclose(found[name].statistics["mean"], matrix[name].mean(0), atol=1e-6)
    finally:
        torch.set_num_threads(threads)


def test_transforms_are_applied_to_raw_maps_and_averaged_afterwards(encoder, pictures):
    def squared(output):
        return output[:, :2] ** 2

    raw = torch.cat(list(maps(encoder, pictures, "middle")))
    found = activations(encoder, pictures, ["middle", "last"], transforms={"squared": ("middle", squared), "of last": ("last", torch.abs)})
    assert list(found) == ["middle", "last", "squared", "of last"]
    np.testing.assert_allclose(found["squared"], (raw[:, :2] ** 2).mean((2, 3)).numpy(), atol=1e-6)
    np.testing.assert_allclose(found["middle"], raw.mean((2, 3)).numpy(), atol=1e-6)
    np.testing.assert_allclose(found["of last"], np.abs(found["last"]), atol=1e-6)
    # A transform's layer need not be measured itself.
    assert list(activations(encoder, pictures, [], transforms={"squared": ("middle", squared)})) == ["squared"]
    streamed = stream(encoder, pictures, ["last"], count=20, transforms={"squared": ("middle", squared)})
    np.testing.assert_array_equal(streamed["squared"].top, extremes(found["squared"], count=20).top)


def test_too_few_pictures_are_refused_before_any_forward_pass(encoder):
    def never(_):
        raise AssertionError("a forward pass")

    few = noise(399)
    with pytest.raises(ValueError, match="pictures: found 399 in noise; expected at least 400"):
        stream(Encoder("test:never", encoder.module, never, never, None, {}), few, ["first"])


@pytest.mark.parametrize("early", [True, False])
def test_a_value_that_is_not_finite_is_named_with_encoder_layer_and_unit(network, encoder, pictures, early, monkeypatch):
    # Whether it is found while pictures stream in, or when the last tile is closed.
    if early:
        streaming = module.StreamingExtremes
        monkeypatch.setattr(module, "StreamingExtremes", lambda units, **settings: streaming(units, **(settings | {"tile": 10})))
    network.middle.bias.data[4] = torch.nan
    with pytest.raises(ValueError, match="test:tiny, layer middle: activations: unit 4 has values that are not finite"):
        stream(encoder, pictures, ["first", "middle"], count=10)
