"""Training with and without LICO: what is shared, what is left, what is stopped."""

import copy
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lib.encoders.wide_networks import activation_first_resnet18, wide_resnet
from lib.lico import training
from lib.lico.backbones import Backbone, backbone
from lib.lico.batches import batch_rows, batches
from lib.lico.controls import GivenText, random_text
from lib.lico.export import export
from lib.lico.manifold import distances, log_similarities
from lib.lico.objective import Consistency
from lib.lico.plan import Plan
from lib.lico.prompts import Prompts
from lib.lico.readings import PAPER
from lib.lico.sham import Sham, random_distances
from lib.lico.training import accuracy, gradient_norms, predictions, train
from tests.lico.conftest import NAMES

COUNT = 96
LABELS = np.arange(COUNT) % 4


def drawn(seed):
    """(COUNT, 3, 32, 32) noise; each class has a colour of its own."""
    pictures = torch.from_numpy(np.random.default_rng(seed).standard_normal((COUNT, 3, 32, 32)).astype(np.float32)) * 0.3
    pictures[np.arange(COUNT), LABELS % 3] += torch.from_numpy(np.where(LABELS == 3, -1.0, 1.0).astype(np.float32))[:, None, None]
    return pictures


PICTURES = drawn(0)
PLAN = Plan(steps=6, batch_size=16, watch=2)
MILD = PAPER.but(contexts=3, beta=0.1)


def load(rows, generator):
    """With a generator, noise is added: augmentation that would show if random numbers were not shared."""
    chosen = PICTURES[rows]
    return chosen if generator is None else chosen + 0.1 * torch.randn(chosen.shape, generator=generator)


class Tiny(nn.Module):
    """With dropout, whose random numbers must not depend on what else is drawn."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 8, 5, 8, 2), nn.BatchNorm2d(8), nn.ReLU())
        self.dropout, self.linear = nn.Dropout(0.2), nn.Linear(8, 4)

    def forward(self, x):
        return self.linear(self.dropout(self.maps(x).mean((2, 3))))


def tiny(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Backbone("tiny", Tiny(), "maps", 32)


def side(encoder, reading=MILD):
    return Consistency(Prompts.of(encoder, NAMES, reading), tiny().shape(), reading)


def state(one):
    return {key: value.clone() for key, value in one.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_weights_of_zero_are_plain_training_bit_for_bit(encoder):
    plain = train(tiny(), load, LABELS, PLAN)
    nothing = train(tiny(), load, LABELS, PLAN, consistency=side(encoder, MILD.but(alpha=0.0, beta=0.0)))
    assert same(state(plain.backbone.module), state(nothing.backbone.module))
    some = train(tiny(), load, LABELS, PLAN, consistency=side(encoder))
    assert not same(state(plain.backbone.module), state(some.backbone.module))


def test_a_loss_that_has_no_gradient_to_the_maps_leaves_plain_training_too(encoder):
    """As the released transport: the text side draws random numbers, and the backbone's are its own all the same."""
    plain = train(tiny(), load, LABELS, PLAN)
    released = train(tiny(), load, LABELS, PLAN, consistency=side(encoder, MILD.but(alpha=0.0, beta=1.0, transport_gradient=False)))
    assert same(state(plain.backbone.module), state(released.backbone.module))


def test_twice_is_the_same_and_another_seed_is_not(encoder):
    first, second = (train(tiny(), load, LABELS, PLAN, consistency=side(encoder)) for _ in range(2))
    assert same(state(first.backbone.module), state(second.backbone.module))
    assert first.history.equals(second.history)
    other = train(tiny(), load, LABELS, PLAN, consistency=side(encoder), seed=1)
    assert not same(state(first.backbone.module), state(other.backbone.module))


