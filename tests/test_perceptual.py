"""DreamSim, LPIPS and DISTS without their weights: random backbones and a stand-in package show what the wrappers do themselves."""

import hashlib
import io
import json
import pickle
import sys
import types
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchmetrics.functional.image import deep_image_structure_and_texture_similarity, learned_perceptual_image_patch_similarity
from torchvision.models.vgg import cfgs, make_layers

from lib import downloads, paths, perceptual
from lib.perceptual import as_shown, files, load_distance, load_dreamsim


def noise(count, side=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No mirror, and folders of the test's own."""
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path / "weights")


# What people were shown

def test_large_pictures_are_shown_as_in_the_human_study():
    picture = noise(1, side=300)[0][:, :280]
    # The study's own recipe in two steps; one step resamples once instead of twice, which is why this is not an equality.
    resized = Image.fromarray(picture).resize((256, round(300 * 256 / 280)), Image.Resampling.BICUBIC)
    left, top = (resized.width - 224) // 2, (resized.height - 224) // 2
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)), float)
    got = np.asarray(as_shown(picture), float)
    assert got.shape == (224, 224, 3)
    smooth = [array.reshape(28, 8, 28, 8, 3).mean((1, 3)) for array in (got, expected)]
    assert np.abs(smooth[0] - smooth[1]).max() < 8      # of 255, on noise


def test_a_picture_of_256_is_cropped_without_resampling():
    picture = noise(1, side=256)[0]
    np.testing.assert_array_equal(as_shown(picture), picture[16:240, 16:240])


def test_small_pictures_are_shown_whole():
    picture = np.zeros((32, 40, 3), np.uint8)
    picture[:, :4] = picture[:, 36:] = 255      # outside of the middle square
    picture[0, 4] = picture[31, 35] = 100
    shown = np.asarray(as_shown(picture))
    assert shown.shape == (224, 224, 3)
    assert shown.max() < 255
    assert shown[0, 0].max() > 50
    assert shown[-1, -1].max() > 50


# LPIPS and DISTS on random backbones

