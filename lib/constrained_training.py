"""Training an encoder with attribution scores as part of its objective, many networks of one shape at a time.

The experiment of the attribution paper's code (specs/attribution_scores.md, 2.11 and 6.4): a small auto-encoder with a classifier on its
code is trained for

    L = cross-entropy + mean squared error - lambda * S,

with S the informativeness or the disentanglement of where the code looks in the input of the second convolution. Arms share initial
weights, the order of the pictures and all noise, so that they differ in nothing but the constraint. Networks are stacked with torch.func:
one step trains all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch.func import functional_call, jacrev, stack_module_state, vmap
from torch.nn import functional
from tqdm.auto import tqdm

from lib.attribution.maps import live_units, over_channels
from lib.attribution.normalisation import normalised
from lib.devices import training_threads
from lib.encoders.grey_networks import ConstrainedEncoder, built
from lib.keyed_random import generator
from lib.measures.attribution_scores import disentanglement, informativeness, scale_free_disentanglement

BATCH_SIZE = 64
SCORED = ("scaled", "scale-free")


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        name: for tables and figures.
        informativeness, disentanglement: lambda of each score; 0 leaves it out, and below 0 the score is made small.
        sham: the gradient of the scores is taken at a frozen untrained network of another seed: a push of the same kind that knows nothing
            of the network it trains. (Scores of a frozen network as such have no gradient, and with noise that belongs to the step,
            nothing at all would change.)
        task: whether cross-entropy and reconstruction count; without, the network is trained for the score alone.
        score: of disentanglement: "scaled", units scaled to their range (the code), or "scale-free", S_D*.
        summed_references: informativeness is taken against references that are summed as in the code (`against_summed_references`, R4).
    """

    name: str
    informativeness: float = 0.0
    disentanglement: float = 0.0
    sham: bool = False
    task: bool = True
    score: str = "scaled"
    summed_references: bool = False

    def __post_init__(self):
        for field in ("informativeness", "disentanglement"):
            if not abs(getattr(self, field)) < float("inf"):
                raise ValueError(f"arm {self.name}: {field}: found {getattr(self, field)}; expected a finite number")
        if self.score not in SCORED:
            raise ValueError(f"arm {self.name}: score: found {self.score!r}; expected one of {', '.join(SCORED)}")
        if not self.task and not (self.informativeness or self.disentanglement):
            raise ValueError(f"arm {self.name}: found neither task nor score; expected something to train for")


@dataclass(frozen=True)
class Schedule:
    """How often and on what the scores are taken, and how long networks are trained.

    Args:
        steps: optimiser steps of 64 pictures.
        every: the score counts in every so manyth step; 20 in the code.
        pictures: of the batch that are scored; 1 in the code.
        samples: n of the attribution, with common noise; 1 in the code.
        references: noise pictures for informativeness, of which the mean map is taken; 64 in the code.
        noise: sigma of the attribution; 0.5 in the code.
        learning_rate: of Adam, constant.
        through_factor: whether the gradient of a score also flows through the activation that multiplies the attribution; in the code it
            is a constant.
    """

    steps: int = 900
    every: int = 20
    pictures: int = 1
    samples: int = 1
    references: int = 64
    noise: float = 0.5
    learning_rate: float = 1e-3
    through_factor: bool = False

    def __post_init__(self):
        for field in ("steps", "every", "pictures", "samples", "references"):
            if getattr(self, field) < 1:
                raise ValueError(f"schedule: {field}: found {getattr(self, field)}; expected at least 1")
        if self.pictures > BATCH_SIZE:
            raise ValueError(f"schedule: pictures: found {self.pictures}; expected at most a batch of {BATCH_SIZE}")


