"""Attribution of all units against closed forms, a loop over single units, and captum."""

import copy

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.attribution import attributions as module_under_test
from lib.attribution.attributions import activations, attributions
from lib.attribution.attributions import all_attributions as whole
from lib.attribution.maps import unit_maps, unit_maps_at
from lib.attribution.sites import PICTURE, Site, evaluate
from lib.attribution.smoothing import draws
from lib.attribution.strategies import (
    GRAD_CAM,
    GRADIENT,
    GRADIENT_TIMES_ACTIVATION,
    GUIDED_BACKPROPAGATION,
    INTEGRATED_GRADIENTS,
    PLAIN_GRADIENT,
    PLAIN_GRADIENT_TIMES_ACTIVATION,
    SMOOTHGRAD,
    STRATEGIES,
    Strategy,
    named,
)  # fmt: skip
from lib.experiments.attribution_scores.planted import RegionCode, strips

SITES = (PICTURE, Site("1"), Site("2"), Site("2", "output"), Site("3", "output"))


def relu_network(bias=False, units=5):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=bias), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, padding=1, bias=bias), nn.ReLU(),
        nn.Flatten(), nn.Linear(6 * 16, units, bias=bias),
    ).double()  # fmt: skip


PICTURES = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def one_at_a_time(module, batch, site, strategy, seed=0):
    """Straight from the definition: one picture, one sample and one unit at a time."""
    t, e = (one.double() for one in draws(tuple(batch.shape[1:]), strategy.samples, seed=seed))
    t = t if strategy.between == "pictures" else torch.ones_like(t)
    out = []
    for picture in batch:
        samples = []
        for number in range(strategy.samples):
            x = t[number] * (picture + strategy.noise * e[number])
            code, [place] = evaluate(module, module, x[None], [site])
            gradients = [torch.autograd.grad(unit, place, retain_graph=True)[0] for unit in code[0]]
            samples.append(torch.stack([one[0] * (place[0].detach() if strategy.factor == "activation" else 1) for one in gradients]))
        out.append(torch.stack(samples).mean(0))
    return torch.stack(out)


@pytest.mark.parametrize("strategy", [GRADIENT, GRADIENT_TIMES_ACTIVATION, PLAIN_GRADIENT, PLAIN_GRADIENT_TIMES_ACTIVATION, SMOOTHGRAD],
                         ids=lambda one: one.name)  # fmt: skip
@pytest.mark.parametrize("site", SITES, ids=str)
def test_all_units_at_once_are_each_unit_by_itself(site, strategy):
    module = relu_network(bias=True)
    expected = one_at_a_time(module, PICTURES, site, strategy, seed=7)
    torch.testing.assert_close(whole(module, module, PICTURES, site, strategy, seed=7), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 20, 64])
