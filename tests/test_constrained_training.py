"""Training under attribution scores: gradients against finite differences, arms against one another, and what has to be refused."""

import numpy as np
import pytest
import torch

from lib import constrained_training
from lib.attribution.maps import unit_maps
from lib.attribution.sites import Site
from lib.attribution.strategies import PLAIN_GRADIENT_TIMES_ACTIVATION
from lib.constrained_training import Arm, Schedule, evaluate_constrained, train_constrained
from lib.encoders.grey_networks import ConstrainedEncoder, built
from lib.measures.attribution_scores import disentanglement, informativeness, scale_free_disentanglement

GENERATOR = torch.Generator().manual_seed(0)
PICTURES = torch.rand(150, 1, 28, 28, generator=GENERATOR)
LABELS = np.arange(150) % 10
SHORT = Schedule(steps=5, every=2, references=2)


def reference_maps(network, pictures, t, e, noise, factor=None):
    """Attributions by one backward pass a unit, picture and sample; the factor is the activation, or given."""
    out, factors = [], iter(factor) if factor is not None else None
    used = []
    for picture in pictures:
        samples = []
        for one_t, one_e in zip(t, e, strict=True):
            inner = network.below((one_t * (picture + noise * one_e))[None])
            code = network.above(inner)[0]
            gradients = [torch.autograd.grad(unit, inner, create_graph=True)[0][0] for unit in code]
            multiplier = next(factors) if factors else inner[0]
            used.append(multiplier.detach())
            samples.append(torch.stack([one * multiplier for one in gradients]))
        out.append(torch.stack(samples).mean(0))
    return torch.stack(out), used


def reference_score(network, arm, schedule, seed, step, factors=None):
    t, e, eta = (one.double() for one in constrained_training._draws(seed, step, schedule))
    pictures = PICTURES[: schedule.pictures].double()
    maps, first = reference_maps(network, pictures, t, e, schedule.noise, factors and factors[0])
    noise, second = reference_maps(network, eta, t, e, schedule.noise, factors and factors[1])
    maps, noise = maps.sum(2), noise.sum(1)  # (pictures, units, 14, 14) and (references, channels, 14, 14)
    if arm.summed_references:  # R4, picture by picture and channel by channel
        of_channels = noise.sum(0) / noise.sum(0).max()
        each = [[(one.sum(0) / one.sum(0).max() - channel).abs().mean() for channel in of_channels] for one in maps]
        told = torch.stack([torch.stack(row).mean() for row in each])
    else:
        told = informativeness(maps.sum(1), noise.sum(1).mean(0), rule="maximum")
    total = arm.informativeness * told.mean()
    if arm.disentanglement:
        scaled = disentanglement(maps, rule="min-max", unbiased=True)
        total = total + arm.disentanglement * (scale_free_disentanglement(maps) if arm.score == "scale-free" else scaled).mean()
    return total, (first, second)


def in_double(monkeypatch):
    draws = constrained_training._draws
    monkeypatch.setattr(constrained_training, "_draws", lambda *arguments: tuple(one.double() for one in draws(*arguments)))


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("arm", [Arm("noise", 0.3), Arm("var", 0, 0.7), Arm("both", 0.1, 0.1, score="scale-free"),
                                 Arm("R4", 0.3, summed_references=True)],
                         ids=lambda one: one.name)  # fmt: skip
