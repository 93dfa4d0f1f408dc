"""Both losses on a batch: labels, gradients, readings, controls and signs of collapse."""

import numpy as np
import pytest
import torch

from lib.lico.controls import GivenText, as_long_as, one_hot_text, random_text, shuffled_names, uniform_text
from lib.lico.diagnostics import mean_cosine
from lib.lico.manifold import distances, log_similarities, matching_loss
from lib.lico.mapping import mapping_net
from lib.lico.objective import Consistency
from lib.lico.prompts import Prompts, TextFeatures
from lib.lico.readings import ALL, CODE24A, CODE24B, FLAT, MEANS, PAPER, PLACES, READINGS, ROLLED, Reading
from lib.lico.schedule import seven_sixteenths_cosine
from lib.lico.sham import Sham, random_distances
from lib.lico.transport import transport_loss
from tests.lico.conftest import NAMES

SHAPE = (6, 4, 4)
LABELS = torch.tensor([1, 0, 2, 3, 3])


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def consistency(encoder, reading, **settings):
    return Consistency(Prompts.of(encoder, NAMES, reading), SHAPE, reading, **settings).eval()


@pytest.mark.parametrize("name", READINGS)
def test_every_reading_runs_and_trains_what_it_should(encoder, name):
    reading = READINGS[name].but(contexts=3)
    both = consistency(encoder, reading)
    maps = drawn(5, *SHAPE).requires_grad_()
    losses = both(maps, LABELS, order=both.text.order(0, 0), watch=True)
    assert float(losses.total.detach()) == pytest.approx(10 * float(losses.manifold.detach()) + float(losses.transport.detach()), rel=1e-6)
    # As released, transport moves nothing; as meant, it alone moves maps, mapping net and contexts.
    assert losses.transport.requires_grad == reading.transport_gradient
    if reading.transport_gradient:
        moving = [maps, both.mapping[0].weight, both.mapping[3].weight, both.text.contexts]
        moved = torch.autograd.grad(losses.transport, moving, retain_graph=True)
        assert all(one.abs().max() > 0 for one in moved)
    losses.total.backward()
    assert maps.grad.abs().max() > 0
    assert both.text.contexts.grad.abs().max() > 0
    assert all(np.isfinite(value) for value in losses.diagnostics.values())


@pytest.mark.parametrize("name", READINGS)
def test_only_classes_of_the_batch_go_through_the_encoder_and_nothing_else_changes(encoder, name, monkeypatch):
    both = consistency(encoder, READINGS[name].but(contexts=3, own_context=False))
    labels, maps, seen = torch.tensor([2, 0, 2, 0, 2]), drawn(5, *SHAPE), []
    run = type(encoder).forward
    monkeypatch.setattr(type(encoder), "forward", lambda self, x, *rest: seen.append(len(x)) or run(self, x, *rest))
    some = both(maps, labels).total
    everything = both.text()
    monkeypatch.setattr(Prompts, "forward", lambda self, order=None, classes=None: everything.of(classes))
    np.testing.assert_allclose(some.detach(), both(maps, labels).total.detach(), rtol=1e-5)
    assert seen[0] == (len(NAMES) if READINGS[name].tokens == ALL else 2)


@pytest.mark.parametrize("name", READINGS)
def test_a_batch_of_one_class_is_matched_to_texts_that_are_all_alike(encoder, name):
    both, labels, maps = consistency(encoder, READINGS[name].but(contexts=3)), torch.ones(5, dtype=torch.int64), drawn(5, *SHAPE)
    found = both(maps, labels)
    reading = both.reading
    if reading.manifold == FLAT and not reading.floored:
        alike = log_similarities(torch.zeros(5, 5), both.temperature.scale)
        pictures = log_similarities(distances(maps.flatten(2)), both.temperature.scale)
        assert float(found.manifold.detach()) == pytest.approx(float(matching_loss(pictures, alike).detach()), rel=1e-5)
    assert found.total.isfinite()


