"""Everything that can be found wrong with the settings of notebook 03 before minutes are spent on them."""

from importlib.util import find_spec

import numpy as np

from lib.experiments.lico.arms import ABLATIONS, CONTROLS, GRID, PLAIN, TUNED
from lib.experiments.lico.data import Task
from lib.experiments.lico.photographs import coco_root, photographs
from lib.explainers import EXPLAINERS
from lib.lico import text_sources
from lib.lico.backbones import BACKBONES
from lib.lico.plan import FULL, PRECISIONS
from lib.lico.prompts import Prompts, check_names
from lib.lico.readings import READINGS

OPTIONAL = {"Grad-CAM++": "pytorch_grad_cam", "Score-CAM": "pytorch_grad_cam"}


def check(settings) -> None:
    """Check what can be checked before any picture is read.

    Raises:
        ValueError: naming the setting, what was found and what is expected.
        ImportError: if an explainer needs a package that is not installed.
        FileNotFoundError: if photographs are asked for and no folder is named.
    """
    _arms_and_seeds(settings)
    _sections(settings)
    _explainers(settings)
    _numbers(settings)
    if settings.coco_count:
        coco_root()


def check_pictures(settings, task: Task) -> None:
    """Check the settings together with the pictures.

    Raises:
        ValueError: naming the setting, what was found and what is expected.
        FileNotFoundError: if photographs are asked for and are not there.
    """
    _counts(settings, task)
    _labels(settings, task)
    _network_and_texts(settings, task)
    if settings.coco_count:
        photographs(settings.coco_count, task.class_names, seed=settings.seed)


def _arms_and_seeds(settings):
    known = (PLAIN, TUNED, *READINGS, *CONTROLS, *ABLATIONS)
    for name in (
        "arms", "seeds", "trial_seeds", "part_seeds", "explainers", "labels", "limited_arms", "long_arms", "ablations", "shortcut_arms",
        "same_setting",
    ):  # fmt: skip
        values = getattr(settings, name)
        if len(set(values)) < len(values):
            raise ValueError(f"{name}: found {values}; expected each once")
        if name.endswith("arms") and (unknown := [one for one in values if one not in known]):
            raise ValueError(f"{name}: found {unknown[0]!r}; expected some of {', '.join(known)}")
    for name in ("arms", "seeds", "trial_seeds", "part_seeds", "explainers"):
        if not getattr(settings, name):
            raise ValueError(f"{name}: found none; expected at least one")
    if foreign := [one for one in settings.part_seeds if one not in settings.seeds]:
        raise ValueError(f"part_seeds: found {foreign[0]}; expected some of the seeds {settings.seeds}")
    if settings.arms[0] != PLAIN:
        raise ValueError(f"arms: found {settings.arms[0]!r} first; expected {PLAIN!r}, that the others are set beside")
    if unknown := [one for one in settings.ablations if one not in ABLATIONS]:
        raise ValueError(f"ablations: found {unknown[0]!r}; expected some of {', '.join(ABLATIONS)}")
    if unknown := [one for one in settings.same_setting if one not in CONTROLS]:
        raise ValueError(f"same_setting: found {unknown[0]!r}; expected some of {', '.join(CONTROLS)}")
    if settings.same_setting and (missing := [one for one in (TUNED, *settings.same_setting) if one not in settings.arms]):
        raise ValueError(f"same_setting: found {settings.same_setting} without {missing[0]!r} in arms; expected its setting")


def _lists_of_arms(settings):
    """Name -> whether anything of it is trained."""
    asked = {"limited_arms": settings.labels, "long_arms": settings.long_steps, "shortcut_arms": settings.shortcut}
    return {"arms": True} | {name: bool(one) for name, one in asked.items()}