def test_what_should_be_trained_is_and_the_text_encoder_is_not(encoder):
    both = side(encoder)
    before, frozen = state(both), state(encoder)
    train(tiny(), load, LABELS, PLAN, consistency=both)
    moved = {key for key, value in state(both).items() if not torch.equal(value, before[key])}
    assert {"text.contexts", "temperature.t", "mapping.0.weight", "mapping.3.bias"} <= moved
    assert not any(key.startswith("text.encoder.") for key in moved)
    assert same(state(encoder), frozen)


def test_what_is_left_is_the_plain_classifier(encoder):
    with_lico, without = (train(tiny(), load, LABELS, PLAN, consistency=one).backbone for one in (side(encoder), None))
    plain = Tiny().eval()
    plain.load_state_dict(with_lico.module.state_dict())  # no key of the side of the texts
    with torch.no_grad():
        assert torch.equal(plain(PICTURES), with_lico.module(PICTURES))
    costs = []
    for one in (with_lico, without):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            one.module(PICTURES)
        costs.append(counter.get_total_flops())
        assert not one.module.training
        assert not any(weight.requires_grad for weight in one.module.parameters())
    assert costs[0] == costs[1] > 0


def test_losses_fall_and_the_classes_are_learned(encoder):
    plan = Plan(steps=120, batch_size=16, watch=20)
    found = train(tiny(), load, LABELS, plan, consistency=side(encoder))
    history = found.history
    assert accuracy(found.backbone, load, LABELS) > 0.9
    assert history["cross entropy"].iloc[-1] < history["cross entropy"].iloc[0] / 2
    assert history["transport"].iloc[-1] < history["transport"].iloc[0]
    assert history["step"].tolist() == [0, 20, 40, 60, 80, 100, 119]
    assert history["rate"].iloc[-1] == pytest.approx(0.03 * np.cos(7 * np.pi * 119 / (16 * 120)))
    assert {"t", "error", "dead", "channel cosine", "token cosine", "iterations"} <= set(history)


def test_pictures_that_were_not_seen_are_nearer_to_their_texts_the_more_so_with_more_weight(encoder):
    """Spec 6.3: both losses are less than with the plain classifier, and similarities of pictures follow those of texts by alpha."""
    labels, plan = torch.from_numpy(LABELS), Plan(steps=120, batch_size=16)
    plain, unseen, followed = train(tiny(), load, LABELS, plan).backbone, drawn(1), []
    apart = ~torch.eye(COUNT, dtype=torch.bool)
    for alpha in (0.1, 1.0, 10.0):
        texts = side(encoder, MILD.but(alpha=alpha, dropout=0.0))
        trained = train(tiny(), load, LABELS, plan, consistency=texts).backbone
        with torch.no_grad():
            maps, of_plain = (one.module.eval().maps(unseen) for one in (trained, plain))
            losses, of_plain = (texts.eval()(some, labels) for some in (maps, of_plain))
            points = maps.flatten(2), texts.mapping(texts.text().tokens)[labels]
            similar = [log_similarities(distances(some), 1.0).exp()[apart] for some in points]
        assert losses.manifold < of_plain.manifold
        assert losses.transport < of_plain.transport
        followed.append(float(torch.corrcoef(torch.stack(similar))[0, 1]))
    assert followed[0] < followed[1] < followed[2]


def test_adamw_goes_through_one_cycle():
    plan = Plan(steps=40, batch_size=16, optimizer="adamw", learning_rate=8e-3, weight_decay=0.05, watch=1)
    found = train(tiny(), load, LABELS, plan)
    rates = found.history["rate"].to_numpy()
    assert rates.argmax() in (5, 6)  # the peak lies at 5.15
    assert rates.max() == pytest.approx(8e-3, rel=0.01)
    assert rates[0] == pytest.approx(8e-3 / 25)
    assert rates[-1] < rates[0] / 10
    assert accuracy(found.backbone, load, LABELS) > 0.9
    # The first step of AdamW moves every weight with a gradient by the rate.
    start = dict(tiny().module.named_parameters())
    first = train(tiny(), load, LABELS, replace(plan, steps=1, weight_decay=0.0))
    moved = torch.cat([(value - start[key]).abs().flatten() for key, value in first.backbone.module.named_parameters()])
    assert float(moved.max()) == pytest.approx(first.history["rate"][0], rel=1e-3)


