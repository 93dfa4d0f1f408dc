"""Blocks of concepts by name, and where each comes from.

| block | concepts | source |
|---|---|---|
| `given` | those that the pictures bring along | the data set |
| `class` | one a class | labels |
| `group` | animal or vehicle, and where it is at home (CIFAR-10) | labels, by `GROUPS` |
| `colour`, `brightness`, `contrast`, `edges`, `border` | see `lib.concepts.pixel_experts` | pixels |
| `people` | classes that at least 20 % of the raters chose (CIFAR-10H) | people; the 10,000 test pictures only |
| `expert=<encoder>` | classes that a network predicts with a confidence above 0.5 | that network, see `block_name` |
"""

import numpy as np
import pandas as pd

from lib.concepts import learned_expert, people, pixel_experts
from lib.datasets.pictures import Pictures

BLOCKS = ("given", "class", "group", *pixel_experts.EXPERTS, "people", "expert=ENCODER")
LEAST_SHARE_OF_RATERS = 0.2
LEAST_CONFIDENCE = 0.5
GROUPS = {
    "animal": ("bird", "cat", "deer", "dog", "frog", "horse"),
    "vehicle": ("airplane", "automobile", "ship", "truck"),
    "sky": ("airplane", "bird"),
    "water": ("ship", "frog"),
    "road": ("automobile", "truck"),
    "at people's": ("cat", "dog", "horse"),
    "wild": ("bird", "deer", "frog"),
}


def concepts_of(pictures: Pictures, blocks) -> pd.DataFrame:
    """The concepts of pictures, (pictures, concepts) bool, with columns "block: value".

    Args:
        pictures: which.
        blocks: names from the table above, each once.

    Raises:
        ValueError: if a block is unknown, repeated, or cannot be made of these pictures.
    """
    if isinstance(blocks, str) or not len(blocks) or len(set(blocks)) < len(blocks):
        raise ValueError(f"blocks: found {blocks!r}; expected a list of at least one, each once")
    pixels = pixel_experts.experts([name for name in blocks if name in pixel_experts.EXPERTS], pictures)
    parts = [_named(name, *pixels[name]) if name in pixels else _block(name, pictures) for name in blocks]
    found = pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
    if (twice := found.columns[found.columns.duplicated()]).size:
        raise ValueError(f"blocks: found the concept {twice[0]!r} twice; expected blocks with names of their own")
    return found


def binarised(values, threshold: float) -> np.ndarray:
    """Soft concepts, e.g. shares of raters or probabilities, as 0 and 1: 1 from the threshold on.

    Raises:
        ValueError: if a value is not finite or the threshold keeps none or all of them.
    """
    values = np.asarray(values, float)
    if not np.isfinite(values).all():
        raise ValueError(f"values: found {np.count_nonzero(~np.isfinite(values))} that are not finite; expected none")
    kept = values >= threshold
    if values.size and (kept.all() or not kept.any()):
        raise ValueError(f"threshold: found {threshold:g} for values from {values.min():g} to {values.max():g}; expected one between them")
    return kept


def block_name(name: str) -> str:
    """What a block is called in columns: of an expert "expert" and its encoder without the scheme, else the name itself."""
    return f"expert {name.rpartition(':')[2]}" if name.startswith("expert=") else name


def _block(name, pictures):
    if name == "given":
        if pictures.concepts is None:
            others = ", ".join(BLOCKS[1:])
            raise ValueError(f"blocks: found 'given' for {pictures.name}, which brings no concepts; expected some of {others}")
        return pictures.concepts
    if name == "class":
        return _named("class", pictures.class_names, np.eye(len(_classes(name, pictures)), dtype=bool)[pictures.labels])
    if name == "group":
        classes = np.array(_classes(name, pictures))
        members = set(np.concatenate(list(GROUPS.values())))
        if not set(classes) <= members:
            raise ValueError(f"blocks: found 'group' for the classes of {pictures.name}; expected those of CIFAR-10")
        return _named("group", GROUPS, np.stack([np.isin(classes, one)[pictures.labels] for one in GROUPS.values()], 1))
    if name == "people":
        return _named("people", pictures.class_names, binarised(people.shares_of_raters(pictures), LEAST_SHARE_OF_RATERS))
    if name.startswith("expert="):
        encoder = name.partition("=")[2]
        return _named(block_name(name), *learned_expert.predictions_above(encoder, pictures, LEAST_CONFIDENCE))
    raise ValueError(f"blocks: found {name!r}; expected some of {', '.join(BLOCKS)}")


def _classes(name, pictures):
    if pictures.labels is None:
        raise ValueError(f"blocks: found {name!r} for {pictures.name}, which has no labels; expected labelled pictures")
    return pictures.class_names


def _named(block, values, columns):
    return pd.DataFrame(columns, columns=[f"{block}: {value}" for value in values])
