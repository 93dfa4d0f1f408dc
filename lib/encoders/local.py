"""Encoders trained on the spot: one small network, seven ways to teach it.

A name says everything: `local:simclr,seed=1,width=32,checkpoint=3`. Trained weights are kept in the cache with all their checkpoints; the same name gives the same weights.
"""

import hashlib
from dataclasses import asdict, dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from lib import datasets, objectives, store, training
from lib.datasets.pictures import Pictures
from lib.encoders import networks, parse, small_clip
from lib.encoders.encoder import Encoder
from lib.keyed_random import keys

# Pictures shown in training; enough for each to level off, few enough for all of them together in minutes on two cores.
PRESENTATIONS = {"random": 0, "supervised": 40_000, "nuisance": 16_000, "rotation": 24_000, "simclr": 24_000, "autoencoder": 24_000, "clip": 24_000}
LEARNING_RATE = {"resnet": 8e-3, "vit": 1e-3, "clip": 2e-3}
WITH_CLASSES = ("supervised", "nuisance")
NUISANCE = "background"
BATCH_SIZE = 128


@dataclass(frozen=True)
class Recipe:
    """All that determines a local encoder's weights."""

    method: str
    seed: int = 0                 # initial weights, order and augmentation
    width: int = 0                # channels of the first stage (residual network, default 16) or of every layer (vit, default 96)
    network: str = "resnet"       # or "vit"
    data: str = "scenes"          # or "cifar10"
    presentations: int = -1       # pictures shown; -1 is the method's default
    pictures: int = 16_384        # distinct training pictures
    picture_seed: int = 1000      # of the training scenes; test scenes use small seeds
    shortcut: float = 0.0         # of the training scenes

    def __post_init__(self):
        if self.method not in PRESENTATIONS:
            raise ValueError(f"local:{self.method}: found the method {self.method!r}; expected one of {', '.join(PRESENTATIONS)}")
        if self.data not in ("scenes", "cifar10"):
            raise ValueError(f"local:{self.method}: data: found {self.data!r}; expected 'scenes' or 'cifar10'")
        if self.network not in ("resnet", "vit"):
            raise ValueError(f"local:{self.method}: network: found {self.network!r}; expected 'resnet' or 'vit'")
        if self.network == "vit" and self.method in ("autoencoder", "clip"):
            raise ValueError(f"local:{self.method}: network: found 'vit'; expected 'resnet', the only trunk this method has")
        if self.data == "cifar10" and self.method in ("nuisance", "clip"):
            raise ValueError(f"local:{self.method}: data: found 'cifar10'; expected 'scenes', since {self.method} needs what only scenes come with")
        object.__setattr__(self, "width", self.width or (16 if self.network == "resnet" else 96))
        object.__setattr__(self, "presentations", PRESENTATIONS[self.method] if self.presentations < 0 else self.presentations)

    @property
    def side(self) -> int:
        return 64 if self.data == "scenes" else 32


def load_local(name: str, base: str, options: dict, device: str = "cpu") -> Encoder:
    """Load, training it first if the cache does not have it.

    Args:
        name: the whole name, for messages.
        base: the method.
        options: fields of `Recipe`, and `checkpoint`: number of a checkpoint along training (0 is untrained); the default is the last.
        device: where the module goes.

    Raises:
        ValueError: if an option is unknown, of the wrong type, or out of range.
    """
    objective, recipe, state = _loaded(name, base, options)
    objective.to(device)
    weights = hashlib.sha256(b"".join(state[key].numpy().tobytes() for key in sorted(state))).hexdigest()
    return Encoder(
        name=name, module=objective.clip.visual if base == "clip" else objective, embed=objective.embed, classify=objective if base in WITH_CLASSES else None,
        preprocess=lambda pictures: networks.normalised(_stacked(pictures, recipe.side, name)).to(device),
        identity={"encoder": "local", "weights": weights, "method": recipe.method, "network": recipe.network},
        circular_labels=recipe.data if base == "supervised" else "",
    )


def objective_of(name: str) -> nn.Module:
    """The objective behind a name, in eval mode with its trained weights: what the encoder has beyond its embedding (a decoder, a text encoder)."""
    return _loaded(name, *parse(name)[1:])[0]


def recipe_of(base: str, options: dict, name: str) -> Recipe:
    """The recipe a name means, whatever its checkpoint; an unknown option or a wrong type is an error that lists what there is."""
    known = {field.name: field.type for field in fields(Recipe) if field.name != "method"}
    options = {option: value for option, value in options.items() if option != "checkpoint"}
    for option, value in options.items():
        if option not in known:
            raise ValueError(f"{name}: found the option {option!r}; expected one of {', '.join([*known, 'checkpoint'])}")
        if not isinstance(value, (int, float) if known[option] is float else known[option]):
            raise ValueError(f"{name}: {option}: found {value!r}; expected {known[option].__name__}")
    return Recipe(base, **options)


