"""Maps of units, of representations and of tasks."""

import pytest
import torch

from lib.attribution.attributions import all_attributions as whole
from lib.attribution.maps import activation_maps, aggregate, live_units, over_channels, task_maps, unit_maps
from lib.attribution.sites import PICTURE, Site
from lib.attribution.strategies import GRADIENT, PLAIN_GRADIENT, PLAIN_GRADIENT_TIMES_ACTIVATION, STRATEGIES
from tests.attribution.test_attributions import PICTURES, relu_network

GENERATOR = torch.Generator().manual_seed(0)
MAPS = torch.randn(2, 5, 4, 3, generator=GENERATOR, dtype=torch.float64)


def test_channel_rules_are_their_formulas():
    values = torch.tensor([[[-4.0, 1.0]]]).movedim(2, 1)[:, None, :, :, None].contiguous()  # one unit, two channels, one place
    found = {rule: over_channels(values, rule).item() for rule in ("absolute", "square root", "signed", "variance")}
    assert found == {"absolute": 5.0, "square root": 3.0, "signed": -3.0, "variance": 6.25}


def test_rules_are_applied_after_the_mean_over_samples():
    module = relu_network()
    for rule in ("absolute", "square root", "signed", "variance"):
        maps = unit_maps(module, module, PICTURES, Site("2"), GRADIENT, channels=rule)
        torch.testing.assert_close(maps, over_channels(whole(module, module, PICTURES, Site("2"), GRADIENT), rule), rtol=1e-9, atol=1e-12)


def test_aggregations_are_their_formulas():
    torch.testing.assert_close(aggregate(MAPS), MAPS.sum(1))
    torch.testing.assert_close(aggregate(MAPS, "sum of absolute"), MAPS.abs().sum(1))
    variance = MAPS.square().mean(1) - MAPS.mean(1).square()
    torch.testing.assert_close(aggregate(MAPS, "variance"), variance)
    torch.testing.assert_close(aggregate(MAPS, "relative variance"), variance / MAPS.mean(1).abs())
    units = torch.stack([torch.tensor([[0.0, 2.0], [4.0, 1.0]]), torch.tensor([[-1.0, -2.0], [-3.0, -1.0]])])[None]
    scaled = torch.stack([units[0, 0] / 4, units[0, 1]])
    torch.testing.assert_close(aggregate(units, normalise=True)[0], scaled.sum(0))
    binary = torch.stack([(units[0, 0] > 2).float(), units[0, 1]])
    torch.testing.assert_close(aggregate(units, normalise=True, binary=True)[0], binary.sum(0))


def test_the_aggregate_does_not_depend_on_the_order_of_units():
    assert torch.allclose(aggregate(MAPS[:, [3, 1, 4, 0, 2]]), aggregate(MAPS), rtol=1e-14, atol=0)


@pytest.mark.parametrize("rule", ["sum", "sum of absolute", "variance"])
def test_task_maps_are_their_formulas(rule):
    weights = torch.randn(2, 3, 5, generator=GENERATOR, dtype=torch.float64)
    products = weights[..., None, None] * MAPS[:, None]
    expected = {"sum": products.sum(2), "sum of absolute": (weights.abs()[..., None, None] * MAPS[:, None]).sum(2),
                "variance": products.var(2, correction=0)}[rule]  # fmt: skip
    torch.testing.assert_close(task_maps(MAPS, weights, rule=rule), expected, rtol=1e-9, atol=1e-12)


def test_the_variance_of_products_does_not_cancel():
    maps, weights = 1000 + 1e-3 * torch.rand(1, 6, 2, 2, generator=GENERATOR), torch.ones(1, 2, 6)
    found, expected = task_maps(maps, weights, rule="variance"), maps.double().var(1, correction=0)
    assert (found >= 0).all()
    assert found[0, 0].double() == pytest.approx(expected[0], abs=1e-7)


