"""The pointing game on photographs: MS COCO, whose objects are outlined and which no classifier here was trained on.

A question is a picture and a kind of object in it that is also a class: does the class's map have its maximum on the object? As it was
first played (Zhang et al., ECCV 2016), a maximum counts that is at most 15 pixels away from the object in the picture's own size, kinds
count alike whatever their number, and questions that are difficult are also told apart.
"""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import open_clip
import pandas as pd
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt

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
TOLERANCE = 15  # pixels

_IMAGENET = open_clip.IMAGENET_CLASSNAMES
# What COCO calls otherwise than ImageNet, or ImageNet has several classes of.
CLASSES_OF: dict[str, Collection[str]] = {
    "apple": ("Granny Smith apple",), "bear": ("brown bear", "American black bear", "polar bear", "sloth bear"),
    "bed": ("four-poster bed", "infant bed"), "bench": ("park bench",), "bicycle": ("mountain bike", "tandem bicycle"),
    "bird": (*_IMAGENET[7:25], *_IMAGENET[80:101], *_IMAGENET[127:147]), "boat": ("fireboat", "lifeboat", "motorboat", "sailboat"),
    "bottle": ("beer bottle", "pill bottle", "soda bottle", "water bottle", "wine bottle"), "bowl": ("mixing bowl", "soup bowl"),
    "bus": ("minibus", "school bus", "trolleybus"), "cat": _IMAGENET[281:286], "cell phone": ("mobile phone",),
    "chair": ("barber chair", "folding chair", "rocking chair"), "clock": ("analog clock", "digital clock", "wall clock"),
    "dog": _IMAGENET[151:269], "elephant": ("African bush elephant", "Asian elephant", "tusker"), "hair drier": ("hair dryer",),
    "keyboard": ("computer keyboard",), "laptop": ("laptop computer", "notebook computer"), "microwave": ("microwave oven",),
    "mouse": ("computer mouse",), "remote": ("remote control",), "sheep": ("bighorn sheep", "ram (adult male sheep)"),
    "spoon": ("wooden spoon",), "tennis racket": ("racket",), "tie": ("bolo tie", "bow tie", "Windsor tie"), "toilet": ("toilet seat",),
    "truck": ("fire truck", "garbage truck", "pickup truck", "semi-trailer truck", "tow truck"),
}  # fmt: skip


def coco_root() -> str:
    """The folder that the environment variable COCO_ROOT names.

    Raises:
        FileNotFoundError: if it names none.
    """
    if not os.environ.get(ROOT):
        raise FileNotFoundError(f"coco: found no {ROOT}; expected this environment variable to name a folder with annotations and val2014")
    return os.environ[ROOT]


def classes_of(kind: str, class_names: Sequence[str]) -> list[int]:
    """Labels of the classes that a kind of object may be: that of its name, or those of `CLASSES_OF`."""
    wanted = {kind, *CLASSES_OF.get(kind, ())}
    return [label for label, name in enumerate(class_names) if name in wanted]


def photographs(count: int, class_names: Sequence[str], *, seed: int = 0) -> Questions:
    """Questions about so many pictures of COCO, each with an object that is a class.

    Raises:
        FileNotFoundError: if COCO_ROOT names no folder of COCO.
        ValueError: if there are fewer such pictures.
    """
    names = set(class_names) | {kind for kind in CLASSES_OF if classes_of(kind, class_names)}
    return coco(coco_root(), kinds=names, count=count, seed=seed)


