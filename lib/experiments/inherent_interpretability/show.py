"""Predictions as pictures: what was predicted, and the elements of the concepts that speak for it."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from lib import picture_grid
from lib.concept_libraries.elements import Elements
from lib.concept_libraries.library import ConceptLibrary
from lib.datasets.pictures import Pictures
from lib.figures import PALETTE


def explanation_sheet(explained: pd.DataFrame, library: ConceptLibrary, elements: Elements, pictures: Pictures) -> Figure:
    """A row a prediction: the picture, a gap, and one element for each of its concepts; frames say whether it is right.

    Above an element: whether the picture is like it or unlike, and what that adds to the logit.

    Args:
        explained: `predictions.explained`.
        library: of a kind that has an element for each concept.
        elements: from which the library was made.
        pictures: the test pictures.
    """
    cells, borders, titles, rows = [], [], [], []
    for picture, concepts in explained.groupby("picture", sort=False):
        predicted, truth = int(concepts["predicted"].iloc[0]), int(pictures.labels[picture])
        cells += [pictures.read([picture])[0], None, *elements.crops[library.elements[concepts["concept"]]]]
        borders += [PALETTE[2] if predicted == truth else PALETTE[1], *[None] * (1 + len(concepts))]
        titles += ["", "", *(f"{'like' if row.activation > 0 else 'unlike'}: {row.contribution:+.1f}" for row in concepts.itertuples())]
        wrong = "" if predicted == truth else f"\nis: {pictures.class_names[truth]}"
        rows.append(f"said: {pictures.class_names[predicted]}{wrong}")
    width = 2 + int(explained["place"].max())
    return picture_grid.contact_sheet(cells, columns=width, borders=borders, titles=titles, row_labels=rows, width=5.5)


def library_sheet(libraries: dict[str, ConceptLibrary], elements: Elements, *, count: int = 10) -> Figure:
    """A row a library: the elements of its first concepts (of a centroid, the nearest one)."""
    cells = [crop for library in libraries.values() for crop in elements.crops[library.elements[:count]]]
    return picture_grid.contact_sheet(cells, columns=count, row_labels=list(libraries), width=7.0)


def right_and_wrong(predicted, labels: Sequence[int], count: int) -> list[int]:
    """The first pictures that are predicted right, and as many that are not, fewer where there are fewer; half of `count` each."""
    right = [number for number, (one, truth) in enumerate(zip(predicted, labels, strict=True)) if one == truth]
    wrong = [number for number, (one, truth) in enumerate(zip(predicted, labels, strict=True)) if one != truth]
    return [*right[: count - count // 2], *wrong[: count // 2]]
