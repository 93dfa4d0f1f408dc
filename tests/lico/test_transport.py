"""Entropic transport against POT, closed forms, finite differences and invariances."""

import numpy as np
import ot
import pytest
import torch

from lib.lico.transport import cosine_cost, entropic_value, live_rows, sinkhorn, transport_loss


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_the_plan_is_pots_with_both_run_to_the_end():
    cost = cosine_cost(drawn(3, 6, 5), drawn(3, 4, 5, seed=1))
    ours = sinkhorn(cost, iterations=200_000, tolerance=1e-13)
    assert ours.error.max() < 1e-12
    for plan, one in zip(ours.plan.numpy(), cost.numpy(), strict=True):
        theirs = ot.sinkhorn(np.full(6, 1 / 6), np.full(4, 1 / 4), one, 0.1, method="sinkhorn_log", numItermax=200_000, stopThr=1e-13)
        assert np.abs(theirs.sum(1) - 1 / 6).sum() < 1e-12
        np.testing.assert_allclose(plan, theirs, atol=1e-12)


def test_sums_are_the_masses_within_the_tolerance():
    cost = cosine_cost(drawn(5, 128, 64), drawn(5, 12, 64, seed=1))
    found = sinkhorn(cost, tolerance=1e-6)
    assert found.iterations < 100
    np.testing.assert_allclose(found.plan.sum(1), np.full((5, 12), 1 / 12), atol=1e-12)
    missed = (found.plan.sum(2) - 1 / 128).abs().sum(1)
    assert missed.max() <= 1e-6
    np.testing.assert_allclose(found.error, missed, atol=1e-12)


def test_after_the_last_iteration_the_error_is_that_of_the_plan():
    found = sinkhorn(cosine_cost(drawn(2, 6, 5), drawn(2, 4, 5, seed=1)), iterations=3, tolerance=0)
    assert found.iterations == 3
    np.testing.assert_allclose(found.error, (found.plan.sum(2) - 1 / 6).abs().sum(1), atol=1e-14)
    assert found.error.max() > 1e-4


def test_the_cost_of_the_plan_is_above_exact_transport_and_comes_down_to_it():
    cost = cosine_cost(drawn(1, 128, 64), drawn(1, 12, 64, seed=1))
    exact = ot.emd2(np.full(128, 1 / 128), np.full(12, 1 / 12), cost[0].numpy())
    gaps = []
    for regularisation in (0.1, 0.01):
        plan = sinkhorn(cost, regularisation=regularisation, iterations=20_000, tolerance=1e-9).plan
        gaps.append(float((plan * cost).sum()) / exact - 1)
    assert 0.01 < gaps[0] < 0.1
    assert -1e-9 < gaps[1] < 0.002


def test_a_hundred_iterations_in_single_precision_are_enough_for_the_loss():
    cost = cosine_cost(drawn(8, 512, 64).float(), drawn(8, 13, 64, seed=1).float())
    found = sinkhorn(cost)
    to_the_end = sinkhorn(cost.double(), iterations=100_000, tolerance=1e-12)
    difference = ((found.plan * cost).sum((1, 2)) - (to_the_end.plan * cost.double()).sum((1, 2))).abs()
    assert found.iterations < 100
    # Measured: 3e-5; mass that is misplaced by 1e-4 costs at most 4 a unit where the rest of the plan stays.
    assert difference.max() < 4 * 1e-4 + 1e-5


def test_permuted_points_are_found_again():
    points = drawn(1, 7, 5)
    order = torch.from_numpy(np.random.default_rng(2).permutation(7))
    found = sinkhorn(cosine_cost(points, points[:, order]), regularisation=0.005, iterations=5000)
    np.testing.assert_allclose(found.plan[0], torch.eye(7)[:, order] / 7, atol=1e-6)