def test_gradient_of_the_scores_is_a_finite_difference(arm, through, monkeypatch):  # G9
    in_double(monkeypatch)
    schedule = Schedule(pictures=2, samples=2, references=2, through_factor=through)
    network = built(ConstrainedEncoder, 3, latent=2).double()
    weights = {name: value.detach()[None].clone().requires_grad_() for name, value in network.named_parameters()}
    counts = {name: torch.tensor([getattr(arm, name)], dtype=torch.float64) for name in ("informativeness", "disentanglement")}
    kinds = {"scale-free": torch.tensor([arm.score == "scale-free"]), "summed": torch.tensor([arm.summed_references])}
    score = constrained_training._scores(network, weights, PICTURES[None, :2].double(), counts, kinds, [3], 0, schedule)
    value, factors = reference_score(network, arm, schedule, 3, 0)
    assert score.item() == pytest.approx(value.item(), rel=1e-9)
    score.sum().backward()
    rng, width = np.random.default_rng(0), 1e-7  # maxima switch places within a larger step
    for name in ("below.0.weight", "above.0.0.weight", "above.2.weight"):
        parameter = network.get_parameter(name)
        direction = torch.as_tensor(rng.standard_normal(tuple(parameter.shape)))
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * width * direction
            ends.append(reference_score(network, arm, schedule, 3, 0, None if through else factors)[0].item())
            with torch.no_grad():
                parameter -= sign * width * direction
        slope = (ends[0] - ends[1]) / (2 * width)
        assert (weights[name].grad[0] * direction).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


def weights_of(network):
    """All that matters: batch norm takes the biases of convolutions away, and Adam moves them by the sign of rounding errors."""
    return torch.cat([value.flatten() for name, value in network.state_dict().items() if ".0.bias" not in name or "coder" in name])


def test_members_are_trained_as_if_alone_and_paired_by_seed():
    arms = [Arm("normal"), Arm("both", 0.5, 0.5), Arm("sham", 0.5, 0.5, sham=True)]
    together = train_constrained(PICTURES, LABELS, 3, arms, [0, 7], SHORT)
    for number, arm in enumerate(arms):
        [[alone]] = train_constrained(PICTURES, LABELS, 3, [arm], [7], SHORT)
        torch.testing.assert_close(weights_of(alone), weights_of(together[number][1]), rtol=1e-4, atol=1e-6)
    normal, both, sham = (weights_of(networks[0]) for networks in together)
    assert (both - normal).abs().max() > 1e-4
    assert (sham - normal).abs().max() > 1e-4
    assert (sham - both).abs().max() > 1e-4
    assert (weights_of(together[0][0]) - weights_of(together[0][1])).abs().max() > 0.01  # seeds differ


def test_where_a_score_weighs_nothing_arms_are_the_same():
    arms = [Arm("normal"), Arm("tiny", 1e-30, 1e-30), Arm("sham", 1e-30, 1e-30, sham=True)]
    normal, tiny, sham = train_constrained(PICTURES, LABELS, 3, arms, [0], SHORT)
    assert torch.equal(weights_of(normal[0]), weights_of(tiny[0]))
    assert torch.equal(weights_of(normal[0]), weights_of(sham[0]))


def test_maps_that_are_trained_on_are_those_of_the_attribution():
    network = built(ConstrainedEncoder, 3, latent=4).eval()
    weights = {name: value.detach()[None] for name, value in network.named_parameters()}
    schedule = Schedule(pictures=3, samples=1, references=2, noise=0.0)
    maps, _ = constrained_training._maps_and_noise(network, weights, PICTURES[None, :3], [5], 2, schedule)
    t = constrained_training._draws(5, 2, schedule)[0]
    expected = unit_maps(network, network.embed, t[0] * PICTURES[:3], Site("above"), PLAIN_GRADIENT_TIMES_ACTIVATION, channels="signed")
    torch.testing.assert_close(maps[0], expected, rtol=1e-4, atol=1e-6)


