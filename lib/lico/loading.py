"""Batches of pictures as networks take them, augmented in training."""

from collections.abc import Callable

import numpy as np
import torch

from lib.datasets.pictures import Pictures
from lib.encoders.networks import normalised

FLIPPED, CROPPED, BOTH, PLAIN = "flipped", "cropped", "cropped and flipped", "as they are"
Loader = Callable[[np.ndarray, torch.Generator | None], torch.Tensor]


def loader(pictures: Pictures, augmentation: str = PLAIN) -> Loader:
    """Row numbers and a generator -> normalised pictures; without a generator nothing is augmented."""

    def load(rows: np.ndarray, drawing: torch.Generator | None) -> torch.Tensor:
        x = normalised(np.asarray(pictures.read(np.asarray(rows))))
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
