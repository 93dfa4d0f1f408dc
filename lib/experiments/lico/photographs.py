"""The pointing game on photographs: MS COCO, whose objects are outlined and which no classifier here was trained on.

A question is a picture and a kind of object in it that is also the name of a class: does the class's map have its maximum on the object?
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from PIL import Image

from lib import explainers, saliency_metrics
from lib.datasets.coco import Questions, coco
from lib.encoders.networks import normalised
from lib.encoders.weights import weights_sha256
from lib.experiments.evidence import over_seeds
from lib.experiments.lico.saliency import maps_of
from lib.experiments.lico.side_by_side import work_beside
from lib.experiments.remembered import remembered
from lib.lico.training import Trained
from lib.saliency_metrics import pointing_game
from lib.statistics import paired_difference

ROOT = "COCO_ROOT"
AT_ONCE = 64


def photographs(count: int, *, seed: int = 0) -> Questions:
    """Questions about so many pictures of the folder that the environment variable COCO_ROOT names.

    Raises:
        FileNotFoundError: if it names none; else as `lib.datasets.coco.coco`.
    """
    if not os.environ.get(ROOT):
        raise FileNotFoundError(f"coco: found no {ROOT}; expected this environment variable to name a folder with annotations and val2014")
    return coco(os.environ[ROOT], count=count, seed=seed)


def pointed_at(
    network: Trained, questions: Questions, class_names: Sequence[str], names: Sequence[str], *, settings: Mapping[str, dict] | None = None
) -> pd.DataFrame:
    """The pointing game of a classifier, question by question.

    Pictures are brought to the side of the network as a whole, and the objects' masks with them.

    Args:
        network: trained.
        questions: those whose kind of object is no class are left out.
        class_names: in the order of the labels.
        names: of explainers.
        settings: of each explainer, by name.

    Returns:
        One row each: map, question, picture, category, pointing (1, 0, or the share of equal maxima that are on the object), area (share of
        the picture that the objects cover, what a random maximum would reach).

    Raises:
        ValueError: if no kind of object is a class.
    """
    settings = dict(settings or {})
    places = {name: label for label, name in enumerate(class_names)}
    asked = [one for one, name in enumerate(questions.categories) if name in places]
    if not asked:
        raise ValueError(f"questions: found objects such as {questions.categories[0]!r}, none of them a class; expected some")
    inputs = {
        "weights": weights_sha256(network.backbone.module), "network": network.backbone.name, "layer": network.backbone.layer,
        "questions": _identity(questions), "class names": list(class_names), "names": list(names), "settings": settings,
    }  # fmt: skip

    def make():
        device, side, rows = next(network.backbone.module.parameters()).device, network.backbone.side, []
        for start in range(0, len(asked), AT_ONCE):
            some = asked[start : start + AT_ONCE]
            x = normalised(np.stack([_brought(one, side) for one in questions.read(some)])).to(device)
            masks = np.stack([_brought(questions.mask(one), side) for one in some])
            seen = masks.any((1, 2))  # an object smaller than a pixel cannot be pointed at
            labels = torch.tensor([places[questions.categories[one]] for one in some], device=device)
            for name in names:
                maps = maps_of(network, x, labels, name, **settings.get(name, {}))
                hits = pointing_game(maps[seen], masks[seen]) if seen.any() else []
                rows += [
                    {"map": name, "question": one, "picture": int(questions.pictures[one]), "category": questions.categories[one],
                     "pointing": float(hit), "area": float(mask.mean())}
                    for one, hit, mask in zip(np.array(some)[seen].tolist(), hits, masks[seen], strict=True)
                ]  # fmt: skip
        return rows

    return remembered("lico/photographs", inputs, make, code=[explainers, saliency_metrics, pointed_at])


def all_pointed_at(
    networks: Mapping[tuple[str, int], Trained], questions: Questions, class_names: Sequence[str], names: Sequence[str], **settings
) -> pd.DataFrame:
    """`pointed_at` of every arm and seed, with these as columns."""
    pieces = {key: (one, questions, class_names, names) for key, one in networks.items()}
    work_beside(partial(_keep, **settings), pieces, description="photographs")
    tables = [pointed_at(*piece, **settings).assign(arm=arm, seed=seed) for (arm, seed), piece in pieces.items()]
    return pd.concat(tables, ignore_index=True)


def pointing_beside(table: pd.DataFrame, *, over: str) -> pd.DataFrame:
    """The pointing game of every arm beside another's: paired by question and seed, resampled by picture.

    Returns:
        arm, map, difference, low, high, questions, seeds.
    """
    rows, base = [], table[table["arm"] == over]
    for (arm, name), some in table[table["arm"] != over].groupby(["arm", "map"], sort=False):
        paired = some.merge(base, on=["map", "seed", "question", "picture"], suffixes=("", " of base"))
        each = [paired_difference(one["pointing"], one["pointing of base"], clusters=one["picture"]) for _, one in paired.groupby("seed")]
        if each:
            total = over_seeds(each)
            rows.append({"arm": arm, "map": name, "difference": total.value, "low": total.low, "high": total.high,
                         "questions": paired["question"].nunique(), "seeds": len(each)})  # fmt: skip
    return pd.DataFrame(rows, columns=["arm", "map", "difference", "low", "high", "questions", "seeds"])


def _keep(network, questions, class_names, names, **settings):
    pointed_at(network, questions, class_names, names, **settings)


def _identity(questions):
    content = hashlib.sha256()
    for number, name, outline in zip(questions.pictures, questions.categories, questions.outlines, strict=True):
        file = questions.files[number]
        content.update(f"{file.name}\0{file.stat().st_size}\0{name}\0{outline!r}\n".encode())
    return content.hexdigest()


def _brought(array, side):
    """A picture or a mask to (side, side, ...)."""
    method = Image.Resampling.NEAREST if array.dtype == bool else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(array).resize((side, side), method))
