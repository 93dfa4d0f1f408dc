"""The ImageNet networks whose published weights we load and no library builds in exactly this form."""

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import SqueezeNet


class MobileNetV1(nn.Module):
    """MobileNet (Howard et al. 2017): depthwise 3x3 and pointwise 1x1 convolutions in turn, ReLU6, padding as TensorFlow does it.

    Attribute names are those of timm, which the weight files follow.

    Args:
        width: multiplier of all channels.
    """

    STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))       # channels, blocks; each stage but the first begins with stride 2

    def __init__(self, width: float):
        super().__init__()
        channels = round(32 * width)
        self.conv_stem = same_padded(3, channels, stride=2)
        self.bn1 = nn.BatchNorm2d(channels)
        stages = []
        for stage, (wide, count) in enumerate(self.STAGES):
            blocks = []
            for block in range(count):
                blocks.append(SeparableBlock(channels, round(wide * width), stride=2 if stage and not block else 1))
                channels = round(wide * width)
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels, 1000)

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        return self.blocks(functional.relu6(self.bn1(self.conv_stem(batch)))).mean((2, 3))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.embed(batch))


class SeparableBlock(nn.Module):
    """A depthwise and a pointwise convolution, each with batch norm and ReLU6."""

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        self.conv_dw = same_padded(before, before, stride, groups=before)
        self.bn1 = nn.BatchNorm2d(before)
        self.conv_pw = nn.Conv2d(before, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = functional.relu6(self.bn1(self.conv_dw(features)))
        return functional.relu6(self.bn2(self.conv_pw(features)))


def same_padded(before: int, channels: int, stride: int, groups: int = 1) -> nn.Conv2d:
    """3x3 convolution with TensorFlow's "same" padding: ceil(size / stride) outputs."""
    if stride == 1:
        return nn.Conv2d(before, channels, 3, padding=1, groups=groups, bias=False)
    return HalvingConvolution(before, channels, groups)


class HalvingConvolution(nn.Conv2d):
    """3x3 convolution of stride 2 to ceil(size / 2); where an odd number of zeros is needed, one more is at the right and bottom."""

    def __init__(self, before: int, channels: int, groups: int):
        super().__init__(before, channels, 3, stride=2, groups=groups, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        height, width = (1 + size % 2 for size in features.shape[2:])        # zeros needed: 2 * ceil(size / 2) + 1 - size
        return super().forward(functional.pad(features, (width // 2, width - width // 2, height // 2, height - height // 2)))


class PooledSqueezeNet(SqueezeNet):
    """SqueezeNet 1.1 (Iandola et al. 2016) of torchvision; its embedding is the mean over space of what enters the last convolution."""

    def __init__(self):
        super().__init__(version="1_1")

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        return self.features(batch).mean((2, 3))
