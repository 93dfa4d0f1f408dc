"""The CIFAR-10 networks whose published weights we load: attribute names are the keys of the weight files, hence the names of the layers.

Every network has `embed(batch)`, the features before the last linear layer, and `forward(batch)`, the logits (the auto-encoder: code and
reconstruction).
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class CifarResNet(nn.Module):
    """Residual network of He et al. (CVPR 2016, section 4.2) with 6 * blocks + 2 layers.

    Where the shape changes, the shortcut takes every second pixel and pads the new channels with zeros ("option A"): it has no weights.

    Args:
        blocks: in each of the three stages of 16, 32 and 64 channels.
    """

    def __init__(self, blocks: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(blocks, 16, 16, stride=1)
        self.layer2 = self._stage(blocks, 16, 32, stride=2)
        self.layer3 = self._stage(blocks, 32, 64, stride=2)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _stage(blocks, before, channels, stride):
        first = PlainShortcutBlock(before, channels, stride)
        return nn.Sequential(first, *(PlainShortcutBlock(channels, channels, stride=1) for _ in range(blocks - 1)))

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        features = functional.relu(self.bn1(self.conv1(batch)))
        return self.layer3(self.layer2(self.layer1(features))).mean((2, 3))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.linear(self.embed(batch))


class PlainShortcutBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights."""

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.new_channels = stride, channels - before

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        residual = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(features)))))
        half = self.new_channels // 2
        shortcut = functional.pad(features[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, half, half))
        return functional.relu(shortcut + residual)


class UvaResNet(nn.Module):
    """The residual network of the UvA deep learning tutorials (Lippe), 20 layers; shortcuts that change the shape are 1x1 convolutions."""

    def __init__(self):
        super().__init__()
        self.input_net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        channels = (16, 16, 16, 16, 32, 32, 32, 64, 64, 64)
        self.blocks = nn.Sequential(*(ConvolvedShortcutBlock(before, after) for before, after in pairwise(channels)))
        self.output_net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        return self.output_net[:-1](self.blocks(self.input_net(batch)))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.output_net[-1](self.embed(batch))


class ConvolvedShortcutBlock(nn.Module):
    """Two 3x3 convolutions; where the channels change, both they and the shortcut go down by a factor of two in space."""

    def __init__(self, before: int, channels: int):
        super().__init__()
        stride = 1 if before == channels else 2
        self.net = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )
        self.downsample = nn.Identity() if before == channels else nn.Conv2d(before, channels, 1, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.downsample(features) + self.net(features))


class UvaGoogleNet(nn.Module):
    """The small GoogLeNet of the UvA deep learning tutorials (Lippe): eight inception blocks, two poolings between them."""

    # Channels of a block: before the 3x3, before the 5x5; out of the 1x1, 3x3, 5x5 and pooling branches. None is a pooling.
    BLOCKS = ((32, 16, 16, 32, 8, 8), (32, 16, 24, 48, 12, 12), None, (32, 16, 24, 48, 12, 12), (32, 16, 16, 48, 16, 16),
              (32, 16, 16, 48, 16, 16), (32, 16, 32, 48, 24, 24), None, (48, 16, 32, 64, 16, 16), (48, 16, 32, 64, 16, 16))

    def __init__(self):
        super().__init__()
        self.input_net = _convolution(3, 64, 3)
        blocks, channels = [], 64
        for block in self.BLOCKS:
            if block is None:
                blocks.append(nn.MaxPool2d(3, stride=2, padding=1))
            else:
                blocks.append(InceptionBlock(channels, *block))
                channels = sum(block[2:])
        self.inception_blocks = nn.Sequential(*blocks)
        self.output_net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        return self.output_net[:-1](self.inception_blocks(self.input_net(batch)))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.output_net[-1](self.embed(batch))


class InceptionBlock(nn.Module):
    """Four branches side by side (Szegedy et al., CVPR 2015): 1x1, 3x3, 5x5 convolutions and max pooling."""

    def __init__(self, before: int, reduced3: int, reduced5: int, out1: int, out3: int, out5: int, out_pool: int):
        super().__init__()
        self.conv_1x1 = _convolution(before, out1, 1)
        self.conv_3x3 = nn.Sequential(*_convolution(before, reduced3, 1), *_convolution(reduced3, out3, 3))
        self.conv_5x5 = nn.Sequential(*_convolution(before, reduced5, 1), *_convolution(reduced5, out5, 5))
        self.max_pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), *_convolution(before, out_pool, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.conv_1x1(features), self.conv_3x3(features), self.conv_5x5(features), self.max_pool(features)], dim=1)


def _convolution(before: int, channels: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, channels, size, padding=size // 2), nn.BatchNorm2d(channels), nn.ReLU())


class ConvMedium(nn.Module):
    """The network convMed of the robustness literature: two 2x2 convolutions with pooling and two linear layers."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 16, 2, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 2, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 8 * 8, 100), nn.ReLU(), nn.Linear(100, 10),
        )

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        return self.main[:-1](batch)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.main(batch)


class AutoEncoder(nn.Module):
    """The convolutional auto-encoder of the UvA deep learning tutorials (Lippe): 32x32 in [-1, 1] -> `dimension` numbers -> 32x32."""

    def __init__(self, dimension: int):
        super().__init__()
        self.encoder = CodeNetwork(dimension)
        self.decoder = PictureNetwork(dimension)

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        return self.encoder(batch)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(batch))


class CodeNetwork(nn.Module):
    """Encoder half: five convolutions, three of them with stride 2, and a linear layer."""

    def __init__(self, dimension: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.GELU(), nn.Conv2d(32, 32, 3, padding=1), nn.GELU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.GELU(), nn.Conv2d(64, 64, 3, padding=1), nn.GELU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(64 * 4 * 4, dimension),
        )

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.net(batch)


class PictureNetwork(nn.Module):
    """Decoder half, the mirror image of the encoder."""

    def __init__(self, dimension: int):
        super().__init__()
        self.linear = nn.Sequential(nn.Linear(dimension, 64 * 4 * 4), nn.GELU())

        def enlarge(before, channels):
            return nn.ConvTranspose2d(before, channels, 3, stride=2, padding=1, output_padding=1)

        self.net = nn.Sequential(
            enlarge(64, 64), nn.GELU(), nn.Conv2d(64, 64, 3, padding=1), nn.GELU(),
            enlarge(64, 32), nn.GELU(), nn.Conv2d(32, 32, 3, padding=1), nn.GELU(),
            enlarge(32, 3), nn.Tanh(),
        )

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        return self.net(self.linear(code).unflatten(1, (64, 4, 4)))
