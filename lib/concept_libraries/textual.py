"""Textual concepts: directions of a representation whose activations follow the similarity of pictures and names in a CLIP.

Shen et al. 2025, equation 2, which is the cos-cubed similarity of label-free concept bottlenecks (Oikarinen et al., ICLR 2023): with q the
activations of a concept over pictures and p its CLIP similarities, both centred and cubed value by value,

    similarity = <q', p'> / (|q'| |p'|),      maximised over the directions.

The authors' last release minimises a distance with its sign turned round, so that every concept points away from its name (specs/iis.md,
B1); a test holds the sign here.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lib.concept_libraries.library import ConceptLibrary
from lib.keyed_random import generator
from lib.torch_threads import exactly

LEAST_SEEN = 0.25  # mean of a concept's five highest CLIP similarities
LEAST_SIMILARITY = 0.45  # of a learned concept with its name, on pictures that were not fitted to
_STEPS, _CHECK, _RATE, _BATCH = 1000, 50, 1e-3, 50_000


def cubed_similarity(activations: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(pictures, concepts) twice -> (concepts,) in [-1, 1]."""
    cubes = [((one - one.mean(0)) ** 3) for one in (activations, targets)]
    lengths = [one.norm(dim=0).clamp_min(1e-30) for one in cubes]
    return (cubes[0] / lengths[0] * (cubes[1] / lengths[1])).sum(0)


def seen(similarities, least: float = LEAST_SEEN) -> np.ndarray:
    """(concepts,) bool: is the mean of a concept's five highest similarities above `least`? similarities: (pictures, concepts)."""
    similarities = np.asarray(similarities)
    highest = np.sort(similarities, axis=0)[-5:]
    return highest.mean(0) > least


def textual(
    features, similarities, names: Sequence[str], held_out, *, least_seen: float = LEAST_SEEN, least_similarity: float = LEAST_SIMILARITY,
    seed: int = 0, source: Mapping[str, object] | None = None,
) -> ConceptLibrary:  # fmt: skip
    """Learn one direction a name.

    Args:
        features: (pictures, dims) of the training pictures.
        similarities: (pictures, names) cosine of each picture with each name in a CLIP.
        names: of the concepts.
        held_out: (pictures,) bool: the pictures that stop the learning and judge each concept; never test pictures.
        least_seen: names whose five most similar pictures are less similar on average are left out before learning.
        least_similarity: concepts whose activations follow their name less on held-out pictures are left out afterwards.
        seed: of the batches.
        source: identity of the pictures.

    Returns:
        ConceptLibrary with z-scored activations; `settings` says how many names each filter left out.

    Raises:
        ValueError: if shapes disagree, a value is not finite, a name is repeated, or a filter leaves none.
    """
    features, similarities, held_out = np.asarray(features, np.float32), np.asarray(similarities, np.float32), np.asarray(held_out, bool)
    if features.ndim != 2:
        raise ValueError(f"features: found shape {features.shape}; expected (pictures, dims)")
    for name, values in (("features", features), ("similarities", similarities)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: found {np.count_nonzero(~np.isfinite(values))} values that are not finite; expected none")
    if len(set(names)) < len(names):
        raise ValueError(f"names: found {len(names) - len(set(names))} repeated; expected each once")
    if similarities.shape != (len(features), len(names)) or held_out.shape != (len(features),):
        found = f"{similarities.shape} and {held_out.shape} for {len(features)} pictures and {len(names)} names"
        raise ValueError(f"similarities, held_out: found shapes {found}; expected (pictures, names) and (pictures,)")
    if held_out.all() or not held_out.any():
        raise ValueError(f"held_out: found {held_out.sum()} of {len(held_out)} pictures; expected some, and some left to learn from")
    chosen = np.flatnonzero(seen(similarities[~held_out], least_seen))
    if not len(chosen):
        raise ValueError(f"least_seen: found {least_seen}, above every one of {len(names)} names; expected a lower value")
    directions, reached = _learned(features, similarities[:, chosen], held_out, seed)
    kept = reached > least_similarity
    if not kept.any():
        raise ValueError(f"least_similarity: found {least_similarity}, above all {len(chosen)} concepts ({reached.max():.2f} at most)")
    settings = {
        "names": len(names), "not seen": len(names) - len(chosen), "not learned": int((~kept).sum()), "least_seen": least_seen,
        "least_similarity": least_similarity, "seed": seed,
    }  # fmt: skip
    return ConceptLibrary(
        directions[kept], "text", names=tuple(names[one] for one in chosen[kept]), source=source or {}, settings=settings,
        normalisation="concept",
    )  # fmt: skip


@exactly(1)
def _learned(features, similarities, held_out, seed):
    """Directions (concepts, dims) by Adam, and the similarity of each on held-out pictures; stops when a check is no better."""
    spread = np.sqrt(np.square(features[~held_out] - features[~held_out].mean(0)).mean())
    inputs, targets = (torch.from_numpy(one) for one in (features / max(float(spread), 1e-30), similarities.copy()))
    fitted, checked = torch.from_numpy(np.flatnonzero(~held_out)), torch.from_numpy(np.flatnonzero(held_out))
    rng = generator(seed, 75)
    weights = torch.nn.Parameter(torch.from_numpy(
        rng.standard_normal((similarities.shape[1], features.shape[1]), dtype=np.float32) / np.float32(np.sqrt(features.shape[1]))
    ))  # fmt: skip
    optimiser = torch.optim.Adam([weights], lr=_RATE)
    best, best_mean = None, -np.inf
    for step in range(_STEPS + 1):
        if step % _CHECK == 0:
            with torch.no_grad():
                reached = cubed_similarity(inputs[checked] @ weights.T, targets[checked])
            if reached.mean() <= best_mean:
                break
            best, best_mean = (weights.detach().clone(), reached.clone()), float(reached.mean())
        batch = fitted
        if len(fitted) > _BATCH:
            batch = fitted[torch.from_numpy(rng.permutation(len(fitted))[:_BATCH])]
        optimiser.zero_grad()
        (-cubed_similarity(inputs[batch] @ weights.T, targets[batch]).mean()).backward()
        optimiser.step()
    return best[0].numpy(), best[1].numpy()
