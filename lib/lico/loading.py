"""Batches of pictures as networks take them, augmented in training."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image

from lib.datasets.pictures import Pictures, in_threads
from lib.encoders.networks import normalised

FLIPPED, CROPPED, BOTH, PLAIN = "flipped", "cropped", "cropped and flipped", "as they are"
CUT = "cut out, resized and flipped"  # for photographs
AUGMENTATIONS = (FLIPPED, CROPPED, BOTH, PLAIN, CUT)
Loader = Callable[[np.ndarray, torch.Generator | None], torch.Tensor]

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # of what is cut out of a photograph, of all of it; and of its width to its height
SHORTER = 256 / 224  # length of the shorter side, before the middle is cut out


def loader(pictures: Pictures, augmentation: str = PLAIN, *, side: int = 0) -> Loader:
    """Row numbers and a generator -> normalised pictures; without a generator nothing is augmented.

    Args:
        pictures: of one size, or of various sizes, photographs say.
        augmentation: of training pictures: "flipped" at random; "cropped" (a window moved by up to 4 pixels); both; "as they are"; or "cut
            out, resized and flipped": a random part (8 to 100 % of the area, 3:4 to 4:3) brought to the side, as ImageNet is augmented.
        side: what pictures are brought to, for "cut out" and for pictures of various sizes, of which the middle is taken where nothing is
            augmented; 0 leaves pictures of one size as they are.

    Raises:
        ValueError: if the augmentation is unknown, or pictures are to be cut out and no side is given.
    """
    if augmentation not in AUGMENTATIONS:
        raise ValueError(f"augmentation: found {augmentation!r}; expected one of {', '.join(AUGMENTATIONS)}")
    if augmentation == CUT and not side:
        raise ValueError(f"side: found {side} with pictures that are {CUT}; expected the pixels a side of the network's pictures")

    def load(rows: np.ndarray, drawing: torch.Generator | None) -> torch.Tensor:
        found = pictures.read(np.asarray(rows))
        cut = drawing is not None and augmentation == CUT
        if side and (cut or isinstance(found, list)):
            boxes = [_part(one.shape[:2], drawing) if cut else _middle(one.shape[:2]) for one in found]
            found = in_threads(partial(_resized, side=side), list(zip(found, boxes, strict=True)))
        x = normalised(np.asarray(found))
        if drawing is None or augmentation == PLAIN:
            return x
        if augmentation in (CROPPED, BOTH):
            x = _cropped(x, drawing)
        if augmentation == CROPPED:
            return x
        turned = torch.rand(len(x), generator=drawing) < 0.5
        return torch.where(turned[:, None, None, None], x.flip(3), x)

    return load


def _cropped(x, drawing, margin=4):
    """A window of the same size, moved by up to `margin` pixels; what lies beside the picture is mean grey."""
    n, _, height, width = x.shape
    padded = torch.nn.functional.pad(x, [margin] * 4)
    moves = torch.randint(0, 2 * margin + 1, (2, n), generator=drawing)
    rows = (moves[0][:, None] + torch.arange(height))[:, None, :, None].expand(-1, x.shape[1], -1, padded.shape[3])
    columns = (moves[1][:, None] + torch.arange(width))[:, None, None].expand(-1, x.shape[1], height, -1)
    return padded.gather(2, rows).gather(3, columns)


def _part(size, drawing, attempts=10):
    """Left, upper, right and lower of a random part of a picture; of what does not fit in ten attempts, the middle."""
    height, width = size
    for _ in range(attempts):
        area = height * width * _between(*AREA, drawing)
        ratio = math.exp(_between(math.log(RATIO[0]), math.log(RATIO[1]), drawing))
        wide, high = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if wide <= width and high <= height:
            left, upper = _between(0, width - wide, drawing), _between(0, height - high, drawing)
            return left, upper, left + wide, upper + high
    return _middle(size)


def _middle(size):
    height, width = size
    half = min(height, width) / SHORTER / 2
    return width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half


def _resized(picture_and_box, side):
    picture, box = picture_and_box
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR, box))


def _between(low, high, drawing):
    return low + (high - low) * float(torch.rand((), generator=drawing, dtype=torch.float64))
