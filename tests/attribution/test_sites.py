"""What is recorded at a site, and what is left behind: nothing."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.attribution.attributions import attributions
from lib.attribution.maps import unit_maps
from lib.attribution.sites import PICTURE, Site, depends_on_batch, evaluate, evaluating
from lib.attribution.strategies import PLAIN_GRADIENT, PLAIN_GRADIENT_TIMES_ACTIVATION, STRATEGIES


def convolutions(inplace=True):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=inplace), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=inplace),
        nn.Flatten(), nn.Linear(4 * 36, 5),
    ).eval()  # fmt: skip


PICTURES = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("site", [PICTURE, Site("1"), Site("1", "output"), Site("3", "output"), Site("4")], ids=str)
def test_in_place_layers_do_not_change_what_is_recorded(site):
    in_place, plain = convolutions(), convolutions(inplace=False)
    _, [seen] = evaluate(in_place, in_place, PICTURES, [site])
    _, [expected] = evaluate(plain, plain, PICTURES, [site])
    assert torch.equal(seen, expected)
    for strategy in STRATEGIES.values():
        maps = unit_maps(in_place, in_place, PICTURES, site, strategy)
        assert torch.equal(maps, unit_maps(plain, plain, PICTURES, site, strategy))


def test_the_input_of_a_layer_counts_on_all_its_ways():
    class Shortcut(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice = nn.Conv2d(1, 1, 1, bias=False)
            nn.init.constant_(self.twice.weight, 2.0)

        def forward(self, x):
            x = 1 * x
            return (self.twice(x) + x).flatten(1)

    module = Shortcut()
    assert unit_maps(module, module, PICTURES, Site("twice"), PLAIN_GRADIENT).sum() == pytest.approx(3 * 3 * 36)
    assert unit_maps(module, module, PICTURES, Site("twice", "output"), PLAIN_GRADIENT).sum() == pytest.approx(3 * 36)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=lambda one: one.name)
def test_the_network_is_given_back_as_it_was(strategy):
    module = convolutions().train()
    module[3].eval()
    modes = [layer.training for layer in module.modules()]
    state = {name: value.clone() for name, value in module.state_dict().items()}
    module[0].weight.grad = torch.ones_like(module[0].weight)
    others = module[2].register_forward_hook(lambda *_: None)
    pictures = PICTURES.clone().requires_grad_()
    with torch.no_grad():
        unit_maps(module, module, pictures, Site("2"), strategy)
    assert [layer.training for layer in module.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert torch.equal(module[0].weight.grad, torch.ones_like(module[0].weight))
    assert pictures.grad is None
    assert torch.equal(pictures, PICTURES)
    hooks = [len(layer._forward_hooks) + len(layer._forward_pre_hooks) + len(layer._backward_hooks) for layer in module.modules()]
    assert sum(hooks) == 1
    others.remove()


@pytest.mark.parametrize("fails", ["forward", "site"])
def test_no_hook_stays_after_an_error(fails):
    module = convolutions().train()

    def broken(batch):
        module(batch)
        raise RuntimeError("broken")

    with pytest.raises((RuntimeError, ValueError)):
        unit_maps(module, broken if fails == "forward" else module, PICTURES, Site("2" if fails == "forward" else "8"), PLAIN_GRADIENT)
    assert all(not layer._forward_hooks and not layer._forward_pre_hooks for layer in module.modules())
    assert all(layer.training for layer in module.modules())


def test_it_works_in_inference_mode_and_for_frozen_networks():
    module = convolutions()
    expected = unit_maps(module, module, PICTURES, Site("2"), PLAIN_GRADIENT)
    module.requires_grad_(False)
    with torch.inference_mode():
        assert torch.equal(unit_maps(module, module, PICTURES, Site("2"), PLAIN_GRADIENT), expected)


def test_evaluating_gives_every_layer_its_own_mode_back_after_an_error():
    module = convolutions()
    module[1].train()

    def run():
        with evaluating(module):
            assert not any(layer.training for layer in module.modules())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run()
    assert [layer.training for layer in module] == [False, True, *[False] * 5]


def test_batch_norm_without_running_statistics_is_recognised():
    assert not depends_on_batch(convolutions())
    assert depends_on_batch(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)))


class Odd(nn.Module):
    """Layers that cannot be sites."""

    def __init__(self):
        super().__init__()
        self.shared, self.unused, self.pair, self.last = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), Pair(), nn.Conv2d(1, 1, 1)
        self.before = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        x = self.before(x)
        x.mul_(2)
        first, second = self.pair(self.shared(self.shared(x)))
        return functional.relu(self.last(first + second)).flatten(1)


class Pair(nn.Module):
    def forward(self, x):
        return x, x + 1


@pytest.mark.parametrize(("site", "message"), [
    (Site("lost"), "found the layer 'lost'; expected one of the network's, nearest: last"),
    (Site("shared"), "passed 2 times"),
    (Site("unused"), "passed 0 times"),
    (Site("pair", "output"), "output of pair is tuple"),
])  # fmt: skip
def test_sites_that_cannot_be_are_named(site, message):
    module = Odd()
    with pytest.raises(ValueError, match=message):
        unit_maps(module, module, PICTURES, site, PLAIN_GRADIENT)


def test_what_is_changed_in_place_afterwards_is_refused():
    class Changed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, x):
            x = 1 * x
            y = self.layer(x)
            x += 1
            return (x * y).flatten(1)

    module = Changed()
    with pytest.raises(ValueError, match="input of layer was changed in place"):
        unit_maps(module, module, PICTURES, Site("layer"), PLAIN_GRADIENT)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"layer": "1", "side": "middle"}, "found 'middle'"), ({"side": "output"}, "'output' of the picture"),
])  # fmt: skip
def test_impossible_sites_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Site(**arguments)


def test_another_hook_that_cuts_the_gradient_is_noticed():
    module = convolutions()
    handle = module[4].register_forward_hook(lambda _layer, _inputs, output: output.detach())
    with pytest.raises(ValueError, match=r"without a gradient|does not depend on"):
        list(attributions(module, module, PICTURES, Site("2"), PLAIN_GRADIENT_TIMES_ACTIVATION))
    handle.remove()


def test_layers_that_cannot_be_looked_into_are_named():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Flatten()

        def forward(self, x):
            return self.layer(input=x)

    named = Named()
    with pytest.raises(ValueError, match="site: input of layer is given by keyword; expected the first argument"):
        unit_maps(named, named, PICTURES, Site("layer"), PLAIN_GRADIENT)
    compiled = torch.jit.trace(nn.Sequential(nn.Flatten()), PICTURES)
    with pytest.raises(ValueError, match=r"site: input of 0 is a layer of a compiled network \(torch.jit\)"):
        unit_maps(compiled, compiled, PICTURES, Site("0"), PLAIN_GRADIENT)
