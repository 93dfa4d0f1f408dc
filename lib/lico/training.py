"""Training a classifier with and without LICO: the same initial weights, order and augmentation, whatever stands beside the cross-entropy.

SGD with momentum and the paper's learning rate (specs/lico.md, 2.4), or AdamW with one cycle, as the project's own encoders are trained.
Everything random belongs to (seed, step): with both weights 0 the weights are those of plain training, bit for bit.
"""

import copy
import math
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from lib.attribution.sites import evaluating
from lib.keyed_random import generator, keys
from lib.lico import checkpoints
from lib.lico.backbones import Backbone
from lib.lico.loading import Loader
from lib.lico.objective import Consistency
from lib.lico.schedule import seven_sixteenths_cosine
from lib.lico.sham import Sham
from lib.torch_threads import exactly

SGD, ADAMW = "sgd", "adamw"
AHEAD = 4  # batches loaded while another is computed, with an accelerator
KEPT = 1000  # steps between two checkpoints
THREADS = 1  # of a training on the processor: a second one hardly helps, and two trainings beside each other take as long as one
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


@dataclass(frozen=True)
class Trained:
    """A classifier after training.

    Args:
        backbone: with its weights, in eval mode, without gradient and without the side of the texts.
        history: a row for every watched step: step, rate, loss, cross entropy, task gradient and added gradient (lengths of what the
            cross-entropy and the consistency have on the backbone, before any clipping), and the diagnostics of `ConsistencyLosses`.
        stopped: "" or why training ended early; the weights are then the last good ones.
    """

    backbone: Backbone
    history: pd.DataFrame
    stopped: str


def train(
    backbone: Backbone, load: Loader, labels: np.ndarray, plan: Plan, *, consistency: Consistency | Sham | None = None, seed: int = 0,
    name: str = "training", device: str = "", checkpoint: Path | None = None,
) -> Trained:  # fmt: skip
    """Minimise L_CE + alpha L_MM + beta L_OT.

    Args:
        backbone: trained in place; it comes back on the device it came from.
        load: row numbers (n,) and a generator, for augmentation -> (n, 3, side, side) as the network takes them.
        labels: (pictures,) integers from 0.
        plan: how.
        consistency: the side of the texts, trained with it; None, or both of its weights 0, is plain training.
        seed: of the order, the augmentation, dropout and the orders of contexts (the initial weights are the caller's).
        name: shown by the progress bar and in errors.
        device: "cpu", or "" for an accelerator where there is one.
        checkpoint: a file that training writes every `KEPT` steps and goes on from if it is there; who has kept what is returned removes
            it. None: a training that is stopped starts again.

    Returns:
        What is left. Numbers that are not finite, in the loss or in weights, end training with a warning, and the last good weights stay.

    Raises:
        ValueError: if there are fewer pictures than one batch, one class only, a label is no whole number from 0, the device is another, or
            the checkpoint is of another training.
        FloatingPointError: if there were no good weights: the first step already has numbers that are not finite.
    """
    labels = _checked_labels(labels, plan)
    if device not in ("", "cpu"):
        raise ValueError(f"device: found {device!r}; expected 'cpu', or '' for an accelerator where there is one")
    if consistency is not None and not (consistency.reading.alpha or consistency.reading.beta):
        consistency = None
    home = next(backbone.module.parameters()).device
    with exactly(THREADS), torch.random.fork_rng():
        accelerator = Accelerator(cpu=device == "cpu" or not torch.cuda.is_available(), mixed_precision=plan.precision)
        modules = nn.ModuleList([backbone.module] + ([] if consistency is None else [consistency])).to(accelerator.device)
        parameters = [one for one in modules.parameters() if one.requires_grad]
        of_backbone = [one for one in backbone.module.parameters() if one.requires_grad]
        optimizer, schedule = _optimizer(parameters, plan)
        optimizer = accelerator.prepare(optimizer)
        moving = get_ema_multi_avg_fn(plan.average)
        average = AveragedModel(backbone.module, multi_avg_fn=moving) if plan.average else None
        modules.train()
        watched, good, good_step, stopped, start = [], None, 0, "", 0
        everything = nn.ModuleList([modules] + ([] if average is None else [average]))
        under_way = (asdict(plan) | {"seed": seed, "pictures": len(labels)}, everything, optimizer, schedule)
        if checkpoint is not None and (kept := checkpoints.load(checkpoint, *under_way)):
            good, values = kept
            start, watched, good_step = values["step"], values["watched"], values["good step"]
            if values["scaler"]:
                accelerator.scaler.load_state_dict(values["scaler"])
        batches = _batches(load, labels, plan, seed, start=start, ahead=0 if accelerator.device.type == "cpu" else AHEAD)
        for step, (x, y) in enumerate(tqdm(batches, name, plan.steps, initial=start, mininterval=1, leave=False), start):
            watch = step % plan.watch == 0 or step == plan.steps - 1
            x, y = x.to(accelerator.device), y.to(accelerator.device)
            if not _finite(parameters):
                stopped = f"weights after step {step - 1} of {plan.steps} are not finite"
                break
            with accelerator.autocast():
                maps, logits = _look(backbone, x, seed, step)
            maps, logits = maps.float(), logits.float()
            loss = task = cross_entropy(logits, y)
            found = {"cross entropy": float(task.detach()), "task gradient": _length(task, of_backbone)} if watch else {}
            if consistency is not None and _finite([maps, logits]):
                losses = _added(consistency, maps, y, step, plan, seed, watch=watch)
                loss = task + losses.total
                if watch:
                    found |= {"added gradient": _length(losses.total, of_backbone), **losses.diagnostics}
            if not (_finite([maps, logits]) and torch.isfinite(loss)):
                stopped = f"the loss at step {step} of {plan.steps} is {loss.item()}"
                break
            if watch:
                watched.append({"step": step, "rate": schedule.get_last_lr()[0], "loss": float(loss.detach()), **found})
                good, good_step = _state(backbone.module), step
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            _take(optimizer, schedule, parameters, plan)
            if consistency is not None:
                consistency.temperature.hold()
            if average is not None:
                average.update_parameters(backbone.module)
            if checkpoint is not None and (step + 1) % KEPT == 0 and step + 1 < plan.steps and _finite(parameters):
                scaler = accelerator.scaler.state_dict() if accelerator.scaler else None
                values = {"step": step + 1, "watched": watched, "good step": good_step, "scaler": scaler}
                checkpoints.save(checkpoint, *under_way, good=good, values=values)
        if not stopped and not _finite(parameters):
            stopped = f"weights after step {plan.steps - 1} of {plan.steps} are not finite"
        if stopped and good is None:
            raise FloatingPointError(f"{name}: {stopped}; expected finite numbers (lower the learning rate, alpha or beta?)")
        if stopped:
            warnings.warn(f"{name}: {stopped}; the weights before step {good_step} are kept", stacklevel=2)
            backbone.module.load_state_dict(good)
        elif average is not None:
            backbone.module.load_state_dict(average.module.state_dict())
        modules.to(home)
        backbone.module.eval().requires_grad_(False)
    return Trained(backbone, pd.DataFrame(watched), stopped)