def _sections(settings):
    """What is asked of the sections on few labels, longer training and the shortcut."""
    for name, used in _lists_of_arms(settings).items():
        values = getattr(settings, name)
        if used and len(values) < 2:
            raise ValueError(f"{name}: found {values}; expected {PLAIN!r} and something to set beside it")
        if values and PLAIN not in values:
            raise ValueError(f"{name}: found no {PLAIN!r}; expected it, that the others are set beside")
        if untuned := [one for one in values if (one == TUNED or one in CONTROLS) and one not in settings.arms]:
            raise ValueError(f"{name}: found {untuned[0]!r}, which is tuned with the arms; expected it among the arms too")
    if settings.shortcut and settings.dataset != "scenes":
        raise ValueError(f"shortcut: found {settings.shortcut} for {settings.dataset}; expected 0, only scenes have one")
    if not 0 <= settings.shortcut <= 1:
        raise ValueError(f"shortcut: found {settings.shortcut}; expected a probability")
    if settings.long_steps and settings.long_steps <= settings.steps:
        raise ValueError(f"long_steps: found {settings.long_steps}; expected 0, or more than the {settings.steps} steps of all arms")
    if settings.label_count and (settings.labels or settings.shortcut):
        found = f"{settings.label_count} with labels {settings.labels} and shortcut {settings.shortcut}"
        raise ValueError(f"label_count: found {found}; expected 0, or neither of these, which have training pictures of their own")


def _explainers(settings):
    for one in settings.explainers:
        if one not in EXPLAINERS:
            raise ValueError(f"explainers: found {one!r}; expected some of {', '.join(EXPLAINERS)}")
        if one in OPTIONAL and find_spec(OPTIONAL[one]) is None:
            raise ImportError(f"explainers: {one} needs the package grad-cam, which is not installed; pip install '.[saliency]'")


def _numbers(settings):
    if not 0 <= settings.trials <= len(GRID):
        raise ValueError(f"trials: found {settings.trials}; expected 0, for all, to {len(GRID)}")
    if settings.precision not in PRECISIONS:
        raise ValueError(f"precision: found {settings.precision!r}; expected one of {', '.join(PRECISIONS)}")
    if settings.precision != FULL and settings.text.startswith("local:"):
        found = f"{settings.precision!r} with texts by {settings.text}"
        raise ValueError(f"precision: found {found}, which may be trained in the same process; expected {FULL!r}, or another text encoder")
    for name, least in (
        ("steps", 1), ("trial_steps", 1), ("masks", 1), ("cascade_draws", 1), ("cascade_count", 1), ("coco_count", 0),
        ("batch_size", 2), ("saliency_count", 2),
    ):  # fmt: skip
        if getattr(settings, name) < least:
            raise ValueError(f"{name}: found {getattr(settings, name)}; expected at least {least}")
    if settings.cascade_count > settings.saliency_count:
        raise ValueError(f"cascade_count: found {settings.cascade_count}; expected at most the {settings.saliency_count} of saliency_count")


def _counts(settings, task):
    for name, most, what in (("batch_size", len(task.train), "training"), ("saliency_count", len(task.test), "test")):
        if getattr(settings, name) > most:
            raise ValueError(f"{name}: found {getattr(settings, name)}; expected at most the {most} {what} pictures")


def _labels(settings, task):
    classes = len(task.class_names)
    rarest = min((task.train.labels == one).sum() for one in range(classes))
    for one in settings.labels:
        if one % classes or not classes <= one <= rarest * classes:
            raise ValueError(f"labels: found {one}; expected multiples of {classes} classes up to {rarest * classes}")
    trained = {one for name, used in _lists_of_arms(settings).items() if used for one in getattr(settings, name)}
    by_place = [name for name, one in READINGS.items() if one.label_of_label and name in trained]
    if by_place and settings.batch_size < classes:
        found = f"batches of {settings.batch_size} for {classes} classes"
        raise ValueError(f"batch_size: found {found}; {by_place[0]} takes labels for places in the batch")


def _network_and_texts(settings, task):
    if settings.network not in BACKBONES:
        raise ValueError(f"network: found {settings.network!r}; expected one of {', '.join(BACKBONES)}")
    first, side = task.train.read(np.arange(1)), BACKBONES[settings.network][2]
    if not isinstance(first, list) and first.shape[1:3] != (side, side):  # those of various sizes are brought to it
        found = f"{settings.network!r}, for {side} x {side} pixels, and pictures of {first.shape[1:3]}"
        raise ValueError(f"network: found {found}; expected a pair")
    check_names(task.class_names, task.test.class_names)
    Prompts(text_sources.load(settings.text), task.class_names, stop=text_sources.stop_of(settings.text))
