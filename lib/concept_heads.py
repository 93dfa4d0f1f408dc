"""Heads that see sparse concepts only: which test pictures do they get right, as fewer and fewer concepts may speak?"""

from collections.abc import Sequence

import numpy as np

from lib.linear_head import PENALTIES, fitted_head
from lib.sparse_concepts import concept_activations, kept, normalised, ranks, sparsified


def correct_through(
    vectors, features, labels, test_features, test_labels, tuned, classes: int, sparsities, *, form: str = "mask", order: str = "least",
    normalisation: str = "picture", penalties: Sequence[float] = PENALTIES, seed: int = 0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Fit one head a sparsity, from the least sparse to the most, each started from the one before.

    Args:
        vectors: (concepts, dims) of one library.
        features: (pictures, dims) of the training pictures.
        labels: (pictures,) integers from 0.
        test_features: (pictures, dims) of the test pictures.
        test_labels: (pictures,).
        tuned: (pictures,) bool: the training pictures that choose penalties.
        classes: how many there are.
        sparsities: shares of concepts set to 0, each once; at 1 nothing may speak, and there is no head.
        form: of the sparsification, see `lib.sparse_concepts.sparsified`.
        order: which concepts go first, see `lib.sparse_concepts.ranks`.
        normalisation: of the activations, see `lib.sparse_concepts.normalised`.
        penalties: of the heads.
        seed: of a random order.

    Returns:
        correct (sparsities, test pictures) bool, False at 1; and of each head, (sparsities,) with NaN at 1: objective (mean cross-entropy
        and penalty at the minimum, of the pictures that were fitted), penalty, training_accuracy (of all training pictures).
    """
    shown, tested = (concept_activations(one, vectors) for one in (features, test_features))
    shown, tested = normalised(shown, how=normalisation), normalised(tested, shown, how=normalisation)
    places, test_places = (ranks(one, order=order, seed=seed + number) for number, one in enumerate((shown, tested)))
    correct, similar = np.zeros((len(sparsities), len(test_labels)), bool), None
    reports = {name: np.full(len(sparsities), np.nan) for name in ("objective", "penalty", "training_accuracy")}
    for number in np.argsort(sparsities):
        if sparsities[number] == 1:
            continue
        keep = kept(len(vectors), sparsities[number])
        inputs = sparsified(shown, keep, places, form=form)
        similar = fitted_head(inputs, labels, tuned, classes=classes, penalties=penalties, similar=similar)
        correct[number] = similar.predicted(sparsified(tested, keep, test_places, form=form)) == test_labels
        reports["objective"][number], reports["penalty"][number] = similar.classifier.objective, similar.classifier.penalty
        reports["training_accuracy"][number] = (similar.predicted(inputs) == labels).mean()
    return {"correct": correct, **reports}
