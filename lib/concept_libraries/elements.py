"""Visual elements: pieces of pictures whose embeddings become concept vectors.

Two kinds, after Shen et al. 2025 (specs/iis.md 2.3): the tiles of a 4 x 4 grid, and superpixels at three granularities, each cut out on
grey. Both are enlarged to the size of the picture, since that is what the encoder was made for.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from skimage.segmentation import slic

from lib import store
from lib.datasets.pictures import Pictures, in_threads
from lib.encoders.encoder import Encoder
from lib.keyed_random import generator
from lib.survey import code_of

GRID = 4
GRANULARITIES = (10, 20, 30)  # superpixels asked for
MOST_SEGMENTS = 5  # kept at each granularity
LEAST_AREA = 0.001  # share of the picture
MOST_OVERLAP = 0.5  # Jaccard index with segments kept before
GREY = 117


@dataclass(frozen=True)
class Elements:
    """Pieces of pictures."""

    crops: np.ndarray  # (elements, height, width, 3) uint8
    pictures: np.ndarray  # (elements,) which picture each was cut from, an index into the pictures given
    classes: np.ndarray  # (elements,) class of that picture
    source: Mapping[str, object]  # identity of the pictures
    cut: str  # "patches" or "segments"

    def __len__(self) -> int:
        return len(self.crops)


def elements_of(pictures: Pictures, cut: str, *, per_class: int = 10, seed: int = 0) -> Elements:
    """Elements of so many pictures of every class.

    Args:
        pictures: labelled training pictures.
        cut: "patches" or "segments".
        per_class: pictures a class.
        seed: of their choice.

    Raises:
        ValueError: if the cut is unknown, pictures have no labels, or a class has too few.
    """
    cuts = {"patches": patches, "segments": segments}
    if cut not in cuts:
        raise ValueError(f"cut: found {cut!r}; expected one of {', '.join(cuts)}")
    if pictures.labels is None:
        raise ValueError(f"pictures: found {pictures.name} without labels; expected labelled pictures, to draw evenly over classes")
    return cuts[cut](pictures, balanced(pictures.labels, per_class, seed=seed))


def balanced(labels, per_class: int, *, seed: int = 0) -> np.ndarray:
    """Indices of so many pictures of every class, drawn at random, ascending.

    Raises:
        ValueError: if a class has fewer.
    """
    labels = np.asarray(labels)
    order = generator(seed, 74).permutation(len(labels))
    chosen = []
    for one in np.unique(labels):
        members = order[labels[order] == one]
        if not 1 <= per_class <= len(members):
            raise ValueError(f"per_class: found {per_class} for the {len(members)} pictures of class {one}; expected 1 to {len(members)}")
        chosen.append(members[:per_class])
    return np.sort(np.concatenate(chosen))


def patches(pictures: Pictures, indices: Sequence[int]) -> Elements:
    """The 16 tiles of a 4 x 4 grid of each picture, of a quarter of its sides rounded down."""
    return _cut(pictures, indices, "patches", _tiles)


def segments(pictures: Pictures, indices: Sequence[int]) -> Elements:
    """Superpixels of each picture (SLIC, compactness 10, smoothed by a Gaussian of 1 pixel) on grey, at most 15.

    At each of three granularities the five largest are kept that cover more than 0.1 % of the picture, are at least two pixels wide and
    high, and overlap none that was kept at a coarser granularity by more than half (Jaccard index). Which five the authors keep is not
    known.
    """
    return _cut(pictures, indices, "segments", _superpixels)


def embedded(encoder: Encoder, elements: Elements, *, batch_size: int = 256) -> np.ndarray:
    """The encoder's embedding of every element, (elements, dims) float32; kept in the cache."""

    def make():
        with torch.no_grad():
            parts = [
                encoder.embed(encoder.preprocess(elements.crops[start : start + batch_size])).float().cpu().numpy()
                for start in range(0, len(elements), batch_size)
            ]
        return {"vectors": np.concatenate(parts)}

    crops = hashlib.sha256(elements.crops.tobytes()).hexdigest()
    return store.fetch("elements", {"encoder": encoder.identity, "crops": crops}, make, code=[embedded, *code_of(encoder)])["vectors"]


def _cut(pictures, indices, name, cut):
    indices = np.asarray(indices)
    pieces = in_threads(lambda index: cut(np.asarray(pictures.read(np.array([index]))[0])), list(indices))
    owners = np.repeat(indices, [len(one) for one in pieces])
    crops = np.concatenate([np.stack(one) for one in pieces if len(one)])
    return Elements(crops, owners, np.asarray(pictures.labels)[owners], dict(pictures.identity), name)


def _tiles(picture):
    height, width = (side // GRID for side in picture.shape[:2])
    if not height or not width:
        raise ValueError(f"pictures: found one of {picture.shape[0]} x {picture.shape[1]} pixels; expected at least {GRID} x {GRID}")
    corners = [(row * height, column * width) for row in range(GRID) for column in range(GRID)]
    return [_enlarged(picture[top : top + height, left : left + width], picture.shape) for top, left in corners]


def _superpixels(picture):
    kept, found = [], []
    for granularity in GRANULARITIES:
        labels = slic(picture, n_segments=granularity, compactness=10, sigma=1, start_label=0)
        coarser, taken = list(kept), 0
        for one in np.argsort(-np.bincount(labels.ravel()), kind="stable"):
            mask = labels == one
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            small = mask.mean() <= LEAST_AREA or len(rows) < 2 or len(columns) < 2
            if small or any((mask & other).sum() / (mask | other).sum() > MOST_OVERLAP for other in coarser):
                continue
            kept.append(mask)
            box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            found.append(_enlarged(np.where(mask[..., None], picture, np.uint8(GREY))[box], picture.shape))
            taken += 1
            if taken == MOST_SEGMENTS:
                break
    return found


def _enlarged(piece, shape):
    return np.asarray(Image.fromarray(np.ascontiguousarray(piece)).resize(shape[1::-1], Image.Resampling.BICUBIC))
