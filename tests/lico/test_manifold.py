"""Manifold matching: where it is 0 by geometry, where it is not, its sign, and its law at high temperature."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from lib.lico.manifold import FLOOR, distances, log_similarities, matching_loss
from lib.lico.temperature import DIVISOR, INITIAL, LOG_SCALE, Temperature


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def loss(pictures, texts, scale=1.0, scaled=False, sign=-1.0):
    logs = [log_similarities(distances(one, scaled=scaled), scale, sign=sign) for one in (pictures, texts)]
    return float(matching_loss(*logs))


def test_distances_are_those_of_the_definition():
    points = drawn(6, 3)
    expected = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.testing.assert_allclose(distances(points, scaled=False), expected, atol=1e-14)
    unit = points / points.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(distances(points), np.linalg.norm(unit[:, None] - unit[None], axis=2), atol=1e-14)


def test_points_are_flattened():
    points = drawn(4, 3, 5)
    np.testing.assert_array_equal(distances(points), distances(points.flatten(1)))


def test_samples_that_nearly_coincide_keep_their_distance_in_single_precision():
    points = torch.ones(2, 64)
    points[1, 0] += 1e-4
    assert float(distances(points, scaled=False)[0, 1]) == pytest.approx(1e-4, rel=1e-2)


def test_gradients_are_those_of_differences():
    points = drawn(7, 5)
    points[3] = points[1]  # two coincide
    weights, gradients = drawn(7, 7, seed=2), []
    for distance in (partial(distances, scaled=False), lambda here: torch.cdist(here, here, compute_mode="donot_use_mm_for_euclid_dist")):
        here = points.clone().requires_grad_()
        (weights * distance(here)).sum().backward()
        gradients.append(here.grad)
    np.testing.assert_allclose(*gradients, atol=1e-12)


def test_coincident_samples_have_a_gradient_that_is_finite():
    for rows in (torch.ones(3, 4), torch.eye(4)[[0, 0, 1]]):  # nearly, and exactly at a distance of 0
        points = rows.clone().requires_grad_()
        distances(points).sum().backward()
        assert points.grad.isfinite().all()


def test_turned_and_shifted_texts_match():
    pictures = drawn(16, 8)
    turn = torch.linalg.qr(drawn(8, 8, seed=1))[0]
    assert loss(pictures, pictures @ turn + 3.0) == pytest.approx(0, abs=1e-13)


def test_texts_twice_as_long_match_only_when_brought_to_length_one():
    pictures = drawn(16, 8)
    assert loss(pictures, 2 * pictures) > 0.05
    assert loss(pictures, 2 * pictures, scaled=True) == pytest.approx(0, abs=1e-13)


def test_texts_of_other_samples_do_not_match():
    pictures = drawn(16, 8)
    assert loss(pictures, pictures.roll(1, 0)) > 0.1


def test_the_loss_is_the_divergence_of_texts_from_pictures():
    pictures, texts = drawn(16, 8), drawn(16, 8, seed=1)
    shares = [log_similarities(distances(one), 2.0) for one in (pictures, texts)]
    expected = entropy(shares[1].exp().numpy(), shares[0].exp().numpy(), axis=1).mean()
    assert float(matching_loss(*shares)) == pytest.approx(expected, rel=1e-12)


def test_it_matters_which_side_is_the_target():
    pictures, texts = drawn(16, 8), drawn(16, 8, seed=1)
    assert abs(loss(pictures, texts) - loss(texts, pictures)) > 1e-3


def test_rows_are_distributions_and_the_nearest_neighbour_is_the_most_similar():
    found = distances(drawn(12, 5))
    shares = log_similarities(found, 3.0).exp()
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-14)
    assert (shares.argmax(1) == torch.arange(12)).all()
    others = found + 1e9 * torch.eye(12)
    off_diagonal = shares - 2 * torch.eye(12)
    assert (off_diagonal.argmax(1) == others.argmin(1)).all()
    # As released, the farthest is.
    assert (log_similarities(found, 3.0, sign=1.0).argmax(1) == found.argmax(1)).all()


def test_at_high_temperature_the_loss_is_the_variance_of_differences():
    pictures, texts = drawn(64, 8), drawn(64, 8, seed=1)
    found, other = distances(pictures), distances(texts)
    for tau in (10.0, 30.0):
        expected = float((found - other).var(1, correction=0).mean() / (2 * tau**2))
        assert loss(pictures, texts, 1 / tau, scaled=True) == pytest.approx(expected, rel=2 / tau)


def test_as_released_short_distances_are_lifted_and_have_no_gradient():
    points = torch.zeros(2, 3)
    points[1, 0] = FLOOR**0.5 / 2
    points.requires_grad_()
    found = distances(points, scaled=False, floored=True)
    assert float(found[0, 1].detach()) == pytest.approx(FLOOR**0.5)
    found[0, 1].backward()
    assert points.grad.abs().max() == 0


def test_two_conventions_of_one_number():
    assert float(Temperature(DIVISOR).scale.detach()) == pytest.approx(1 / np.log(1 / 0.07))
    assert float(Temperature(LOG_SCALE).scale.detach()) == pytest.approx(1 / 0.07)
    pictures, texts = drawn(64, 32), drawn(10, 32, seed=1)[torch.arange(64) % 10]  # a text for each of ten classes
    assert loss(pictures, texts, float(Temperature(DIVISOR).scale.detach()), scaled=True) < 0.05
    assert loss(pictures, texts, float(Temperature(LOG_SCALE).scale.detach()), scaled=True) > 5


def test_a_temperature_is_held_in_its_range_after_a_step_and_can_return():
    one = Temperature(LOG_SCALE, 0.0)
    optimizer = torch.optim.SGD(one.parameters(), lr=1.0)
    one.scale.backward()
    optimizer.step()
    one.hold()
    assert float(one.t.detach()) == 0
    optimizer.zero_grad()
    (-one.scale).backward()
    assert float(one.t.grad) == -1
    optimizer.step()
    one.hold()
    assert float(one.t.detach()) == 1


def test_a_fixed_temperature_is_not_trained():
    assert not Temperature(learnable=False).t.requires_grad


@pytest.mark.parametrize(("settings", "message"), [
    ({"convention": "tau"}, "convention: found 'tau'"),
    ({"initial": -1.0}, "initial: found -1.0"),
    ({"convention": LOG_SCALE, "initial": INITIAL * 3}, "initial: found"),
])  # fmt: skip
def test_bad_temperatures_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Temperature(**settings)


@pytest.mark.parametrize(("features", "message"), [
    (torch.zeros(1, 3), "at least two samples"),
    (torch.zeros(3), r"found shape \(3,\)"),
])  # fmt: skip
def test_bad_features_are_named(features, message):
    with pytest.raises(ValueError, match=message):
        distances(features)


def test_features_that_are_not_finite_are_named():
    with pytest.raises(FloatingPointError, match="found 6 values that are not finite"):
        distances(torch.full((2, 3), torch.inf))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected"):
        matching_loss(torch.zeros(2, 2), torch.zeros(3, 3))
