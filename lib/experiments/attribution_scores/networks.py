"""The networks of notebook 02, with their untrained counterparts."""

from collections.abc import Sequence

import pandas as pd

from lib import encoders
from lib.attribution.randomisation import cascade, randomised, weighted_layers
from lib.attribution.sites import PICTURE, Site
from lib.encoders import published
from lib.encoders.controls import classifier
from lib.encoders.encoder import Encoder
from lib.encoders.grey_networks import autoencoder, built
from lib.representations import with_seeds

TRAINED, UNTRAINED = "trained", "untrained"


def sites(layers: Sequence[str], encoder: Encoder) -> dict[str, Site]:
    """The picture, and what goes into each layer that the encoder has: name -> site, the name of "trunk.stage2.0.conv1" being "stage2".

    Raises:
        ValueError: if it has none of them.
    """
    there = [layer for layer in layers if layer in dict(encoder.module.named_modules())]
    if not there:
        raise ValueError(f"layers: found none of {', '.join(layers)} in {encoder.name}; expected at least one")
    return {"picture": PICTURE} | {layer.removeprefix("trunk.").removesuffix(".0.conv1"): Site(layer) for layer in there}


def autoencoders(data: str, seeds: Sequence[int], presentations: int) -> dict[tuple[str, int], Encoder]:
    """The paper's auto-encoder, trained and with its initial weights: (state, seed) -> encoder."""
    return {
        (state, seed): autoencoder(data, seed=seed, presentations=shown)
        for seed in seeds
        for state, shown in ((TRAINED, presentations), (UNTRAINED, 0))
    }


def with_untrained(names: Sequence[str], seeds: Sequence[int]) -> dict[tuple[str, str], Encoder]:
    """Encoders by name, and each before training: (state, name with its seed) -> encoder.

    A local encoder's initial weights are its first checkpoint; any other network is built anew, with the initial weights of its layers.

    Raises:
        ValueError: if an encoder is of a file, or has no trained weights itself.
    """
    found = {}
    for name in with_seeds(names, seeds):
        found[TRAINED, name] = encoders.load(name)
        scheme, _, base = name.partition(":")
        if scheme == "local":
            found[UNTRAINED, name] = encoders.load(f"{name},checkpoint=0")
        elif scheme == "published":
            module = built(published.NETWORKS[base].build, 0)
            found[UNTRAINED, name] = published.assemble(f"{name}, untrained", base, module.state_dict(), "its own weights", "cpu", "")
        elif scheme in ("timm", "torchvision") and "pretrained" not in encoders.parse(name)[2]:
            found[UNTRAINED, name] = encoders.load(f"{name},pretrained=0")
        else:
            raise ValueError(f"encoders: found {name!r}; expected trained local:, published:, timm: or torchvision: encoders, which can be "
                             "had untrained")  # fmt: skip
    return found


def taught_otherwise(seeds: Sequence[int]) -> dict[int, tuple[Encoder, dict[str, Encoder]]]:
    """Classifiers of few scenes, seed -> the one taught the right labels, and two others: taught those of other pictures from the same
    initial weights, and taught the right ones from other weights.

    Args:
        seeds: of initial weights.
    """
    return {
        seed: (
            classifier(permuted=False, seed=seed)[0],
            {"permuted labels": classifier(permuted=True, seed=seed)[0], "another seed": classifier(permuted=False, seed=seed + 1)[0]},
        )
        for seed in seeds
    }


def accuracies_on_taught(seeds: Sequence[int]) -> pd.DataFrame:
    """How much of what they were taught the classifiers of `taught_otherwise` tell: seed, labels, accuracy."""
    return pd.DataFrame([
        {"seed": seed, "labels": "permuted" if permuted else "right", "accuracy": classifier(permuted=permuted, seed=seed)[1]}
        for seed in seeds
        for permuted in (False, True)
    ])  # fmt: skip


def weights_taken_away(trained: Encoder, untrained: Encoder, layers: Sequence[str], *, seed: int = 0) -> dict[str, Encoder]:
    """The same architecture with less and less of what was learned: untrained, each layer and all above it redrawn, each layer alone.

    Args:
        trained: an encoder.
        untrained: with its initial weights.
        layers: with weights in them, from the lowest to the highest.
        seed: of the weights.
    """
    first = {layer: _first_inside(trained, layer) for layer in layers}
    downwards = cascade(trained, list(first.values()), seed=seed)
    return (
        {UNTRAINED: untrained}
        | {f"from {layer} up": downwards[first[layer]] for layer in reversed(layers)}
        | {f"{layer} alone": randomised(trained, [first[layer]], seed=seed) for layer in layers}
    )


def one_layer_redrawn(encoder: Encoder, layer: str, *, seed: int = 0) -> Encoder:
    """The encoder with the first layer with weights at or inside a layer drawn anew, as the authors do."""
    return randomised(encoder, [_first_inside(encoder, layer)], seed=seed)


def _first_inside(encoder, layer):
    inside = [name for name in weighted_layers(encoder.module) if name == layer or name.startswith(f"{layer}.")]
    if not inside:
        raise ValueError(f"layer: found {layer!r}; expected a layer with weights in it")
    return inside[0]