def test_rows_chunks_of_units_and_neighbours_do_not_matter(rows, monkeypatch):
    module = relu_network(bias=True)
    strategy = GRADIENT_TIMES_ACTIVATION.but(samples=2)
    base = whole(module, module, PICTURES, Site("2"), strategy)
    monkeypatch.setattr(module_under_test, "_VECTORS", 3 * rows)
    torch.testing.assert_close(whole(module, module, PICTURES, Site("2"), strategy, rows=rows), base, rtol=1e-9, atol=1e-14)
    alone = whole(module, module, PICTURES[1:2], Site("2"), strategy)
    torch.testing.assert_close(alone[0], base[1], rtol=1e-9, atol=1e-14)
    chosen = whole(module, module, PICTURES, Site("2"), strategy, units=[3, 0], rows=rows)
    torch.testing.assert_close(chosen, base[:, [3, 0]], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_several_sites_at_once_are_each_by_itself(name):
    module, strategy = relu_network(), STRATEGIES[name].but(samples=3 if STRATEGIES[name].samples > 1 else 1)
    chosen = [site for site in SITES[::-1] if not (strategy.pooled and site == PICTURE)]
    found = unit_maps_at(module, module, PICTURES, chosen, strategy, seed=2)
    for site, maps in zip(chosen, found, strict=True):
        torch.testing.assert_close(maps, unit_maps(module, module, PICTURES, site, strategy, seed=2), rtol=1e-9, atol=1e-12)
    found = unit_maps_at(module, module, PICTURES, SITES[:2], PLAIN_GRADIENT, narrowest="4")
    torch.testing.assert_close(found[1], unit_maps(module, module, PICTURES, SITES[1], PLAIN_GRADIENT), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strategy", [SMOOTHGRAD, INTEGRATED_GRADIENTS, GRAD_CAM.but(samples=9, noise=0.3)], ids=lambda one: one.name)
def test_no_more_rows_are_in_the_network_than_asked_for(strategy):
    module, seen = relu_network(bias=True), []
    sites = [Site("3", "output"), Site("2")]
    expected = unit_maps_at(module, module, PICTURES, sites, strategy, rows=64)
    handle = module[0].register_forward_hook(lambda _layer, inputs, _output: seen.append(len(inputs[0])))
    found = unit_maps_at(module, module, PICTURES, sites, strategy, rows=4)
    handle.remove()
    assert max(seen) == 4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_the_same_site_twice_or_none_is_refused():
    module = relu_network()
    for sites in ([], [PICTURE, PICTURE]):
        with pytest.raises(ValueError, match=r"sites: found .*; expected at least one, and each once"):
            unit_maps_at(module, module, PICTURES, sites)


# G1 to G3 of the specification


def test_a_linear_code_is_attributed_to_its_weights():
    weights = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    module = RegionCode(np.eye(4), weights[:, 0].numpy())
    pictures = torch.rand(5, 1, 6, 6, dtype=torch.float64)
    exact = module.weights.double().expand(5, -1, -1, -1, -1)
    torch.testing.assert_close(whole(module, module, pictures, PICTURE, GRADIENT), exact, rtol=1e-12, atol=0)
    # With t = 1 the sum over places is the unit; with t ~ U(0, 1) it is half of it, where expected gradients would give all of it.
    complete = whole(module, module, pictures, PICTURE, PLAIN_GRADIENT_TIMES_ACTIVATION)
    torch.testing.assert_close(complete, exact * pictures[:, None], rtol=1e-12, atol=0)
    torch.testing.assert_close(complete.sum((2, 3, 4)), module(pictures), rtol=1e-9, atol=1e-12)
    many = GRADIENT_TIMES_ACTIVATION.but(samples=4000, noise=0.0)
    halved = whole(module, module, pictures, PICTURE, many) / complete
    assert halved.std() < 1e-6
    assert halved.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * 4000))


@pytest.mark.parametrize("site", SITES, ids=str)
@pytest.mark.parametrize("strategy", [PLAIN_GRADIENT_TIMES_ACTIVATION, INTEGRATED_GRADIENTS], ids=lambda one: one.name)
def test_what_is_homogeneous_is_complete_at_every_layer(site, strategy):
    module = relu_network()
    total = whole(module, module, PICTURES, site, strategy).sum((2, 3, 4))
    torch.testing.assert_close(total, module(PICTURES), rtol=1e-9, atol=1e-12)


def test_before_batch_statistics_the_sum_of_gradient_times_activation_is_zero():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3, affine=False, track_running_stats=False, eps=1e-12), nn.Softplus(), nn.Flatten(),
        nn.Linear(108, 4),
    ).double()  # fmt: skip
    values = whole(module, module, PICTURES, Site("0"), PLAIN_GRADIENT_TIMES_ACTIVATION)
    assert values.abs().sum((2, 3, 4)).min() > 0.1
    assert values.sum((2, 3, 4)).abs().max() < 1e-9
    # Each picture is evaluated by itself there, although five would fit.
    alone = whole(module, module, PICTURES[2:], Site("0"), PLAIN_GRADIENT_TIMES_ACTIVATION)
    assert torch.equal(alone[0], values[2])


def test_a_path_is_not_mixed_by_batch_norm():
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten(), nn.Linear(108, 4)).double()
    with pytest.raises(ValueError, match="integrated gradients: found batch norm without running statistics"):
        whole(module, module, PICTURES, PICTURE, INTEGRATED_GRADIENTS)


def test_units_that_are_the_same_get_the_same_maps():
    module = relu_network(bias=True)
    with torch.no_grad():
        module[-1].weight[:] = module[-1].weight[:1]
        module[-1].bias[:] = 0
    for strategy in STRATEGIES.values():
        maps = unit_maps(module, module, PICTURES, Site("2"), strategy)
        torch.testing.assert_close(maps, maps[:, :1].expand_as(maps), rtol=1e-12, atol=1e-15)


