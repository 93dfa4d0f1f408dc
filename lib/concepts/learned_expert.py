"""A network as a concept expert: what it predicts with enough confidence, and how right it is.

The QRP paper keeps a detector's categories where its confidence is above 0.5. An expert's errors take information away; an expert that saw
the same labels as the representation can add some that people would not grant.
"""

import numpy as np
import pandas as pd

from lib import encoders
from lib.datasets.pictures import Pictures
from lib.predictions import class_probabilities


def predictions_above(name: str, pictures: Pictures, confidence: float = 0.5) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes that an encoder's head predicts with a probability above `confidence`: class names and (pictures, classes) bool.

    From 0.5 on at most one class a picture is kept; where none is, the row is empty.

    Args:
        name: of an encoder with a head whose classes are those of the pictures.
        pictures: with class names.
        confidence: in [0, 1).

    Raises:
        ValueError: if the encoder has no head, or one with another number of classes or another data set's.
    """
    encoder = encoders.load(name)
    if encoder.classify is None:
        raise ValueError(f"expert: found {name}, which has no classification head; expected an encoder that has one")
    dataset = str(pictures.identity.get("dataset", pictures.identity.get("set", "")))
    if encoder.circular_labels and dataset and encoder.circular_labels != dataset:
        raise ValueError(f"expert: found {name}, taught the classes of {encoder.circular_labels}; expected those of {dataset}")
    probabilities = class_probabilities(encoder, pictures)
    found, expected = probabilities.shape[1], len(pictures.class_names)
    if found != expected:
        raise ValueError(f"expert: found {found} classes in {name}; expected the {expected} of {pictures.name}")
    return pictures.class_names, probabilities > confidence


def audit(concepts: pd.DataFrame, block: str, labels, class_names) -> pd.DataFrame:
    """How right an expert is where the truth is known.

    Args:
        concepts: with the expert's columns "block: class".
        block: its name.
        labels: (pictures,) true classes, indices of `class_names`.
        class_names: all classes.

    Returns:
        One row a class and one for all: class, precision (share of its marks that are right), recall (share of its pictures that it
        marks), marked (share of all pictures). Precision is NaN where it marks none.
    """
    marks = np.stack([concepts[f"{block}: {name}"].to_numpy(bool) for name in class_names], 1)
    truth = np.eye(len(class_names), dtype=bool)[np.asarray(labels)]
    right = marks & truth
    with np.errstate(invalid="ignore"):
        rows = pd.DataFrame({
            "class": [*class_names, "all"],
            "precision": [*(right.sum(0) / marks.sum(0)), right.sum() / marks.sum()],
            "recall": [*(right.sum(0) / truth.sum(0)), right.sum() / truth.sum()],
            "marked": [*marks.mean(0), marks.any(1).mean()],
        })  # fmt: skip
    return rows