def pointed_at(
    network: Trained, questions: Questions, class_names: Sequence[str], name: str, *, tolerance: float = TOLERANCE, **settings
) -> pd.DataFrame:
    """The pointing game of a classifier by an explainer, question by question.

    Pictures are brought to the side of the network as a whole. Of several classes that a kind may be, the one with the highest logit is
    explained.

    Args:
        network: trained.
        questions: those whose kind of object is no class are left out.
        class_names: in the order of the labels.
        name: of the explainer.
        tolerance: pixels of the picture that the maximum may be away from the object.
        settings: of the explainer.

    Returns:
        One row each: map, question, picture, category, difficult, pointing (1, 0, or the share of equal maxima that are near enough), area
        (share of the picture that is near enough, what a random maximum would reach).

    Raises:
        ValueError: if no kind of object is a class.
    """
    possible = {kind: classes_of(kind, class_names) for kind in dict.fromkeys(questions.categories)}
    asked = [one for one, kind in enumerate(questions.categories) if possible[kind]]
    if not asked:
        raise ValueError(f"questions: found objects such as {questions.categories[0]!r}, none of them a class; expected some")
    inputs = {
        "weights": weights_sha256(network.backbone.module), "network": network.backbone.name, "layer": network.backbone.layer,
        "questions": _identity(questions), "class names": list(class_names), "name": name, "tolerance": tolerance, "settings": settings,
    }  # fmt: skip

    def make():
        module, side, rows = network.backbone.module, network.backbone.side, []
        device = next(module.parameters()).device
        for start in range(0, len(asked), AT_ONCE):
            places = {one: _brought(_near(questions.mask(one), tolerance), side) for one in asked[start : start + AT_ONCE]}
            some = [one for one, near in places.items() if near.any()]  # nobody can point at less than a pixel
            if not some:
                continue
            x = normalised(np.stack([_brought(one, side) for one in questions.read(some)])).to(device)
            near = np.stack([places[one] for one in some])
            with torch.no_grad():
                logits = module(x).cpu()
            labels = [max(possible[questions.categories[one]], key=own.__getitem__) for one, own in zip(some, logits.tolist(), strict=True)]
            hits = pointing_game(maps_of(network, x, torch.tensor(labels), name, **settings), near)
            rows += [
                {"map": name, "question": one, "picture": int(questions.pictures[one]), "category": questions.categories[one],
                 "difficult": questions.difficult(one), "pointing": float(hit), "area": float(mask.mean())}
                for one, hit, mask in zip(some, hits, near, strict=True)
            ]  # fmt: skip
        return rows

    return remembered("lico/photographs", inputs, make, code=[explainers, saliency_metrics, pointed_at])


def all_pointed_at(
    networks: Mapping[tuple[str, int], Trained], questions: Questions, class_names: Sequence[str], names: Sequence[str],
    *, settings: Mapping[str, dict] | None = None, tolerance: float = TOLERANCE,
) -> pd.DataFrame:  # fmt: skip
    """`pointed_at` of every arm, seed and explainer, with arm and seed as columns.

    Args:
        networks: (arm, seed) -> trained.
        questions, class_names, tolerance: as there.
        names: of explainers.
        settings: of each explainer, by name.
    """
    more = {name: {"tolerance": tolerance, **(settings or {}).get(name, {})} for name in names}
    pieces = {(*key, name): (one, questions, class_names, name, more[name]) for key, one in networks.items() for name in names}
    work_beside(_keep, pieces, description="photographs")
    tables = [pointed_at(*piece[:4], **piece[4]).assign(arm=arm, seed=seed) for (arm, seed, _), piece in pieces.items()]
    return pd.concat(tables, ignore_index=True)


def pointing_of_arms(table: pd.DataFrame) -> pd.DataFrame:
    """What every arm and explainer reaches.

    Args:
        table: `all_pointed_at`.

    Returns:
        map, arm, pointing (mean over kinds of objects, then seeds), difficult (that of difficult questions; NaN if there are none), of
        questions (mean over all of them), area, questions, kinds.
    """

    def of_kinds(some):
        return some.groupby(["seed", "category"])["pointing"].mean().groupby("seed").mean().mean()

    rows = [
        {"map": name, "arm": arm, "pointing": of_kinds(some), "difficult": of_kinds(some[some["difficult"]]),
         "of questions": some["pointing"].mean(), "area": some["area"].mean(), "questions": some["question"].nunique(),
         "kinds": some["category"].nunique()}
        for (name, arm), some in table.groupby(["map", "arm"], sort=False)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def pointing_beside(table: pd.DataFrame, *, over: str) -> pd.DataFrame:
    """The pointing game of every arm beside another's, each question alike: paired by question and seed, resampled by picture.

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


def _keep(network, questions, class_names, name, settings):
    pointed_at(network, questions, class_names, name, **settings)


def _identity(questions):
    content = hashlib.sha256()
    for number, name, outline in zip(questions.pictures, questions.categories, questions.outlines, strict=True):
        file = questions.files[number]
        content.update(f"{file.name}\0{file.stat().st_size}\0{name}\0{outline!r}\n".encode())
    return content.hexdigest()


def _near(mask, tolerance):
    """Pixels of the mask, and those at most so many pixels away from one."""
    return distance_transform_edt(~mask) <= tolerance if mask.any() else mask


def _brought(array, side):
    """A picture or a mask to (side, side, ...)."""
    method = Image.Resampling.NEAREST if array.dtype == bool else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(array).resize((side, side), method))
