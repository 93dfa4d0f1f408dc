"""A library of concept vectors, and those made from embeddings of visual elements: prototypes, clusters, random directions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lib.keyed_random import generator
from lib.quantisation import quantise
from lib.sparse_concepts import NORMALISATIONS, unit_rows

KINDS = ("prototype", "cluster", "end2end", "text", "random", "given")


@dataclass(frozen=True)
class ConceptLibrary:
    """Concept vectors with their provenance."""

    vectors: np.ndarray  # (concepts, dims) float32
    kind: str
    names: tuple[str, ...] = ()  # of textual concepts
    elements: np.ndarray | None = None  # (concepts,) which element shows each concept best, where there is one
    source: Mapping[str, object] = field(default_factory=dict)  # identity of the pictures that the elements were cut from
    settings: Mapping[str, float | int | str | None] = field(default_factory=dict)
    normalisation: str = "picture"  # of the activations: `lib.sparse_concepts.normalised`

    def __post_init__(self):
        vectors = np.asarray(self.vectors)
        if vectors.ndim != 2 or not vectors.size:
            raise ValueError(f"vectors: found shape {vectors.shape}; expected (concepts, dims), at least one concept")
        if self.kind not in KINDS:
            raise ValueError(f"kind: found {self.kind!r}; expected one of {', '.join(KINDS)}")
        if not np.isfinite(vectors).all():
            raise ValueError(f"vectors: found {np.count_nonzero(~np.isfinite(vectors))} values that are not finite; expected none")
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(f"normalisation: found {self.normalisation!r}; expected one of {', '.join(NORMALISATIONS)}")
        if self.names and len(self.names) != len(vectors):
            raise ValueError(f"names: found {len(self.names)} for {len(vectors)} concepts; expected one each, or none")
        unit_rows(vectors)

    @property
    def count(self) -> int:
        """Concepts."""
        return len(self.vectors)

    @property
    def repeated(self) -> int:
        """Concepts whose direction another one has already (cosine above 0.9999)."""
        directions = unit_rows(self.vectors)
        alike = np.triu(directions @ directions.T, 1) > 0.9999
        return int(alike.any(0).sum())


def prototypes(
    embeddings, classes, concepts: int, *, most_alike: float | None = None, seed: int = 0, source: Mapping[str, object] | None = None
) -> ConceptLibrary:
    """Embeddings of single elements as concepts, drawn at random and evenly over classes.

    The authors take the first ones of a list sorted by class, which shows few classes only (specs/iis.md, B4).

    Args:
        embeddings: (elements, dims).
        classes: (elements,) class of the picture that each was cut from.
        concepts: how many.
        most_alike: largest cosine between two concepts; None takes what is drawn.
        seed: of the draw.
        source: identity of the pictures.

    Raises:
        ValueError: if there are fewer (different enough) elements than concepts.
    """
    directions, classes = _unit(_checked(embeddings, concepts)), np.asarray(classes)
    if classes.shape != directions.shape[:1]:
        found = f"{directions.shape} and {classes.shape}"
        raise ValueError(f"embeddings, classes: found shapes {found}; expected (elements, dims) and (elements,)")
    chosen: list[int] = []
    for one in _evenly(classes, seed):
        if len(chosen) == concepts:
            break
        if most_alike is None or not chosen or (directions[chosen] @ directions[one]).max() <= most_alike:
            chosen.append(one)
    if len(chosen) < concepts:
        found = f"only {len(chosen)} of {len(directions)} elements with cosines up to {most_alike}"
        raise ValueError(f"concepts: found {concepts}, and {found}; expected no more concepts than these")
    rows = np.array(chosen)
    settings = {"concepts": concepts, "most_alike": most_alike, "seed": seed}
    return ConceptLibrary(directions[rows], "prototype", elements=rows, source=source or {}, settings=settings)


def clusters(embeddings, concepts: int, *, starts: int = 2, seed: int = 0, source: Mapping[str, object] | None = None) -> ConceptLibrary:
    """Centroids of k-means over element embeddings of length 1, themselves scaled to length 1.

    Args:
        embeddings: (elements, dims).
        concepts: how many.
        starts: of k-means.
        seed: of k-means.
        source: identity of the pictures.

    Raises:
        ValueError: if there are fewer different elements than concepts.
    """
    directions = _unit(_checked(embeddings, concepts))
    found = quantise(directions, concepts, starts=starts, seed=seed)
    if found.count < concepts:
        raise ValueError(f"concepts: found {concepts} for {found.count} different elements; expected no more concepts than these")
    sums = np.zeros((concepts, directions.shape[1]))
    np.add.at(sums, found.labels, directions)
    centroids = _unit(sums)
    nearest = np.array([members[(directions[members] @ centroids[one]).argmax()] for one, members in enumerate(_members(found.labels))])
    settings = {"concepts": concepts, "starts": starts, "seed": seed}
    return ConceptLibrary(centroids, "cluster", elements=nearest, source=source or {}, settings=settings)


def random_directions(concepts: int, dims: int, *, seed: int = 0) -> ConceptLibrary:
    """Directions that have nothing to do with any picture: the control of every library (specs/iis.md, P4)."""
    if concepts < 1 or dims < 1:
        raise ValueError(f"concepts, dims: found {concepts} and {dims}; expected at least 1")
    vectors = generator(seed, 72).standard_normal((concepts, dims), dtype=np.float32)
    return ConceptLibrary(_unit(vectors), "random", settings={"concepts": concepts, "seed": seed})


def given(vectors, *, normalisation: str = "picture") -> ConceptLibrary:
    """Vectors that the caller brings along."""
    return ConceptLibrary(np.asarray(vectors, np.float32), "given", normalisation=normalisation)


def _checked(embeddings, concepts):
    embeddings = np.asarray(embeddings, np.float32)
    if embeddings.ndim != 2:
        raise ValueError(f"embeddings: found shape {embeddings.shape}; expected (elements, dims)")
    if not np.isfinite(embeddings).all():
        raise ValueError(f"embeddings: found {np.count_nonzero(~np.isfinite(embeddings))} values that are not finite; expected none")
    if not 1 <= concepts <= len(embeddings):
        raise ValueError(f"concepts: found {concepts} for {len(embeddings)} elements; expected 1 to {len(embeddings)}")
    return embeddings


def _unit(vectors):
    """Rows of length 1; rows that are 0 stay so, and are refused where they would become a concept."""
    vectors = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _evenly(classes, seed):
    """All elements in an order that takes one of every class in turn, at random within each."""
    order = generator(seed, 73).permutation(len(classes))
    turn = np.empty(len(classes), np.int64)
    for one in np.unique(classes):
        members = order[classes[order] == one]
        turn[members] = np.arange(len(members))
    return order[np.argsort(turn[order], kind="stable")]


def _members(labels):
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