def _batches(load, labels, plan, seed, *, start=0, ahead=0):
    """Pictures and labels of every step, in order; so many batches are loaded by threads of their own while one is computed."""

    def batch(step):
        rows = batch_rows(len(labels), plan.batch_size, step, seed)
        return load(rows, _generator(seed, step)), torch.from_numpy(labels[rows])

    if not ahead:
        yield from map(batch, range(start, plan.steps))
        return
    with ThreadPoolExecutor(ahead) as pool:
        waiting = deque(pool.submit(batch, step) for step in range(start, min(start + ahead, plan.steps)))
        for step in range(start, plan.steps):
            if step + ahead < plan.steps:
                waiting.append(pool.submit(batch, step + ahead))
            yield waiting.popleft().result()


def batch_rows(count: int, size: int, step: int, seed: int) -> np.ndarray:
    """Rows of a step: every epoch goes through all pictures in an order of its own, and what does not fill a batch waits for another."""
    epoch, place = divmod(step, count // size)
    return np.sort(_order(count, seed, epoch)[place * size : (place + 1) * size])


@lru_cache(maxsize=4)
def _order(count, seed, epoch):
    """Of all pictures; of a million it takes as long as loading a batch."""
    return generator(seed, 115, epoch).permutation(count)


def gradient_norms(
    backbone: Backbone, load: Loader, labels: np.ndarray, plan: Plan, consistencies: dict[str, Consistency | Sham], *, trained: str,
    steps: int = 100, seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Mean norm over the first steps of what each consistency adds to the gradient of the backbone, all at the same weights.

    A copy of the backbone is trained with one of them, step by step as `train` does; nothing of the caller's is changed. This is what the
    weight of a sham is set by.

    Args:
        backbone, load, labels, plan, seed: as in `train`; it runs where the backbone is.
        consistencies: by name, each with its own side of the texts.
        trained: the name of the one whose steps are taken.
        steps: how many, at most those of the plan.

    Raises:
        FloatingPointError: if a norm is not finite.
    """
    labels = _checked_labels(labels, plan)
    backbone = replace(backbone, module=copy.deepcopy(backbone.module).train())
    consistencies = {name: copy.deepcopy(one).train() for name, one in consistencies.items()}
    of_backbone = [one for one in backbone.module.parameters() if one.requires_grad]
    stepping = [*of_backbone, *(one for one in consistencies[trained].parameters() if one.requires_grad)]
    optimizer, schedule = _optimizer(stepping, plan)
    norms = {name: [] for name in consistencies}
    device = of_backbone[0].device
    with exactly(THREADS), torch.random.fork_rng():
        for step, (x, y) in enumerate(_batches(load, labels, replace(plan, steps=min(steps, plan.steps)), seed)):
            x, y = x.to(device), y.to(device)
            maps, logits = _look(backbone, x, seed, step)
            loss = cross_entropy(logits, y)
            for name, one in consistencies.items():
                added = _added(one, maps, y, step, plan, seed, watch=False).total
                norms[name].append(_length(added, of_backbone))
                if not math.isfinite(norms[name][-1]):
                    raise FloatingPointError(f"{name}: the norm of its gradient at step {step} is not finite; expected a number")
                loss = loss + added if name == trained else loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            _take(optimizer, schedule, stepping, plan)
            consistencies[trained].temperature.hold()
    return {name: float(np.mean(values)) for name, values in norms.items()}


def accuracy(backbone: Backbone, load: Loader, labels: np.ndarray, *, batch_size: int = 512) -> float:
    """Share of the pictures whose class a classifier tells; load is called without a generator, for pictures as they are."""
    return float((predictions(backbone, load, len(labels), batch_size=batch_size).argmax(1) == labels).mean())


@torch.no_grad()
def predictions(backbone: Backbone, load: Loader, count: int, *, batch_size: int = 512) -> np.ndarray:
    """(count, classes) probabilities."""
    device = next(backbone.module.parameters()).device
    with evaluating(backbone.module):
        parts = [
            backbone.module(load(np.arange(start, min(start + batch_size, count)), None).to(device)).softmax(1).cpu().numpy()
            for start in range(0, count, batch_size)
        ]
    return np.concatenate(parts)


def _checked_labels(labels, plan):
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise ValueError(f"labels: found {labels.dtype} of shape {labels.shape}; expected whole numbers from 0, (pictures,)")
    if len(labels) < plan.batch_size:
        raise ValueError(f"labels: found {len(labels)} pictures; expected at least one batch of {plan.batch_size}")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"labels: found {len(np.unique(labels))} class; expected at least two")
    return labels.astype(np.int64)


def _optimizer(parameters, plan):
    if plan.optimizer == ADAMW:
        optimizer = torch.optim.AdamW(parameters, plan.learning_rate, weight_decay=plan.weight_decay)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.learning_rate, total_steps=plan.steps + 1, pct_start=0.15)
    optimizer = torch.optim.SGD(parameters, plan.learning_rate, plan.momentum, weight_decay=plan.weight_decay)
    return optimizer, seven_sixteenths_cosine(optimizer, plan.steps)


def _take(optimizer, schedule, parameters, plan):
    if plan.clip:
        nn.utils.clip_grad_norm_(parameters, plan.clip)
    optimizer.step()
    schedule.step()


def _look(backbone, x, seed, step):
    torch.manual_seed(int(keys(seed, 116, step) >> np.uint64(1)))
    return backbone.look(x)


def _added(consistency, maps, labels, step, plan, seed, *, watch):
    """What a consistency says of a batch; its dropout has random numbers of its own, so that the backbone's stay the same without it."""
    reading = consistency.reading
    torch.manual_seed(int(keys(seed, 117, step) >> np.uint64(1)))
    rising = reading.warm_up * plan.steps
    share = min(1.0, (step + 1) / rising) if rising else 1.0
    order = consistency.text.order(seed, step) if reading.permuted else None
    return consistency(maps, labels, order=order, share=share, watch=watch)


def _length(loss, parameters):
    """Of the gradient of a loss, which stays as it is."""
    parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) if loss.requires_grad else ()
    return math.sqrt(sum(float(part.square().sum()) for part in parts if part is not None))


def _generator(seed, step):
    return torch.Generator().manual_seed(int(keys(seed, 118, step) >> np.uint64(1)))


def _state(module):
    return {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}


def _finite(tensors):
    return all(bool(value.detach().isfinite().all()) for value in tensors)
