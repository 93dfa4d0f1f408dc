"""An encoder: a frozen network together with how pictures go in and which embedding comes out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Encoder:
    """A network as the measures see it: pictures -> preprocess -> embed, classify, or the activations of any layer of `module`.

    Args:
        name: the string that loads it, e.g. "published:resnet20".
        module: in eval mode and on its device; calling it on a preprocessed batch runs every layer.
        preprocess: uint8 pictures, (n, height, width, 3) or a list of (height, width, 3), -> float tensor (n, 3, h, w) on the device.
        embed: preprocessed batch -> (n, d) pooled penultimate embedding; switching gradients off is the caller's business.
        classify: preprocessed batch -> (n, classes) logits, or None where there is no head.
        identity: plain values and hashes of weights that determine the function exactly.
        circular_labels: name of the data set whose labels trained it ("cifar10", "imagenet", or ""): a similarity measured with this
            encoder is circular for networks trained on the same labels.
    """

    name: str
    module: torch.nn.Module
    preprocess: Callable
    embed: Callable[[torch.Tensor], torch.Tensor]
    classify: Callable[[torch.Tensor], torch.Tensor] | None
    identity: dict
    circular_labels: str = ""
