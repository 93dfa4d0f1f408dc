"""Trainings that go on where they were stopped: everything that moves, as tensors and plain values, nothing pickled.

What is random belongs to (seed, step), so that a training in two parts ends as one in one part does.
"""

import json
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lib.paths import atomically

PLAIN = {"training", "values", "schedule", "groups"}
MODULES, OPTIMIZER, GOOD = "modules/", "optimizer/", "good/"


def save(
    path: Path, training: dict, modules: nn.Module, optimizer: Optimizer, schedule: LRScheduler, *, good: dict[str, torch.Tensor],
    values: dict,
) -> None:  # fmt: skip
    """Write what a training has come to, in place of what was there.

    Args:
        path: of the file.
        training: plain values that tell it from others.
        modules: all that is trained; their frozen parameters are left out.
        optimizer, schedule: of them.
        good: the last weights that are known to be good.
        values: whatever else is needed to go on, plain values.
    """
    tensors = {MODULES + name: value for name, value in _moving(modules).items()} | {GOOD + name: value for name, value in good.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{OPTIMIZER}{number}/{name}": torch.as_tensor(value) for name, value in state.items() if value is not None}
    plain = {"training": training, "values": values, "schedule": schedule.state_dict(), "groups": optimizer.state_dict()["param_groups"]}
    with atomically(path) as temporary:
        save_file(
            {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, temporary,
            metadata={name: json.dumps(value) for name, value in plain.items()},
        )  # fmt: skip


def load(
    path: Path, training: dict, modules: nn.Module, optimizer: Optimizer, schedule: LRScheduler
) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Bring modules, optimizer and schedule to where they were.

    Args:
        path, training, modules, optimizer, schedule: as in `save`.

    Returns:
        The last good weights and the other values; None if there is no file, or (with a warning) one that cannot be read.

    Raises:
        ValueError: if the file is no checkpoint, or of another training or of other modules.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        warnings.warn(f"{path}: this checkpoint is damaged ({error}); training starts again", stacklevel=2)
        return None
    if not set(metadata) >= PLAIN:
        raise ValueError(f"checkpoint: found a file of something else in {path}; expected one that a training wrote, or none")
    plain = {name: json.loads(metadata[name]) for name in PLAIN}
    for name, wanted in training.items():
        if (found := plain["training"].get(name)) != wanted:
            raise ValueError(f"checkpoint: found a training with {name} {found} in {path}; expected {wanted}")
    moving, found = _moving(modules), _under(MODULES, tensors)
    if {name: value.shape for name, value in found.items()} != {name: value.shape for name, value in moving.items()}:
        raise ValueError(f"checkpoint: found a training of other modules in {path}; expected {', '.join(list(moving)[:3])} and so on")
    with torch.no_grad():
        for name, value in moving.items():
            value.copy_(found[name])
    states = {}
    for name, value in _under(OPTIMIZER, tensors).items():
        number, part = name.split("/", 1)
        states.setdefault(int(number), {})[part] = value
    optimizer.load_state_dict({"state": states, "param_groups": plain["groups"]})
    schedule.load_state_dict(plain["schedule"])
    return _under(GOOD, tensors), plain["values"]


def _moving(modules):
    frozen = {name for name, one in modules.named_parameters() if not one.requires_grad}
    return {name: value for name, value in modules.state_dict().items() if name not in frozen}


def _under(prefix, tensors):
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
