"""Classifiers that LICO trains, by name, with the layer whose output are their last feature maps.

| name | pictures | last maps | |
|---|---|---|---|
| `small` | 64 x 64 | 64 of 8 x 8 | the residual network of this project, for scenes |
| `resnet20` | 32 x 32 | 64 of 8 x 8 | He et al., CVPR 2016 |
| `wrn-28-2`, `wrn-28-8` | 32 x 32 | 128 or 512 of 8 x 8 | the paper's, for CIFAR and SVHN |
| `parn-18` | 224 x 224 | 512 of 7 x 7 | the paper's |
| `torchvision:resnet50` | 224 x 224 | 2048 of 7 x 7 | the paper's, for ImageNet |

Each is a plain module, batch -> logits: what is left after training is that module, with nothing of the texts in it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torchvision
from torch import nn

from lib.attribution.sites import evaluating
from lib.encoders.cifar_networks import CifarResNet
from lib.encoders.networks import ResidualBlock, ResidualNetwork
from lib.encoders.wide_networks import activation_first_resnet18, wide_resnet
from lib.keyed_random import keys


class SmallClassifier(nn.Module):
    """The residual network for scenes and a linear layer; its last stage has no stride, so that the last maps are 8 x 8."""

    def __init__(self, classes: int, width: int = 16):
        super().__init__()
        self.trunk = ResidualNetwork(width)
        self.trunk.stage3 = nn.Sequential(ResidualBlock(2 * width, 4 * width, 1))
        self.linear = nn.Linear(self.trunk.dims, classes)

    def embed(self, x):
        return self.trunk.features(x)

    def forward(self, x):
        return self.linear(self.embed(x))


BACKBONES: dict[str, tuple[Callable[[int], nn.Module], str, int]] = {
    "small": (SmallClassifier, "trunk.stage3", 64),
    "resnet20": (lambda classes: _with_classes(CifarResNet(3), "linear", classes), "layer3", 32),
    "wrn-28-2": (lambda classes: wide_resnet(28, 2, classes), "last", 32),
    "wrn-28-8": (lambda classes: wide_resnet(28, 8, classes), "last", 32),
    "parn-18": (activation_first_resnet18, "last", 224),
    "torchvision:resnet50": (lambda classes: torchvision.models.resnet50(num_classes=classes), "layer4", 224),
}


@dataclass(frozen=True)
class Backbone:
    """A classifier and where its last feature maps are.

    Args:
        name: from the table above, or the reader's own.
        module: batch -> (n, classes) logits.
        layer: name of the part whose output are the last feature maps.
        side: pixels a side of its pictures.
    """

    name: str
    module: nn.Module
    layer: str
    side: int

    def look(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, channels, h, w) last feature maps, and (n, classes) logits, in one pass and with gradient.

        Raises:
            ValueError: if the layer is not there, or its output has no places.
        """
        parts = dict(self.module.named_modules())
        if self.layer not in parts:
            raise ValueError(f"layer: found {self.layer!r}; expected a part of {self.name}, e.g. {', '.join(list(parts)[1:5])}")
        kept = []
        hook = parts[self.layer].register_forward_hook(lambda _, __, output: kept.append(output))
        try:
            logits = self.module(batch)
        finally:
            hook.remove()
        if not kept or kept[-1].ndim != 4:
            found = f"shape {tuple(kept[-1].shape)}" if kept else "nothing"
            raise ValueError(f"layer: found {found} from {self.layer!r} of {self.name}; expected feature maps (n, channels, h, w)")
        return kept[-1], logits

    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the last feature maps."""
        return tuple(self._at_nothing()[0].shape[1:])

    def classes(self) -> int:
        """Number of logits."""
        return self._at_nothing()[1].shape[1]

    def _at_nothing(self):
        with torch.no_grad(), evaluating(self.module):  # batch norms must not see the empty picture
            return self.look(torch.zeros(1, 3, self.side, self.side, device=next(self.module.parameters()).device))


def backbone(name: str, classes: int, *, seed: int = 0) -> Backbone:
    """An untrained backbone; its initial weights belong to the seed.

    Args:
        name: from the table above.
        classes: number of logits, at least 2.
        seed: of the weights.

    Raises:
        ValueError: if the name is unknown or there are fewer than two classes.
    """
    if name not in BACKBONES:
        raise ValueError(f"name: found {name!r}; expected one of {', '.join(BACKBONES)}")
    if classes < 2:
        raise ValueError(f"classes: found {classes}; expected at least two")
    build, layer, side = BACKBONES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(keys(seed, 114) >> np.uint64(1)))
        return Backbone(name, build(classes), layer, side)


def _with_classes(module, attribute, classes):
    linear = getattr(module, attribute)
    if linear.out_features != classes:
        setattr(module, attribute, nn.Linear(linear.in_features, classes))
    return module
