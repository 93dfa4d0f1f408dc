"""Everything that can be found wrong with the settings of notebook 01 before minutes are spent on them."""

from lib.datasets.pictures import Pictures
from lib.encoders import local
from lib.representations import NOISE, PIXELS


def check(settings, pictures: Pictures) -> None:
    """Check the settings together with the pictures.

    Raises:
        ValueError: naming the setting, what was found and what is expected.
    """
    if pictures.concepts is None or pictures.labels is None:
        raise ValueError(f"dataset: found {settings.dataset!r} without concepts or labels; expected pictures that have both")
    for needed in (NOISE, PIXELS, settings.deep):
        if needed not in settings.representations:
            raise ValueError(f"representations: found none called {needed!r}; expected it among them, since claims compare with it")
    for name in settings.representations:
        if name.startswith("local:"):
            local.recipe_named(name.partition("@")[0])
    if settings.training and not settings.training.startswith("local:"):
        raise ValueError(f"training: found {settings.training!r}; expected a local encoder, whose training is kept, or an empty text")
    most = max([settings.clusters, *settings.numbers])
    if not 2 <= min([settings.clusters, *settings.numbers]) <= most <= len(pictures) // 10:
        raise ValueError(f"clusters, numbers: found {most}; expected 2 to a tenth of the {len(pictures)} pictures")
    for name in ("starts", "clusterings", "splits"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}: found {getattr(settings, name)}; expected at least 1")
    if settings.permutations < 1:
        raise ValueError(f"permutations: found {settings.permutations}; expected at least 1, no score goes without its null")
    for name in ("representations", "seeds", "numbers", "errors"):
        values = getattr(settings, name)
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{name}: found {values}; expected at least one, and each once")
    if not all(0 <= error <= 1 for error in settings.errors):
        raise ValueError(f"errors: found {settings.errors}; expected shares from 0 to 1")
