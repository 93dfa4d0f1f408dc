"""Pictures to train and to judge classifiers on."""

from dataclasses import dataclass, replace

import numpy as np
import open_clip

from lib import datasets
from lib.datasets.pictures import Pictures
from lib.keyed_random import generator
from lib.lico.loading import BOTH, CROPPED, CUT, FLIPPED

TRAIN_SEED, TEST_SEED = 3000, 50  # of scenes; local encoders are trained on others
PHOTOGRAPHS = ("imagenet",)
DIGITS = ("digits", "mnist", "svhn")  # a mirrored digit is another or none; the released code flips them all the same


@dataclass(frozen=True)
class Task:
    """A classification task.

    Args:
        name: for tables.
        train, validation, test: pictures; settings are chosen on validation, and only results are taken on test.
        augmentation: of training pictures, see `lib.lico.loading.loader`.
    """

    name: str
    train: Pictures
    validation: Pictures
    test: Pictures
    augmentation: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels."""
        return self.train.class_names


def task(
    dataset: str, *, train_count: int, validation_count: int, test_count: int, seed: int = 0, shortcut: float = 0.0, labels: int = 0,
    label_seed: int = 0,
) -> Task:  # fmt: skip
    """A data set, split.

    Args:
        dataset: "scenes" or another of `lib.datasets.load`.
        train_count: training pictures, validation not counted; 0 is all there are.
        validation_count: taken from the training pictures.
        test_count: 0 is all there are.
        seed: of the splits, or of the scenes.
        shortcut: of scenes in training and validation; test scenes have none.
        labels: so many training pictures, as many of each class; 0 is all.
        label_seed: of which these are.

    Raises:
        ValueError: if there are fewer pictures than asked for, labels are not a multiple of the classes, or a shortcut is asked of others
            than scenes.
    """
    if shortcut and dataset != "scenes":
        raise ValueError(f"shortcut: found {shortcut} for {dataset}; expected 0, only scenes have one")
    if dataset == "scenes":
        drawn = datasets.load("scenes", count=train_count + validation_count, seed=TRAIN_SEED + seed, shortcut=shortcut)
        test = datasets.load("scenes", count=test_count, seed=TEST_SEED + seed)
        order = np.arange(len(drawn))
    else:
        drawn = datasets.load(dataset, split="train")
        if dataset == "imagenet" and drawn.name != "imagenet/train":
            raise ValueError(f"dataset: found one part of imagenet, {drawn.name}; expected folders train and val")
        test = datasets.load(dataset, split="test", count=test_count or None, seed=seed)
        if dataset == "imagenet":
            drawn, test = _in_words(drawn), _in_words(test)
            test = test.take(generator(seed, 142).permutation(len(test)))  # in their own order the first thousand are of twenty classes
        order = generator(seed, 130).permutation(len(drawn))
    wanted = (train_count or len(drawn) - validation_count) + validation_count
    if train_count < 0 or wanted > len(drawn) or not 0 < validation_count < len(drawn):
        found = f"{train_count} and {validation_count} of {dataset}"
        raise ValueError(f"train_count, validation_count: found {found}; expected some of each, and at most {len(drawn)} in all")
    validation, train = drawn.take(order[:validation_count]), drawn.take(order[validation_count:wanted])
    if labels:
        train = train.take(balanced(train.labels, labels, len(train.class_names), seed=label_seed))
    kind = dataset.partition(":")[0]
    augmentation = FLIPPED if kind == "scenes" else CROPPED if kind in DIGITS else CUT if kind in PHOTOGRAPHS else BOTH
    return Task(dataset, train.in_memory(), validation.in_memory(), test.in_memory(), augmentation)


def _in_words(pictures: Pictures) -> Pictures:
    """ImageNet, whose folders have numbers, with the class names of open_clip; two of these stand for two classes each."""
    words = list(open_clip.IMAGENET_CLASSNAMES)
    words[744], words[836] = "projectile", "sunglass"
    return replace(pictures, class_names=tuple(words))


def balanced(labels: np.ndarray, count: int, classes: int, *, seed: int = 0) -> np.ndarray:
    """Rows (count,) with as many of each class, drawn without replacement and in order of their rows.

    Of one seed, fewer are among more.

    Raises:
        ValueError: if count is no multiple of the classes, or a class has too few pictures.
    """
    if count < classes or count % classes:
        raise ValueError(f"labels: found {count} to be drawn; expected a multiple of {classes} classes")
    each = count // classes
    chosen = []
    for one in range(classes):
        rows = np.flatnonzero(labels == one)
        if len(rows) < each:
            raise ValueError(f"labels: found {len(rows)} pictures of class {one}; expected at least {each}")
        chosen.append(generator(seed, 131, one).permutation(rows)[:each])
    return np.sort(np.concatenate(chosen))
