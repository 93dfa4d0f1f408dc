"""Concept activations of a representation, and what is left of them when only the most active may speak.

Shen et al. 2025, equations 3 and 4 (specs/iis.md 2.4 and 2.5).
"""

import numpy as np

NORMALISATIONS = ("picture", "concept", "none")
FORMS = ("mask", "soft", "reweight")
ORDERS = ("least", "most", "random")


def concept_activations(features, vectors) -> np.ndarray:
    """How strongly each concept is present in each picture, (pictures, concepts) float32: a = V x, with rows of V of length 1.

    Args:
        features: (pictures, dims).
        vectors: (concepts, dims), none of them 0.

    Raises:
        ValueError: if dimensions disagree, a value is not finite, or a vector is 0.
    """
    features, vectors = np.asarray(features, np.float32), np.asarray(vectors, np.float32)
    if features.ndim != 2 or vectors.ndim != 2 or features.shape[1] != vectors.shape[1]:
        found = f"{features.shape} and {vectors.shape}"
        raise ValueError(f"features, vectors: found shapes {found}; expected (pictures, dims) and (concepts, dims)")
    for name, values in (("features", features), ("vectors", vectors)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: found {np.count_nonzero(~np.isfinite(values))} values that are not finite; expected none")
    return features @ unit_rows(vectors).T


def unit_rows(vectors) -> np.ndarray:
    """(concepts, dims) float32, each row divided by its length.

    Raises:
        ValueError: if a row is 0.
    """
    vectors = np.asarray(vectors, np.float64)  # squares of very long or short ones are out of reach of float32
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"vectors: found {np.count_nonzero(lengths == 0)} that are 0; expected directions")
    return (vectors / lengths).astype(np.float32)


def normalised(activations, reference=None, *, how: str = "picture") -> np.ndarray:
    """Activations on a common scale, (pictures, concepts) float32.

    Args:
        activations: (pictures, concepts).
        reference: activations of the training pictures, whose mean and spread "concept" takes; by default the same.
        how: "picture" (mean 0 and variance 1 over the concepts of each picture: layer normalisation without learned scales; what the
            authors do with visual concepts), "concept" (z-scores of each concept; what they do with textual ones) or "none".

    Raises:
        ValueError: if `how` is unknown.
    """
    activations = np.asarray(activations, np.float32)
    if how == "picture":
        centred = activations - activations.mean(1, keepdims=True)
        return centred / np.sqrt(np.square(centred).mean(1, keepdims=True) + 1e-5)
    if how == "concept":
        reference = activations if reference is None else np.asarray(reference, np.float32)
        mean, spread = reference.mean(0, dtype=np.float64), reference.std(0, dtype=np.float64)
        constant = spread <= 1e-6 * np.abs(mean)  # and says nothing
        return ((activations - mean) / np.where(constant, np.inf, spread)).astype(np.float32)
    if how != "none":
        raise ValueError(f"normalisation: found {how!r}; expected one of {', '.join(NORMALISATIONS)}")
    return activations


def kept(concepts: int, sparsity: float) -> int:
    """How many concepts a picture keeps: M - floor(M s), at least one.

    Raises:
        ValueError: if the sparsity is outside [0, 1].
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity: found {sparsity}; expected a number from 0 to 1")
    return max(1, concepts - int(np.floor(concepts * sparsity + 1e-9)))  # 100 * 0.29 is a little below 29


def ranks(activations, *, order: str = "least", seed: int = 0) -> np.ndarray:
    """In which place each concept of a picture stays as others are removed, (pictures, concepts) from 0: the last to go has 0.

    Args:
        activations: (pictures, concepts).
        order: which go first: the "least" active by magnitude (the measure), the "most" active, or a "random" order.
        seed: of the random order.

    Raises:
        ValueError: if the order is unknown.
    """
    if order not in ORDERS:
        raise ValueError(f"order: found {order!r}; expected one of {', '.join(ORDERS)}")
    activations = np.asarray(activations)
    if order == "random":
        strength = np.random.default_rng(seed).random(activations.shape, np.float32)
    else:
        strength = np.abs(activations) * (1 if order == "least" else -1)
    # Of equally active concepts the first stays longer.
    places = np.argsort(-strength, axis=1, kind="stable")
    found = np.empty(places.shape, np.int32)
    np.put_along_axis(found, places, np.arange(places.shape[1], dtype=np.int32)[None], axis=1)
    return found


def sparsified(activations, keep: int, places=None, *, form: str = "mask") -> np.ndarray:
    """Each picture's activations with all but `keep` set to 0, (pictures, concepts) float32.

    Args:
        activations: (pictures, concepts).
        keep: concepts kept, 1 to all.
        places: `ranks` of the activations; computed by default.
        form: "mask" (survivors stay as they are), "soft" (their magnitude less the threshold) or "reweight" (multiplied by that
            difference, as the paper is said to print). The threshold is the largest magnitude that is removed, 0 where none is.

    Raises:
        ValueError: if `keep` or the form is out of range.
    """
    activations = np.asarray(activations, np.float32)
    if not 1 <= keep <= activations.shape[1]:
        raise ValueError(f"keep: found {keep}; expected 1 to {activations.shape[1]} concepts")
    if form not in FORMS:
        raise ValueError(f"form: found {form!r}; expected one of {', '.join(FORMS)}")
    stays = (ranks(activations) if places is None else places) < keep
    if form == "mask":
        return np.where(stays, activations, np.float32(0))
    magnitude = np.abs(activations)
    excess = np.where(stays, magnitude - np.where(stays, 0, magnitude).max(1, keepdims=True), 0).clip(0)
    return (np.sign(activations) if form == "soft" else activations) * excess
