"""The networks of notebook 02, with their untrained counterparts."""

from collections.abc import Sequence

from lib import encoders
from lib.attribution.randomisation import cascade, randomised, weighted_layers
from lib.attribution.sites import PICTURE, Site
from lib.encoders.encoder import Encoder
from lib.encoders.grey_networks import autoencoder
from lib.representations import with_seeds

TRAINED, UNTRAINED = "trained", "untrained"


def sites(layers: Sequence[str]) -> dict[str, Site]:
    """The picture, and what goes into each layer: name -> site. Layers are named without what all of them have."""
    return {"picture": PICTURE} | {short_layer(layer): Site(layer) for layer in layers}


def short_layer(layer: str) -> str:
    """A layer's name for tables: "trunk.stage2.0.conv1" is stage2."""
    return layer.removeprefix("trunk.").partition(".")[0]


def autoencoders(data: str, seeds: Sequence[int], presentations: int) -> dict[tuple[str, int], Encoder]:
    """The paper's auto-encoder, trained and with its initial weights: (state, seed) -> encoder."""
    return {
        (state, seed): autoencoder(data, seed=seed, presentations=shown)
        for seed in seeds
        for state, shown in ((TRAINED, presentations), (UNTRAINED, 0))
    }


def with_untrained(names: Sequence[str], seeds: Sequence[int]) -> dict[tuple[str, str], Encoder]:
    """Encoders by name, and each before training: (state, name with its seed) -> encoder.

    A local encoder's initial weights are those of `local:random` with the same seed; of others all weights are drawn anew.
    """
    found = {}
    for name in with_seeds(names, seeds):
        encoder = encoders.load(name)
        found[TRAINED, name] = encoder
        if name.startswith("local:"):
            options = name.partition(",")[2]
            found[UNTRAINED, name] = encoders.load(f"local:random,{options}" if options else "local:random")
        else:
            found[UNTRAINED, name] = randomised(encoder, weighted_layers(encoder.module))
    return found


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
