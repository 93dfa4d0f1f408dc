"""Clusters written by hand whose score can be derived."""

import numpy as np
import pandas as pd

from lib.keyed_random import generator
from lib.measures.reverse_probe import reverse_probe
from lib.splits import stratified_split


def planted_scores(*, pictures: int = 8000, seed: int = 0) -> pd.DataFrame:
    """The score of each planted case beside the derived one.

    Returns:
        One row a case: case, concepts (what the probe is given), expected, score, low, high (bits; normal interval over test pictures),
        train_score, entropy.
    """
    rows = []
    for case, concepts, labels, inputs, expected in _cases(generator(seed, 61), pictures):
        probe = reverse_probe(labels, inputs.astype(np.float32), stratified_split(labels, seed=seed))
        reach = 1.96 * probe.standard_error
        rows.append({
            "case": case, "concepts": concepts, "expected": expected, "score": probe.score, "low": probe.score - reach,
            "high": probe.score + reach, "train_score": probe.train_score, "entropy": probe.entropy,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _cases(rng, pictures):
    """(case, concepts, clusters, concept values, derived score in bits)."""
    concept = rng.integers(0, 32, pictures)
    yield "the clusters are the classes", "class", concept, np.eye(32)[concept], np.log2(32)
    yield "nothing to do with each other", "class", rng.integers(0, 32, pictures), np.eye(32)[concept], 0.0
    for error in (0.1, 0.3, 0.6):
        labels = np.where(rng.random(pictures) < error, (concept + rng.integers(1, 32, pictures)) % 32, concept)
        noise = error * np.log2(error) + (1 - error) * np.log2(1 - error) - error * np.log2(31)
        yield f"class, wrong in {error:.0%}", "class", labels, np.eye(32)[concept], np.log2(32) + noise
    one, other = rng.integers(0, 2, (2, pictures))
    both = np.stack([one, other], 1)
    yield "red apple, red pear, ... (AND)", "one", 2 * one + other, both[:, :1], 1.0
    yield "red apple, red pear, ... (AND)", "both", 2 * one + other, both, 2.0
    yield "either but not both (XOR)", "both", one ^ other, both, 0.0
    yield "either but not both (XOR)", "both and their product", one ^ other, np.column_stack([both, one * other]), 1.0
    colour, thing = rng.integers(0, 4, (2, pictures))
    # Each of eight clusters is the union of two cells of the table that share neither colour nor thing.
    union = (4 * (colour % 2) + 2 * (colour // 2) + thing) % 8
    colours, things = np.eye(4)[colour], np.eye(4)[thing]
    yield "unions of conjunctions", "colour", union, colours, 1.0
    yield "unions of conjunctions", "thing", union, things, 1.0
    yield "unions of conjunctions", "both", union, np.column_stack([colours, things]), 2.0
    yield "unions of conjunctions", "pairs", union, np.eye(16)[4 * colour + thing], 3.0