@pytest.fixture
def random_backbones(monkeypatch, tmp_path):
    """Backbones of the right form with random weights; no file is read. Pictures are shown small, which saves a minute of VGG16."""
    monkeypatch.setattr(perceptual, "SIDE", 64)
    torch.manual_seed(0)
    channels = [(3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1)]
    layers = []
    for index, (into, out, size, stride, padding) in enumerate(channels):
        layers += [torch.nn.Conv2d(into, out, size, stride, padding), torch.nn.ReLU()]
        layers += [torch.nn.MaxPool2d(3, 2)] if index in (0, 1, 4) else []
    monkeypatch.setattr(torchvision.models, "alexnet", lambda weights: types.SimpleNamespace(features=torch.nn.Sequential(*layers)))
    vgg = types.SimpleNamespace(features=make_layers(cfgs["D"]))
    monkeypatch.setattr("torchmetrics.functional.image.dists.vgg16", lambda weights: vgg)
    monkeypatch.setattr(downloads, "fetch", lambda name, **_: tmp_path / name)


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_distances_are_symmetric_and_zero_for_equal_pictures(random_backbones, name):
    distance = load_distance(name)
    first, second = noise(3), noise(3, seed=1)
    there, back = distance(first, second), distance(second, first)
    assert there.shape == (3,)
    assert there.dtype == np.float64
    assert (there > 1e-4).all()
    np.testing.assert_allclose(there, back, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(distance(first, first), 0, atol=2e-6)    # DISTS: 1 - a sum of 2,950 float32 terms
    # One pair alone, and pictures of different sizes.
    np.testing.assert_allclose(distance(first[1:2], second[1:2]), there[1:2], rtol=1e-3, atol=1e-6)
    assert distance([noise(1)[0], noise(1, side=60)[0]], first[:2]).shape == (2,)
    with pytest.raises(ValueError, match="first, second: found 3 and 2 pictures; expected pairs"):
        distance(first, second[:2])


@pytest.mark.parametrize(("name", "reference"), [
    ("lpips", partial(learned_perceptual_image_patch_similarity, net_type="alex", normalize=True, reduction="none")),
    ("dists", partial(deep_image_structure_and_texture_similarity, reduction="none")),
])
def test_distances_are_those_of_torchmetrics(random_backbones, name, reference):
    first, second = noise(2, side=256), noise(2, side=256, seed=1)
    shown = [np.stack([np.asarray(as_shown(picture)) for picture in pictures]) for pictures in (first, second)]
    expected = reference(*(torch.from_numpy(batch).permute(0, 3, 1, 2) / 255 for batch in shown))
    np.testing.assert_allclose(load_distance(name)(first, second), expected.detach(), rtol=1e-4)


def test_lpips_grows_with_the_disturbance(random_backbones):
    distance = load_distance("lpips")
    picture = noise(1)[0]
    direction = np.random.default_rng(1).standard_normal(picture.shape)
    disturbed = [np.clip(picture + step * direction, 0, 255).astype(np.uint8) for step in (10, 40, 160)]
    values = distance([picture] * 3, disturbed)
    assert (np.diff(values) > 0).all()


def test_missing_weights_are_named(monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise ValueError("no network in tests")

    monkeypatch.setattr(downloads.pooch, "create", unreachable)
    for name, file in (("lpips", "alexnet-owt-7be5be79.pth"), ("dists", "vgg16-397923af.pth")):
        with pytest.raises(FileNotFoundError, match=rf"{file}: .*(\n.*)*DATA_MIRROR to a folder that holds weights/torchvision/{file}"):
            load_distance(name)
    with pytest.raises(ValueError, match="name: found 'ssim'; expected one of lpips, dists"):
        load_distance("ssim")
    with pytest.raises(ValueError, match="name: found 'ssim'; expected one of dreamsim, lpips, dists"):
        files("ssim")


def test_torchvision_reads_the_verified_file_and_no_other(tmp_path):
    path = tmp_path / "anything.pth"
    torch.save({"weight": torch.arange(3)}, path)
    with perceptual._torchvision_loads(path, "alexnet-owt-7be5be79.pth"):
        state = torchvision.models.AlexNet_Weights.DEFAULT.get_state_dict(progress=False, check_hash=True)
        with pytest.raises(ValueError, match=r"torchvision: asked for .*vgg16-397923af.pth; expected alexnet-owt-7be5be79.pth"):
            torchvision.models.VGG16_Weights.DEFAULT.get_state_dict()
    assert state["weight"].tolist() == [0, 1, 2]
    torch.save(types.SimpleNamespace(weight=1), path)
    refused = pytest.raises(pickle.UnpicklingError, match="Weights only load failed")
    with perceptual._torchvision_loads(path, "alexnet-owt-7be5be79.pth"), refused:
        torchvision.models.AlexNet_Weights.DEFAULT.get_state_dict()


def test_backbones_are_the_files_that_torchvision_names():
    urls = {"lpips": torchvision.models.AlexNet_Weights.DEFAULT.url, "dists": torchvision.models.VGG16_Weights.DEFAULT.url}
    for name, (file, sha256) in perceptual.BACKBONES.items():
        assert urls[name] == perceptual.TORCHVISION + file
        assert file.rpartition("-")[2] == f"{sha256[:8]}.pth"
        assert len(sha256) == 64


# DreamSim with a stand-in package

class Network(torch.nn.Module):
    """Embeds a batch as 1,792 linear features, and fails on a batch of one as the real one may."""

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(3 * 28 * 28, 1792, generator=torch.Generator().manual_seed(0))

    def embed(self, batch):
        assert batch.shape[1:] == (3, 224, 224)
        assert 0 <= batch.min() <= batch.max() <= 1
        assert len(batch) > 1, "a batch of one"
        assert not torch.is_grad_enabled()
        assert not self.training
        return torch.nn.functional.avg_pool2d(batch, 8).flatten(1) @ self.weight


@pytest.fixture
def package(monkeypatch):
    """A module `dreamsim` whose loader does what the real one does to its surroundings; records its arguments."""
    module, calls = types.ModuleType("dreamsim"), []

    def dreamsim(pretrained, device, cache_dir, dreamsim_type):
        calls.append({"device": device, "cache_dir": cache_dir, "dreamsim_type": dreamsim_type, "pretrained": pretrained})
        print(f"Using cached {cache_dir}")
        torch.hub.set_dir(cache_dir)
        calls[0]["dino"] = torch.hub.load("facebookresearch/dino:main", "dino_vitb16")
        with pytest.raises(ValueError, match="asked for dinov2_vitb14"):
            torch.hub.load("facebookresearch/dinov2", "dinov2_vitb14")
        to_tensor = torchvision.transforms.Compose([torchvision.transforms.Resize((224, 224)), torchvision.transforms.ToTensor()])
        return Network().train(), lambda picture: to_tensor(picture).unsqueeze(0)

    module.dreamsim, module.calls = dreamsim, calls
    monkeypatch.setattr(perceptual.metadata, "version", lambda name: {"dreamsim": "0.2.1"}[name])
    vision_transformer = types.ModuleType("dreamsim.feature_extraction.vision_transformer")
    vision_transformer.vit_base = lambda patch_size: torch.nn.Linear(2, patch_size)
    for name, stand_in in (("dreamsim", module), ("dreamsim.feature_extraction", types.ModuleType("dreamsim.feature_extraction")),
                           (vision_transformer.__name__, vision_transformer)):
        monkeypatch.setitem(sys.modules, name, stand_in)
    return module


def archive(content=perceptual.DREAMSIM_CONTENT):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as whole:
        for name in content:
            whole.writestr(name, name)
    return stream.getvalue()


@pytest.fixture
def weights_mirror(monkeypatch, tmp_path):
    """A mirror with DreamSim's two files; their content is made up."""
    folder = tmp_path / "mirror/weights/dreamsim"
    folder.mkdir(parents=True)
    (folder / "dreamsim_ensemble_checkpoint.zip").write_bytes(archive())
    state = torch.nn.Linear(2, 16).state_dict()
    torch.save(state, folder / "dino_vitbase16_pretrain.pth")
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "mirror"))
    return folder