def train_constrained(
    pictures: torch.Tensor, labels: np.ndarray, latent: int, arms: Sequence[Arm], seeds: Sequence[int], schedule: Schedule | None = None
) -> list[list[ConstrainedEncoder]]:
    """Train every arm with every seed.

    Args:
        pictures: (n, 1, 28, 28) in [0, 1], at least one batch.
        labels: (n,) integers from 0.
        latent: d, size of the code.
        arms: at least one.
        seeds: of initial weights, order and noise; arms of the same seed share all three.
        schedule: by default the code's.

    Returns:
        One list an arm with a network a seed, in eval mode.

    Raises:
        ValueError: if shapes disagree, or a disentanglement is asked for of fewer than two units.
        FloatingPointError: if a loss is not finite; it names the step, arm and seed.
    """
    schedule = schedule or Schedule()
    labels = torch.as_tensor(labels)
    if pictures.ndim != 4 or pictures.shape[1:] != (1, 28, 28) or len(pictures) < BATCH_SIZE or labels.shape != pictures.shape[:1]:
        raise ValueError(f"pictures, labels: found {tuple(pictures.shape)} and {tuple(labels.shape)}; "
                         f"expected (n, 1, 28, 28) and (n,) with n >= {BATCH_SIZE}")  # fmt: skip
    if not arms or not seeds:
        raise ValueError(f"arms, seeds: found {len(arms)} and {len(seeds)}; expected at least one of each")
    if latent < 1 or (latent < 2 and any(arm.disentanglement for arm in arms)):
        raise ValueError(f"latent: found {latent}; expected at least 1, and 2 for a disentanglement: over one unit there is no variance")
    classes = int(labels.max()) + 1
    members = [(arm, seed) for arm in arms for seed in seeds]
    networks = [built(ConstrainedEncoder, seed, latent=latent, classes=classes) for _, seed in members]
    frozen = stack_module_state([built(ConstrainedEncoder, 1000 + seed, latent=latent, classes=classes) for _, seed in members])[0]
    weights = {name: value.detach().clone().requires_grad_() for name, value in stack_module_state(networks)[0].items()}
    counts = {name: torch.tensor([float(getattr(arm, name)) for arm, _ in members]) for name in ("informativeness", "disentanglement")}
    tasked = torch.tensor([float(arm.task) for arm, _ in members])
    shammed = torch.tensor([float(arm.sham) for arm, _ in members])
    kinds = {
        "scale-free": torch.tensor([arm.score == "scale-free" for arm, _ in members]),
        "summed": torch.tensor([arm.summed_references for arm, _ in members]),
    }
    optimizer = torch.optim.Adam(weights.values(), lr=schedule.learning_rate)
    skeleton = networks[0]
    order = _Order(len(pictures), seeds)
    with training_threads():
        for step in tqdm(range(schedule.steps), desc=f"training {len(members)} encoders of {latent} units", mininterval=1, leave=False):
            rows = torch.as_tensor(order.rows(step)).repeat(len(arms), 1)  # (members, batch)
            x, y = pictures[rows], labels[rows]
            losses = tasked * _task_loss(skeleton, weights, x, y)
            if step % schedule.every == 0 and any(counts[name].any() for name in counts):
                # A sham member is scored with frozen weights, and its own are moved by the gradient that those get.
                scored = {name: value + _like(shammed, value) * (frozen[name] - value).detach() for name, value in weights.items()}
                losses = losses - _scores(skeleton, scored, x, counts, kinds, seeds, step, schedule)
            if not torch.isfinite(losses).all():
                arm, seed = members[int((~torch.isfinite(losses)).nonzero()[0])]
                where = f"{arm.name}, seed {seed}, {latent} units"
                raise FloatingPointError(f"{where}: the loss at step {step} is not finite; expected a number (lower lambda?)")
            optimizer.zero_grad(set_to_none=True)
            losses.sum().backward()
            optimizer.step()
    for number, network in enumerate(networks):
        network.load_state_dict({name: value[number].detach() for name, value in weights.items()})
        network.eval().requires_grad_(False)
    return [networks[start : start + len(seeds)] for start in range(0, len(networks), len(seeds))]


def evaluate_constrained(
    network: ConstrainedEncoder, train: tuple, test: tuple, *, references: int = 64, scored: int = 64, seed: int = 0
) -> dict[str, float]:
    """What a trained encoder can do and where it looks.

    Args:
        network: trained.
        train: pictures and labels, for the probe.
        test: pictures and labels that it was not trained on.
        references: noise pictures.
        scored: test pictures that are scored.
        seed: of the noise.

    Returns:
        accuracy of the classifier trained with it, accuracy of a logistic probe on the code, reconstruction error, mean length of
        the code, share of dead units, and the scores as they are trained for: informativeness, disentanglement (scaled and scale-free; NaN
        below two live units).
    """
    (train_pictures, train_labels), (test_pictures, test_labels) = train, test
    with torch.no_grad():
        code, logits, drawn = network(test_pictures)
        train_code = network.embed(train_pictures)
    scale = train_code.std(0).clamp(min=1e-12)
    with threadpool_limits(1):  # some hundred numbers: threads only wait for each other
        probe = LogisticRegression(max_iter=2000).fit((train_code / scale).numpy(), train_labels)
    schedule = Schedule(samples=8, references=references)
    weights, _ = stack_module_state([network])
    maps, noise_maps = _maps_and_noise(network, weights, test_pictures[None, :scored], [seed], 0, schedule)
    maps, noise = maps[0].detach(), noise_maps[0].sum(1).mean(0).detach()
    live = live_units(maps)
    several = int(live.sum()) > 1
    return {
        "accuracy": float((logits.argmax(1).numpy() == test_labels).mean()),
        "probe accuracy": float(probe.score((code / scale).numpy(), test_labels)),
        "reconstruction error": float(functional.mse_loss(drawn, test_pictures.flatten(1))),
        "code length": float(code.norm(dim=1).mean()),
        "dead": float((~live).double().mean()),
        "informativeness": float(informativeness(maps.sum(1), noise[None], rule="maximum").mean()),
        "scaled disentanglement": float(disentanglement(maps[:, live], rule="min-max", unbiased=True).mean()) if several else float("nan"),
        "scale-free disentanglement": float(scale_free_disentanglement(maps[:, live]).mean()) if several else float("nan"),
    }


