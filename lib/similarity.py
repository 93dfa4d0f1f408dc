"""How alike two pictures look: one interface for all similarities that stand in for a person's eye.

A similarity is named by a string:

| name | what judges |
|---|---|
| any encoder, e.g. `local:simclr,seed=1` | the pooled embedding of that network |
| `descriptor:hog_colour` | gradients and colours, nothing learned |
| `oracle:concepts` | the true concepts of the pictures, where they are known: how many factor values two pictures share |
| `dreamsim` | DreamSim, fitted to human judgements; the one of the MIS paper |
| `lpips`, `dists` | perceptual distances of pairs; no embeddings, so for few units only |

Embeddings have rows of mean 0 and length 1, so that the similarity of two pictures is the dot product of their rows, a Pearson
correlation (the normalisation of DreamSim, for all). A similarity network trained on the labels of the network under study would find
that network's units alike because both were taught the same classes: `is_circular` says so.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lib import descriptors, encoders, perceptual, store
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.paths import CACHE

DESCRIPTOR, ORACLE, DREAMSIM, DISTANCES = "descriptor:hog_colour", "oracle:concepts", "dreamsim", ("lpips", "dists")
IMAGENET_LABELS = "imagenet"        # taught the backbones of LPIPS and DISTS


def embeddings(name: str, pictures: Pictures, *, device: str = "cpu", batch_size: int = 256, cache: Path | None = CACHE) -> np.ndarray:
    """Embed pictures so that dot products are similarities.

    Args:
        name: see the module; not `lpips` or `dists`, which have no embeddings (use `pairwise`).
        pictures: the pictures; `oracle:concepts` needs their concepts.
        device: where a network runs.
        batch_size: pictures at a time; does not change the result beyond rounding.
        cache: folder that keeps the embeddings, by the identity of the pictures, of the encoder, and of the code; None keeps nothing.

    Returns:
        (count, dims) float32; every row has mean 0 and length 1.

    Raises:
        ValueError: if the name is not known, the pictures have no concepts, or a row is constant or not finite.
    """
    if name in DISTANCES:
        raise ValueError(f"name: found {name!r}, which compares pairs and has no embeddings; expected another one, or use pairwise()")
    if name.startswith(("descriptor:", "oracle:")) and name not in (DESCRIPTOR, ORACLE):
        raise ValueError(f"name: found {name!r}; expected {DESCRIPTOR!r}, {ORACLE!r}, {DREAMSIM!r} or the name of an encoder")
    if batch_size < 1:
        raise ValueError(f"batch_size: found {batch_size}; expected at least 1")
    if not len(pictures):
        raise ValueError(f"pictures: {pictures.name}: found none; expected at least one")
    if name == ORACLE:
        return normalised(concept_rows(pictures), f"{name} of {pictures.name}")

    # The less code is part of an entry's name, the fewer edits empty the cache: DreamSim does not depend on how encoders are trained.
    if name == DESCRIPTOR:
        identity, code, load = {"encoder": name}, descriptors, lambda: descriptors.hog_colour
    elif name == DREAMSIM:
        identity, code, load = perceptual.dreamsim_identity(), perceptual, lambda: perceptual.load_dreamsim(device=device)
    else:
        encoder = encoders.load(name, device=device)
        identity, code, load = encoder.identity, embeddings, lambda: _embed_with(encoder)

    def make():
        embed = load()
        return {"rows": np.concatenate([embed(batch) for _, batch in pictures.batches(batch_size)]).astype(np.float32, copy=False)}

    inputs = {"pictures": pictures.identity, "encoder": identity, "device": torch.device(device).type}
    rows = (make() if cache is None else store.fetch("embeddings", inputs, make, code=[code], folder=cache))["rows"]
    if rows.ndim != 2 or len(rows) != len(pictures):
        raise ValueError(f"{name}: found embeddings of shape {rows.shape}; expected ({len(pictures)}, dims)")
    return normalised(rows, f"{name} of {pictures.name}")


def pairwise(
    name: str, pictures: Pictures, *, device: str = "cpu", batch_size: int = 64, cache: Path | None = CACHE,
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The similarity of chosen pairs, for every name, also for `lpips` and `dists` (minus the distance).

    Args:
        name: see the module.
        pictures: the pictures that the indices count.
        device: where a network runs.
        batch_size: pairs at a time for `lpips` and `dists`.
        cache: as in `embeddings`.

    Returns:
        A function: first (n,) and second (n,) indices -> (n,) similarities, higher is more alike.
    """
    if name in DISTANCES:
        distance = perceptual.load_distance(name, device=device)

        def similarity(first, second):
            first, second = _pairs(first, second, len(pictures))
            parts = [slice(start, start + batch_size) for start in range(0, len(first), batch_size)]
            return -np.concatenate([np.empty(0), *(distance(pictures.read(first[part]), pictures.read(second[part])) for part in parts)])
    else:
        rows = embeddings(name, pictures, device=device, cache=cache)

        def similarity(first, second):
            first, second = _pairs(first, second, len(rows))
            return np.einsum("nd,nd->n", rows[first], rows[second], dtype=np.float64)

    return similarity