def test_a_constant_cost_is_the_loss_and_every_plan_is_independent():
    cost = torch.full((2, 5, 3), 0.7, dtype=torch.float64)
    found = sinkhorn(cost)
    np.testing.assert_allclose((found.plan * cost).sum((1, 2)), 0.7, atol=1e-14)
    np.testing.assert_allclose(found.plan, np.full((2, 5, 3), 1 / 15), atol=1e-15)


def test_two_sides_can_be_exchanged():
    cost = cosine_cost(drawn(2, 6, 5), drawn(2, 4, 5, seed=1))
    settings = {"iterations": 100_000, "tolerance": 1e-13}
    np.testing.assert_allclose(sinkhorn(cost, **settings).plan, sinkhorn(cost.mT, **settings).plan.mT, atol=1e-12)


def test_a_point_without_mass_is_as_good_as_absent():
    maps, tokens = drawn(2, 6, 5), drawn(2, 4, 5, seed=1)
    source, target = torch.ones(2, 6, dtype=torch.bool), torch.ones(2, 4, dtype=torch.bool)
    source[:, 2], target[:, 3] = False, False
    found = sinkhorn(cosine_cost(maps, tokens), source=source, target=target).plan
    without = sinkhorn(cosine_cost(maps[:, [0, 1, 3, 4, 5]], tokens[:, :3])).plan
    assert found[:, 2].abs().max() == 0
    assert found[:, :, 3].abs().max() == 0
    np.testing.assert_allclose(found[:, [0, 1, 3, 4, 5], :3], without, atol=1e-14)


def test_the_order_of_points_does_not_matter():
    maps, tokens = drawn(2, 6, 5), drawn(2, 4, 5, seed=1)
    turned = transport_loss(maps[:, [3, 0, 5, 1, 4, 2]], tokens[:, [2, 3, 0, 1]], iterations=5000, tolerance=1e-12)
    assert float(turned.loss) == pytest.approx(float(transport_loss(maps, tokens, iterations=5000, tolerance=1e-12).loss), abs=1e-10)


def test_a_batch_is_its_problems():
    cost = cosine_cost(drawn(4, 6, 5), drawn(4, 4, 5, seed=1))
    settings = {"iterations": 50, "tolerance": 0}
    alone = torch.cat([sinkhorn(one[None], **settings).plan for one in cost])
    np.testing.assert_allclose(sinkhorn(cost, **settings).plan, alone, atol=1e-15)


def test_the_gradient_of_the_loss_is_that_of_the_entropic_value():
    maps, tokens = drawn(1, 5, 4).requires_grad_(), drawn(1, 3, 4, seed=1).requires_grad_()
    settings = {"iterations": 200_000, "tolerance": 1e-13}

    def value(one, other):
        cost = cosine_cost(one, other)
        return entropic_value(cost, sinkhorn(cost, **settings)).sum()

    transport_loss(maps, tokens, **settings).loss.backward()
    for points, gradient, of in (
        (maps, maps.grad, lambda one: value(one, tokens.detach())), (tokens, tokens.grad, lambda one: value(maps.detach(), one)),
    ):  # fmt: skip
        assert gradient.abs().max() > 1e-2
        for place in ((0, 0, 0), (0, 2, 1), (0, 1, 3)):
            step = torch.zeros_like(points)
            step[place] = 1e-5
            with torch.no_grad():
                numeric = (of(points + step) - of(points - step)) / 2e-5
            assert float(gradient[place]) == pytest.approx(float(numeric), abs=1e-8)


def test_without_gradient_the_loss_is_the_same_number_and_moves_nothing():
    maps, tokens = drawn(2, 5, 4).requires_grad_(), drawn(2, 3, 4, seed=1).requires_grad_()
    released, ours = transport_loss(maps, tokens, gradient=False), transport_loss(maps, tokens)
    assert not released.loss.requires_grad
    assert ours.loss.requires_grad
    assert float(released.loss) == float(ours.loss.detach())


