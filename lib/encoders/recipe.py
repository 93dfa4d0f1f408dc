"""What determines a locally trained encoder: seven ways to teach one small network."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import nn

from lib import objectives, training
from lib.datasets.pictures import Pictures
from lib.encoders import networks, small_clip
from lib.keyed_random import keys

# Pictures shown in training; enough for each to level off, few enough for all of them together in minutes on two cores.
PRESENTATIONS = {
    "random": 0, "supervised": 60_000, "nuisance": 16_000, "rotation": 48_000, "simclr": 96_000, "autoencoder": 24_000, "clip": 16_000,
}  # fmt: skip
LEARNING_RATE = {"resnet": 8e-3, "vit": 1e-3, "clip": 2e-3}
BATCH_SIZE = 128
NUISANCE = "background"


@dataclass(frozen=True)
class Recipe:
    """All that determines a local encoder's weights; every field but the method is an option of its name."""

    method: str
    seed: int = 0  # initial weights, order and augmentation
    width: int = 0  # channels of the first stage (residual network, default 16) or of every layer (vit, default 96)
    network: str = "resnet"  # or "vit"
    data: str = "scenes"  # or "cifar10"
    presentations: int = -1  # pictures shown; -1 is the method's default
    pictures: int = 16_384  # distinct training pictures
    picture_seed: int = 1000  # of the training scenes; test scenes use small seeds
    shortcut: float = 0.0  # of the training scenes

    def __post_init__(self):
        expected = {
            "method": tuple(PRESENTATIONS),
            "data": ("scenes",) if self.method in ("nuisance", "clip") else ("scenes", "cifar10"),
            "network": ("resnet",) if self.method in ("autoencoder", "clip") else ("resnet", "vit"),
        }
        for field, allowed in expected.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"local:{self.method}: {field}: found {getattr(self, field)!r}; expected one of {', '.join(allowed)}")
        for field, least in (("seed", 0), ("width", 0), ("presentations", -1), ("pictures", BATCH_SIZE), ("picture_seed", 0)):
            if getattr(self, field) < least:
                raise ValueError(f"local:{self.method}: {field}: found {getattr(self, field)}; expected at least {least}")
        object.__setattr__(self, "width", self.width or (16 if self.network == "resnet" else 96))
        object.__setattr__(self, "presentations", PRESENTATIONS[self.method] if self.presentations < 0 else self.presentations)
        step = 32 if self.network == "vit" else 2 if self.method == "clip" else 1  # channels of an attention head
        if self.width % step:
            raise ValueError(f"local:{self.method}: width: found {self.width}; expected a multiple of {step}")
        if self.method == "random" and self.presentations:
            raise ValueError(f"local:random: presentations: found {self.presentations}; expected 0, since it is never trained")

    @property
    def side(self) -> int:
        """Pixels a side of its pictures."""
        return 64 if self.data == "scenes" else 32

    @property
    def learning_rate(self) -> float:
        """Peak of the one-cycle schedule."""
        return LEARNING_RATE[self.method if self.method == "clip" else self.network]

    @property
    def checkpoint_steps(self) -> list[int]:
        """Training steps after which the weights are kept; the first is 0."""
        return training.checkpoint_steps(self.presentations // BATCH_SIZE) if self.presentations >= BATCH_SIZE else [0]


def recipe_of(base: str, options: dict, name: str) -> Recipe:
    """The recipe that a name means, whatever its checkpoint; an unknown option or a wrong type is an error that lists what there is."""
    known = {field.name: field.type for field in fields(Recipe) if field.name != "method"}
    options = {option: value for option, value in options.items() if option != "checkpoint"}
    for option, value in options.items():
        if option not in known:
            raise ValueError(f"{name}: found the option {option!r}; expected one of {', '.join([*known, 'checkpoint'])}")
        if not isinstance(value, (int, float) if known[option] is float else known[option]):
            raise ValueError(f"{name}: {option}: found {value!r}; expected {known[option].__name__}")
    return Recipe(base, **options)


def build(recipe: Recipe, pictures: Pictures) -> nn.Module:
    """The untrained objective of a recipe; its weights depend on the seed and the shapes alone.

    Args:
        recipe: what to build.
        pictures: what it will be trained on: gives labels, concepts or captions.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(keys(recipe.seed, 0) >> np.uint64(1)))
        if recipe.method == "clip":
            tokenizer = tokenizer_of(pictures)
            clip = small_clip.small_clip(len(tokenizer), side=recipe.side, width=recipe.width)
            return objectives.CaptionMatching(clip, tokenizer(pictures.captions))
        trunk = networks.trunk(recipe.network, recipe.width, recipe.side)
        if recipe.method in ("supervised", "random"):
            return objectives.Classification(trunk, pictures.labels, len(pictures.class_names))
        if recipe.method == "nuisance":
            labels = nuisance_labels(pictures)
            return objectives.Classification(trunk, labels, int(labels.max()) + 1)
        if recipe.method == "simclr":
            return objectives.Contrastive(trunk)
        if recipe.method == "rotation":
            return objectives.Rotation(trunk)
        return objectives.Reconstruction(trunk, recipe.side)


def tokenizer_of(pictures: Pictures) -> small_clip.CutTokenizer:
    """The tokenizer whose vocabulary is the words of the captions."""
    return small_clip.CutTokenizer(pictures.captions)


def nuisance_labels(pictures: Pictures) -> np.ndarray:
    """Which background each scene has, (count,) int64."""
    return pictures.concepts.filter(regex=f"^{NUISANCE}: ").to_numpy().argmax(1)
