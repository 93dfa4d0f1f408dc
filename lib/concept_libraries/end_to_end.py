"""Concepts learned together with the head: which elements belong to which concept (Shen et al. 2025, End2End; specs/iis.md 2.3)."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from lib.concept_libraries.library import ConceptLibrary
from lib.sparse_concepts import kept
from lib.torch_threads import exactly

_TEMPERATURE, _DEVIATION = 0.1, 0.02


@exactly(2)
def end_to_end(
    embeddings, features, labels, concepts: int, *, sparsity: float = 0.0, epochs: int = 30, rate: float = 1e-2, batch_size: int = 1024,
    seed: int = 0, source: Mapping[str, object] | None = None,
) -> ConceptLibrary:  # fmt: skip
    """Learn to assign elements to concepts, by the loss of a head that sees the concepts only.

    A concept is the sum of the elements assigned to it, scaled to length 1. Assignments are hard; gradients pass as if they were soft
    (straight-through), with Gumbel noise while learning and none afterwards (the authors sample at evaluation too, B8). Concepts that no
    element chooses are left out.

    Args:
        embeddings: (elements, dims).
        features: (pictures, dims) of the training pictures.
        labels: (pictures,) integers from 0.
        concepts: how many at most.
        sparsity: share of the activations set to 0 while learning.
        epochs: over the training pictures.
        rate: of Adam, times 0.99 an epoch.
        batch_size: pictures a step.
        seed: of the start, the noise and the order of pictures.
        source: identity of the pictures that elements were cut from.

    Raises:
        ValueError: if shapes disagree, a value is not finite, labels are no integers from 0, or there are fewer elements than concepts.
    """
    embeddings, features, labels = np.asarray(embeddings, np.float32), np.asarray(features, np.float32), np.asarray(labels)
    if embeddings.ndim != 2 or features.ndim != 2 or embeddings.shape[1] != features.shape[1] or labels.shape != features.shape[:1]:
        found = f"{embeddings.shape}, {features.shape} and {labels.shape}"
        raise ValueError(f"embeddings, features, labels: found shapes {found}; expected (elements, dims), (pictures, dims), (pictures,)")
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(f"labels: found {labels.dtype}, e.g. {labels[0]!r}; expected integers from 0")
    for name, values in (("embeddings", embeddings), ("features", features)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: found {np.count_nonzero(~np.isfinite(values))} values that are not finite; expected none")
    if not 1 <= concepts <= len(embeddings):
        raise ValueError(f"concepts: found {concepts} for {len(embeddings)} elements; expected 1 to {len(embeddings)}")
    generator = torch.Generator().manual_seed(seed)
    elements = functional.normalize(torch.from_numpy(embeddings), dim=1)
    inputs, truth = torch.from_numpy(features), torch.from_numpy(labels.astype(np.int64))
    choice = torch.nn.Parameter(_DEVIATION * torch.randn(len(elements), concepts, generator=generator))
    norm = torch.nn.LayerNorm(concepts)
    head = torch.nn.Linear(concepts, int(labels.max()) + 1)
    torch.nn.init.trunc_normal_(head.weight, std=_DEVIATION, generator=generator)
    torch.nn.init.zeros_(head.bias)
    optimiser = torch.optim.Adam([choice, *norm.parameters(), *head.parameters()], lr=rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.99)
    keep = kept(concepts, sparsity)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=generator).split(batch_size):
            logits = norm(choice) / _TEMPERATURE
            noise = -torch.empty_like(logits).exponential_(generator=generator).log()
            soft = (logits + noise).softmax(1)
            hard = functional.one_hot(soft.argmax(1), concepts).float()
            vectors = functional.normalize((hard + soft - soft.detach()).T @ elements, dim=1)
            shown = functional.layer_norm(inputs[rows] @ vectors.T, (concepts,))
            threshold = shown.detach().abs().topk(keep, dim=1).values[:, -1:]
            loss = functional.cross_entropy(head(shown * (shown.detach().abs() >= threshold)), truth[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    with torch.no_grad():
        assigned = norm(choice).argmax(1).numpy()
    used, assigned = np.unique(assigned, return_inverse=True)
    sums = np.zeros((len(used), elements.shape[1]))
    np.add.at(sums, assigned, elements.numpy())
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    vectors = (sums / np.where(lengths > 0, lengths, 1)).astype(np.float32)[lengths[:, 0] > 0]
    settings = {"concepts": concepts, "used": len(vectors), "sparsity": sparsity, "epochs": epochs, "rate": rate, "seed": seed}
    return ConceptLibrary(vectors, "end2end", elements=None, source=source or {}, settings=settings)