def test_a_loss_that_is_not_finite_stops_and_the_last_good_weights_stay():
    def load_until(rows, generator):
        load_until.calls += 1
        return load(rows, generator) * (torch.nan if load_until.calls > 5 else 1)

    load_until.calls = 0
    with pytest.warns(UserWarning, match="the loss at step 5 of 6 is nan; the weights before step 4 are kept"):
        found = train(tiny(), load_until, LABELS, PLAN)
    assert found.stopped == "the loss at step 5 of 6 is nan"
    # Weights of a step are those that its loss was taken at.
    expected = train_for(4)
    assert all(torch.equal(value, expected[key]) for key, value in found.backbone.module.named_parameters())


def train_for(steps):
    """Weights after some steps of the plan, through the plan's own schedule."""
    kept = {}

    def watching(rows, generator):
        watching.calls += 1
        if watching.calls == steps + 1:
            kept.update({"now": state(one.module)})
        return load(rows, generator)

    watching.calls = 0
    one = tiny()
    train(one, watching, LABELS, PLAN)
    return kept["now"]


def test_with_lico_too_what_is_not_finite_stops_training(encoder):
    def load_until(rows, generator):
        load_until.calls += 1
        return load(rows, generator) * (torch.nan if load_until.calls > 5 else 1)

    load_until.calls = 0
    with pytest.warns(UserWarning, match="the loss at step 5 of 6 is nan"):
        found = train(tiny(), load_until, LABELS, PLAN, consistency=side(encoder))
    assert found.stopped
    wild = Plan(steps=6, batch_size=16, watch=2, learning_rate=1e30)
    with pytest.warns(UserWarning, match="not finite|is nan|is inf"):
        found = train(tiny(), load, LABELS, wild, consistency=side(encoder))
    assert all(value.isfinite().all() for value in found.backbone.module.state_dict().values())


def test_prompts_that_are_not_finite_stop_training(encoder):
    both = side(encoder)

    def load_until(rows, generator):
        load_until.calls += 1
        if load_until.calls == 5:
            with torch.no_grad():
                both.text.contexts.fill_(torch.nan)
        return load(rows, generator)

    load_until.calls = 0
    with pytest.warns(UserWarning, match="weights after step 3 of 6 are not finite; the weights before step 2 are kept"):
        found = train(tiny(), load_until, LABELS, PLAN, consistency=both)
    assert found.stopped


@pytest.mark.parametrize("alpha", [10.0, 0.0])
def test_texts_that_overflow_stop_training_and_the_last_good_weights_stay(encoder, alpha):
    both = side(encoder, MILD.but(alpha=alpha))

    def load_until(rows, generator):
        load_until.calls += 1
        if load_until.calls == 5:
            with torch.no_grad():
                both.mapping[0].weight.fill_(1e25)
                both.mapping[3].weight.fill_(1e25)
        return load(rows, generator)

    load_until.calls = 0
    with pytest.warns(UserWarning, match=r"at step 4 of 6, .* not finite; expected none; the weights before step 2 are kept"):
        found = train(tiny(), load_until, LABELS, PLAN, consistency=both)
    assert found.stopped
    assert all(value.isfinite().all() for value in found.backbone.module.state_dict().values())


def test_the_temperature_is_held_after_every_step(encoder, monkeypatch):
    both, held = side(encoder), []
    monkeypatch.setattr(both.temperature, "hold", lambda: held.append(float(both.temperature.t.detach())))
    train(tiny(), load, LABELS, PLAN, consistency=both)
    assert len(held) == PLAN.steps
    assert held[-1] == float(both.temperature.t.detach())


