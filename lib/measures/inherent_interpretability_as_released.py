"""The Inherent Interpretability Score as the authors' released code computes it, kept to show what its choices change.

Against `lib.measures.inherent_interpretability` (specs/iis.md 2.5 to 2.8 and 4): one concept fewer is kept than stated (the mask asks for
more than the threshold, B2); layer normalisation has learned scales, so that training changes which concepts survive; heads are trained by
Adam for 30 epochs, and of all epochs and learning rates the best accuracy on the test pictures counts, in numerator and denominator alike
(B5); the grid ends at 0.98 and is not divided by its width (B6).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional
from tqdm.auto import tqdm

from lib.concept_libraries.library import ConceptLibrary
from lib.measures.inherent_interpretability import GRID, area, checked_data, checked_grid
from lib.sparse_concepts import concept_activations
from lib.torch_threads import exactly

RATES, EPOCHS, BATCH_SIZE, DECAY = (1e-3, 1e-2, 1e-1), 30, 1024, 0.99
_DEVIATION = 0.02


def released_score(
    features, labels, test_features, test_labels, library: ConceptLibrary, *, sparsities: Sequence[float] = GRID,
    rates: Sequence[float] = RATES, epochs: int = EPOCHS, one_fewer: bool = True, best_epoch: bool = True, seed: int = 0,
) -> tuple[float, pd.DataFrame]:  # fmt: skip
    """The authors' score and its curve, of which two choices can be left out to see what they change.

    Args:
        features: (pictures, dims) of the training pictures.
        labels: (pictures,) integers.
        test_features: (pictures, dims), which choose epoch and rate too.
        test_labels: (pictures,).
        library: concept vectors.
        sparsities: below 1 (at 1 their code fails).
        rates: learning rates tried.
        epochs: of each.
        one_fewer: whether one concept fewer is kept than the sparsity says.
        best_epoch: whether of each rate the best epoch on the test pictures counts, instead of the last.
        seed: of weights and order.

    Returns:
        The trapezoid, and rows of sparsity, kept, accuracy, retention.

    Raises:
        ValueError: if a sparsity leaves no concept, there is no rate or epoch, or as `inherent_interpretability` says.
    """
    features, labels, test_features, test_labels, _ = checked_data(features, labels, test_features, test_labels)
    grid = np.sort(checked_grid(sparsities))
    keeps = [library.count - int(np.floor(library.count * one + 1e-9)) - one_fewer for one in grid]
    if not len(rates) or epochs < 1:
        raise ValueError(f"rates, epochs: found {list(rates)} and {epochs}; expected at least one of each")
    if min(keeps) < 1:
        raise ValueError(f"sparsities: found {grid[-1]:g}, which leaves none of {library.count} concepts here; expected lower ones")
    shown, tested = (concept_activations(one, library.vectors) for one in (features, test_features))
    settings = {"rates": rates, "epochs": epochs, "best_epoch": best_epoch, "seed": seed}
    whole = best_on_test(features, labels, test_features, test_labels, keep=None, **settings)
    accuracies = np.array([
        best_on_test(shown, labels, tested, test_labels, keep=keep, **settings) for keep in tqdm(keeps, desc="released heads", leave=False)
    ])  # fmt: skip
    retention = accuracies / whole
    table = pd.DataFrame({"sparsity": grid, "kept": keeps, "accuracy": accuracies, "retention": retention})
    return float(area(grid, retention)[0]), table


@exactly(2)
def best_on_test(
    inputs, labels, test_inputs, test_labels, *, keep: int | None, rates: Sequence[float] = RATES, epochs: int = EPOCHS,
    best_epoch: bool = True, seed: int = 0,
) -> float:  # fmt: skip
    """The highest test accuracy of a head over learning rates and epochs, or over rates after the last epoch.

    `keep`: concepts kept after normalisation, None for neither.
    """
    inputs, test_inputs = (torch.from_numpy(np.ascontiguousarray(one, np.float32)) for one in (inputs, test_inputs))
    truth, test_truth = (torch.from_numpy(np.asarray(one).astype(np.int64)) for one in (labels, test_labels))
    best = 0.0
    for rate in rates:
        generator = torch.Generator().manual_seed(seed)
        head = _Head(inputs.shape[1], int(truth.max()) + 1, keep, generator)
        optimiser = torch.optim.Adam(head.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, DECAY)
        for epoch in range(1, epochs + 1):
            for rows in torch.randperm(len(inputs), generator=generator).split(BATCH_SIZE):
                loss = functional.cross_entropy(head(inputs[rows]), truth[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
            if best_epoch or epoch == epochs:
                with torch.no_grad():
                    best = max(best, float((head(test_inputs).argmax(1) == test_truth).double().mean()))
    return best


class _Head(nn.Module):
    def __init__(self, width, classes, keep, generator):
        super().__init__()
        self.norm, self.keep = nn.LayerNorm(width) if keep else nn.Identity(), keep
        self.linear = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.linear.weight, std=_DEVIATION, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, inputs):
        shown = self.norm(inputs)
        if self.keep and self.keep < shown.shape[1]:
            magnitude = shown.detach().abs()
            threshold = magnitude.topk(self.keep + 1, dim=1).values[:, -1:]
            shown = shown * (magnitude > threshold)
        return self.linear(shown)
