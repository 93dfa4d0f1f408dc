"""Everything that can be found wrong with the settings of notebook 01 before minutes are spent on them."""

from collections.abc import Sequence

from lib import encoders
from lib.concepts import people
from lib.datasets.pictures import Pictures
from lib.encoders import local, published
from lib.figures import PALETTE
from lib.representations import NOISE, PIXELS, parts, short


def at_hand(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which representations or blocks of concepts can be had here, and one line for each that cannot, e.g. weights in a mirror only."""
    there, absent = [], []
    for name in names:
        try:
            encoder = parts(name.removeprefix("expert="))[0]
            if encoder.startswith(("published:", "timm:", "torchvision:", "file:")):
                encoders.load(encoder)
            if name == "people":
                people.ANSWERS.fetch()
            there.append(name)
        except FileNotFoundError as error:
            absent.append(f"left out, not at hand: {name} ({error})")
    return there, absent


def check(settings, pictures: Pictures) -> None:
    """Check the settings together with the pictures.

    Raises:
        ValueError: naming the setting, what was found and what is expected.
    """
    if pictures.labels is None:
        raise ValueError(f"dataset: found {settings.dataset!r} without labels; expected labelled pictures")
    for name in ("representations", "blocks", "explained", "chain", "varied", "seeds", "numbers", "errors"):
        values = getattr(settings, name)
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{name}: found {values}; expected at least one, and each once")
    for name in (NOISE, PIXELS):
        if name not in settings.representations:
            raise ValueError(f"representations: found none called {name!r}; expected it among them, since claims compare with it")
    for setting in ("explained", "chain", "varied"):
        if others := [name for name in getattr(settings, setting) if name not in settings.representations]:
            raise ValueError(f"{setting}: found {others[0]!r}; expected some of the representations")
    if settings.chain[0] != PIXELS or len(settings.chain) < 3:
        raise ValueError(f"chain: found {settings.chain}; expected pixels and at least two more, from shallow to deep")
    if len(set(short(settings.representations))) < len(settings.representations):
        raise ValueError(f"representations: found {settings.representations}; expected names that differ without their seeds")
    for name in settings.representations:
        encoder, level, _ = parts(name)
        if level < 0:
            raise ValueError(f"representations: found {name!r}; expected a level of noise from 0")
        if encoder.startswith("local:"):
            local.recipe_named(encoder)
        if encoder.startswith("published:"):
            published.known(encoder.removeprefix("published:"))
    for name in settings.training:
        if not name.startswith("local:"):
            raise ValueError(f"training: found {name!r}; expected local encoders, whose training is kept")
        local.recipe_named(name)
    most = max([settings.clusters, *settings.numbers])
    if not 2 <= min([settings.clusters, *settings.numbers]) <= most <= len(pictures) // 25:  # five test pictures a cluster
        raise ValueError(f"clusters, numbers: found {most}; expected 2 to a 25th of the {len(pictures)} pictures")
    for name in ("starts", "clusterings", "splits", "permutations"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}: found {getattr(settings, name)}; expected at least 1 (no score goes without its null)")
    if settings.block_permutations < 1:
        raise ValueError(f"block_permutations: found {settings.block_permutations}; expected at least 1 (no gain goes without its null)")
    if not all(0 <= error <= 1 for error in settings.errors):
        raise ValueError(f"errors: found {settings.errors}; expected shares from 0 to 1")
    if settings.errors[0] != 0 or 0.2 not in settings.errors:
        raise ValueError(f"errors: found {settings.errors}; expected 0 first, with which others are compared, and 0.2, as in the claims")
    for name in ("varied", "training"):
        if (count := len(getattr(settings, name))) > len(PALETTE):
            raise ValueError(f"{name}: found {count}; expected at most {len(PALETTE)}, which can be told apart by colour")
    given = [] if pictures.concepts is None or "given" not in settings.blocks else pictures.concepts.columns
    if "colour" not in {*settings.blocks, *(str(name).partition(":")[0] for name in given)}:
        raise ValueError(f"blocks: found {settings.blocks}, without colours; expected 'colour' among them, since claims compare with it")