def test_dreamsim_embeds_any_batch_and_leaves_no_trace(package, weights_mirror, capsys):
    hub, load = torch.hub.get_dir(), torch.hub.load
    embed = load_dreamsim(device="cpu")
    assert torch.hub.get_dir() == hub
    assert torch.hub.load is load
    assert capsys.readouterr().out == ""
    assert package.calls[0]["device"] == "cpu"
    assert package.calls[0]["dreamsim_type"] == "ensemble"
    expected = torch.load(weights_mirror / "dino_vitbase16_pretrain.pth", weights_only=True)["weight"]
    assert torch.equal(package.calls[0]["dino"].weight, expected)

    pictures = noise(5)
    together = embed(pictures)
    assert together.shape == (5, 1792)
    assert together.dtype == np.float32
    assert np.ptp(together, axis=0).min() > 0      # five pictures, five rows
    np.testing.assert_allclose(embed(pictures[3:4]), together[3:4], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(embed([pictures[1], pictures[4]]), together[[1, 4]], rtol=1e-4, atol=1e-4)


def test_dreamsim_weights_are_unpacked_once_and_whole(package, weights_mirror, tmp_path):
    load_dreamsim()
    folder = paths.WEIGHTS / "dreamsim"
    unpacked = [path for path in folder.iterdir() if path.is_dir()]
    assert [path.name for path in unpacked] == [f"unpacked-{hashlib.sha256(archive()).hexdigest()[:12]}"]
    assert package.calls[0]["cache_dir"] == str(unpacked[0])
    assert all((unpacked[0] / name).is_file() for name in perceptual.DREAMSIM_CONTENT)
    (unpacked[0] / "mark").touch()
    load_dreamsim()
    assert (unpacked[0] / "mark").exists()


def test_identity_changes_with_the_files(package, weights_mirror):
    before = perceptual.dreamsim_identity()
    assert before == perceptual.dreamsim_identity()
    (paths.WEIGHTS / "dreamsim/hashes.json").unlink()
    (weights_mirror / "dreamsim_ensemble_checkpoint.zip").write_bytes(archive((*perceptual.DREAMSIM_CONTENT, "more")))
    assert perceptual.dreamsim_identity() != before


def test_hashes_are_written_down_once_and_verified_ever_after(weights_mirror):
    found = files("dreamsim")
    hashes = json.loads((paths.WEIGHTS / "dreamsim/hashes.json").read_text())
    assert hashes == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}
    assert files("dreamsim") == found
    (weights_mirror / "dino_vitbase16_pretrain.pth").write_bytes(b"another file")
    with pytest.raises(ValueError, match=f"found sha256 .* expected {hashes['dino_vitbase16_pretrain.pth']}"):
        files("dreamsim")


def test_a_broken_download_is_not_trusted(weights_mirror):
    whole = (weights_mirror / "dreamsim_ensemble_checkpoint.zip").read_bytes()
    (weights_mirror / "dreamsim_ensemble_checkpoint.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a zip archive"):
        files("dreamsim")
    assert not (paths.WEIGHTS / "dreamsim/hashes.json").exists()
    (weights_mirror / "dreamsim_ensemble_checkpoint.zip").write_bytes(whole)
    files("dreamsim")


def test_another_archive_is_named(package, weights_mirror):
    (weights_mirror / "dreamsim_ensemble_checkpoint.zip").write_bytes(archive(("dino_vitb16_pretrain.pth",)))
    with pytest.raises(ValueError, match=r"found no clip_vitb16_pretrain.pth.tar, .* in it; expected DreamSim's ensemble checkpoint"):
        load_dreamsim()
    assert not [path for path in (paths.WEIGHTS / "dreamsim").iterdir() if path.is_dir()]


def test_missing_package_and_missing_weights_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dreamsim", None)
    with pytest.raises(ImportError, match=r"pip install -e \.\[perceptual\]"):
        load_dreamsim()

    def unreachable(*_, **__):
        raise OSError("no network in tests")

    monkeypatch.setattr(perceptual.pooch, "retrieve", unreachable)
    message = r"dreamsim_ensemble_checkpoint.zip: not in .*no mirror folder is set \(DATA_MIRROR\).*https://github.com.*no network"
    with pytest.raises(FileNotFoundError, match=message):
        files("dreamsim")
