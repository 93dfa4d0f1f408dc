"""Encoders trained on the spot.

A name says everything: `local:simclr,seed=1,width=32,checkpoint=3`; its options are the fields of `lib.encoders.recipe.Recipe`. Trained
weights are kept in the cache with all their checkpoints, and the same name gives the same weights.
"""

import hashlib
from dataclasses import asdict
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from lib import datasets, objectives, store, training
from lib.datasets.pictures import Pictures
from lib.encoders import networks, parse, recipe, small_clip
from lib.encoders.encoder import Encoder
from lib.encoders.recipe import BATCH_SIZE, Recipe, build, recipe_of

WITH_CLASSES = ("supervised", "nuisance")


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
    objective, made_by, state = _loaded(name, base, options)
    objective.to(device)
    return Encoder(
        name=name,
        module=objective.clip.visual if base == "clip" else objective,
        embed=objective.embed,
        classify=objective if base in WITH_CLASSES else None,
        preprocess=lambda pictures: networks.normalised(_stacked(pictures, made_by.side, name)).to(device),
        identity={
            "encoder": "local", "method": made_by.method, "network": made_by.network,
            "weights": hashlib.sha256(b"".join(state[key].numpy().tobytes() for key in sorted(state))).hexdigest(),
        },
        circular_labels=made_by.data if base == "supervised" else "",
    )  # fmt: skip


def objective_of(name: str) -> nn.Module:
    """The objective behind a name, in eval mode with its weights: what the encoder has beyond its embedding (a decoder, a text encoder)."""
    return _loaded(name, *parse(name)[1:])[0]


def recipe_named(name: str) -> Recipe:
    """The recipe of a `local:` name."""
    return _recipe(name, *parse(name)[1:])


def training_pictures(recipe: Recipe) -> Pictures:
    """The pictures a recipe is trained on."""
    return _pictures(recipe.data, recipe.pictures, recipe.picture_seed, recipe.shortcut)


def trained(made_by: Recipe) -> dict[int, dict[str, torch.Tensor]]:
    """Weights at every checkpoint: step -> state dict. Trains once, then reads the cache."""
    pictures = training_pictures(made_by)

    def make():
        objective = build(made_by, pictures)
        states = {0: {key: value.clone() for key, value in objective.state_dict().items()}}
        if made_by.presentations >= BATCH_SIZE:
            states |= training.train(
                objective, _pixels(made_by.data, made_by.pictures, made_by.picture_seed, made_by.shortcut),
                presentations=made_by.presentations, batch_size=BATCH_SIZE, learning_rate=made_by.learning_rate, seed=made_by.seed,
                checkpoints=made_by.checkpoint_steps, name=f"training {made_by.method}, seed {made_by.seed}",
            )  # fmt: skip
        return {f"{step}/{key}": value for step, state in states.items() for key, value in state.items()}

    # The pictures are named by their identity, so that the code that reads data sets need not be part of the key.
    inputs = asdict(made_by) | {"trained on": pictures.identity}
    stored = store.fetch(f"encoders/{made_by.method}", inputs, make, code=[training, objectives, networks, small_clip, recipe])
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in stored.items():
        step, parameter = key.split("/", 1)
        states.setdefault(int(step), {})[parameter] = value
    return states


def _recipe(name, base, options):
    made_by = recipe_of(base, options, name)
    if made_by.shortcut and made_by.data != "scenes":
        raise ValueError(f"{name}: shortcut: found {made_by.shortcut:g} with data={made_by.data}; expected 0, only scenes have one")
    return made_by


def _loaded(name, base, options):
    made_by = _recipe(name, base, options)
    steps, checkpoint = made_by.checkpoint_steps, options.get("checkpoint", -1)
    if not isinstance(checkpoint, int) or not -1 <= checkpoint < len(steps):
        raise ValueError(f"{name}: checkpoint: found {checkpoint!r}; expected 0 to {len(steps) - 1}")
    state = trained(made_by)[steps[checkpoint]]
    objective = build(made_by, training_pictures(made_by))
    objective.load_state_dict(state)
    return objective.eval().requires_grad_(False), made_by, state


@lru_cache(maxsize=3)
def _pictures(data, count, seed, shortcut):
    if data == "scenes":
        return datasets.load("scenes", count=count, seed=seed, shortcut=shortcut)
    return datasets.load(data, split="train", count=count, seed=seed)


@lru_cache(maxsize=1)
def _pixels(*key):
    """Drawn once for all encoders trained in a row."""
    return np.concatenate([batch for _, batch in _pictures(*key).batches(512)])


def _stacked(pictures, side, name):
    shapes = {picture.shape for picture in pictures}
    if shapes != {(side, side, 3)}:
        raise ValueError(f"pictures: {name} found shapes {sorted(shapes)[:3]}; expected ({side}, {side}, 3), the size it was trained on")
    return np.asarray(pictures)
