"""Representations by name: what turns pictures into features, from pixels to the last layer of a network.

| name | features |
|---|---|
| `pixels` | the picture, averaged to 16 x 16 |
| `pca:64` | the first 64 principal components of the whole picture |
| `noise,seed=0` | random numbers that have nothing to do with the picture: the floor of every measure |
| `descriptor:hog_colour` | oriented gradients and a colour histogram |
| `<encoder>` | the embedding of an encoder, e.g. `local:simclr,seed=0` |
| `<encoder>@<layer>` | means over places of the units of one of its layers |
| `<encoder>+noise=0.5` | either, with noise on the weights of half their spread (`lib.encoders.weight_noise`) |
"""

import re
from collections.abc import Sequence

import numpy as np
from PIL import Image

from lib import activations, descriptors, encoders, store
from lib.datasets.pictures import Pictures
from lib.encoders import local, published
from lib.encoders.weight_noise import add_weight_noise
from lib.keyed_random import generator
from lib.predictions import class_probabilities
from lib.quantisation import Clusters, given_clusters, preprocessed
from lib.survey import code_of

PIXELS, NOISE, DESCRIPTOR = "pixels", "noise", "descriptor:hog_colour"
PIXEL_SIDE, NOISE_DIMENSIONS = 16, 64


def features(name: str, pictures: Pictures, *, device: str = "cpu") -> np.ndarray:
    """The features of all pictures, (pictures, dims) float32; kept in the cache where a network makes them.

    Args:
        name: see the table above.
        pictures: which.
        device: where a network runs.

    Raises:
        ValueError: if the name, or a layer in it, is not known.
    """
    if name == PIXELS:
        return np.concatenate([np.stack([_shrunk(picture) for picture in batch]) for _, batch in pictures.batches(512)])
    if family(name) == NOISE:
        seed = int(name.removeprefix(NOISE).removeprefix(",seed=") or 0)
        return generator(seed, 51).standard_normal((len(pictures), NOISE_DIMENSIONS), dtype=np.float32)
    if name == DESCRIPTOR:
        return np.concatenate([descriptors.hog_colour(batch) for _, batch in pictures.batches(512)])
    if name.startswith("pca:"):
        return _components(name, pictures)
    encoder_name, level, layer = parts(name)
    encoder = encoders.load(encoder_name, device=device)
    if level:
        encoder = add_weight_noise(encoder, level)

    def make():
        made = activations.activations(encoder, pictures, [layer])[layer] if layer else activations.embeddings(encoder, pictures)
        return {"features": made}

    inputs = {"encoder": encoder.identity, "pictures": pictures.identity, "layer": layer}
    return store.fetch("features", inputs, make, code=[activations, *code_of(encoder)])["features"]


def parts(name: str) -> tuple[str, float, str]:
    """Encoder, level of weight noise and layer ("" for the embedding) of a name `<encoder>[+noise=LEVEL][@LAYER]`.

    Raises:
        ValueError: if the level is no number.
    """
    rest, _, layer = name.partition("@")
    encoder, noisy, level = rest.partition("+noise=")
    try:
        return encoder, float(level) if noisy else 0.0, layer
    except ValueError:
        raise ValueError(f"{name}: found the level of noise {level!r}; expected a number, e.g. {encoder}+noise=0.5") from None


def family(name: str) -> str:
    """A representation's name without the seed of its encoder: what is the same over seeds."""
    return re.sub(r",seed=\d+", "", name)


def lineage(name: str) -> str:
    """What representations that are not independent share: the design of a published network, an encoder without its seed, or the name.

    Layers and noisy versions of a network belong to the network.
    """
    encoder = re.sub(r",checkpoint=\d+", "", family(parts(name)[0]))
    scheme, _, base = encoder.partition(":")
    return f"published:{published.design_of(base)}" if scheme == "published" else encoder


def with_seeds(names: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Every representation with a seed (a local encoder, random numbers) once per seed; others are kept as they are."""
    found = []
    for name in names:
        encoder, mark, rest = re.fullmatch(r"([^@+]*)([@+]?)(.*)", name).groups()
        seeded = name.startswith("local:") or name == NOISE
        found += [f"{encoder},seed={seed}{mark}{rest}" for seed in seeds] if seeded else [name]
    return found


def checkpoints(names: Sequence[str], seeds: Sequence[int]) -> dict[str, dict[str, str | int]]:
    """Every checkpoint along the training of local encoders: its name -> encoder, seed, checkpoint, presentations (pictures shown)."""
    return {
        f"{name},seed={seed},checkpoint={number}": {
            "encoder": name, "seed": seed, "checkpoint": number, "presentations": step * local.BATCH_SIZE,
        }
        for name in names
        for seed in seeds
        for number, step in enumerate(local.recipe_named(f"{name},seed={seed}").checkpoint_steps)
    }  # fmt: skip


def short(names: Sequence[str]) -> list[str]:
    """Names for labels: without scheme and seed, and of a layer only its stage."""
    return [re.sub(r"(^\w+:(?!\d))|(,seed=\d+)|(,data=\w+)|(trunk\.)", "", name).replace("@", " ") for name in names]


def native_clusters(name: str, pictures: Pictures, *, device: str = "cpu") -> Clusters | None:
    """The clusters that an encoder brings along: the class its own head predicts for each picture; None where there is no head."""
    encoder_name, level, layer = parts(name)
    if level or layer:
        raise ValueError(f"{name}: found a layer or noise; expected the name of an encoder alone")
    encoder = encoders.load(encoder_name, device=device)
    return None if encoder.classify is None else given_clusters(class_probabilities(encoder, pictures).argmax(1))


def _components(name, pictures):
    count = name.removeprefix("pca:")
    if not count.isdecimal():
        raise ValueError(f"{name}: found {count!r} components; expected a whole number, e.g. pca:64")
    pixels = np.concatenate([np.asarray(batch, np.float32).reshape(len(batch), -1) for _, batch in pictures.batches(512)]) / 255
    return preprocessed(pixels, "pca", int(count))


def _shrunk(picture):
    return np.asarray(Image.fromarray(picture).resize((PIXEL_SIDE, PIXEL_SIDE), Image.Resampling.BOX), np.float32).ravel() / 255
