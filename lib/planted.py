"""Planted worlds, whose answers are known: embeddings in clusters, one cluster a concept, and units written by hand."""

import numpy as np
import pandas as pd

from lib.keyed_random import generator


def clustered_embeddings(
    *, concepts: int = 40, pictures_each: int = 500, dims: int = 64, within: float = 0.51, between: float = 0.09, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors whose expected cosine is `within` inside a concept and `between` across concepts.

        z = sqrt(between) g + sqrt(within - between) c + sqrt(1 - within) e

    with g shared, c the concept's and e the picture's own direction, all random and nearly orthogonal.

    Args:
        concepts: number of clusters.
        pictures_each: pictures of a cluster; pictures are sorted by concept.
        dims: of the embedding.
        within: cosine of two pictures of one concept.
        between: cosine of two pictures of different concepts, at most `within`.
        seed: of the directions.

    Returns:
        embeddings (pictures, dims) float64 and the concept of each picture (pictures,) int64.
    """
    if not 0 <= between <= within <= 1:
        raise ValueError(f"within, between: found {within} and {between}; expected 0 <= between <= within <= 1")
    rng = generator(seed, 10)

    def directions(count):
        v = rng.standard_normal((count, dims))
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    concept = np.repeat(np.arange(concepts), pictures_each)
    z = np.sqrt(between) * directions(1) + np.sqrt(within - between) * directions(concepts)[concept]
    z = z + np.sqrt(1 - within) * directions(len(concept))
    return z / np.linalg.norm(z, axis=1, keepdims=True), concept


def units(embeddings: np.ndarray, concept: np.ndarray, *, repeats: int = 20, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Units written by hand, of every kind in specs/mis.md 6.2.

    Args:
        embeddings: (pictures, dims), for units that are directions in the similarity's own space.
        concept: (pictures,) concept of each picture.
        repeats: units of each kind, on different concepts where there are enough.
        seed: of the noise.

    Returns:
        activations (pictures, units) and a table with a row per unit: kind, and the value of the spec for within 0.51 and between 0.09.
    """
    rng = generator(seed, 11)
    count = int(concept.max()) + 1
    noise = 1e-3
    kinds = {
        "random": (0.499, lambda _: rng.standard_normal(len(concept))),
        "indicator of one concept": (0.927, lambda i: (concept == i % count) + noise * rng.standard_normal(len(concept))),
        "opponent: one concept against another": (
            0.993,
            lambda i: (concept == i % count) * 1.0 - (concept == (i + 1) % count) + noise * rng.standard_normal(len(concept)),
        ),
        **{
            f"any of {k} concepts": (
                value,
                lambda i, k=k: np.isin(concept, (i + np.arange(k)) % count) + noise * rng.standard_normal(len(concept)),
            )
            for k, value in ((2, 0.776), (4, 0.658), (8, 0.600), (20, 0.563))
        },
        **{
            f"indicator with noise, signal {snr}": (
                value,
                lambda i, snr=snr: snr * (concept == i % count) + rng.standard_normal(len(concept)),
            )
            for snr, value in ((1, 0.524), (2, 0.636), (4, 0.922))
        },
        "direction of the similarity itself": (0.931, lambda _: embeddings @ rng.standard_normal(embeddings.shape[1])),
    }
    activations = np.stack([make(i) for _, make in kinds.values() for i in range(repeats)], axis=1)
    rows = [{"kind": kind, "expected": value} for kind, (value, _) in kinds.items() for _ in range(repeats)]
    return activations, pd.DataFrame(rows)