def test_a_first_loss_that_is_not_finite_is_an_error():
    with pytest.raises(FloatingPointError, match="the loss at step 0 of 6 is nan"):
        train(tiny(), lambda rows, generator: load(rows, generator) * torch.nan, LABELS, PLAN)


def test_an_average_of_the_weights_has_its_recursion_and_the_last_batch_statistics():
    weights, one = [], tiny()

    def watching(rows, generator):
        weights.append(state(one.module))
        return load(rows, generator)

    last = train(one, watching, LABELS, Plan(steps=6, batch_size=16)).backbone.module
    weights = [*weights[1:], state(last)]  # after each step
    averaged = state(train(tiny(), load, LABELS, Plan(steps=6, batch_size=16, average=0.9)).backbone.module)
    expected = weights[0]["linear.weight"]
    for after in weights[1:]:
        expected = 0.9 * expected + 0.1 * after["linear.weight"]
    np.testing.assert_allclose(averaged["linear.weight"], expected, atol=1e-6)
    assert torch.equal(averaged["maps.1.running_mean"], weights[-1]["maps.1.running_mean"])


def test_clipping_shortens_the_first_step():
    free, clipped = (train(tiny(), load, LABELS, Plan(steps=1, batch_size=16, weight_decay=0, clip=clip)) for clip in (0.0, 1e-3))
    start = state(tiny().module)
    length = {
        name: np.sqrt(sum(float((value - start[key]).square().sum()) for key, value in one.backbone.module.named_parameters()))
        for name, one in (("free", free), ("clipped", clipped))
    }
    assert length["clipped"] == pytest.approx(0.03 * 1e-3, rel=1e-2)
    assert length["free"] > 10 * length["clipped"]


def test_a_warm_up_starts_small(encoder):
    plan = Plan(steps=8, batch_size=16, watch=1)
    rising = train(tiny(), load, LABELS, plan, consistency=side(encoder, MILD.but(warm_up=1.0))).history
    shares = (rising["loss"] - rising["cross entropy"]) / (10 * rising["manifold"] + 0.1 * rising["transport"])
    np.testing.assert_allclose(shares, np.arange(1, 9) / 8, rtol=1e-4)


def test_every_epoch_has_every_picture_once_in_an_order_of_its_own():
    first = [batch_rows(12, 4, step, 0) for step in range(3)]
    second = [batch_rows(12, 4, step, 0) for step in range(3, 6)]
    assert sorted(np.concatenate(first)) == list(range(12)) == sorted(np.concatenate(second))
    assert [one.tolist() for one in first] != [one.tolist() for one in second]


def test_predictions_are_those_of_eval_mode_in_batches():
    one = tiny()
    one.module.train()
    whole = predictions(one, load, COUNT)
    np.testing.assert_allclose(whole, predictions(one, load, COUNT, batch_size=7), atol=1e-6)
    assert one.module.training
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-6)


def test_norms_are_measured_beside_each_other_at_the_same_weights(encoder):
    start = tiny()
    before = state(start.module)
    both, sham = side(encoder), Sham(4, 5, start.shape(), MILD)
    norms = gradient_norms(start, load, LABELS, PLAN, {"lico": both, "sham": sham}, trained="lico")
    assert min(norms.values()) > 0
    assert same(state(start.module), before)
    weight = norms["lico"] / norms["sham"]
    matched = Sham(4, 5, start.shape(), MILD, weight=weight)
    again = gradient_norms(start, load, LABELS, PLAN, {"lico": both, "sham": matched}, trained="lico")
    assert again["sham"] == pytest.approx(norms["lico"], rel=1e-4)
    assert again["lico"] == norms["lico"]


def test_a_norm_does_not_depend_on_what_else_is_measured(encoder):
    start, both = tiny(), side(encoder)
    alone = gradient_norms(start, load, LABELS, PLAN, {"lico": both}, trained="lico")["lico"]
    assert gradient_norms(start, load, LABELS, PLAN, {"other": side(encoder), "lico": both}, trained="lico")["lico"] == alone