def test_one_point_a_side_costs_its_cost():
    maps, tokens = torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[0.0, 0.5]]])
    assert float(transport_loss(maps, tokens).loss) == pytest.approx(2.0)
    assert float(transport_loss(maps, -7 * maps).loss) == pytest.approx(4.0)
    assert float(transport_loss(maps, 7 * maps).loss) == pytest.approx(0.0, abs=1e-6)


def test_dead_channels_take_no_part_and_kept_ones_are_rewarded():
    token = torch.tensor([[[1.0, 0.0]]])
    unrelated = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])  # costs 2 and 4
    with_dead = torch.cat([unrelated, torch.zeros(1, 2, 2)], 1)
    assert float(transport_loss(with_dead, token).loss) == pytest.approx(3.0)
    assert float(transport_loss(with_dead, token, mask_dead=False).loss) == pytest.approx((2 + 4 + 1 + 1) / 4)
    assert transport_loss(with_dead, token).dead == 0.5


def test_a_picture_without_a_live_channel_counts_nothing_and_hurts_no_other():
    maps = torch.cat([torch.zeros(1, 2, 2), torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])]).requires_grad_()
    token = torch.tensor([[[1.0, 0.0]]]).expand(2, -1, -1)
    found = transport_loss(maps, token)
    assert float(found.loss.detach()) == pytest.approx(1.5)
    found.loss.backward()
    assert maps.grad.isfinite().all()


def test_padding_among_tokens_takes_no_part():
    maps, tokens = drawn(2, 5, 4), drawn(2, 3, 4, seed=1)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    cut = transport_loss(maps[:1], tokens[:1, :2])
    whole = transport_loss(maps[1:], tokens[1:])
    both = transport_loss(maps, tokens, mask)
    assert float(both.loss) == pytest.approx(float(cut.loss + whole.loss) / 2, abs=1e-4)


def test_half_precision_is_computed_in_single():
    maps, tokens = drawn(2, 5, 4), drawn(2, 3, 4, seed=1)
    half = transport_loss(maps.half(), tokens.half())
    assert half.loss.dtype == torch.float32
    assert float(half.loss) == pytest.approx(float(transport_loss(maps, tokens).loss), abs=2e-3)


def test_rows_without_length_are_told():
    assert live_rows(torch.tensor([[0.0, 0.0], [1e-3, 0.0]])).tolist() == [False, True]


@pytest.mark.parametrize(("cost", "settings", "message"), [
    (torch.zeros(3, 2), {}, r"cost: found shape \(3, 2\)"),
    (torch.zeros(1, 0, 2), {}, "at least one of each"),
    (torch.zeros(1, 2, 2), {"regularisation": 0}, "regularisation: found 0"),
    (torch.zeros(1, 2, 2), {"iterations": 0}, "iterations: found 0"),
    (torch.zeros(1, 2, 2), {"tolerance": -1}, "tolerance: found -1"),
    (torch.zeros(1, 2, 2), {"source": torch.zeros(1, 2, dtype=torch.bool)}, "source: found 1 problems without a point"),
    (torch.zeros(1, 2, 2), {"target": torch.ones(1, 3, dtype=torch.bool)}, "target: found torch.bool of shape"),
    (torch.zeros(1, 2, 2), {"target": torch.ones(1, 2)}, "target: found torch.float32"),
])  # fmt: skip
def test_bad_costs_are_named(cost, settings, message):
    with pytest.raises(ValueError, match=message):
        sinkhorn(cost, **settings)


def test_costs_that_are_not_finite_are_named():
    with pytest.raises(FloatingPointError, match="cost: found 4 values that are not finite"):
        sinkhorn(torch.full((1, 2, 2), torch.nan))


def test_points_of_other_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"maps, tokens: found shapes \(2, 5, 4\) and \(2, 3, 5\)"):
        transport_loss(torch.zeros(2, 5, 4), torch.zeros(2, 3, 5))
