"""Trainings that go on where they were stopped: everything that moves, as tensors and plain values, nothing pickled.

What is random belongs to (seed, step), so that a training in two parts ends as one in one part does.
"""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lib.paths import atomically


def save(path: Path, modules: nn.Module, optimizer: Optimizer, schedule: LRScheduler, *, step: int, watched: list[dict]) -> None:
    """Write what a training has come to, in place of what was there.

    Args:
        path: of the file.
        modules: all that is trained; their frozen parameters are left out.
        optimizer, schedule: of them.
        step: the next one.
        watched: rows of plain numbers.
    """
    tensors = {f"modules/{name}": value for name, value in _moving(modules).items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": torch.as_tensor(value) for name, value in state.items() if value is not None}
    values = {"step": step, "watched": watched, "schedule": schedule.state_dict(), "groups": optimizer.state_dict()["param_groups"]}
    with atomically(path) as temporary:
        save_file(
            {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, temporary,
            metadata={name: json.dumps(value) for name, value in values.items()},
        )  # fmt: skip


def load(path: Path, modules: nn.Module, optimizer: Optimizer, schedule: LRScheduler) -> tuple[int, list[dict]]:
    """Bring modules, optimizer and schedule to where they were: (next step, rows watched).

    Raises:
        ValueError: if the file is of other modules.
    """
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        values = {name: json.loads(value) for name, value in file.metadata().items()}
    moving = _moving(modules)
    found = {name.removeprefix("modules/"): value for name, value in tensors.items() if name.startswith("modules/")}
    if {name: value.shape for name, value in found.items()} != {name: value.shape for name, value in moving.items()}:
        raise ValueError(f"path: found a training of other modules in {path}; expected {', '.join(list(moving)[:3])} and so on")
    with torch.no_grad():
        for name, value in moving.items():
            value.copy_(found[name])
    states = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, number, part = name.split("/", 2)
            states.setdefault(int(number), {})[part] = value
    optimizer.load_state_dict({"state": states, "param_groups": values["groups"]})
    schedule.load_state_dict(values["schedule"])
    return values["step"], values["watched"]


def _moving(modules):
    frozen = {name for name, one in modules.named_parameters() if not one.requires_grad}
    return {name: value for name, value in modules.state_dict().items() if name not in frozen}