def test_the_gradient_norm_is_that_of_the_first_step(encoder):
    start, both = tiny(), side(encoder)
    one_step = gradient_norms(start, load, LABELS, PLAN, {"lico": both}, trained="lico", steps=1)["lico"]
    # By two steps of plain SGD, with and without LICO, from the same weights.
    plan = Plan(steps=6, batch_size=16, weight_decay=0, momentum=0, watch=1)
    moved = {}
    for name, consistency in (("plain", None), ("lico", copy.deepcopy(both))):
        network = tiny()
        stepped = []

        def after_one(rows, generator, network=network, stepped=stepped):
            stepped.append({key: value.detach().clone() for key, value in network.module.named_parameters()})
            return load(rows, generator)

        train(network, after_one, LABELS, plan, consistency=consistency)
        moved[name] = stepped[1]
    difference = np.sqrt(sum(float((moved["lico"][key] - moved["plain"][key]).square().sum()) for key in moved["plain"])) / 0.03
    assert one_step == pytest.approx(difference, rel=1e-3)


def test_random_targets_belong_to_the_labels_and_are_symmetric():
    labels = torch.tensor([0, 1, 1, 2])
    found = random_distances(labels)
    assert torch.equal(found, random_distances(labels))
    assert not torch.equal(found, random_distances(torch.tensor([0, 1, 2, 2])))
    assert not torch.equal(found, random_distances(labels, seed=1))
    assert torch.equal(found, found.T)
    assert found.diagonal().abs().max() == 0
    many = random_distances(torch.arange(200) % 7)
    off = many[~torch.eye(200, dtype=torch.bool)]
    assert 0 <= off.min() <= off.max() < 2
    assert float(off.mean()) == pytest.approx(1, abs=0.02)


def test_given_text_trains_without_prompts():
    both = Consistency(GivenText(random_text(4, 3, 16)), tiny().shape(), MILD)
    found = train(tiny(), load, LABELS, PLAN, consistency=both)
    assert not found.stopped


@pytest.mark.parametrize(("name", "shape"), [
    ("small", (64, 8, 8)), ("resnet20", (64, 8, 8)), ("wrn-28-2", (128, 8, 8)), ("wrn-28-8", (512, 8, 8)), ("parn-18", (512, 7, 7)),
    ("torchvision:resnet50", (2048, 7, 7)),
])  # fmt: skip
def test_backbones_have_the_maps_of_the_table(name, shape):
    one = backbone(name, 5)
    before = state(one.module)
    assert one.shape() == shape
    assert same(before, state(one.module))
    maps, logits = one.look(torch.randn(2, 3, one.side, one.side))
    assert (tuple(maps.shape), tuple(logits.shape)) == ((2, *shape), (2, 5))
    assert not dict(one.module.named_modules())[one.layer]._forward_hooks


def test_a_backbone_belongs_to_its_seed():
    one, again, other = backbone("small", 5), backbone("small", 5), backbone("small", 5, seed=1)
    assert same(state(one.module), state(again.module))
    assert not same(state(one.module), state(other.module))


def test_wide_networks_have_the_published_numbers_of_weights():
    # In millions: WRN-28-10 (Zagoruyko and Komodakis, table 4), WRN-28-2 (FixMatch), a ResNet-18 with 1000 classes (torchvision).
    def weights(module):
        return sum(one.numel() for one in module.parameters()) / 1e6

    assert weights(wide_resnet(28, 10, 10)) == pytest.approx(36.5, abs=0.05)
    assert weights(wide_resnet(28, 2, 10)) == pytest.approx(1.5, abs=0.05)
    assert weights(activation_first_resnet18(1000)) == pytest.approx(11.7, abs=0.05)