def test_gradients_are_the_same_to_the_last_bit_with_several_threads():
    # Where many pictures share a class, threads may add up its gradient in any order: nine different ones in 150 passes were seen.
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 20, 64))
    both = Consistency(GivenText(random_text(20, 14, 16)), (4, 8, 8), PAPER.but(dropout=0.0))
    maps, found, threads = drawn(64, 4, 8, 8), set(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for _ in range(150):
            both.zero_grad(set_to_none=True)
            both(maps, labels).total.backward()
            found.add(both.mapping[3].weight.grad.numpy().tobytes())
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1


def test_losses_are_those_of_a_picture_and_its_own_class(encoder):
    both = consistency(encoder, PAPER.but(contexts=3))
    maps = drawn(5, *SHAPE)
    losses = both(maps, LABELS)
    features = both.text()
    mapped = both.mapping(features.tokens) * features.mask[:, :, None]
    transports = [
        transport_loss(one[None].flatten(2), mapped[label][None], features.mask[label][None]).loss
        for one, label in zip(maps, LABELS, strict=True)
    ]
    assert float(losses.transport.detach()) == pytest.approx(float(torch.stack(transports).mean().detach()), abs=1e-3)
    logs = [log_similarities(distances(one), both.temperature.scale) for one in (maps, mapped[LABELS])]
    assert float(losses.manifold.detach()) == pytest.approx(float(matching_loss(*logs).detach()), rel=1e-4)


def test_a_label_looked_up_twice_is_another_class(encoder):
    """The released code's t[y][y_i]: with labels [1, 0, 2] the first two samples get each other's labels' texts."""
    maps, labels = drawn(3, *SHAPE), torch.tensor([1, 0, 2])
    twice = consistency(encoder, CODE24B.but(contexts=3, beta=0.0))
    once = consistency(encoder, CODE24B.but(contexts=3, beta=0.0, label_of_label=False))
    assert float(twice(maps, labels).manifold.detach()) == float(once(maps, labels[labels]).manifold.detach())
    assert float(twice(maps, labels).manifold.detach()) != float(once(maps, labels).manifold.detach())
    with pytest.raises(ValueError, match="expected places in the batch"):
        twice(maps, torch.tensor([3, 0, 1]))  # fewer pictures than the highest label


def test_weights_of_zero_leave_a_loss_out(encoder):
    maps = drawn(5, *SHAPE)
    neither = consistency(encoder, PAPER.but(contexts=3, alpha=0.0, beta=0.0))(maps, LABELS)
    assert float(neither.total) == 0
    only = consistency(encoder, PAPER.but(contexts=3, alpha=0.0))(maps, LABELS)
    assert float(only.manifold) == 0
    assert float(only.transport.detach()) > 0


def test_a_share_of_the_weights_is_a_share_of_the_loss(encoder):
    both = consistency(encoder, PAPER.but(contexts=3))
    maps = drawn(5, *SHAPE)
    assert float(both(maps, LABELS, share=0.25).total.detach()) == pytest.approx(float(both(maps, LABELS).total.detach()) / 4, rel=1e-6)


def test_places_as_points_turn_the_maps(encoder):
    both = consistency(encoder, PAPER.but(contexts=3, points=PLACES))
    assert both.mapping[-1].out_features == SHAPE[0]
    maps = drawn(5, *SHAPE)
    features = both.text()
    mapped = both.mapping(features.tokens)[LABELS]
    expected = transport_loss(maps.flatten(2).mT, mapped, features.mask[LABELS]).loss
    assert float(both(maps, LABELS).transport.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_summaries_of_all_classes_ignore_the_label(encoder):
    both = consistency(encoder, PAPER.but(contexts=3, tokens=ALL, alpha=0.0))
    maps = drawn(5, *SHAPE)
    assert float(both(maps, LABELS).transport.detach()) == float(both(maps, LABELS.flip(0)).transport.detach())


def test_means_compare_what_comes_before_the_classifier(encoder):
    both = consistency(encoder, PAPER.but(contexts=3, manifold=MEANS, beta=0.0))
    maps = drawn(5, *SHAPE)
    texts = both.text().summary[LABELS]
    logs = [log_similarities(distances(one), both.temperature.scale) for one in (maps.mean((2, 3)), texts)]
    assert float(both(maps, LABELS).manifold.detach()) == pytest.approx(float(matching_loss(*logs).detach()), rel=1e-4)


def test_controls_stand_where_prompts_do():
    maps = drawn(5, *SHAPE)
    for features in (random_text(4, 3, 16), one_hot_text(4, 3), uniform_text(4, 3, 16)):
        for tokens in ("own", ROLLED, ALL):
            both = Consistency(GivenText(features), SHAPE, PAPER.but(contexts=3, tokens=tokens))
            losses = both(maps, LABELS, order=both.text.order(0, 0))
            losses.total.backward()
            assert float(losses.transport.detach()) > 0


def test_random_texts_are_of_length_one_and_belong_to_their_seed():
    one, same, other = random_text(4, 3, 16), random_text(4, 3, 16), random_text(4, 3, 16, seed=1)
    np.testing.assert_allclose(one.tokens.norm(dim=2), 1, atol=1e-6)
    assert torch.equal(one.tokens, same.tokens)
    assert not torch.equal(one.tokens, other.tokens)


def test_one_hot_texts_know_labels_only():
    found = one_hot_text(4, 3)
    assert tuple(found.tokens.shape) == (4, 3, 7)
    between = torch.pdist(found.summary)
    np.testing.assert_allclose(between, 2**0.5, atol=1e-6)  # no two classes are more alike than two others


def test_uniform_texts_tell_no_class():
    found = uniform_text(4, 3, 16)
    assert (found.tokens == found.tokens[:1]).all()
    assert (found.summary == found.summary[:1]).all()
    both = Consistency(GivenText(found), SHAPE, PAPER.but(dropout=0.0))
    assert float(distances(both.mapping(both.text().tokens).detach()).max()) == 0  # nor does the mapping net


def test_controls_are_as_long_as_texts(encoder):
    texts = Prompts(encoder, NAMES, contexts=3)()
    found = as_long_as(random_text(7, 5, 11), texts)
    assert float(found.tokens.detach().norm(dim=2).std()) < 1e-5
    for one, of_texts in ((found.tokens[0, 0], texts.tokens[texts.mask]), (found.summary[0], texts.summary)):
        assert float(one.detach().norm()) == pytest.approx(float(of_texts.detach().square().sum(1).mean().sqrt()), rel=1e-5)


def test_a_sham_has_both_losses_towards_random_targets():
    maps, reading = drawn(5, *SHAPE), PAPER.but(alpha=2.0, beta=0.5)
    sham = Sham(4, 7, SHAPE, reading, weight=3.0, seed=1)
    found = sham(maps, LABELS, share=0.25, watch=True)
    between = distances(maps.flatten(2)), random_distances(LABELS, seed=1).float()
    manifold = matching_loss(*(log_similarities(one, 1 / reading.initial) for one in between))
    tokens = random_text(4, 7, 16, seed=1).tokens
    transport = transport_loss(maps.flatten(2), tokens[LABELS], mask_dead=False).loss
    assert float(found.manifold) == pytest.approx(float(manifold), rel=1e-5)
    assert float(found.transport) == pytest.approx(float(transport), rel=1e-5)
    assert float(found.total) == pytest.approx(3.0 * 0.25 * (2.0 * float(manifold) + 0.5 * float(transport)), rel=1e-5)
    of_lico = Consistency(GivenText(random_text(4, 7, 16)), SHAPE, reading)(maps, LABELS, watch=True)
    assert found.diagnostics.keys() == of_lico.diagnostics.keys()


def test_random_distances_belong_to_the_composition_of_a_batch():
    labels, order = torch.tensor([4, 0, 2, 7]), torch.tensor([2, 0, 3, 1])
    assert torch.equal(random_distances(labels[order]), random_distances(labels)[order][:, order])


def test_what_was_not_computed_is_no_number(encoder):
    maps = drawn(5, *SHAPE)
    maps[:, 0] = 0
    found = consistency(encoder, PAPER.but(contexts=3, beta=0.0))(maps, LABELS, watch=True).diagnostics
    assert np.isnan(found["error"])
    assert np.isnan(found["iterations"])
    assert found["dead"] == pytest.approx(1 / 6)


def test_the_cosine_of_tokens_is_that_without_dropout():
    same = TextFeatures(torch.ones(4, 3, 16), torch.ones(4, 3, dtype=torch.bool), torch.ones(4, 16))
    both = Consistency(GivenText(same), SHAPE, PAPER).train()
    assert both(drawn(5, *SHAPE), LABELS, watch=True).diagnostics["token cosine"] == pytest.approx(1, abs=1e-5)
    assert both.mapping.training


@pytest.mark.parametrize("count", [2, 3, 10])
def test_shuffled_names_leave_no_class_its_own(count):
    names = [f"class {one}" for one in range(count)]
    for seed in range(20):
        found = shuffled_names(names, seed=seed)
        assert sorted(found) == sorted(names)
        assert all(one != other for one, other in zip(found, names, strict=True))


def test_mean_cosine_of_known_sets():
    copies = torch.ones(1, 3, 4)
    assert mean_cosine(copies) == pytest.approx(1, abs=1e-6)
    assert mean_cosine(torch.eye(4)[None]) == pytest.approx(0, abs=1e-7)
    points = drawn(2, 5, 4)
    unit = points / points.norm(dim=2, keepdim=True)
    every = unit @ unit.mT
    expected = np.mean([float(one[~torch.eye(5, dtype=torch.bool)].mean()) for one in every])
    assert mean_cosine(points) == pytest.approx(expected, abs=1e-6)
    with_dead = torch.cat([points, torch.zeros(2, 2, 4)], 1)
    assert mean_cosine(with_dead) == pytest.approx(expected, abs=1e-6)
    assert mean_cosine(with_dead, torch.tensor([[True] * 5 + [False] * 2] * 2)) == pytest.approx(expected, abs=1e-6)
    assert np.isnan(mean_cosine(points[:, :1]))


def test_the_rate_ends_at_the_cosine_of_seven_sixteenths():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.03)
    schedule = seven_sixteenths_cosine(optimizer, 100)
    rates = []
    for _ in range(101):
        rates.append(optimizer.param_groups[0]["lr"] / 0.03)
        optimizer.step()
        schedule.step()
    assert rates[0] == 1
    assert rates[50] == pytest.approx(np.cos(7 * np.pi / 32))
    assert rates[100] == pytest.approx(0.19509, abs=1e-5)
    with pytest.raises(ValueError, match="steps: found 0"):
        seven_sixteenths_cosine(optimizer, 0)


def test_the_mapping_net_is_that_of_the_code():
    net = mapping_net(32, 16)
    assert [type(one).__name__ for one in net] == ["Linear", "Dropout", "ReLU", "Linear"]
    assert (net[0].out_features, net[1].p, net[3].out_features) == (512, 0.5, 16)
    for bad in ({"width": 0, "dims": 3}, {"dims": 0, "width": 3}, {"dropout": 1, "width": 3, "dims": 3}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            mapping_net(**bad)


@pytest.mark.parametrize(("maps", "labels", "message"), [
    (drawn(5, 6, 4, 3), LABELS, "maps, labels: found shapes"),
    (drawn(4, *SHAPE), LABELS, "maps, labels: found shapes"),
    (drawn(5, *SHAPE), LABELS + 1, "labels: found 1 to 4; expected 0 to 3"),
    (drawn(5, *SHAPE), LABELS - 1, "labels: found -1 to 2"),
    (drawn(1, *SHAPE), LABELS[:1], "at least two samples"),
])  # fmt: skip
def test_bad_batches_are_named(encoder, maps, labels, message):
    with pytest.raises(ValueError, match=message):
        consistency(encoder, PAPER.but(contexts=3))(maps, labels)


def test_maps_that_are_not_finite_are_named(encoder):
    with pytest.raises(FloatingPointError, match="not finite"):
        consistency(encoder, PAPER.but(contexts=3))(torch.full((5, *SHAPE), torch.nan), LABELS)


def test_maps_of_one_place_are_refused(encoder):
    with pytest.raises(ValueError, match="more than one place"):
        Consistency(Prompts.of(encoder, NAMES, PAPER), (6, 1, 1), PAPER)


def test_prompts_of_another_layout_are_refused(encoder):
    with pytest.raises(ValueError, match="as code24a has it"):
        Consistency(Prompts.of(encoder, NAMES, PAPER), SHAPE, CODE24A)


def test_a_mapping_net_belongs_to_its_seed_whatever_was_drawn_before(encoder):
    one = consistency(encoder, PAPER)
    torch.rand(7)
    before = torch.get_rng_state()
    again, other = consistency(encoder, PAPER), consistency(encoder, PAPER, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.mapping[0].weight, again.mapping[0].weight)
    assert not torch.equal(one.mapping[0].weight, other.mapping[0].weight)


def test_padding_has_what_the_encoder_says_of_it_and_counts_only_as_r2_has_it(encoder):
    r2 = READINGS["r2"].but(contexts=3)
    features = consistency(encoder, r2).text()
    padding = features.tokens[~features.mask]
    assert padding.abs().max() > 0
    maps = drawn(5, *SHAPE)
    counted, masked = (consistency(encoder, r2.but(mask_padding=one))(maps, LABELS) for one in (False, True))
    assert float(counted.transport.detach()) != float(masked.transport.detach())


def test_one_class_is_refused():
    one = Consistency(GivenText(random_text(1, 3, 16)), SHAPE, PAPER)
    with pytest.raises(ValueError, match="text: found 1 class"):
        one(drawn(2, *SHAPE), torch.tensor([0, 0]))


def test_mixed_precision_leaves_the_losses_in_single(encoder):
    both = consistency(encoder, PAPER)
    maps = drawn(5, *SHAPE)
    plain = transport_loss(maps.flatten(2), drawn(5, 3, 16, seed=1))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = transport_loss(maps.flatten(2), drawn(5, 3, 16, seed=1))
        assert both(maps, LABELS).manifold.dtype == torch.float32
    assert float(mixed.loss) == float(plain.loss)


@pytest.mark.parametrize(("settings", "message"), [
    ({"tokens": "some"}, "tokens: found 'some'"), ({"manifold": "round"}, "manifold: found 'round'"),
    ({"points": "pixels"}, "points: found 'pixels'"), ({"alpha": -1}, "alpha: found -1"), ({"beta": float("nan")}, "beta: found nan"),
    ({"warm_up": 2}, "warm_up: found 2"), ({"sign": 0}, "sign: found 0"),
])  # fmt: skip
def test_bad_readings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Reading("mine", **settings)


def test_the_first_release_has_no_gradient_from_transport_and_takes_far_samples():
    for reading in (CODE24A, CODE24B):
        assert (reading.transport_gradient, reading.sign) == (False, 1.0)
