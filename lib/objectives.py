"""What a small network can be trained for.

Each objective owns a trunk and its head. `loss` is what training lowers, `embed` the representation that the measures look at, and calling
it runs every layer it has for pictures. Random numbers are drawn on the CPU, so that they are the same on every device.
"""

import torch
from torch import nn
from torch.nn import functional

from lib.augmentation import random_view
from lib.encoders.networks import Decoder, normalised


class _HeadOnTrunk(nn.Module):
    """The common case: a head that sees nothing but the trunk's embedding."""

    def __init__(self, trunk: nn.Module, head: nn.Module):
        super().__init__()
        self.trunk, self.head = trunk, head

    def embed(self, x):
        return self.trunk.features(x)

    def forward(self, x):
        return self.head(self.embed(x))


class Classification(_HeadOnTrunk):
    """Cross-entropy on given labels: the class, or a nuisance factor."""

    def __init__(self, trunk: nn.Module, labels, classes: int):
        super().__init__(trunk, nn.Linear(trunk.dims, classes))
        self.register_buffer("labels", torch.as_tensor(labels), persistent=False)  # a buffer follows the module to its device

    def loss(self, pixels, rows, generator):
        return functional.cross_entropy(self(normalised(pixels)), self.labels[rows])


class Rotation(_HeadOnTrunk):
    """Tell by which quarter turn a picture was rotated (Gidaris et al., ICLR 2018): four copies of each picture, four classes."""

    def __init__(self, trunk: nn.Module):
        super().__init__(trunk, nn.Linear(trunk.dims, 4))

    def loss(self, pixels, rows, generator):
        x = normalised(pixels)
        turns = torch.randint(0, 4, (len(x),), generator=generator)
        turned = torch.stack([torch.rot90(picture, int(turn), (1, 2)) for picture, turn in zip(x, turns, strict=True)])
        return functional.cross_entropy(self(turned), turns.to(x.device))


class Contrastive(_HeadOnTrunk):
    """SimCLR (Chen et al., ICML 2020): two views of a picture attract, views of different pictures repel (NT-Xent)."""

    def __init__(self, trunk: nn.Module, *, dims: int = 64, temperature: float = 0.1):
        super().__init__(trunk, nn.Sequential(nn.Linear(trunk.dims, trunk.dims), nn.ReLU(), nn.Linear(trunk.dims, dims)))
        self.temperature = temperature

    def loss(self, pixels, rows, generator):
        x = normalised(pixels)
        views = torch.cat([random_view(x, generator), random_view(x, generator)])
        z = functional.normalize(self(views), dim=1)
        similarity = (z @ z.T / self.temperature).fill_diagonal_(-torch.inf)
        partner = torch.arange(len(z), device=z.device).roll(len(x))
        return functional.cross_entropy(similarity, partner)


class Reconstruction(nn.Module):
    """An auto-encoder: all feature maps -> latent vector -> picture, mean squared error in units of the normalised picture."""

    def __init__(self, trunk: nn.Module, side: int, *, dims: int = 64):
        super().__init__()
        self.trunk = trunk
        self.bottleneck = nn.Linear(16 * trunk.dims, dims)
        self.decoder = Decoder(dims, side)

    def embed(self, x):
        return self.bottleneck(self.trunk.maps(x).flatten(1))

    def forward(self, x):
        return self.decoder(self.embed(x))

    def loss(self, pixels, rows, generator):
        x = normalised(pixels)
        return functional.mse_loss(self(x), x)


class CaptionMatching(nn.Module):
    """CLIP (Radford et al., ICML 2021): a picture and its caption attract, all other pairs of the batch repel."""

    def __init__(self, clip: nn.Module, tokens):
        super().__init__()
        self.clip = clip
        self.register_buffer("tokens", torch.as_tensor(tokens), persistent=False)

    def embed(self, x):
        return self.clip.visual(x)

    def loss(self, pixels, rows, generator):
        picture, text, scale = self.clip(normalised(pixels), self.tokens[rows])[:3]
        logits = scale * picture @ text.T
        target = torch.arange(len(picture), device=picture.device)
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