def test_two_networks_see_the_same_noise_and_another_seed_is_other_noise():
    module = relu_network(bias=True)
    one, same, other = (whole(net, net, PICTURES, PICTURE, GRADIENT, seed=seed) for net, seed in
                        ((module, 0), (copy.deepcopy(module), 0), (module, 1)))  # fmt: skip
    assert torch.equal(one, same)
    assert (one - other).abs().max() > 1e-3


# captum, where it has the method


@pytest.mark.parametrize("unit", [0, 4])
def test_captum_agrees(unit):
    module = relu_network(bias=True)
    x = PICTURES.clone().requires_grad_()
    ours = {one: whole(module, module, PICTURES, PICTURE, one)[:, unit]
            for one in (PLAIN_GRADIENT, PLAIN_GRADIENT_TIMES_ACTIVATION, INTEGRATED_GRADIENTS, GUIDED_BACKPROPAGATION)}  # fmt: skip
    theirs = {
        PLAIN_GRADIENT: captum.attr.Saliency(module).attribute(x, target=unit, abs=False),
        PLAIN_GRADIENT_TIMES_ACTIVATION: captum.attr.InputXGradient(module).attribute(x, target=unit),
        INTEGRATED_GRADIENTS: captum.attr.IntegratedGradients(module).attribute(
            x, target=unit, n_steps=INTEGRATED_GRADIENTS.samples, method="gausslegendre"),
        GUIDED_BACKPROPAGATION: captum.attr.GuidedBackprop(module).attribute(x, target=unit),
    }  # fmt: skip
    for strategy, found in ours.items():
        # captum keeps the weights of its quadrature in float32.
        rtol, atol = (1e-6, 1e-8) if strategy == INTEGRATED_GRADIENTS else (1e-9, 1e-12)
        torch.testing.assert_close(found, theirs[strategy].detach(), rtol=rtol, atol=atol, msg=strategy.name)


@pytest.mark.parametrize("unit", [0, 4])
@pytest.mark.parametrize("layer", ["0", "2"])
def test_captum_agrees_inside_a_network(unit, layer):
    module = relu_network(bias=True)
    site = Site(layer, "output")
    cam = captum.attr.LayerGradCam(module, dict(module.named_modules())[layer]).attribute(PICTURES, target=unit, relu_attributions=True)
    torch.testing.assert_close(whole(module, module, PICTURES, site, GRAD_CAM)[:, unit], cam.detach(), rtol=1e-9, atol=1e-12)
    integrated = captum.attr.LayerIntegratedGradients(module, dict(module.named_modules())[layer]).attribute(
        PICTURES, baselines=0 * PICTURES, target=unit, n_steps=INTEGRATED_GRADIENTS.samples, method="gausslegendre")  # fmt: skip
    ours = whole(module, module, PICTURES, site, INTEGRATED_GRADIENTS)[:, unit]
    torch.testing.assert_close(ours, integrated.detach(), rtol=1e-6, atol=1e-8)


def test_guided_backpropagation_catches_functions_as_well_as_layers():
    class Functional(nn.Module):
        def __init__(self, layers):
            super().__init__()
            self.first, self.second, self.last = layers[0], layers[2], layers[5]

        def forward(self, x):
            return self.last(torch.relu(self.second(functional.relu(self.first(x)))).flatten(1))

    module = relu_network(bias=True)
    expected = whole(module, module, PICTURES, PICTURE, GUIDED_BACKPROPAGATION)
    other = Functional(module)
    torch.testing.assert_close(whole(other, other, PICTURES, PICTURE, GUIDED_BACKPROPAGATION), expected, rtol=1e-12, atol=0)
    assert (expected - whole(module, module, PICTURES, PICTURE, PLAIN_GRADIENT)).abs().max() > 1e-3
    linear = RegionCode(np.eye(2), strips(2))
    with pytest.raises(ValueError, match="without ReLUs"):
        whole(linear, linear, torch.rand(1, 1, 8, 8), PICTURE, GUIDED_BACKPROPAGATION)


# The narrowest layer