def test_plain_training_is_adam_on_the_task(monkeypatch):
    [[network]] = train_constrained(PICTURES, LABELS, 2, [Arm("normal")], [5], SHORT)
    expected = built(ConstrainedEncoder, 5, latent=2)
    optimizer = torch.optim.Adam(expected.parameters(), lr=1e-3)
    order = constrained_training._Order(150, [5])
    for step in range(5):
        rows = order.rows(step)[0]
        _, logits, drawn = expected(PICTURES[rows])
        loss = torch.nn.functional.cross_entropy(logits, torch.as_tensor(LABELS[rows]))
        loss = loss + torch.nn.functional.mse_loss(drawn, PICTURES[rows].flatten(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(weights_of(network), weights_of(expected).detach(), rtol=1e-4, atol=1e-6)


def test_every_epoch_goes_through_the_pictures_once_in_an_order_of_its_own():
    order = constrained_training._Order(64 * 3 + 5, [1, 2])
    epochs = [np.concatenate([order.rows(step) for step in range(start, start + 3)], axis=1) for start in (0, 3)]
    for epoch in epochs:
        assert all(len(np.unique(row)) == 192 for row in epoch)
    assert (epochs[0][0] != epochs[0][1]).any()
    assert (epochs[0][0] != epochs[1][0]).any()


def test_a_score_alone_can_be_trained_for():
    schedule = Schedule(steps=60, every=1, pictures=4, references=4, learning_rate=3e-3)
    data = (PICTURES, LABELS)
    arms = [Arm("only_var", 0, 1.0, task=False, score="scale-free"), Arm("only_noise", 1.0, task=False), Arm("R3", -1.0, task=False)]
    trained = train_constrained(*data, 4, arms, [0], schedule)
    before = evaluate_constrained(built(ConstrainedEncoder, 0, latent=4), data, data, references=4)
    after = [evaluate_constrained(networks[0], data, data, references=4) for networks in trained]
    assert after[0]["scale-free disentanglement"] > before["scale-free disentanglement"] + 0.1
    assert after[1]["informativeness"] > before["informativeness"] + 0.02
    assert after[2]["informativeness"] < before["informativeness"] - 0.02


def test_evaluation_says_what_it_is():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    pictures = torch.rand(300, 1, 28, 28) * 0.1
    pictures[labels == 1, :, :14] += 0.8
    [[network]] = train_constrained(pictures, labels, 2, [Arm("normal")], [0], Schedule(steps=150, learning_rate=3e-3))
    found = evaluate_constrained(network, (pictures[:200], labels[:200]), (pictures[200:], labels[200:]))
    assert found["accuracy"] == found["probe accuracy"] == 1
    assert found["reconstruction error"] < 0.1
    assert found["dead"] == 0
    single = built(ConstrainedEncoder, 0, latent=1, classes=2)
    assert np.isnan(evaluate_constrained(single, (pictures, labels), (pictures, labels))["scaled disentanglement"])


@pytest.mark.parametrize(("change", "message"), [
    ({"latent": 1}, "over one unit there is no variance"), ({"latent": 0}, "latent: found 0"), ({"arms": []}, "arms, seeds: found 0 and 1"),
    ({"seeds": []}, "found 1 and 0"), ({"pictures": PICTURES[:63]}, r"found \(63, 1, 28, 28\)"), ({"labels": LABELS[:3]}, r"\(3,\)"),
    ({"pictures": PICTURES[:, :, :20]}, "expected .n, 1, 28, 28."),
])  # fmt: skip
def test_bad_input_is_named(change, message):
    arguments = {"pictures": PICTURES, "labels": LABELS, "latent": 2, "arms": [Arm("var", 0, 0.1)], "seeds": [0], "schedule": SHORT}
    with pytest.raises(ValueError, match=message):
        train_constrained(**arguments | change)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Arm("a", -float("inf")), "informativeness: found -inf"), (lambda: Arm("a", score="raw"), "score: found 'raw'"),
    (lambda: Arm("a", task=False), "neither task nor score"), (lambda: Arm("a", 0, float("nan")), "disentanglement: found nan"),
    (lambda: Schedule(every=0), "every: found 0"), (lambda: Schedule(pictures=65), "pictures: found 65"),
])  # fmt: skip
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_loss_that_is_not_finite_names_arm_and_seed():
    pictures = PICTURES.clone()
    pictures[:, 0, 0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="normal, seed 4, 2 units: the loss at step 0"):
        train_constrained(pictures, LABELS, 2, [Arm("normal")], [4], SHORT)
