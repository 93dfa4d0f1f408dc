"""Small networks that learn the project's pictures in a minute on two cores.

Each has `features` (pictures -> embedding) and `dims`, so that any training objective can sit on any of them.
"""

import torch
from torch import nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut; a 1x1 convolution carries the shortcut where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels_in == channels
            else nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        )
        self.relu2 = nn.ReLU()

    def forward(self, x):
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(residual + self.shortcut(x))


class ResidualNetwork(nn.Module):
    """A stem and three stages of width w, 2w and 4w, which see 16, 8 and 4 places a side."""

    def __init__(self, width: int = 16, side: int = 64, blocks: int = 1):
        super().__init__()
        if side not in (32, 64):
            raise ValueError(f"side: found {side} pixels; expected 32 or 64")
        self.dims = 4 * width
        # Textures are a few pixels fine: a stride of 4 in one convolution blurs them, a stride of 2 and a maximum does not.
        self.stem = nn.Sequential(nn.Conv2d(3, width, 5, side // 32, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))
        for stage, (channels_in, channels) in enumerate(((width, width), (width, 2 * width), (2 * width, 4 * width)), start=1):
            first = ResidualBlock(channels_in, channels, 1 if stage == 1 else 2)
            setattr(self, f"stage{stage}", nn.Sequential(first, *(ResidualBlock(channels, channels, 1) for _ in range(blocks - 1))))

    def maps(self, x):
        """The last feature maps, (n, dims, 4, 4)."""
        return self.stage3(self.stage2(self.stage1(self.stem(x))))

    def features(self, x):
        return self.maps(x).mean((2, 3))

    def forward(self, x):
        return self.features(x)


class VisionTransformer(nn.Module):
    """A small vision transformer from timm; the embedding is the normalised class token."""

    def __init__(self, width: int = 96, side: int = 64):
        super().__init__()
        from timm.models.vision_transformer import VisionTransformer as TimmTransformer

        self.dims = width
        self.transformer = TimmTransformer(
            img_size=side, patch_size=side // 8, embed_dim=width, depth=4, num_heads=width // 32, num_classes=0
        )

    def features(self, x):
        return self.transformer(x)

    def forward(self, x):
        return self.features(x)


class Decoder(nn.Module):
    """From a latent vector back to a picture, four doublings from 4x4."""

    def __init__(self, dims: int, side: int = 64, width: int = 16):
        super().__init__()
        channels = (4 * width, 2 * width, width, width)
        doublings = (side // 4).bit_length() - 1
        self.linear = nn.Linear(dims, channels[0] * 16)
        layers = []
        for step in range(doublings):
            channels_in, channels_out = channels[step], channels[step + 1] if step + 1 < doublings else 3
            layers += [nn.ReLU(), nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1)]
        self.net = nn.Sequential(*layers)

    def forward(self, latent):
        return self.net(self.linear(latent).view(len(latent), -1, 4, 4))


def trunk(network: str, width: int, side: int) -> nn.Module:
    """A network by name: "resnet" or "vit"."""
    if network == "resnet":
        return ResidualNetwork(width, side)
    if network == "vit":
        return VisionTransformer(width, side)
    raise ValueError(f"network: found {network!r}; expected 'resnet' or 'vit'")


def normalised(pixels) -> torch.Tensor:
    """uint8 pictures (n, H, W, 3) -> float (n, 3, H, W) in about [-2, 2]."""
    return (torch.as_tensor(pixels).permute(0, 3, 1, 2).float() - 127.5) / 63.75
