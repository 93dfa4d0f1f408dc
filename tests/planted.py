"""Planted worlds whose answers are known: embeddings in clusters, one cluster a concept, and units written by hand (specs/mis.md 6.2)."""

import numpy as np


def clustered_embeddings(*, concepts=40, pictures_each=500, dims=64, within=0.51, between=0.09, seed=0):
    """Unit vectors whose expected cosine is `within` inside a concept and `between` across concepts; returns (embeddings float64, concept of each picture).

    z = sqrt(between) g + sqrt(within - between) c + sqrt(1 - within) e with g shared, c the concept's and e the picture's own direction, all random and nearly orthogonal.
    """
    rng = np.random.default_rng(seed)

    def directions(count):
        v = rng.standard_normal((count, dims))
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    concept = np.repeat(np.arange(concepts), pictures_each)
    z = np.sqrt(between) * directions(1) + np.sqrt(within - between) * directions(concepts)[concept] + np.sqrt(1 - within) * directions(len(concept))
    return z / np.linalg.norm(z, axis=1, keepdims=True), concept
