"""One training loop for every objective, through accelerate, so that the same code runs on a CPU and on a GPU."""

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from tqdm.auto import tqdm

from lib.devices import training_threads
from lib.keyed_random import generator as keyed_generator
from lib.keyed_random import keys


def checkpoint_steps(steps: int, count: int = 10) -> list[int]:
    """`count` step numbers from 0 to steps, geometrically spaced between, since most is learned early."""
    inner = np.geomspace(max(1, steps / 200), steps, count - 1)
    return sorted({0, *(round(float(step)) for step in inner)})


def train(
    objective: nn.Module,
    pixels: np.ndarray,
    *,
    presentations: int,
    batch_size: int = 128,
    learning_rate: float = 8e-3,
    weight_decay: float = 0.05,
    seed: int = 0,
    checkpoints: Sequence[int] = (),
    name: str = "training",
) -> dict[int, dict[str, torch.Tensor]]:
    """Minimise objective.loss(pixels, rows, generator) with AdamW and a one-cycle learning rate.

    Args:
        objective: a module whose `loss` takes a uint8 batch (n, H, W, 3) on the module's device, its row numbers (n,) and a generator, both
            on the CPU, and returns a scalar.
        pixels: (pictures, H, W, 3) uint8; every epoch goes through them in an order of its own, keyed by (seed, epoch).
        presentations: pictures shown in all, epochs included.
        batch_size: pictures a step.
        learning_rate: the peak.
        weight_decay: of AdamW.
        seed: of order and augmentation (the initial weights are the caller's).
        checkpoints: steps after which a copy of the state is kept; 0 is before the first.
        name: shown by the progress bar and in errors.

    Returns:
        step -> state dict, for every checkpoint and for the last step.

    Raises:
        ValueError: if there are fewer pictures than one batch.
        FloatingPointError: if the loss is not finite; it names the step.
    """
    if len(pixels) < batch_size:
        raise ValueError(f"pixels: found {len(pixels)} pictures; expected at least one batch of {batch_size}")
    steps = max(1, presentations // batch_size)
    per_epoch = len(pixels) // batch_size
    with training_threads():
        accelerator = Accelerator(cpu=not torch.cuda.is_available())
        optimizer = torch.optim.AdamW(objective.parameters(), lr=learning_rate, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1, pct_start=0.15)
        objective, optimizer = accelerator.prepare(objective, optimizer)
        draws = torch.Generator().manual_seed(int(keys(seed, 1) >> np.uint64(1)))
        kept = {0: _state(objective)} if 0 in checkpoints else {}
        objective.train()
        for step in tqdm(range(1, steps + 1), desc=name, mininterval=1, leave=False):
            epoch, position = divmod(step - 1, per_epoch)
            if position == 0:
                order = keyed_generator(seed, 2, epoch).permutation(len(pixels))
            rows = np.sort(order[position * batch_size : (position + 1) * batch_size])
            loss = objective.loss(torch.from_numpy(pixels[rows]).to(accelerator.device), torch.from_numpy(rows), draws)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"{name}: the loss is {loss.item()} at step {step} of {steps}; expected a finite number (lower the learning rate?)"
                )
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            if step in checkpoints or step == steps:
                kept[step] = _state(objective)
        objective.eval()
    return kept


def _state(objective: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().clone() for key, value in objective.state_dict().items()}
