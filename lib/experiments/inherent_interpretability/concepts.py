"""Concept libraries of representations, by kind."""


import numpy as np

from lib import encoders
from lib.concept_libraries import library
from lib.concept_libraries.elements import Elements, embedded
from lib.concept_libraries.end_to_end import end_to_end
from lib.concept_libraries.library import ConceptLibrary
from lib.encoders.weight_noise import add_weight_noise
from lib.representations import parts

VISUAL = ("prototype", "cluster", "end2end")


def element_embeddings(name: str, elements: Elements) -> np.ndarray:
    """Elements as a representation sees them, (elements, dims).

    Args:
        name: of an encoder, with weight noise or without.
        elements: of training pictures.

    Raises:
        ValueError: if the name has a layer: an element is enlarged to a picture, and only a whole encoder sees it so.
    """
    encoder_name, level, layer = parts(name)
    if layer:
        raise ValueError(f"{name}: found a layer; expected an encoder, to which elements are shown as pictures")
    encoder = encoders.load(encoder_name)
    return embedded(add_weight_noise(encoder, level) if level else encoder, elements)


def visual(
    kind: str, vectors: np.ndarray, classes: np.ndarray, source, concepts: int, *, features=None, labels=None, sparsity: float = 0.5,
    seed: int = 0,
) -> ConceptLibrary:  # fmt: skip
    """A visual library.

    Args:
        kind: "prototype", "cluster" or "end2end".
        vectors: (elements, dims), `element_embeddings`.
        classes: (elements,) class of the picture of each.
        source: identity of the pictures.
        concepts: how many.
        features: (pictures, dims) of training pictures, for end2end.
        labels: (pictures,) their classes, for end2end.
        sparsity: of end2end while learning.
        seed: of draws.

    Raises:
        ValueError: if the kind is unknown or needs what was not given.
    """
    settings = {"seed": seed, "source": source}
    if kind == "prototype":
        return library.prototypes(vectors, classes, concepts, **settings)
    if kind == "cluster":
        return library.clusters(vectors, concepts, **settings)
    if kind != "end2end":
        raise ValueError(f"kind: found {kind!r}; expected one of {', '.join(VISUAL)}")
    if features is None or labels is None:
        raise ValueError("features, labels: found none; expected those of training pictures, from which end2end learns")
    return end_to_end(vectors, features, labels, concepts, sparsity=sparsity, **settings)