@pytest.mark.parametrize(("depth", "width"), [(27, 2), (4, 2), (28, 0)])
def test_wide_networks_that_do_not_exist_are_named(depth, width):
    with pytest.raises(ValueError, match="depth, width: found"):
        wide_resnet(depth, width, 10)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: backbone("vgg", 5), "name: found 'vgg'"),
    (lambda: backbone("small", 1), "classes: found 1"),
    (lambda: Backbone("mine", Tiny(), "nowhere", 32).shape(), "layer: found 'nowhere'"),
    (lambda: Backbone("mine", Tiny(), "linear", 32).shape(), "expected feature maps"),
    (lambda: train(tiny(), load, LABELS[:8], PLAN), "labels: found 8 pictures"),
    (lambda: train(tiny(), load, np.zeros(32, int), PLAN), "labels: found 1 class"),
    (lambda: train(tiny(), load, LABELS - 1, PLAN), "labels: found int64 of shape"),
    (lambda: train(tiny(), load, LABELS / 1, PLAN), "labels: found float64"),
    (lambda: train(tiny(), load, LABELS, PLAN, device="gpu"), "device: found 'gpu'"),
    (lambda: Plan(steps=0), "steps: found 0"),
    (lambda: Plan(steps=1, batch_size=1), "batch_size: found 1"),
    (lambda: Plan(steps=1, learning_rate=0), "learning_rate: found 0"),
    (lambda: Plan(steps=1, momentum=1), "momentum: found 1"),
    (lambda: Plan(steps=1, optimizer="adam"), "optimizer: found 'adam'"),
    (lambda: Plan(steps=1, average=1), "average: found 1"),
])  # fmt: skip
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_lengths_of_both_gradients_are_watched(encoder):
    found = train(tiny(), load, LABELS, replace(PLAN, steps=3, watch=1), consistency=side(encoder)).history
    norms = gradient_norms(tiny(), load, LABELS, PLAN, {"here": side(encoder)}, trained="here", steps=1)
    assert found["added gradient"].iloc[0] == pytest.approx(norms["here"], rel=1e-5)
    plain = train(tiny(), load, LABELS, replace(PLAN, steps=3, watch=1)).history
    assert "added gradient" not in plain
    assert plain["task gradient"].iloc[0] == pytest.approx(found["task gradient"].iloc[0], rel=1e-6)  # the same weights and batch
    assert (plain["task gradient"] > 0).all()


def test_watching_changes_nothing(encoder):
    often, seldom = (train(tiny(), load, LABELS, replace(PLAN, watch=watch), consistency=side(encoder)) for watch in (1, 6))
    assert same(state(often.backbone.module), state(seldom.backbone.module))


