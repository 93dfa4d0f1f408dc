"""Everything that can be found wrong with the settings before hours are spent on them."""

import difflib

from lib import encoders
from lib.datasets.pictures import Pictures
from lib.encoders import local
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
    if wrong := [value for value in (*settings.temperatures, *settings.sparsities) if value <= 0]:
        raise ValueError(f"temperatures, sparsities: found {wrong[0]}; expected positive numbers")
    for name in (settings.training, settings.untrained):
        if name and not name.startswith("local:"):
            raise ValueError(f"training, untrained: found {name!r}; expected a local encoder, whose training is kept, or an empty text")
    named = [*settings.encoders, *settings.similarities, settings.one_encoder, settings.training, settings.untrained]
    for name in filter(lambda name: name.startswith("local:"), named):
        local.recipe_named(name)
    if settings.one_encoder not in settings.encoders:
        raise ValueError(f"one_encoder: found {settings.one_encoder!r}; expected one of the encoders: {', '.join(settings.encoders)}")
    _check_layer(settings)


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
