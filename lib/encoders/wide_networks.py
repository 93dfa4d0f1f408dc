"""The two networks of the LICO paper that torchvision does not have: wide residual networks, and a residual network that activates first.

Zagoruyko and Komodakis, BMVC 2016; He et al., ECCV 2016. In both, the last feature maps come after a last batch norm and activation, and
global average pooling and a linear layer follow.
"""

import torch
from torch import nn


class ActivationFirstBlock(nn.Module):
    """Batch norm, activation, 3x3 convolution, twice, around a shortcut; where the shape changes, both sides start from the activation."""

    def __init__(self, before: int, channels: int, stride: int, slope: float):
        super().__init__()
        self.bn1, self.activation = nn.BatchNorm2d(before), nn.LeakyReLU(slope)
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(channels), nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.shortcut = None if stride == 1 and before == channels else nn.Conv2d(before, channels, 1, stride, bias=False)

    def forward(self, x):
        activated = self.activation(self.bn1(x))
        residual = self.conv2(self.activation(self.bn2(self.conv1(activated))))
        return residual + (x if self.shortcut is None else self.shortcut(activated))


class ActivationFirstNetwork(nn.Module):
    """A stem, stages of such blocks that halve the side (the first does not), a last activation, mean and linear layer.

    Args:
        stem: pictures -> maps of the first of `channels`.
        channels: after the stem, and of each stage.
        blocks: in each stage.
        classes: number of logits.
        slope: of the activation below 0; 0 is a ReLU.
    """

    def __init__(self, stem: nn.Module, channels: tuple[int, ...], blocks: int, classes: int, slope: float):
        super().__init__()
        self.stem, self.stages = stem, nn.Sequential()
        before = channels[0]
        for number, after in enumerate(channels[1:]):
            first = ActivationFirstBlock(before, after, 2 if number else 1, slope)
            self.stages.append(nn.Sequential(first, *(ActivationFirstBlock(after, after, 1, slope) for _ in range(blocks - 1))))
            before = after
        self.last = nn.Sequential(nn.BatchNorm2d(before), nn.LeakyReLU(slope))
        self.linear = nn.Linear(before, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="leaky_relu", a=slope)

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """The last feature maps, (n, channels, h, w)."""
        return self.last(self.stages(self.stem(x)))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.maps(x).mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.embed(x))


def wide_resnet(depth: int, width: int, classes: int) -> ActivationFirstNetwork:
    """WRN-depth-width for pictures of 32 x 32: three stages of 16, 32 and 64 times `width` channels, last maps of 8 x 8, LeakyReLU(0.1).

    Args:
        depth: 6 n + 4, n blocks a stage.
        width: times the channels.
        classes: number of logits.

    Raises:
        ValueError: if there is no such network.
    """
    if depth < 10 or (depth - 4) % 6 or width < 1:
        raise ValueError(f"depth, width: found {depth}, {width}; expected 6 n + 4 with n >= 1, and at least 1")
    stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
    return ActivationFirstNetwork(stem, (16, 16 * width, 32 * width, 64 * width), (depth - 4) // 6, classes, 0.1)


def activation_first_resnet18(classes: int) -> ActivationFirstNetwork:
    """PreAct-ResNet-18 (PARN-18 in the LICO paper) for pictures of 224 x 224: four stages of 64 to 512 channels, last maps of 7 x 7."""
    stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.MaxPool2d(3, 2, 1))
    return ActivationFirstNetwork(stem, (64, 64, 128, 256, 512), 2, classes, 0.0)