def is_circular(name: str, studied: Encoder) -> bool:
    """Whether a similarity was taught by the labels that taught the studied network, or is that network.

    LPIPS and DISTS are built on networks that were trained on ImageNet's labels. Descriptors, the concept oracle and DreamSim saw no
    class labels.

    Args:
        name: of the similarity.
        studied: the network whose units are scored.
    """
    if name in (DESCRIPTOR, ORACLE, DREAMSIM):
        return False
    if name in DISTANCES:
        return studied.circular_labels == IMAGENET_LABELS
    judge = encoders.load(name)
    return judge.identity == studied.identity or judge.circular_labels == studied.circular_labels != ""


def normalised(rows: np.ndarray, name: str) -> np.ndarray:
    """Rows minus their own mean, scaled to length 1, float32.

    Args:
        rows: (count, dims).
        name: of what is embedded, for the error.

    Raises:
        ValueError: if a row is constant or not finite: it has no direction.
    """
    rows = np.asarray(rows, np.float32)
    scale = np.abs(rows).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):     # infinite values are found below
        rows = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    # What is left of a constant row is rounding: about 1e-7 of its values in each of the dims.
    bad = np.flatnonzero(~(length > 1e-6 * np.sqrt(rows.shape[1]) * scale))
    if len(bad):
        raise ValueError(f"{name}: found {len(bad)} of {len(rows)} embeddings constant or not finite (the first: picture {bad[0]}); "
                         "expected embeddings that vary, a constant one has no direction and is alike to nothing")
    rows /= length
    return rows


def concept_rows(pictures: Pictures) -> np.ndarray:
    """The true concepts as vectors whose dot products count shared factor values.

    Concepts that share the part of their name before the colon ("shape: star", "shape: disc") are the values of one factor. Each factor's
    block has length 1, so all factors weigh alike, whatever the number of their values; where a factor has none of its values, "none" is
    a value of its own. With one value per factor the dot product is the number of shared values, and subtracting the rows' common mean
    leaves it so up to an affine map.

    Returns:
        (count, values) float32.

    Raises:
        ValueError: if the pictures have no concepts.
    """
    if pictures.concepts is None or not len(pictures.concepts.columns):
        raise ValueError(f"pictures: {pictures.name}: found no concepts, which {ORACLE} needs; expected a set that has them (scenes)")
    factors = np.array([str(column).partition(":")[0].strip() for column in pictures.concepts.columns])
    present = pictures.concepts.to_numpy(dtype=np.float32)
    blocks = []
    for factor in dict.fromkeys(factors):
        block = present[:, factors == factor]
        none = block.sum(axis=1, keepdims=True) == 0
        block = np.hstack([block, none]) if none.any() else block
        blocks.append(block / np.sqrt(block.sum(axis=1, keepdims=True)))
    return np.hstack(blocks)


def _embed_with(encoder: Encoder) -> Callable:
    def embed(batch):
        with torch.no_grad():
            return encoder.embed(encoder.preprocess(batch)).float().cpu().numpy()
    return embed


def _pairs(first, second, count: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape or first.ndim != 1 or not {first.dtype.kind, second.dtype.kind} <= set("iu"):
        found = f"{first.dtype} {first.shape} and {second.dtype} {second.shape}"
        raise ValueError(f"first, second: found {found}; expected two equally long vectors of indices")
    both = np.concatenate([first, second])
    if len(both) and not 0 <= both.min() <= both.max() < count:
        raise ValueError(f"first, second: found indices from {both.min()} to {both.max()}; expected 0 to {count - 1}")
    return first, second