def wide(narrow, units, *, linear=True, bypass=False):
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(3)
            self.below = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, narrow))
            self.narrow, self.act, self.above = nn.Identity(), nn.Identity() if linear else nn.Tanh(), nn.Linear(narrow, units)

        def forward(self, x):
            code = self.above(self.act(self.narrow(self.below(x))))
            return code + x.sum((1, 2, 3))[:, None] if bypass else code

    return Wide().double()


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("strategy", [one for one in STRATEGIES.values() if not one.guided], ids=lambda one: one.name)
def test_the_jacobian_of_the_narrowest_layer_gives_the_same(strategy, linear, monkeypatch):
    module = wide(3, 40, linear=linear)
    monkeypatch.setattr(module_under_test, "_PRODUCT", 2000)
    for site in (PICTURE, Site("below.1")):
        direct = whole(module, module, PICTURES, site, strategy)
        torch.testing.assert_close(whole(module, module, PICTURES, site, strategy, narrowest="narrow"), direct, rtol=1e-9, atol=1e-12)
    chosen = whole(module, module, PICTURES, PICTURE, strategy, narrowest="narrow", units=[30, 2])
    torch.testing.assert_close(chosen, whole(module, module, PICTURES, PICTURE, strategy)[:, [30, 2]], rtol=1e-9, atol=1e-12)


def test_a_layer_that_not_everything_flows_through_is_refused():
    module = wide(3, 40, bypass=True)
    with pytest.raises(ValueError, match="not everything between the site and the code flows through narrow"):
        whole(module, module, PICTURES, PICTURE, PLAIN_GRADIENT, narrowest="narrow")
    with pytest.raises(ValueError, match=r"output of below\.1 has shape"):
        whole(module, module, PICTURES, PICTURE, PLAIN_GRADIENT, narrowest="below.1")


# Other shapes


def test_an_upper_layer_may_be_convolutional():
    module = relu_network()
    upper = module[:3]
    values = whole(module, upper, PICTURES, Site("1"), PLAIN_GRADIENT)
    assert values.shape == (3, 6 * 16, 4, 8, 8)
    channels = whole(module, lambda x: upper(x).mean((2, 3)), PICTURES, Site("1"), PLAIN_GRADIENT)
    torch.testing.assert_close(values.unflatten(1, (6, 16)).mean(2), channels, rtol=1e-9, atol=1e-12)


def test_tokens_and_features_have_a_height_of_one():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.mix, self.out = nn.Linear(7, 7), nn.Linear(7, 3)

        def forward(self, x):
            return self.out(torch.tanh(self.mix(x)).mean(1))

    module, batch = Tokens(), torch.rand(2, 5, 7)
    values = whole(module, module, batch, Site("mix"), PLAIN_GRADIENT_TIMES_ACTIVATION)
    assert values.shape == (2, 3, 7, 1, 5)
    assert whole(module, module, batch, Site("out"), PLAIN_GRADIENT).shape == (2, 3, 1, 1, 7)
    assert activations(module, module, batch, Site("mix"), PLAIN_GRADIENT).equal(batch.movedim(2, 1)[:, :, None])
    assert whole(module, module, batch, Site("mix"), GRAD_CAM).shape == (2, 3, 1, 1, 5)
    with pytest.raises(ValueError, match=r"input of out has no places \(shape \(2, 7\)\)"):
        whole(module, module, batch, Site("out"), GRAD_CAM)


def test_activations_are_the_mean_over_the_same_noisy_pictures():
    module = relu_network()
    t, e = draws((2, 8, 8), 10, seed=3)
    expected = [(t * (picture + 0.5 * e)).mean(0) for picture in PICTURES]
    found = activations(module, module, PICTURES, PICTURE, GRADIENT, seed=3)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-7)


def test_activations_of_many_samples_are_taken_a_few_at_a_time():
    module, seen = relu_network(), []
    handle = module[0].register_forward_hook(lambda _layer, inputs, _output: seen.append(len(inputs[0])))
    found = activations(module, module, PICTURES[:1], PICTURE, GRADIENT.but(samples=50), seed=3)
    handle.remove()
    t, e = draws((2, 8, 8), 50, seed=3)
    torch.testing.assert_close(found[0], (t * (PICTURES[0] + 0.5 * e)).mean(0), rtol=1e-6, atol=1e-7)
    assert max(seen) == module_under_test.ROWS


def test_samples_stay_together_where_batch_norm_mixes_them():  # as the authors evaluate them (A9)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False), nn.ReLU(), nn.Flatten(), nn.Linear(108, 2))
    module, seen = module.double(), []
    handle = module[0].register_forward_hook(lambda _layer, inputs, _output: seen.append(len(inputs[0])))
    unit_maps(module, module, PICTURES, Site("2"), GRADIENT.but(samples=5), rows=2)
    activations(module, module, PICTURES, Site("2"), GRADIENT.but(samples=40))
    handle.remove()
    assert seen == [1, 5, 5, 5, 40, 40, 40]  # the first counts units


