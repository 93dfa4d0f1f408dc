"""Everything that can be found wrong with the settings before hours are spent on them."""

import difflib

import numpy as np

from lib import activations, encoders, similarity
from lib.datasets.pictures import Pictures
from lib.encoders import local, published
from lib.measures.machine_interpretability import REFERENCES, TASKS, hard_query_ranks


def check(settings, pictures: Pictures) -> None:
    """Check the settings of notebook 04 together with its pictures.

    Raises:
        ValueError: naming the setting, what was found and what is expected.
    """
    least = 2 * TASKS * (REFERENCES + 1)
    if len(pictures) < least:
        raise ValueError(f"picture_count: found {len(pictures)} pictures of {pictures.name}; expected at least {least}")
    if not settings.similarities or len(settings.similarities) != len(settings.temperatures):
        found = f"{len(settings.temperatures)} for {len(settings.similarities)} similarities"
        raise ValueError(f"temperatures: found {found}; expected one each, and at least one")
    for name, values in (("encoders", settings.encoders), ("seeds", settings.seeds)):
        if not values:
            raise ValueError(f"{name}: found none; expected at least one")
    if settings.reshuffles < 1:
        raise ValueError(f"reshuffles: found {settings.reshuffles}; expected at least 1")
    for quantile in settings.quantiles:
        hard_query_ranks(len(pictures), quantile)
    if wrong := [number for number in settings.picture_numbers if number < least]:
        raise ValueError(f"picture_numbers: found {wrong[0]}; expected at least {least}")
    positive = ("temperatures", "sparsities", "dictionary_widths", "widths")
    for name in positive:
        if wrong := [value for value in getattr(settings, name) if not (value > 0 and np.isfinite(value))]:
            raise ValueError(f"{name}: found {wrong[0]}; expected positive numbers")
    if wrong := [seed for seed in settings.seeds if seed < 0]:
        raise ValueError(f"seeds: found {wrong[0]}; expected numbers from 0")
    if wrong := [kind for kind in settings.all_kinds if kind not in activations.KINDS]:
        raise ValueError(f"all_kinds: found {wrong[0]!r}; expected {', '.join(activations.KINDS)}")
    for name in ("encoders", "similarities", "seeds", "widths"):
        values = getattr(settings, name)
        if repeated := [value for value in values if values.count(value) > 1]:
            raise ValueError(f"{name}: found {repeated[0]!r} more than once; expected each once")
    for name in (settings.training, settings.untrained):
        if name and not name.startswith("local:"):
            raise ValueError(f"training, untrained: found {name!r}; expected a local encoder, whose training is kept, or an empty text")
    for name in (*settings.encoders, settings.one_encoder, settings.training, settings.untrained):
        if name:
            _check_encoder(name, settings.dataset)
    for name in settings.similarities:
        if name in similarity.DISTANCES:
            raise ValueError(f"similarities: found {name!r}, a distance of pairs; expected similarities with embeddings")
        if name not in (similarity.DESCRIPTOR, similarity.ORACLE, similarity.DREAMSIM):
            _check_scheme("similarities", name)
        if name.startswith("local:"):
            local.recipe_named(name)
    if not set(settings.encoders) - {settings.untrained}:
        raise ValueError(f"encoders: found only the untrained one, {settings.untrained!r}; expected another to compare with it")
    if settings.one_encoder not in settings.encoders:
        raise ValueError(f"one_encoder: found {settings.one_encoder!r}; expected one of the encoders: {', '.join(settings.encoders)}")
    _check_layer(settings)


def _check_encoder(name, dataset):
    """The name is known, and seeds and checkpoints are left to the notebook."""
    _check_scheme("encoders", name)
    scheme, _, options = encoders.parse(name)
    if scheme != "local":
        return
    if set(options) & {"seed", "checkpoint"}:
        raise ValueError(f"encoders: found {name!r}; expected no seed or checkpoint in a name, seeds have a setting of their own")
    data = local.recipe_named(name).data
    if dataset.partition(":")[0] in {"scenes", "cifar10"} - {data}:
        raise ValueError(f"encoders: found {name!r}, trained on {data}, with the pictures of {dataset}; expected data={dataset}")


def _check_scheme(setting, name):
    scheme, _, base = name.partition(":")
    if scheme not in encoders.SCHEMES:
        others = [similarity.DESCRIPTOR, similarity.ORACLE, similarity.DREAMSIM] if setting == "similarities" else []
        raise ValueError(f"{setting}: found {name!r}; expected {', '.join([*others, *(f'{scheme}:...' for scheme in encoders.SCHEMES)])}")
    if scheme == "published":
        published.known(base)


def _check_layer(settings):
    """The layer exists in the network; of a local one, in its untrained self, which costs nothing to make."""
    name = settings.one_encoder
    if name.startswith("local:"):
        recipe = local.recipe_named(name)
        layers = [layer for layer, _ in local.build(recipe, local.training_pictures(recipe)).named_modules()]
    else:
        layers = [layer for layer, _ in encoders.load(name).module.named_modules()]
    if settings.dictionary_layer not in layers:
        near = difflib.get_close_matches(settings.dictionary_layer, layers, n=5, cutoff=0.3)
        raise ValueError(f"dictionary_layer: found {settings.dictionary_layer!r}; expected a layer of {name}, nearest: {', '.join(near)}")
