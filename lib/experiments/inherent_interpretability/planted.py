"""Concept vectors chosen by hand on classes whose geometry is known, so that the retention of accuracy can be derived."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from lib import processes
from lib.concept_libraries.library import given
from lib.keyed_random import generator
from lib.linear_head import fitted_head, tuning_rows
from lib.measures.inherent_interpretability import GRID, NUMBERS, inherent_interpretability

CLASSES, DIMS, SEPARATION = 10, 64, 0.45


def gaussian_classes(pictures: int, *, separation: float = SEPARATION, seed: int = 0):
    """Training and test features and labels of ten Gaussian classes in 64 dimensions, and the class means."""
    rng = generator(seed, 77)
    means = separation * rng.standard_normal((CLASSES, DIMS))
    labels = np.tile(np.arange(CLASSES), 2 * pictures // CLASSES)
    features = (means[labels] + rng.standard_normal((len(labels), DIMS))).astype(np.float32)
    return features[:pictures], labels[:pictures], features[pictures:], labels[pictures:], means


def planted_scores(*, pictures: int = 3000, sparsities: Sequence[float] = GRID, seed: int = 0) -> pd.DataFrame:
    """Retention of planted libraries beside what can be derived.

    Returns:
        Rows of case, sparsity, kept, retention, low, high, expected (NaN where nothing is derived).
    """
    *world, means = gaussian_classes(pictures, seed=seed)
    rng = generator(seed, 78)
    head = fitted_head(world[0], world[1], tuning_rows(world[1]), classes=CLASSES)
    basis = np.linalg.qr(rng.standard_normal((DIMS, DIMS)))[0]
    _, _, axes = np.linalg.svd(means - means.mean(0))
    cases = {
        "weights of the head": given(head.classifier.weights.T, normalisation="none"),
        "an orthonormal basis": given(basis, normalisation="none"),
        "beside the class means": given(axes[CLASSES - 1 :], normalisation="none"),
        "the class means": given(means),
    }
    work = partial(_scored, world=world, sparsities=sparsities, seed=seed)
    found = processes.share_out(work, {case: (library,) for case, library in cases.items()}, description="planted libraries")
    rows = []
    for case, one in found.items():
        curve = one.curve[["sparsity", "kept", "retention", "low", "high"]].assign(case=case, expected=np.nan)
        if case == "beside the class means":
            curve["expected"] = one.chance / one.accuracy.value  # nothing of the class is left
        elif case != "the class means":  # of which a head makes as much as of all dimensions, or more: less noise is left
            curve.loc[curve["sparsity"] == 0, "expected"] = 1.0  # the best logits are linear in these activations
        rows.append(curve)
    return pd.concat(rows, ignore_index=True)


def separation_curve(separations: Sequence[float], *, pictures: int = 3000, concepts: int = 50, seed: int = 0) -> pd.DataFrame:
    """Scores of random concepts as classes move apart.

    Returns:
        One row a separation: separation, refused, and every number of the score with _low and _high.
    """
    library = given(generator(seed, 79).standard_normal((concepts, DIMS)))
    found = processes.share_out(
        partial(_at_separation, library=library, pictures=pictures, seed=seed), {one: (one,) for one in separations},
        description="separations of the classes",
    )  # fmt: skip
    rows = []
    for separation, one in found.items():
        row = {"separation": separation, "refused": bool(one.refused)}
        for name in NUMBERS:
            estimate = getattr(one, name)
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _at_separation(separation, *, library, pictures, seed):
    *world, _ = gaussian_classes(pictures, separation=separation, seed=seed)
    return _scored(library, world=world, sparsities=GRID, seed=seed)


def _scored(library, *, world, sparsities, seed):
    return inherent_interpretability(*world, library, sparsities=sparsities, banks=0, seed=seed)