@pytest.fixture
def anew():
    """A process has one precision for accelerate; this test is one of its own."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_classifier_may_be_computed_in_half_precision(encoder, anew):
    halves = train(tiny(), load, LABELS, replace(PLAN, precision="bf16"), consistency=side(encoder))
    AcceleratorState._reset_state(reset_partial_state=True)
    full = train(tiny(), load, LABELS, PLAN, consistency=side(encoder))
    assert not same(state(halves.backbone.module), state(full.backbone.module))
    np.testing.assert_allclose(halves.history.loss, full.history.loss, rtol=0.05)
    with pytest.raises(ValueError, match="precision: found 'half'; expected one of no, bf16, fp16"):
        replace(PLAN, precision="half")


def test_batches_are_the_same_when_they_are_loaded_ahead():
    threads = set()

    def watched(rows, generator):
        threads.add(threading.get_ident())
        return load(rows, generator)

    one_by_one = list(batches(load, LABELS, PLAN, 3))
    ahead = list(batches(watched, LABELS, PLAN, 3, ahead=4))
    assert threading.get_ident() not in threads
    assert len(one_by_one) == len(ahead) == PLAN.steps
    for (x, y), (also_x, also_y) in zip(one_by_one, ahead, strict=True):
        assert torch.equal(x, also_x)
        assert torch.equal(y, also_y)


def test_what_goes_wrong_in_loading_ahead_is_said():
    def fails(rows, generator):
        raise OSError("a broken picture")

    with pytest.raises(OSError, match="a broken picture"):
        next(batches(fails, LABELS, PLAN, 0, ahead=2))


@pytest.mark.parametrize("plan", [{"average": 0.9}, {"optimizer": "adamw", "learning_rate": 0.01}])
def test_a_training_in_two_parts_ends_as_one_in_one_part(encoder, tmp_path, monkeypatch, plan):
    monkeypatch.setattr(training, "KEPT", 4)
    plan, path = replace(PLAN, steps=10, **plan), tmp_path / "training.safetensors"
    whole = train(tiny(), load, LABELS, plan, consistency=side(encoder))
    rows_seen = []

    def power_fails(rows, generator):
        rows_seen.append(rows)
        if len(rows_seen) == 8:
            raise KeyboardInterrupt
        return load(rows, generator)

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), power_fails, LABELS, plan, consistency=side(encoder), checkpoint=path)
    assert path.exists()
    assert not any("encoder" in name for name in load_file(path))  # what is frozen need not be kept
    resumed = train(tiny(1), power_fails, LABELS, plan, consistency=side(encoder), checkpoint=path)
    assert len(rows_seen) == 8 + 6  # from the fifth step on
    assert same(state(whole.backbone.module), state(resumed.backbone.module))
    assert whole.history.equals(resumed.history)


def test_a_checkpoint_of_another_training_is_refused(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "KEPT", 2)
    path = tmp_path / "training.safetensors"
    kept = iter([False, True])

    def stops(rows, generator):
        if path.exists() and next(kept):
            raise KeyboardInterrupt
        return load(rows, generator)

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), stops, LABELS, PLAN, consistency=side(encoder), checkpoint=path)
    with pytest.raises(ValueError, match=r"checkpoint: found a training with consistency .*; expected None"):
        train(tiny(), load, LABELS, PLAN, checkpoint=path)
    with pytest.raises(ValueError, match=r"checkpoint: found a training with consistency .*'alpha': 10.0.*; expected .*'alpha': 0.5"):
        train(tiny(), load, LABELS, PLAN, consistency=side(encoder, MILD.but(alpha=0.5)), checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint: found a training with labels"):
        train(tiny(), load, (LABELS + 1) % 4, PLAN, consistency=side(encoder), checkpoint=path)
    larger = tiny()
    larger.module.more = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="checkpoint: found a training of other modules"):
        train(larger, load, LABELS, PLAN, consistency=side(encoder), checkpoint=path)
    with pytest.raises(ValueError, match=r"checkpoint: found a training with seed 0 in .*; expected 1"):
        train(tiny(), load, LABELS, PLAN, consistency=side(encoder), seed=1, checkpoint=path)
    with pytest.raises(ValueError, match=r"checkpoint: found a training with learning_rate .* expected 0.5"):
        train(tiny(), load, LABELS, replace(PLAN, learning_rate=0.5), consistency=side(encoder), checkpoint=path)


def test_a_checkpoint_knows_its_texts_and_not_what_a_reading_is_called(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "KEPT", 2)
    path = tmp_path / "training.safetensors"

    def of(seed=0, name="mine"):
        return Consistency(GivenText(random_text(4, 3, 16, seed=seed)), tiny().shape(), MILD.but(name=name))

    def stops(rows, generator):
        if path.exists():
            raise KeyboardInterrupt
        return load(rows, generator)

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), stops, LABELS, PLAN, consistency=of(), checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint: found a training with consistency"):
        train(tiny(), load, LABELS, PLAN, consistency=of(seed=1), checkpoint=path)
    resumed = train(tiny(), load, LABELS, PLAN, consistency=of(name="the same under another name"), checkpoint=path)
    assert same(state(resumed.backbone.module), state(train(tiny(), load, LABELS, PLAN, consistency=of()).backbone.module))


def test_a_sham_goes_on_with_the_weight_it_had(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "KEPT", 2)
    path = tmp_path / "training.safetensors"

    def stops(rows, generator):
        if path.exists():
            raise KeyboardInterrupt
        return load(rows, generator)

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), stops, LABELS, PLAN, consistency=Sham(4, 5, tiny().shape(), MILD, weight=2.0), checkpoint=path)
    measured_again = Sham(4, 5, tiny().shape(), MILD, weight=2.0 + 1e-7)
    resumed = train(tiny(), load, LABELS, PLAN, consistency=measured_again, checkpoint=path)
    whole = train(tiny(), load, LABELS, PLAN, consistency=Sham(4, 5, tiny().shape(), MILD, weight=2.0))
    assert measured_again.weight == 2.0
    assert same(state(resumed.backbone.module), state(whole.backbone.module))


def test_batches_of_one_class_are_trained_on(encoder):
    labels = np.where(np.arange(COUNT) % 32 == 0, 1, 0)  # most batches of four have one class
    found = train(tiny(), load, labels, replace(PLAN, batch_size=4), consistency=side(encoder))
    assert not found.stopped


def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(tmp_path):
    path = export(train(tiny(), load, LABELS, PLAN).backbone, tmp_path / "classifier.safetensors")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="checkpoint: found a file of something else"):
        train(tiny(), load, LABELS, PLAN, checkpoint=path)
    assert path.read_bytes() == before


def test_labels_and_texts_are_those_of_the_classes_of_the_backbone(encoder):
    with pytest.raises(ValueError, match="labels: found 0 to 4; expected 0 to 3, the classes of tiny"):
        train(tiny(), load, LABELS + (LABELS == 3), PLAN)
    more = Consistency(GivenText(random_text(5, 3, 16)), tiny().shape(), MILD)
    with pytest.raises(ValueError, match="consistency: found texts of 5 classes; expected 4"):
        train(tiny(), load, LABELS, PLAN, consistency=more)
    with pytest.raises(ValueError, match="consistency: found texts of 5 classes; expected 4"):
        gradient_norms(tiny(), load, LABELS, PLAN, {"lico": side(encoder), "other": more}, trained="lico")


@pytest.mark.parametrize("kept", [0, 100])
def test_training_starts_again_when_its_checkpoint_is_damaged(tmp_path, kept):
    path, alone = tmp_path / "training.safetensors", train(tiny(), load, LABELS, PLAN)
    path.write_bytes(bytes(kept))
    with pytest.warns(UserWarning, match=r"training\.safetensors: this checkpoint is damaged .* training starts again"):
        again = train(tiny(), load, LABELS, PLAN, checkpoint=path)
    assert same(state(alone.backbone.module), state(again.backbone.module))


def test_weights_kept_after_a_loss_that_is_not_finite_are_the_same_in_two_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "KEPT", 4)
    plan, path = replace(PLAN, steps=10, watch=3), tmp_path / "training.safetensors"
    told = []

    def breaks(rows, generator):
        told.append(len(rows))
        return load(rows, generator) * (float("nan") if len(told) % 6 == 0 else 1)  # the sixth step, after the last one watched

    with pytest.warns(UserWarning, match="the weights before step 3 are kept"):
        whole = train(tiny(), breaks, LABELS, plan)

    def power_fails(rows, generator):
        told.append(len(rows))
        if path.exists():
            raise KeyboardInterrupt
        return load(rows, generator)

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), power_fails, LABELS, plan, checkpoint=path)
    told[:] = range(4)
    with pytest.warns(UserWarning, match="the weights before step 3 are kept"):
        resumed = train(tiny(1), breaks, LABELS, plan, checkpoint=path)
    assert same(state(whole.backbone.module), state(resumed.backbone.module))
