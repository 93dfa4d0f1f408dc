"""Training: the same seed gives the same bytes, checkpoints are prefixes, the loss falls, and a loss that is not finite stops it."""

import numpy as np
import pytest
import torch
from torch import nn

from lib.devices import TRAINING_THREADS, training_threads
from lib.training import checkpoint_steps, train

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)


class Brightness(nn.Module):
    """Tell whether a picture is bright; remembers what it was shown."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.linear = nn.Linear(48, 2)
        self.shown, self.losses, self.draws, self.modes, self.break_at = [], [], [], [], None

    def loss(self, pixels, rows, generator):
        assert pixels.dtype == torch.uint8
        assert np.array_equal(pixels.cpu(), PIXELS[rows])
        self.shown.append(rows.tolist())
        self.draws.append(torch.rand(1, generator=generator).item())
        self.modes.append(self.training)
        x = pixels.flatten(1).float() / 128 - 1
        noise = 0.01 * torch.randn(x.shape, generator=generator).to(x.device)
        loss = nn.functional.cross_entropy(self.linear(x + noise), (x.mean(1) > 0).long())
        self.losses.append(loss.item())
        return loss * (torch.nan if len(self.shown) == self.break_at else 1)


def run(presentations=200, seed=0, **settings):
    objective = Brightness()
    return objective, train(objective, PIXELS, presentations=presentations, batch_size=10, seed=seed, **settings)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_checkpoints_grow_geometrically_from_zero_to_the_end():
    steps = checkpoint_steps(400)
    assert steps[:2] == [0, 2]
    assert steps[-1] == 400
    assert len(steps) == 10
    ratios = np.divide(steps[2:], steps[1:-1])
    assert ratios == pytest.approx(200 ** (1 / 8), rel=0.15)  # up to rounding to whole steps
    assert checkpoint_steps(1) == [0, 1]
    assert checkpoint_steps(5) == [0, 1, 2, 3, 4, 5]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights():
    (_, first), (_, again), (_, other) = run(seed=1), run(seed=1), run(seed=2)
    assert list(first) == [20]
    assert same(first[20], again[20])
    assert not torch.allclose(first[20]["linear.weight"], other[20]["linear.weight"])


def test_neither_threads_nor_global_random_numbers_matter():
    _, expected = run()
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(99)
            torch.set_num_threads(1)
            state = torch.random.get_rng_state()
            assert same(run()[1][20], expected[20])
            assert torch.equal(torch.random.get_rng_state(), state)
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_every_epoch_shows_each_picture_once_in_an_order_of_its_own():
    objective, _ = run(presentations=120)
    epochs = [[row for batch in objective.shown[start : start + 4] for row in batch] for start in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len(set(objective.draws)) == 12


def test_presentations_are_rounded_down_to_whole_steps_but_at_least_one():
    assert len(run(presentations=59)[0].shown) == 5
    assert len(run(presentations=3)[0].shown) == 1


def test_checkpoints_hold_copies_of_the_state_after_their_step():
    objective, kept = run(checkpoints=[0, 1, 7])
    assert list(kept) == [0, 1, 7, 20]
    assert same(kept[0], Brightness().state_dict())
    assert same(kept[20], objective.state_dict())
    # A run that breaks off at step 8 is left with what the checkpoint after step 7 holds.
    stopped = Brightness()
    stopped.break_at = 8
    with pytest.raises(FloatingPointError):
        train(stopped, PIXELS, presentations=200, batch_size=10)
    assert same(stopped.state_dict(), kept[7])
    assert not same(kept[1], kept[0])
    assert not same(kept[7], kept[20])
    assert not kept[20]["linear.weight"].requires_grad


def test_one_step_is_adamw_at_the_one_cycles_first_rate():
    objective, kept = run(checkpoints=[0, 1], learning_rate=0.01, weight_decay=0.1)
    slow = Brightness()
    optimizer = torch.optim.AdamW(slow.parameters(), lr=0.01 / 25, weight_decay=0.1)  # a one-cycle schedule begins at a 25th
    rows = torch.tensor(objective.shown[0])
    x = torch.from_numpy(PIXELS[rows]).flatten(1).float() / 128 - 1
    # Adam's first step is the sign of the gradient; the noise of 0.01 moves no sign of a gradient this far from zero.
    nn.functional.cross_entropy(slow.linear(x), (x.mean(1) > 0).long()).backward()
    clear = slow.linear.weight.grad.abs() > 0.02
    optimizer.step()
    assert clear.float().mean() > 0.5
    torch.testing.assert_close(kept[1]["linear.weight"][clear], slow.linear.weight.detach()[clear], rtol=0, atol=1e-7)


def test_the_loss_falls_and_the_mode_is_training_inside_and_eval_after():
    objective, _ = run(presentations=1200, learning_rate=0.05)
    assert np.mean(objective.losses[-4:]) < 0.5 * np.mean(objective.losses[:4])
    assert all(objective.modes)
    assert not objective.training


def test_a_loss_that_is_not_finite_stops_with_the_step_named_and_restores_the_threads():
    objective, threads = Brightness(), torch.get_num_threads()
    objective.break_at = 3
    with pytest.raises(FloatingPointError, match="toy: the loss is nan at step 3 of 20"):
        train(objective, PIXELS, presentations=200, batch_size=10, name="toy")
    assert len(objective.shown) == 3
    assert torch.isfinite(objective.linear.weight).all()
    assert torch.get_num_threads() == threads


def test_fewer_pictures_than_a_batch_are_refused():
    with pytest.raises(ValueError, match="pixels: found 40 pictures; expected at least one batch of 41"):
        train(Brightness(), PIXELS, presentations=100, batch_size=41)


def test_training_threads_are_fixed_inside_and_restored_after_an_exception():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with pytest.raises(ZeroDivisionError), training_threads():
            1 // (torch.get_num_threads() - TRAINING_THREADS)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
