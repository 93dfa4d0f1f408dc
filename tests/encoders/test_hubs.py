"""Networks of timm and torchvision with random weights, the reader's own weights, and what is refused. Nothing is downloaded."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from lib import encoders, paths
from lib.datasets.pictures import in_memory
from lib.encoders.sanity import check

SMALL = "timm:mobilenetv3_small_050"


def noise(count=2, height=50, width=40):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("name", "dimension"), [
    (f"{SMALL},pretrained=0", 1024), ("timm:vit_tiny_patch16_224,pretrained=0", 192), ("torchvision:resnet18,pretrained=0", 512),
    ("torchvision:squeezenet1_1,pretrained=0", 512), ("torchvision:mobilenet_v3_small,pretrained=0", 1024),
])
def test_random_networks_are_as_declared(name, dimension):
    encoder = encoders.load(name)
    assert check(encoder, in_memory("noise", noise(), np.zeros(2), ("a",), {})).dimension == dimension
    assert encoder.name == name
    assert encoder.circular_labels == ""
    with torch.no_grad():
        assert encoder.classify(encoder.preprocess(noise())).shape == (2, 1000)


def test_the_embedding_is_what_enters_the_head():
    vision, image = encoders.load("torchvision:resnet18,pretrained=0"), encoders.load("timm:resnet18,pretrained=0")
    with torch.no_grad():
        for encoder in (vision, image):
            batch = encoder.preprocess(noise())
            torch.testing.assert_close(encoder.module.fc(encoder.embed(batch)), encoder.classify(batch))
    assert not vision.module.fc._forward_pre_hooks


def test_preprocessing_is_the_librarys_own():
    picture = noise()[0]
    encoder = encoders.load("torchvision:resnet18,pretrained=0")
    transform = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    torch.testing.assert_close(encoder.preprocess([picture])[0], transform(Image.fromarray(picture)), rtol=0, atol=0)
    encoder = encoders.load("timm:resnet18,pretrained=0")
    module = timm.create_model("resnet18")
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=module), is_training=False)
    torch.testing.assert_close(encoder.preprocess([picture])[0], transform(Image.fromarray(picture)), rtol=0, atol=0)


def test_the_seed_alone_determines_random_weights():
    torch.manual_seed(5)
    expected_next = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (encoders.load(f"{SMALL},pretrained=0,seed={seed}").identity["weights"] for seed in (1, 1, 2))
    assert torch.rand(1) == expected_next                                   # the caller's random numbers go on untouched
    assert first == again != other


@pytest.mark.parametrize("scheme", ["timm", "torchvision"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_the_readers_own_weights(tmp_path, monkeypatch, scheme, suffix):
    source = encoders.load(f"{scheme}:resnet18,pretrained=0,seed=7,classes=5")
    path = tmp_path / f"mine.{suffix}"
    save_file(source.module.state_dict(), path) if suffix == "safetensors" else torch.save(source.module.state_dict(), path)
    monkeypatch.chdir(tmp_path)
    loaded = encoders.load(f"file:mine.{suffix}+{scheme}:resnet18,classes=5,labels=cifar10")
    assert loaded.identity == source.identity
    assert loaded.circular_labels == "cifar10"
    with torch.no_grad():
        assert torch.equal(loaded.classify(loaded.preprocess(noise())), source.classify(source.preprocess(noise())))
    with pytest.raises(ValueError, match=r"mine\.\w+ does not fit .*: 2 of another shape: fc\.weight \(5, 512\) instead of \(1000, 512\)"):
        encoders.load(f"file:mine.{suffix}+{scheme}:resnet18")
    with pytest.raises(ValueError, match=r"80 missing: layer1\.2\.conv1\.weight, .*, \.\.\.$"):
        encoders.load(f"file:mine.{suffix}+{scheme}:resnet34,classes=5")


def test_a_relative_path_is_also_looked_for_in_the_project(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), tmp_path / "mine.pt")
    assert encoders.load("file:mine.pt+timm:mobilenetv3_small_050").classify is not None


def test_a_model_without_head_has_no_classify(tmp_path):
    torch.save(timm.create_model("mobilenetv3_small_050", num_classes=0).state_dict(), tmp_path / "mine.pt")
    encoder = encoders.load(f"file:{tmp_path / 'mine.pt'}+timm:mobilenetv3_small_050,classes=0")
    assert encoder.classify is None
    assert check(encoder, in_memory("noise", noise(), np.zeros(2), ("a",), {})).dimension == 1024


@pytest.mark.parametrize(("name", "message"), [
    ("timm:resnet19", "timm: found 'resnet19'; expected one of its [0-9]+ models, the nearest are .*resnet1"),
    ("timm:resnet18.foo", "timm: found no weights 'resnet18.foo'; expected .*resnet18.a1_in1k"),
    ("torchvision:resnet19", "torchvision: found 'resnet19'; .*resnet18"),
    ("timm:resnet18,pretrained=no", "pretrained: found 'no'; expected 0 or 1"),
    ("timm:resnet18,seed=1", "found seed beside trained weights; expected it only with pretrained=0"),
    ("torchvision:resnet18,classes=10", "found classes beside trained weights"),
    ("timm:resnet18,pretrained=0,seed=a", "seed: found 'a'; expected a whole number"),
    ("timm:resnet18,pretrained=0,width=3", "found the options width; expected only classes, pretrained, seed"),
    ("file:x.pt", r"expected file:PATH\+timm:MODEL"),
    ("file:x.pt+local:simclr", r"expected file:PATH\+timm:MODEL"),
    ("timm:resnet18,pretrained=0,classes=-1", "classes: found -1; expected a whole number"),
    ("torchvision:resnet18,pretrained=0,classes=0", "classes: found 0; expected at least 1"),
    ("file:x.pt+timm:resnet18,seed=1", "found the options seed; expected only classes, labels"),
    ("file:x.pt+published:resnet21", "published: found 'resnet21'"),
])
def test_bad_names_are_named(name, message):
    with pytest.raises(ValueError, match=message):
        encoders.load(name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found no file .*nowhere\.pt"):
        encoders.load(f"file:{tmp_path / 'nowhere.pt'}+timm:resnet18")


def test_without_network_the_error_says_what_helps(monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise ConnectionError("Name or service not known")

    monkeypatch.delenv("DATA_MIRROR", raising=False)
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(FileNotFoundError, match=r"torchvision:resnet18: the weights are not (.|\n)*file:PATH\+torchvision:resnet18\)"):
        encoders.load("torchvision:resnet18")
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    with pytest.raises(FileNotFoundError, match=r"timm:resnet18\.a1_in1k: the weights (.|\n)*file:PATH\+timm:resnet18\).*,pretrained=0"):
        encoders.load("timm:resnet18.a1_in1k")


def test_weights_of_torchvision_come_verified_from_the_mirror(monkeypatch, tmp_path):
    from lib.fingerprint import file_sha256

    source = encoders.load("torchvision:resnet18,pretrained=0,seed=7")
    torch.save(source.module.state_dict(), tmp_path / "w.pth")
    url = f"http://127.0.0.1:9/resnet18-{file_sha256(tmp_path / 'w.pth')[:8]}.pth"
    target = tmp_path / "mirror" / "weights" / "torchvision" / url.rpartition("/")[2]
    target.parent.mkdir(parents=True)
    (tmp_path / "w.pth").rename(target)
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr(type(torchvision.models.ResNet18_Weights.DEFAULT), "url", url)
    loaded = encoders.load("torchvision:resnet18")
    assert loaded.identity == source.identity
    assert loaded.circular_labels == "imagenet"