def test_one_unit_and_one_picture_will_do():
    module = relu_network(units=1)
    assert whole(module, module, PICTURES[:1], PICTURE, GRADIENT).shape == (1, 1, 2, 8, 8)


class Fails(nn.Module):
    def forward(self, x):
        return (x - x).sqrt().sum((2, 3))


@pytest.mark.parametrize(("change", "message"), [
    ({"batch": PICTURES[0, 0, 0]}, r"batch: found torch.float64 of shape \(8,\)"),
    ({"batch": PICTURES[:0]}, "at least one picture"),
    ({"batch": PICTURES.numpy()}, "batch: found ndarray"),
    ({"batch": PICTURES.long()}, "int64"),
    ({"rows": 0}, "rows: found 0"),
    ({"site": "2"}, "sites: found '2'; expected a Site"),
    ({"strategy": "gradient"}, "strategy: found 'gradient'; expected a Strategy"),
    ({"reference": PICTURES[0]}, "reference: found one with plain gradient, which takes no path from it"),
    ({"latent": lambda x: (x.flatten(1), 1)}, "latent: found tuple"),
    ({"units": [5]}, "units: found .* from 0 to 4"),
    ({"units": []}, "units: found"),
    ({"units": [1, 1]}, "expected each once"),
    ({"units": [0.5]}, "units: found"),
    ({"reference": PICTURES, "strategy": GRADIENT}, r"reference: found shape \(3, 2, 8, 8\); expected \(2, 8, 8\)"),
    ({"narrowest": "5", "strategy": GUIDED_BACKPROPAGATION}, "guided backpropagation, which is no Jacobian"),
    ({"latent": lambda x: x.detach().flatten(1)}, "without a gradient"),
    ({"latent": lambda x: x.sum()}, "latent: found"),
    ({"module": Fails(), "latent": Fails()}, "not finite"),
    ({"latent": lambda x: x.flatten(1), "site": Site("1")}, "passed 0 times"),
])  # fmt: skip
def test_bad_input_is_named(change, message):
    module = relu_network()
    arguments = {"module": module, "latent": module, "batch": PICTURES, "site": PICTURE, "strategy": PLAIN_GRADIENT} | change
    for function in (attributions, unit_maps):
        with pytest.raises(ValueError, match=message):
            list(function(**arguments))


@pytest.mark.parametrize(("settings", "message"), [
    ({"factor": "two"}, "factor: found 'two'"), ({"between": "x"}, "between: found 'x'"), ({"samples": 0}, "samples: found 0"),
    ({"noise": -1.0}, "noise: found -1"), ({"noise": float("nan")}, "noise: found nan"), ({"between": "activations"}, "'difference'"),
    ({"factor": "difference"}, "between='activations'"), ({"between": "activations", "factor": "difference", "noise": 0.1}, "no noise"),
])  # fmt: skip
def test_impossible_strategies_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Strategy("mine", **settings)
    with pytest.raises(ValueError, match="expected one of gradient, "):
        named("saliency")


def test_draws_belong_to_their_number():
    t, e = draws((3, 4), 6, seed=5)
    fewer = draws((3, 4), 2, seed=5)
    assert torch.equal(t[:2], fewer[0])
    assert torch.equal(e[:2], fewer[1])
    assert t.shape == (6, 1, 1)
    assert 0 <= t.min() < t.max() < 1
    same, other = draws((3, 4), 6, seed=5, noise_seed=6)
    assert torch.equal(same, t)
    assert torch.equal(other, draws((3, 4), 6, seed=6)[1])
    t, e = draws((50, 50), 200)
    assert t.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * 200))
    assert e.mean() == pytest.approx(0, abs=4 / np.sqrt(500_000))
    assert e.std() == pytest.approx(1, abs=4 / np.sqrt(1_000_000))


def test_an_operation_that_cannot_be_batched_is_taken_unit_by_unit():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.square()

        @staticmethod
        def backward(ctx, gradient):
            [x] = ctx.saved_tensors
            return torch.from_numpy(2 * x.detach().numpy() * gradient.detach().numpy())  # torch cannot batch what leaves it

    network = relu_network()
    found, expected = (
        unit_maps(network, lambda x, square=square: square(network(x)), PICTURES, Site("2"), PLAIN_GRADIENT)
        for square in (Square.apply, torch.square)
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
