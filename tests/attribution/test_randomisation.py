"""Weights taken away from copies of an encoder."""

import pytest
import torch

from lib import encoders
from lib.attribution.maps import unit_maps
from lib.attribution.randomisation import cascade, randomised, weighted_layers
from lib.attribution.sites import PICTURE, Site
from lib.attribution.strategies import PLAIN_GRADIENT
from lib.encoders.encoder import Encoder
from lib.encoders.grey_networks import GreyAutoEncoder, built

LAYERS = ("conv1.0", "conv2.0", "conv3.0")
PICTURES = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def encoder():
    module = built(GreyAutoEncoder, 0).eval()
    return Encoder("grey", module, lambda x: x, module.embed, module, {"weights": "known"})


def weights(one):
    return {name: one.module.get_submodule(name).weight for name in LAYERS}


def test_only_the_named_layers_change_and_the_original_does_not():
    original = encoder()
    before = {name: value.clone() for name, value in original.module.state_dict().items()}
    found = randomised(original, ["conv2.0"])
    assert all(torch.equal(value, before[name]) for name, value in original.module.state_dict().items())
    assert {name for name, value in found.module.state_dict().items() if not torch.equal(value, before[name])} == {"conv2.0.weight"}
    bound = (6 / (8 * 25 + 4 * 25)) ** 0.5  # Xavier: fan in and fan out
    assert 0.95 * bound < weights(found)["conv2.0"].abs().max() <= bound
    assert found.identity["weights"] != "known"


def test_the_copy_is_what_is_evaluated():
    original = encoder()
    found = randomised(original, ["conv1.0"])
    with torch.no_grad():
        assert torch.equal(found.embed(PICTURES), found.module.embed(PICTURES))
        assert torch.equal(found.classify(PICTURES), found.module(PICTURES))
        assert not torch.equal(found.embed(PICTURES), original.embed(PICTURES))
    for layer, site in (("conv3.0", Site("conv1.0")), ("conv1.0", PICTURE)):
        other = randomised(original, [layer])
        maps = [unit_maps(one.module, one.embed, PICTURES, site, PLAIN_GRADIENT) for one in (original, other)]
        assert not torch.equal(*maps)


def test_a_cascade_goes_from_the_top_down_with_the_same_draws():
    found = cascade(encoder(), LAYERS)
    assert list(found) == ["conv3.0", "conv2.0", "conv1.0"]
    before, alone = weights(encoder()), weights(randomised(encoder(), ["conv2.0"]))
    for start, layer in enumerate(LAYERS):
        now = weights(found[layer])
        assert [torch.equal(now[name], before[name]) for name in LAYERS] == [position < start for position in range(3)]
    assert torch.equal(weights(found["conv1.0"])["conv2.0"], alone["conv2.0"])
    assert not torch.equal(weights(randomised(encoder(), ["conv2.0"], seed=1))["conv2.0"], alone["conv2.0"])


def test_layers_of_the_same_shape_get_weights_of_their_own():
    class Twins(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

        def forward(self, x):
            return self.other(self.one(x))

    module = Twins()
    found = randomised(Encoder("twins", module, lambda x: x, module, None, {}), ["one", "other"]).module
    assert not torch.equal(found.one.weight, found.other.weight)


def test_global_randomness_is_untouched():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    randomised(encoder(), LAYERS)
    assert torch.equal(torch.rand(3), expected)


def test_layers_with_weights_are_listed_and_others_refused():
    assert weighted_layers(encoder().module)[:3] == list(LAYERS)
    for wrong in ("conv1.1", "nowhere"):
        with pytest.raises(ValueError, match=f"layers: found '{wrong}'; expected layers with weights: conv1.0"):
            randomised(encoder(), [wrong])


@pytest.mark.parametrize("name", ["torchvision:resnet18,pretrained=0", "timm:resnet10t,pretrained=0"])
def test_networks_whose_embedding_is_a_function_around_them_can_be_randomised(name):
    original = encoders.load(name)
    batch = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = original.embed(batch)
        first, last = (randomised(original, [weighted_layers(original.module)[number]]) for number in (0, -1))
        assert torch.equal(original.embed(batch), before)
        assert not torch.equal(first.embed(batch), before)
        assert torch.equal(last.embed(batch), before)  # the head is above the embedding
        assert not torch.equal(last.classify(batch), original.classify(batch))


def test_a_method_inside_a_function_is_moved_with_its_module():
    module = encoder().module
    features, scale = module.embed, 2.0

    def embed(batch, *, shift=1.0):
        return scale * features(batch) + shift

    found = randomised(Encoder("x", module, lambda x: x, embed, None, {}), ["conv1.0"])
    with torch.no_grad():
        assert torch.equal(found.embed(PICTURES), 2 * found.module.embed(PICTURES) + 1)
        assert not torch.equal(found.embed(PICTURES), embed(PICTURES))


def test_a_function_that_cannot_be_moved_is_refused():
    original, head = encoder(), torch.nn.Linear(32, 2)
    module = original.module
    for embed in (
        lambda x: original.module.embed(x), lambda x: head(module.embed(x)), lambda x: x.flatten(1), torch.relu,
        lambda x, scale=2: scale * original.embed(x),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="encoder: embed: found"):
            randomised(Encoder("x", module, lambda x: x, embed, None, {}), ["conv1.0"])