def checkpoints(name_without_checkpoint: str, recipe: Recipe) -> list[str]:
    """Names of all checkpoints of an encoder, in order of training."""
    return [f"{name_without_checkpoint},checkpoint={number}" for number in range(len(_checkpoint_steps(recipe)))]


def presentations_at(recipe: Recipe) -> list[int]:
    """Pictures shown before each checkpoint."""
    return [step * BATCH_SIZE for step in _checkpoint_steps(recipe)]


def _loaded(name, base, options):
    recipe = recipe_of(base, options, name)
    states = trained(recipe)
    steps, checkpoint = sorted(states), options.get("checkpoint", -1)
    if not isinstance(checkpoint, int) or not -1 <= checkpoint < len(steps):
        raise ValueError(f"{name}: checkpoint: found {checkpoint!r}; expected 0 to {len(steps) - 1}")
    objective = build(recipe)
    state = states[steps[checkpoint]]
    objective.load_state_dict(state)
    return objective.eval().requires_grad_(False), recipe, state


def _checkpoint_steps(recipe: Recipe) -> list[int]:
    return training.checkpoint_steps(recipe.presentations // BATCH_SIZE) if recipe.presentations >= BATCH_SIZE else [0]


def trained(recipe: Recipe) -> dict[int, dict[str, torch.Tensor]]:
    """Weights at every checkpoint: step -> state dict. Trains once, then reads the cache."""
    def make():
        objective = build(recipe)
        if recipe.presentations < BATCH_SIZE:
            states = {0: {key: value.clone() for key, value in objective.state_dict().items()}}
        else:
            states = training.train(
                objective, _training_pixels(recipe), presentations=recipe.presentations, batch_size=BATCH_SIZE, seed=recipe.seed,
                learning_rate=LEARNING_RATE[recipe.method if recipe.method == "clip" else recipe.network], checkpoints=_checkpoint_steps(recipe), name=f"training {recipe.method}, seed {recipe.seed}")
        return {f"{step}/{key}": value for step, state in states.items() for key, value in state.items()}

    stored = store.fetch(f"encoders/{recipe.method}", asdict(recipe), make, code=[training, objectives, networks, small_clip, build])
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in stored.items():
        step, parameter = key.split("/", 1)
        states.setdefault(int(step), {})[parameter] = value
    return states


def build(recipe: Recipe) -> nn.Module:
    """The untrained objective of a recipe; its weights depend on the seed and the shapes alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(keys(recipe.seed, 0) >> np.uint64(1)))
        if recipe.method == "clip":
            pictures = training_pictures(recipe)
            tokenizer = tokenizer_of(pictures)
            return objectives.CaptionMatching(small_clip.small_clip(len(tokenizer), side=recipe.side, width=recipe.width), tokenizer(pictures.captions))
        trunk = networks.trunk(recipe.network, recipe.width, recipe.side)
        if recipe.method in ("supervised", "random"):
            pictures = training_pictures(recipe)
            return objectives.Classification(trunk, pictures.labels, len(pictures.class_names))
        if recipe.method == "nuisance":
            labels = nuisance_labels(training_pictures(recipe))
            return objectives.Classification(trunk, labels, int(labels.max()) + 1)
        if recipe.method == "simclr":
            return objectives.Contrastive(trunk)
        if recipe.method == "rotation":
            return objectives.Rotation(trunk)
        return objectives.Reconstruction(trunk, recipe.side)


def training_pictures(recipe: Recipe) -> Pictures:
    """The pictures a recipe is trained on."""
    return _pictures(recipe.data, recipe.pictures, recipe.picture_seed, recipe.shortcut)


def tokenizer_of(pictures: Pictures) -> small_clip.CutTokenizer:
    """The tokenizer whose vocabulary is the words of the captions."""
    return small_clip.CutTokenizer(pictures.captions)


def nuisance_labels(pictures: Pictures) -> np.ndarray:
    """(count,) int64: which background each scene has."""
    block = pictures.concepts.filter(regex=f"^{NUISANCE}: ")
    return block.to_numpy().argmax(1)


@lru_cache(maxsize=2)
def _pictures(data, count, seed, shortcut):
    if data == "scenes":
        return datasets.load("scenes", count=count, seed=seed, shortcut=shortcut)
    return datasets.load(data, split="train", count=count, seed=seed)


def _training_pixels(recipe):
    return _pixels(recipe.data, recipe.pictures, recipe.picture_seed, recipe.shortcut)


@lru_cache(maxsize=1)
def _pixels(*key):
    """Drawn once for all encoders trained in a row."""
    return np.concatenate([batch for _, batch in _pictures(*key).batches(512)])


def _stacked(pictures, side, name):
    shapes = {picture.shape for picture in pictures}
    if shapes != {(side, side, 3)}:
        raise ValueError(f"pictures: {name} found shapes {sorted(shapes)[:3]}; expected ({side}, {side}, 3), the size it was trained on")
    return np.asarray(pictures)
