"""Training a classifier with and without LICO: the same initial weights, order and augmentation, whatever stands beside the cross-entropy.

SGD with momentum and the paper's learning rate (specs/lico.md, 2.4), or AdamW with one cycle, as the project's own encoders are trained.
Everything random belongs to (seed, step): with both weights 0 the weights are those of plain training, bit for bit. One process, one
device: similarities are among the samples of its batch, and nothing gathers those of other processes.
"""

import copy
import math
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
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
from lib.keyed_random import keys
from lib.lico import checkpoints
from lib.lico.backbones import Backbone
from lib.lico.batches import batches
from lib.lico.loading import Loader
from lib.lico.objective import Consistency
from lib.lico.plan import Plan
from lib.lico.sham import Sham
from lib.torch_threads import exactly

AHEAD = 4  # batches loaded while another is computed, with an accelerator
KEPT = 1000  # steps between two checkpoints
THREADS = 1  # of a training on the processor: a second one hardly helps, and two trainings beside each other take as long as one


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
        ValueError: if there are fewer pictures than one batch, one class only, a label is no class of the backbone, there are texts of
            more or fewer classes, the device is another, or the checkpoint is of another training.
        FloatingPointError: if there were no good weights: the first step already has numbers that are not finite.
    """
    labels = _checked_labels(labels, plan, backbone, consistency)
    if device not in ("", "cpu"):
        raise ValueError(f"device: found {device!r}; expected 'cpu', or '' for an accelerator where there is one")
    if consistency is not None and not (consistency.reading.alpha or consistency.reading.beta):
        consistency = None
    with exactly(THREADS), torch.random.fork_rng(), _brought_back(backbone.module, consistency):
        accelerator = Accelerator(cpu=device == "cpu" or not torch.cuda.is_available(), mixed_precision=plan.precision)
        training = _Training(backbone, consistency, labels, plan, seed, accelerator)
        start = 0 if checkpoint is None else training.resume(checkpoint)
        steps = batches(load, labels, plan, seed, start=start, ahead=0 if training.device.type == "cpu" else AHEAD)
        for step, (x, y) in enumerate(tqdm(steps, name, plan.steps, initial=start, mininterval=1, leave=False), start):
            training.stopped = training.take(step, x.to(training.device), y.to(training.device))
            if training.stopped:
                break
            if checkpoint is not None and (step + 1) % KEPT == 0 and step + 1 < plan.steps:
                training.keep(checkpoint, step + 1)
        training.finish(name)
    return Trained(backbone, pd.DataFrame(training.history), training.stopped)


@contextmanager
def _brought_back(module, consistency):
    """Whatever happens, both end where the backbone came from: an encoder may stand behind other texts too."""
    home = next(module.parameters()).device
    try:
        yield
    finally:
        for one in (module, consistency):
            if one is not None:
                one.to(home)


def _identity(consistency):
    """Plain values that tell a side of the texts from others, whatever their readings are called."""
    if consistency is None:
        return None
    texts = sha256()
    for name, value in consistency.text.named_buffers(recurse=False):
        texts.update(f"{name} {tuple(value.shape)}".encode() + value.cpu().numpy().tobytes())
    reading = {name: value for name, value in asdict(consistency.reading).items() if name != "name"}
    return {"kind": type(consistency).__name__, "texts": texts.hexdigest(), "reading": reading}


class _Training:
    """What moves in a training, and how a step moves it."""

    def __init__(self, backbone, consistency, labels, plan, seed, accelerator):
        self.backbone, self.consistency, self.plan, self.seed, self.accelerator = backbone, consistency, plan, seed, accelerator
        self.identity = asdict(plan) | {"seed": seed, "labels": sha256(labels.tobytes()).hexdigest(), "consistency": _identity(consistency)}
        self.device = accelerator.device
        self.modules = nn.ModuleList([backbone.module] + ([] if consistency is None else [consistency])).to(self.device).train()
        self.parameters = [one for one in self.modules.parameters() if one.requires_grad]
        self.of_backbone = [one for one in backbone.module.parameters() if one.requires_grad]
        optimizer, self.schedule = plan.start(self.parameters)
        self.optimizer = accelerator.prepare(optimizer)
        averaging = get_ema_multi_avg_fn(plan.average)
        self.average = AveragedModel(backbone.module, multi_avg_fn=averaging) if plan.average else None
        self.history, self.stopped, self.good, self.good_step = [], "", None, 0

    def take(self, step, x, y) -> str:
        """Take a step; or say why not, and take none."""
        if not _finite(self.parameters):
            return self._not_finite(step - 1)
        watch = step % self.plan.watch == 0 or step == self.plan.steps - 1
        with self.accelerator.autocast():
            maps, logits = _look(self.backbone, x, self.seed, step)
        maps, logits = maps.float(), logits.float()
        loss = task = cross_entropy(logits, y)
        fine = _finite([maps, logits])
        found = {"cross entropy": float(task.detach()), "task gradient": _length(task, self.of_backbone)} if watch else {}
        if self.consistency is not None and fine:
            try:
                losses = _added(self.consistency, maps, y, step, self.plan, self.seed, watch=watch)
            except FloatingPointError as error:
                return f"at step {step} of {self.plan.steps}, {error}"
            loss = task + losses.total
            if watch:
                found |= {"added gradient": _length(losses.total, self.of_backbone), **losses.diagnostics}
        if not (fine and torch.isfinite(loss)):
            return f"the loss at step {step} of {self.plan.steps} is {loss.item()}"
        if watch:
            self.history.append({"step": step, "rate": self.schedule.get_last_lr()[0], "loss": float(loss.detach()), **found})
            self.good, self.good_step = _state(self.backbone.module), step
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        _update(self.optimizer, self.schedule, self.parameters, self.plan, clip=self.accelerator.clip_grad_norm_)
        if self.consistency is not None:
            self.consistency.temperature.hold()
        if self.average is not None:
            self.average.update_parameters(self.backbone.module)
        return ""

    def finish(self, name):
        """Leave the backbone with its result: the last weights, their average, or the last good ones."""
        if not self.stopped and not _finite(self.parameters):
            self.stopped = self._not_finite(self.plan.steps - 1)
        module = self.backbone.module
        if self.stopped and self.good is None:
            raise FloatingPointError(f"{name}: {self.stopped}; expected finite numbers (lower the learning rate, alpha or beta?)")
        if self.stopped:
            warnings.warn(f"{name}: {self.stopped}; the weights before step {self.good_step} are kept", stacklevel=3)
            module.load_state_dict(self.good)
        elif self.average is not None:
            module.load_state_dict(self.average.module.state_dict())
        module.eval().requires_grad_(False)

    def resume(self, path) -> int:
        """Go back to where a checkpoint was written, if there is one: the next step."""
        kept = checkpoints.load(path, *self._under_way())
        if kept is None:
            return 0
        self.good, values = kept
        self.history, self.good_step = values["watched"], values["good step"]
        if isinstance(self.consistency, Sham):  # measured anew before every start, it may differ in the last digit
            self.consistency.weight = values["weight"]
        if values["scaler"]:
            self.accelerator.scaler.load_state_dict(values["scaler"])
        return values["step"]

    def keep(self, path, step):
        """Write a checkpoint, unless the weights are no longer good."""
        if _finite(self.parameters):
            scaler = self.accelerator.scaler.state_dict() if self.accelerator.scaler else None
            values = {"step": step, "watched": self.history, "good step": self.good_step, "scaler": scaler,
                      "weight": getattr(self.consistency, "weight", None)}  # fmt: skip
            checkpoints.save(path, *self._under_way(), good=self.good, values=values)

    def _under_way(self):
        moving = nn.ModuleList([self.modules] + ([] if self.average is None else [self.average]))
        return self.identity, moving, self.optimizer, self.schedule

    def _not_finite(self, step):
        return f"weights after step {step} of {self.plan.steps} are not finite"


def gradient_norms(
    backbone: Backbone, load: Loader, labels: np.ndarray, plan: Plan, consistencies: dict[str, Consistency | Sham], *, trained: str,
    steps: int = 100, seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Mean norm over the first steps of what each consistency adds to the gradient of the backbone, all at the same weights.

    A copy of the backbone is trained with one of them, step by step as `train` does, in full precision; nothing of the caller's is changed.
    This is what the weight of a sham is set by.

    Args:
        backbone, load, labels, plan, seed: as in `train`; it runs where the backbone is.
        consistencies: by name, each with its own side of the texts.
        trained: the name of the one whose steps are taken.
        steps: how many, at most those of the plan.

    Raises:
        FloatingPointError: if a norm is not finite.
    """
    for one in consistencies.values():
        labels = _checked_labels(labels, plan, backbone, one)
    backbone = replace(backbone, module=copy.deepcopy(backbone.module).train())
    consistencies = {name: copy.deepcopy(one).train() for name, one in consistencies.items()}
    of_backbone = [one for one in backbone.module.parameters() if one.requires_grad]
    stepping = [*of_backbone, *(one for one in consistencies[trained].parameters() if one.requires_grad)]
    optimizer, schedule = plan.start(stepping)
    norms = {name: [] for name in consistencies}
    device = of_backbone[0].device
    with exactly(THREADS), torch.random.fork_rng():
        for step, (x, y) in enumerate(batches(load, labels, replace(plan, steps=min(steps, plan.steps)), seed)):
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
            _update(optimizer, schedule, stepping, plan)
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


def _checked_labels(labels, plan, backbone, consistency):
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise ValueError(f"labels: found {labels.dtype} of shape {labels.shape}; expected whole numbers from 0, (pictures,)")
    if len(labels) < plan.batch_size:
        raise ValueError(f"labels: found {len(labels)} pictures; expected at least one batch of {plan.batch_size}")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"labels: found {len(np.unique(labels))} class; expected at least two")
    classes = backbone.classes()
    if labels.max() >= classes:
        raise ValueError(f"labels: found {labels.min()} to {labels.max()}; expected 0 to {classes - 1}, the classes of {backbone.name}")
    if consistency is not None and consistency.text.count != classes:
        raise ValueError(f"consistency: found texts of {consistency.text.count} classes; expected {classes}, those of {backbone.name}")
    return labels.astype(np.int64)


def _update(optimizer, schedule, parameters, plan, *, clip=nn.utils.clip_grad_norm_):
    if plan.clip:
        clip(parameters, plan.clip)
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


def _state(module):
    return {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}


def _finite(tensors):
    return bool(torch.stack([value.detach().isfinite().all() for value in tensors]).all())
