"""Published networks: against the loaders that come with the mirror, and against the accuracies stated there."""

import sys

import numpy as np
import pytest
import torch

from lib import datasets, downloads, encoders
from lib.encoders.published import NETWORKS
from lib.encoders.sanity import check

CIFAR = [name for name in NETWORKS if "net_v1" not in name and name != "squeezenet1_1"]
# Top-1 on the 100 lossless pictures and on the first 1,000 JPEGs, README of the mirror.
STATED = {"resnet20": (94, 80.8), "resnet32": (92, 84.2), "resnet44": (93, 82.5), "resnet56": (96, 82.8), "uva_resnet": (94, 82.8),
          "uva_googlenet": (93, 80.8), "convMed_normal": (70, 65.8), "convMed_pgd": (66, 58.1)}
PARAMETERS = {"resnet20": 0.27, "resnet32": 0.46, "resnet44": 0.66, "resnet56": 0.85, "uva_resnet": 0.27, "uva_googlenet": 0.26,
              "convMed_normal": 0.21, "convMed_pgd": 0.21, "autoencoder_64": 0.34, "autoencoder_256": 0.73,
              "mobilenet_v1_0.25_128": 0.47, "mobilenet_v1_1.0_224": 4.2, "squeezenet1_1": 1.24}
DIMENSION = {"uva_googlenet": 128, "convMed_normal": 100, "convMed_pgd": 100, "autoencoder_256": 256,
             "mobilenet_v1_0.25_128": 256, "mobilenet_v1_1.0_224": 1024, "squeezenet1_1": 512}


@pytest.fixture
def loaders(mirror, monkeypatch):
    """The mirror's own loaders, written by somebody else."""
    monkeypatch.setattr(sys, "path", [str(mirror / "loaders"), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import cifar_models
    import imagenet_models
    return cifar_models, imagenet_models


def noise(size, count=3):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes(name):
    network = NETWORKS[name]
    module = network.build().eval()
    millions = sum(parameter.numel() for parameter in module.parameters()) / 1e6
    assert millions == pytest.approx(PARAMETERS[name], abs=0.05 if name == "mobilenet_v1_1.0_224" else 0.006)      # as the README rounds
    with torch.no_grad():
        assert module.embed(noise(network.preprocess.size, 1)).shape == (1, DIMENSION.get(name, 64))


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_networks_against_the_mirrors_loaders(loaders, name):
    encoder = encoders.load(f"published:{name}")
    reference, (mean, std) = loaders[0].load(name)
    with torch.no_grad():
        batch = noise(32)
        torch.testing.assert_close(encoder.module(batch), reference(batch), rtol=1e-4, atol=1e-5)
        if encoder.classify is None:
            torch.testing.assert_close(encoder.embed(batch), reference.encoder(batch), rtol=1e-4, atol=1e-5)
        else:
            last = [layer for layer in encoder.module.modules() if isinstance(layer, torch.nn.Linear)][-1]
            torch.testing.assert_close(last(encoder.embed(batch)), encoder.classify(batch), rtol=1e-5, atol=1e-5)
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    expected = (picture[0] / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(encoder.preprocess(picture)[0].permute(1, 2, 0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in CIFAR])
def test_imagenet_networks_against_the_mirrors_loaders(loaders, name):
    from PIL import Image

    encoder = encoders.load(f"published:{name}")
    reference, settings = loaders[1].build(name)
    pictures = [np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8) for shape in ((300, 257, 3), (256, 256, 3), (100, 333, 3))]
    expected = torch.cat([loaders[1].preprocess(Image.fromarray(picture), **settings) for picture in pictures])
    batch = encoder.preprocess(pictures)
    torch.testing.assert_close(batch, expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(encoder.module(batch), reference(expected), rtol=1e-3, atol=1e-3)
        if name != "squeezenet1_1":
            torch.testing.assert_close(encoder.module.classifier(encoder.embed(batch)), encoder.classify(batch), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", STATED)
def test_accuracy_on_the_lossless_pictures_is_as_stated(mirror, name):
    result = check(encoders.load(f"published:{name}"), datasets.load("cifar10:lossless100"), STATED[name][0] / 100)
    assert result.accuracy == STATED[name][0] / 100
    assert result.agrees


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name in ("uva_googlenet", "resnet44", "resnet56") else ()) for name in STATED
])
def test_accuracy_on_a_thousand_jpegs_is_as_stated(mirror, name):
    pictures = datasets.load("cifar10:jpeg").take(np.arange(1000))
    assert check(encoders.load(f"published:{name}"), pictures).accuracy == pytest.approx(STATED[name][1] / 100, abs=0.0015)


@pytest.mark.parametrize(("name", "error"), [("autoencoder_64", 0.027), ("autoencoder_256", 0.008)])
def test_reconstruction_is_as_stated(mirror, name, error):
    encoder = encoders.load(f"published:{name}")
    batch = encoder.preprocess(datasets.load("cifar10:jpeg").read(np.arange(1000)))
    with torch.no_grad():
        assert float((encoder.module(batch) - batch).square().mean()) == pytest.approx(error, abs=0.0005)
    assert check(encoder, datasets.load("cifar10:lossless100")).accuracy is None
    assert encoder.circular_labels == ""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "percent"), [("mobilenet_v1_0.25_128", 44.6), ("mobilenet_v1_1.0_224", 86.2), ("squeezenet1_1", 60.4)])
def test_accuracy_on_the_imagenet_sample_is_as_stated(mirror, monkeypatch, name, percent):
    monkeypatch.delenv("IMAGENET_ROOT", raising=False)
    result = check(encoders.load(f"published:{name}"), datasets.load("imagenet"))
    assert result.count == 1000
    assert result.accuracy == pytest.approx(percent / 100, abs=0.005)


def test_identity_tells_networks_apart_and_not_files(mirror, tmp_path, monkeypatch):
    identities = [encoders.load(f"published:{name}").identity for name in ("resnet20", "convMed_normal", "convMed_pgd")]
    assert len({str(identity) for identity in identities}) == 3
    # The same tensors in the form of the original file, under another name.
    weights = torch.load(mirror / "weights/cifar10/resnet20.pth", weights_only=True)
    torch.save({"state_dict": {f"module.{key}": value for key, value in weights.items()}, "best_prec1": 91.8}, tmp_path / "original.th")
    copied = encoders.load(f"file:{tmp_path / 'original.th'}+published:resnet20,labels=cifar10")
    assert copied.identity == identities[0]
    assert copied.circular_labels == encoders.load("published:resnet20").circular_labels == "cifar10"


def test_missing_weights_say_what_helps(monkeypatch, tmp_path):
    from dataclasses import replace

    monkeypatch.delenv("DATA_MIRROR", raising=False)
    [download] = downloads.FILES["mobilenet_v1_0.25_128"]
    monkeypatch.setitem(downloads.FILES, "mobilenet_v1_0.25_128", (replace(download, folder=tmp_path),))
    with pytest.raises(FileNotFoundError, match=r"comes from github\.com/google-coral/test_data(.|\n)*DATA_MIRROR"):
        encoders.load("published:mobilenet_v1_0.25_128")
