"""How long and how fast a classifier is trained."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lib.lico.schedule import seven_sixteenths_cosine

SGD, ADAMW = "sgd", "adamw"
FULL, PRECISIONS = "no", ("no", "bf16", "fp16")


@dataclass(frozen=True)
class Plan:
    """How long and how fast; the defaults are the paper's.

    Args:
        steps: of the optimiser.
        batch_size: pictures a step; the paper has 128 for ImageNet and 64 else.
        optimizer: "sgd" with `seven_sixteenths_cosine`, as in the paper, or "adamw" with one cycle.
        learning_rate: eta_0 of the first, the peak of the second.
        momentum: of SGD.
        weight_decay: of either.
        clip: largest norm of the gradient, 0: none.
        average: decay of a moving average of the weights, which then are the result, with the last batch statistics (the released code:
            0.999); 0: none.
        precision: of the classifier: "no", or "bf16" or "fp16" on an accelerator that has it. Both losses are computed in full. One
            process has one precision; accelerate refuses a second.
        watch: diagnostics are recorded every so many steps, and good weights kept.

    Raises:
        ValueError: if a value is out of range.
    """

    steps: int
    batch_size: int = 64
    optimizer: str = SGD
    learning_rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float = 0.0
    average: float = 0.0
    precision: str = FULL
    watch: int = 50

    def __post_init__(self):
        if self.optimizer not in (SGD, ADAMW):
            raise ValueError(f"optimizer: found {self.optimizer!r}; expected {SGD!r} or {ADAMW!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: found {self.precision!r}; expected one of {', '.join(PRECISIONS)}")
        for name, least in (("steps", 1), ("batch_size", 2), ("watch", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: found {getattr(self, name)}; expected at least {least}")
        for name, fine in (
            ("learning_rate", 0 < self.learning_rate < math.inf), ("momentum", 0 <= self.momentum < 1),
            ("weight_decay", 0 <= self.weight_decay < math.inf), ("clip", 0 <= self.clip < math.inf), ("average", 0 <= self.average < 1),
        ):  # fmt: skip
            if not fine:
                raise ValueError(f"{name}: found {getattr(self, name)}; expected a number in its range")

    def start(self, parameters: Iterable[torch.nn.Parameter]) -> tuple[Optimizer, LRScheduler]:
        """The optimizer of parameters and its schedule, at the first step."""
        if self.optimizer == ADAMW:
            optimizer = torch.optim.AdamW(parameters, self.learning_rate, weight_decay=self.weight_decay)
            return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, total_steps=self.steps + 1, pct_start=0.15)
        optimizer = torch.optim.SGD(parameters, self.learning_rate, self.momentum, weight_decay=self.weight_decay)
        return optimizer, seven_sixteenths_cosine(optimizer, self.steps)
