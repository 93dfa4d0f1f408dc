"""Is this encoder what it says it is? A look at its output, and its accuracy where it has a head and the pictures have its labels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest

from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder

FEW = 8                 # pictures for the checks of form


@dataclass(frozen=True)
class Sanity:
    """What an encoder was seen to do."""

    encoder: str
    pictures: str
    count: int
    dimension: int                          # of the embedding
    accuracy: float | None                  # top-1, as a share; None without a head or without its labels
    interval: tuple[float, float] | None    # 95 % (Wilson)
    expected: float | None                  # the accuracy stated elsewhere, as a share

    @property
    def agrees(self) -> bool | None:
        """Whether the stated accuracy lies in the interval; None where there is nothing to compare."""
        if self.accuracy is None or self.expected is None:
            return None
        return self.interval[0] <= self.expected <= self.interval[1]


def check(encoder: Encoder, pictures: Pictures, expected: float | None = None, *, size: int = 128, tolerance: float = 1e-5) -> Sanity:
    """Check the form of an encoder's output on a few pictures, then measure its accuracy on all of them.

    Args:
        encoder: the encoder.
        pictures: at least one; with the labels of the encoder's head for an accuracy. Labels are taken to be those of the head if the
            number of classes is the same and the data set is not known to be another one than the encoder's.
        expected: accuracy stated elsewhere, in [0, 1].
        size: pictures per batch.
        tolerance: largest difference allowed between batch sizes and between two passes, as a share of the largest value of the output.

    Raises:
        ValueError: if the module is in training mode, or an output is not of the form declared, not finite, or depends on batch or pass.
    """
    if expected is not None and not 0 <= expected <= 1:
        raise ValueError(f"expected: found {expected}; expected a share in [0, 1]")
    if not len(pictures):
        raise ValueError(f"pictures: {pictures.name}: found none; expected at least one")
    training = [name or "the module itself" for name, layer in encoder.module.named_modules() if layer.training]
    if training:
        raise ValueError(f"{encoder.name}: found {len(training)} layers in training mode ({training[0]}, ...); expected eval mode")
    with torch.no_grad():
        dimension, classes = _form(encoder, pictures.read(np.arange(min(FEW, len(pictures)))), tolerance)
        accuracy = interval = None
        if classes and _labels_of_head(encoder, pictures, classes):
            right = sum(int((encoder.classify(encoder.preprocess(batch)).argmax(1).cpu().numpy() == pictures.labels[indices]).sum())
                        for indices, batch in pictures.batches(size))
            accuracy, wilson = right / len(pictures), binomtest(right, len(pictures)).proportion_ci(method="wilson")
            interval = float(wilson.low), float(wilson.high)
    return Sanity(encoder.name, pictures.name, len(pictures), dimension, accuracy, interval, expected)


def _labels_of_head(encoder: Encoder, pictures: Pictures, classes: int) -> bool:
    dataset = pictures.identity.get("dataset", "")
    same = not encoder.circular_labels or not dataset or encoder.circular_labels == dataset
    return pictures.labels is not None and len(pictures.class_names) == classes and same


def _form(encoder: Encoder, few: np.ndarray | list[np.ndarray], tolerance: float) -> tuple[int, int | None]:
    """Dimension of the embedding and number of classes (None without a head)."""
    batch = encoder.preprocess(few)
    if not isinstance(batch, torch.Tensor) or batch.ndim != 4 or batch.shape[:2] != (len(few), 3) or not batch.is_floating_point():
        raise ValueError(f"{encoder.name}: preprocess: found {_described(batch)}; "
                         f"expected a float tensor of shape ({len(few)}, 3, height, width)")
    dimension = _columns(f"{encoder.name}: embed", encoder.embed, batch, tolerance)
    return dimension, None if encoder.classify is None else _columns(f"{encoder.name}: classify", encoder.classify, batch, tolerance)


def _columns(name: str, function: Callable, batch: torch.Tensor, tolerance: float) -> int:
    """Number of columns of an output that is checked to be one finite row per picture, the same in every pass and batch."""
    together = _checked(f"{name}: {len(batch)} pictures", function(batch), len(batch))
    again = _checked(f"{name}: a second pass", function(batch), len(batch))
    alone = torch.cat([_checked(f"{name}: one picture", function(picture[None]), 1) for picture in batch])
    scale = max(float(together.abs().max()), torch.finfo(together.dtype).tiny)
    for case, other in (("in a second pass", again), ("one by one", alone)):
        if other.shape != together.shape:
            raise ValueError(f"{name}: found {other.shape[1]} columns for the same pictures {case}; expected {together.shape[1]}")
        if (difference := float((other - together).abs().max()) / scale) > tolerance:
            raise ValueError(f"{name}: found a difference of {difference:.2g} of the largest value for the same pictures {case}; "
                             f"expected at most {tolerance:g}")
    return together.shape[1]


def _checked(name: str, output: object, count: int) -> torch.Tensor:
    if not isinstance(output, torch.Tensor) or output.ndim != 2 or len(output) != count or not output.is_floating_point():
        raise ValueError(f"{name}: found {_described(output)}; expected a float tensor of shape ({count}, columns), one row per picture")
    if not torch.isfinite(output).all():
        raise ValueError(f"{name}: found {int((~torch.isfinite(output)).sum())} values that are not finite; expected none")
    return output


def _described(output: object) -> str:
    return f"{output.dtype} of shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