def against_summed_references(maps: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Informativeness with noise references as the code sums them in training (R4).

    It sums over the first axis, which is that of the references instead of the channels: a map for each channel is left, and a picture's
    map is compared with all of them by broadcasting.

    Args:
        maps: (..., n, height, width) aggregate maps of pictures.
        noise: (..., references, channels, height, width) of noise pictures, summed over units.

    Returns:
        (..., n).
    """
    of_channels = noise.sum(-4)
    largest = of_channels.amax((-3, -2, -1), keepdim=True)
    scaled = torch.where(largest > 0, of_channels / torch.where(largest > 0, largest, 1), of_channels)
    return (normalised(maps, "maximum").unsqueeze(-3) - scaled.unsqueeze(-4)).abs().mean((-3, -2, -1))


class _Order:
    """Which pictures a step of a seed sees; every epoch has its own order."""

    def __init__(self, count: int, seeds: Sequence[int]):
        self.count, self.seeds, self.per_epoch, self.epoch = count, seeds, count // BATCH_SIZE, -1

    def rows(self, step: int) -> np.ndarray:
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.orders = np.stack([generator(seed, 96, epoch).permutation(self.count) for seed in self.seeds])
            self.epoch = epoch
        return self.orders[:, position * BATCH_SIZE : (position + 1) * BATCH_SIZE]


def _like(per_member, value):
    return per_member.view(-1, *(1 for _ in value.shape[1:]))


def _task_loss(skeleton, weights, x, y):
    """Cross-entropy and squared error of every member, (members,)."""
    _, logits, drawn = vmap(lambda one, pictures: functional_call(skeleton, one, (pictures,)))(weights, x)
    entropy = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)
    return entropy + (drawn - x.flatten(2)).square().mean((1, 2))


def _scores(skeleton, weights, x, counts, kinds, seeds, step, schedule):
    """Lambda times the scores of every member, (members,)."""
    maps, noise = _maps_and_noise(skeleton, weights, x[:, : schedule.pictures], seeds, step, schedule)
    total = torch.zeros(len(x))
    if counts["informativeness"].any():
        each = informativeness(maps.sum(2), noise.sum(2).mean(1)[:, None], rule="maximum")
        if kinds["summed"].any():
            each = torch.where(kinds["summed"][:, None], against_summed_references(maps.sum(2), noise), each)
        total = total + counts["informativeness"] * each.mean(1)
    if counts["disentanglement"].any():
        flat = maps.flatten(0, 1)
        each = disentanglement(flat, rule="min-max", unbiased=True)
        if kinds["scale-free"].any():
            each = torch.where(kinds["scale-free"].repeat_interleave(maps.shape[1]), scale_free_disentanglement(flat), each)
        total = total + counts["disentanglement"] * each.view(maps.shape[:2]).mean(1)
    return total


def _maps_and_noise(skeleton, weights, x, seeds, step, schedule):
    """Signed maps of the units of every member on its pictures, (members, n, d, 14, 14), and what its code owes to each channel and place
    on noise pictures, (members, references, channels, 14, 14)."""
    members = len(x)
    t, e, eta = (torch.stack([part for _ in range(members // len(seeds)) for part in parts])
                 for parts in zip(*(_draws(seed, step, schedule) for seed in seeds), strict=True))  # fmt: skip

    def one(weights, pictures, t, e):
        """Gradient times activation of one member: each picture and sample is a batch of its own, as batch norm sees it."""

        def single(picture, t, e):
            maps = functional_call(skeleton.below, _part(weights, "below"), (t * (picture + schedule.noise * e)[None],))
            jacobian = jacrev(lambda inner: functional_call(skeleton.above, _part(weights, "above"), (inner,))[0])(maps)
            return jacobian[:, 0] * (maps[0] if schedule.through_factor else maps[0].detach())

        return vmap(lambda picture: vmap(lambda t, e: single(picture, t, e))(t, e).mean(0))(pictures)

    maps = over_channels(vmap(one)(weights, x, t, e).flatten(0, 1), "signed").unflatten(0, x.shape[:2])
    return maps, vmap(one)(weights, eta, t, e).sum(2)


def _part(weights, name):
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _draws(seed, step, schedule):
    """t (samples, 1, 1, 1), e (samples, 1, 28, 28) and noise pictures (references, 1, 28, 28) that belong to a seed and a step."""
    rng = generator(seed, 97, step)
    return (
        torch.from_numpy(rng.random((schedule.samples, 1, 1, 1), dtype=np.float32)),
        torch.from_numpy(rng.standard_normal((schedule.samples, 1, 28, 28), dtype=np.float32)),
        torch.from_numpy(rng.random((schedule.references, 1, 28, 28), dtype=np.float32)),
    )