def test_a_map_that_is_constant_up_to_rounding_is_not_scaled_up():
    maps = torch.full((1, 1, 3, 3), 2.0, dtype=torch.float64) + 1e-15 * torch.rand(1, 1, 3, 3, dtype=torch.float64)
    assert aggregate(maps, normalise=True).abs().max() == 0


def test_a_task_on_one_unit_looks_where_the_unit_does():  # G10
    module = relu_network(units=1)
    maps = unit_maps(module, module, PICTURES, Site("2"), PLAIN_GRADIENT_TIMES_ACTIVATION, channels="square root")
    head = torch.randn(3, 1, generator=GENERATOR, dtype=torch.float64)
    weights = head * module(PICTURES).detach()[:, None]  # phi_ki = V_ki z_i, (n, 3, 1)
    torch.testing.assert_close(task_maps(maps, weights), weights[..., None] * maps)


def test_a_linear_head_is_attributed_to_what_its_weights_take_from_the_code():
    head = torch.nn.Linear(5, 3, bias=False).double()
    codes = torch.rand(2, 5, generator=GENERATOR, dtype=torch.float64)
    found = whole(head, head, codes, PICTURE, PLAIN_GRADIENT_TIMES_ACTIVATION)[:, :, 0, 0]
    torch.testing.assert_close(found, head.weight.detach() * codes[:, None])


def test_a_head_composed_with_a_linear_code_is_the_attribution_of_the_whole():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128, 4, bias=False)).double()
    head = torch.randn(3, 4, generator=GENERATOR, dtype=torch.float64)
    maps = unit_maps(module, module, PICTURES, PICTURE, PLAIN_GRADIENT, channels="signed")
    composed = task_maps(maps, head.expand(3, -1, -1))
    direct = unit_maps(module, lambda x: module(x) @ head.T, PICTURES, PICTURE, PLAIN_GRADIENT, channels="signed")
    torch.testing.assert_close(composed, direct, rtol=1e-9, atol=1e-12)


def test_the_baseline_has_no_gradient_and_one_unit():
    module = relu_network()
    found = activation_maps(module, module, PICTURES, PICTURE, PLAIN_GRADIENT)
    torch.testing.assert_close(found, PICTURES.abs().sum(1, keepdim=True))


def test_dead_units_are_found_whatever_the_scale():
    maps = torch.zeros(2, 4, 2, 2)
    maps[0, 0, 0, 0], maps[1, 2, 1, 1], maps[0, 3, 0, 0] = 1.0, -1e-6, 1e-9
    for scale in (1e-12, 1.0, 1e12):
        assert live_units(maps * scale).tolist() == [True, False, True, False]
    assert live_units(torch.zeros(2, 3, 2, 2)).tolist() == [False] * 3


def test_a_relu_that_never_opens_makes_a_dead_unit():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128, 3), torch.nn.ReLU()).double()
    with torch.no_grad():
        module[1].bias[:] = torch.tensor([9.0, -99.0, 9.0])
    maps = torch.cat([unit_maps(module, module, PICTURES, PICTURE, one) for one in STRATEGIES.values()])
    assert live_units(maps).tolist() == [True, False, True]


@pytest.mark.parametrize(("call", "message"), [
    (lambda: over_channels(MAPS), "attributions: found shape"),
    (lambda: over_channels(MAPS[None], "max"), "rule: found 'max'"),
    (lambda: aggregate(MAPS[0]), r"maps: found shape \(5, 4, 3\)"),
    (lambda: aggregate(MAPS, "mean"), "rule: found 'mean'"),
    (lambda: aggregate(MAPS, binary=True), "binary: found True without normalise"),
    (lambda: task_maps(MAPS, torch.ones(2, 3, 4)), r"weights: found shape \(2, 3, 4\); expected \(2, outputs, 5\)"),
    (lambda: task_maps(MAPS, torch.ones(2, 3, 5), rule="relative variance"), "rule: found"),
    (lambda: unit_maps(relu_network(), relu_network(), PICTURES, channels="l2"), "channels: found 'l2'"),
])  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
