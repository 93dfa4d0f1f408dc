"""Everything that can be found wrong with the settings of notebook 05 before minutes are spent on them."""

from collections.abc import Sequence

import numpy as np

from lib.concept_libraries.elements import GRANULARITIES, GRID, MOST_SEGMENTS
from lib.datasets.pictures import Pictures
from lib.datasets.scenes import FACTORS, Scenes
from lib.encoders import local, published
from lib.experiments import checks
from lib.experiments.inherent_interpretability.fine_tuning import variants_of
from lib.figures import PALETTE
from lib.image_text_similarity import TRUTH
from lib.measures.inherent_interpretability import checked_grid
from lib.representations import parts, short

CUTS = ("patches", "segments")
LEAST_CONCEPTS = 3
KINDS = ("prototype", "cluster", "end2end", "text")


def at_hand(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which representations can be had here, and a line for each network that cannot; a noisy network is there if the network is.

    Raises:
        FileNotFoundError: if none can be had.
    """
    networks = {name: parts(name)[0] for name in names}
    there, absent = checks.at_hand(list(dict.fromkeys(networks.values())))
    return [name for name, network in networks.items() if network in there], absent


def check(settings, train: Pictures, test: Pictures) -> None:
    """Check the settings together with the pictures.

    Raises:
        ValueError: naming the setting, what was found and what is expected.
    """
    for pictures in (train, test):
        if pictures.labels is None or len(set(pictures.labels)) < 2:
            raise ValueError(f"dataset: found {pictures.name} with fewer than two classes; expected labelled pictures")
    if settings.train_seed == settings.test_seed and isinstance(train, Scenes):
        raise ValueError(f"test_seed: found {settings.test_seed}, as train_seed; expected other scenes to test on than to train on")
    for name in ("encoders", "seeds", "libraries", "sizes", "varied", "sparsities", "targets", "tuned_seeds"):
        values = getattr(settings, name)
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{name}: found {values}; expected at least one, and each once")
    checked_grid(settings.sparsities)
    if settings.cut not in CUTS:
        raise ValueError(f"cut: found {settings.cut!r}; expected one of {', '.join(CUTS)}")
    rarest = min(np.bincount(train.labels)[np.unique(train.labels)])
    if rarest < 2 or len(np.unique(train.labels)) < len(train.class_names):
        raise ValueError(f"train_count: found {len(train)} pictures for {len(train.class_names)} classes; expected two of each at least")
    if not 1 <= settings.per_class <= rarest:
        raise ValueError(f"per_class: found {settings.per_class}; expected 1 to {rarest}, the pictures of the rarest class")
    if max(settings.sparsities) >= 1 or 0 not in settings.sparsities:
        raise ValueError(f"sparsities: found {settings.sparsities}; expected 0 and others below 1, whose end at 1 is known")
    if unknown := [kind for kind in settings.libraries if kind not in KINDS]:
        raise ValueError(f"libraries: found {unknown[0]!r}; expected some of {', '.join(KINDS)}")
    if settings.targets[0] != "class":
        raise ValueError(f"targets: found {settings.targets[0]!r} first; expected class, by which most is scored")
    for target in settings.targets[1:]:
        if not isinstance(train, Scenes) or target not in FACTORS:
            raise ValueError(f"targets: found {target!r} for {train.name}; expected class, or for scenes one of {', '.join(FACTORS)}")
    if settings.libraries[0] != "prototype":
        raise ValueError(f"libraries: found {settings.libraries[0]!r} first; expected prototype, by which representations are compared")
    for name in (*settings.encoders, *settings.training, *settings.widths):
        encoder, level, layer = parts(name)
        if layer:
            raise ValueError(f"encoders: found {name!r}; expected whole encoders, to which elements can be shown, not layers")
        if level < 0:
            raise ValueError(f"encoders: found {name!r}; expected a level of noise from 0")
        if encoder.startswith("local:"):
            local.recipe_named(encoder)
        if encoder.startswith("published:"):
            published.known(encoder.removeprefix("published:"))
    if len(set(short(settings.encoders))) < len(settings.encoders):
        raise ValueError(f"encoders: found {settings.encoders}; expected names that differ without their seeds")
    for setting in ("varied", "deep"):
        chosen = [settings.deep] if setting == "deep" else settings.varied
        if others := [name for name in chosen if name not in settings.encoders]:
            raise ValueError(f"{setting}: found {others[0]!r}; expected some of the encoders")
    for setting in ("training", "varied"):
        if (count := len(getattr(settings, setting))) > len(PALETTE):
            raise ValueError(f"{setting}: found {count}; expected at most {len(PALETTE)}, which can be told apart by colour")
    for name in settings.training:
        if not name.startswith("local:"):
            raise ValueError(f"training: found {name!r}; expected local encoders, whose training is kept")
    _check_sizes(settings, train)
    _check_text(settings, train)
    if not settings.counts or min(settings.counts) < 1 or not settings.strengths or min(settings.strengths) <= 0:
        found = f"{settings.counts} and {settings.strengths}"
        raise ValueError(f"counts, strengths: found {found}; expected numbers of concepts from 1, and numbers above 0")
    if settings.fine_tuned:
        _check_fine_tuning(settings, train)
        if not settings.fine_tuned.startswith("local:supervised"):
            raise ValueError(f"fine_tuned: found {settings.fine_tuned!r}; expected local:supervised, a classifier trained here, or nothing")
        if settings.presentations < 128:
            raise ValueError(f"presentations: found {settings.presentations}; expected at least a batch of 128")


def _check_sizes(settings, train):
    for name, least in (("draws", 1), ("banks", 1), ("concepts", LEAST_CONCEPTS)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name}: found {getattr(settings, name)}; expected at least {least} (no score goes without its null)")
    if min(settings.sizes) < LEAST_CONCEPTS:
        raise ValueError(f"sizes: found {min(settings.sizes)}; expected at least {LEAST_CONCEPTS} concepts, to be standardised per picture")
    pictures = settings.per_class * len(set(train.labels))
    fewest = pictures * (GRID * GRID if settings.cut == "patches" else 1)
    sizes = [settings.concepts, *settings.sizes]
    if settings.fine_tuned:
        sizes += [one.concepts for one in variants_of(sizes=settings.tuning_sizes).values() if one.vectors == "prototype"]
    most = max(sizes)
    if most > fewest:
        each = f"{settings.per_class} pictures a class give {fewest} {settings.cut}"
        each += "" if settings.cut == "patches" else f" at least (and {MOST_SEGMENTS * len(GRANULARITIES)} a picture at most)"
        raise ValueError(f"concepts, sizes, tuning_sizes: found {most}, but {each}; expected no more concepts than elements")


def _check_fine_tuning(settings, train):
    if any(not weight >= 0 for weight in settings.weights):
        raise ValueError(f"weights: found {settings.weights}; expected numbers from 0")
    if any(not 0 <= one < 1 for one in settings.tuning_sparsities):
        raise ValueError(f"tuning_sparsities: found {settings.tuning_sparsities}; expected numbers from 0 to below 1")
    if any(one < LEAST_CONCEPTS for one in settings.tuning_sizes):
        raise ValueError(f"tuning_sizes: found {settings.tuning_sizes}; expected at least {LEAST_CONCEPTS} concepts")


def _check_text(settings, train):
    if "text" in settings.libraries and settings.clip != TRUTH and not settings.clip.startswith(("local:clip", "open_clip:")):
        raise ValueError(f"clip: found {settings.clip!r}; expected local:clip, open_clip:MODEL/TAG, open_clip:FOLDER or {TRUTH}")
    if "text" in settings.libraries and not settings.names and settings.clip != TRUTH:
        raise ValueError(f"names: found none; expected names of textual concepts, no library 'text', or clip: {TRUTH}")
    if settings.edited and "text" not in settings.libraries:
        raise ValueError(f"edited: found {settings.edited} without the library 'text'; expected none, since textual concepts are edited")
    for factor in settings.edited:
        if not isinstance(train, Scenes):
            raise ValueError(f"edited: found {factor!r} with {train.name}; expected none, only scenes can be rendered again")
        if factor not in FACTORS:
            raise ValueError(f"edited: found {factor!r}; expected some of {', '.join(FACTORS)}")
        if missing := [value for value in FACTORS[factor] if value not in settings.names]:
            raise ValueError(f"edited: found {factor!r}, whose value {missing[0]!r} is none of the names; expected all its values there")
