"""`published:` networks: architectures of our own with weights that others trained and published, each known by its hash."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from lib.downloads import FILES
from lib.encoders.cifar_networks import AutoEncoder, CifarResNet, ConvMedium, UvaGoogleNet, UvaResNet
from lib.encoders.encoder import Encoder
from lib.encoders.imagenet_networks import MobileNetV1, PooledSqueezeNet
from lib.encoders.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from lib.encoders.weights import load_strictly, read_weights, weights_sha256

CIFAR_AS_IMAGENET = Preprocess(32, 32, IMAGENET_MEAN, IMAGENET_STD)
CIFAR_OWN = Preprocess(32, 32, (0.49139968, 0.48215841, 0.44653091), (0.24703223, 0.24348513, 0.26158784))
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Published:
    """How to build a network, what it expects, whose labels trained it ("" for none), and the design that it shares with others."""

    build: Callable[[], torch.nn.Module]
    preprocess: Preprocess
    labels: str
    design: str


NETWORKS: dict[str, Published] = {
    "resnet20": Published(partial(CifarResNet, 3), CIFAR_AS_IMAGENET, "cifar10", "resnet"),
    "resnet32": Published(partial(CifarResNet, 5), CIFAR_AS_IMAGENET, "cifar10", "resnet"),
    "resnet44": Published(partial(CifarResNet, 7), CIFAR_AS_IMAGENET, "cifar10", "resnet"),
    "resnet56": Published(partial(CifarResNet, 9), CIFAR_AS_IMAGENET, "cifar10", "resnet"),
    "uva_resnet": Published(UvaResNet, CIFAR_OWN, "cifar10", "uva_resnet"),
    "uva_googlenet": Published(UvaGoogleNet, CIFAR_OWN, "cifar10", "uva_googlenet"),
    "convMed_normal": Published(ConvMedium, CIFAR_AS_IMAGENET, "cifar10", "convMed"),
    "convMed_pgd": Published(ConvMedium, CIFAR_AS_IMAGENET, "cifar10", "convMed"),
    "autoencoder_64": Published(partial(AutoEncoder, 64), Preprocess(32, 32, HALF, HALF), "", "autoencoder"),
    "autoencoder_256": Published(partial(AutoEncoder, 256), Preprocess(32, 32, HALF, HALF), "", "autoencoder"),
    "mobilenet_v1_0.25_128": Published(partial(MobileNetV1, 0.25), Preprocess(146, 128, HALF, HALF), "imagenet", "mobilenet_v1"),
    "mobilenet_v1_1.0_224": Published(partial(MobileNetV1, 1.0), Preprocess(256, 224, HALF, HALF), "imagenet", "mobilenet_v1"),
    "squeezenet1_1": Published(PooledSqueezeNet, Preprocess(259, 227, IMAGENET_MEAN, IMAGENET_STD), "imagenet", "squeezenet"),
}


def load_published(name: str, base: str, options: dict, device: str) -> Encoder:
    """Load a published network by its name in `NETWORKS`; it has no options.

    Raises:
        ValueError: if the name is not known, or there are options.
        FileNotFoundError: if the weights are neither on this machine nor in reach.
    """
    known(base)
    if options:
        raise ValueError(f"{name}: found the options {', '.join(options)}; expected none")
    [download] = FILES[base]
    return assemble(name, base, read_weights(download.fetch()), str(download.name), device, NETWORKS[base].labels)


def design_of(base: str) -> str:
    """The architecture that a published network shares with others of the list: their scores are not independent."""
    known(base)
    return NETWORKS[base].design


def known(base: str) -> None:
    """Raise a ValueError unless this is the name of a published network."""
    if base not in NETWORKS:
        raise ValueError(f"published: found {base!r}; expected one of {', '.join(NETWORKS)}")


def assemble(name: str, base: str, weights: dict[str, torch.Tensor], source: str, device: str, labels: str) -> Encoder:
    """An encoder of the architecture `base` with these weights."""
    network = NETWORKS[base]
    module = network.build()
    load_strictly(module, weights, source)
    module = module.eval().to(device)
    return Encoder(
        name=name,
        module=module,
        preprocess=partial(network.preprocess, device=device),
        embed=module.embed,
        classify=None if isinstance(module, AutoEncoder) else module,
        identity={"architecture": f"published:{base}", "weights": weights_sha256(module), "preprocess": network.preprocess.identity()},
        circular_labels=labels,
    )
