"""Data sets by name: digits, MNIST and CIFAR-10 against hand-made files, torchvision and the real ones; and what is refused."""

import gzip
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torchvision
from PIL import Image
from sklearn.datasets import load_digits

from lib import datasets, downloads
from lib.datasets import cifar10 as cifar10_module
from lib.datasets.mnist import read_idx

NOBODY = "http://127.0.0.1:9/nothing"


def test_digits_are_the_original_ones_enlarged():
    parts = [datasets.load("digits", split=split) for split in ("train", "test")]
    small = np.concatenate([part.read(np.arange(len(part)))[:, ::4, ::4, 0] for part in parts])
    expected = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, small)) == sorted(map(bytes, expected))        # every digit in exactly one split
    picture = parts[0].read(np.array([0]))[0]
    assert picture.shape == (32, 32, 3)
    assert (picture == picture[::4, ::4].repeat(4, axis=0).repeat(4, axis=1)).all()


def test_every_digit_class_is_split_alike():
    train, test = (np.bincount(datasets.load("digits", split=split).labels) for split in ("train", "test"))
    assert test.tolist() == np.round(0.3 * (train + test)).astype(int).tolist()


def test_count_takes_a_seeded_random_subset_of_all_classes():
    first, again, other = (datasets.load("digits", count=200, seed=seed) for seed in (0, 0, 1))
    assert first.identity == again.identity != other.identity
    assert (first.read(np.arange(200)) == again.read(np.arange(200))).all()
    assert np.bincount(first.labels, minlength=10).min() > 5
    whole = datasets.load("digits")
    assert (first.labels[:20] != whole.labels[:20]).any()


def test_scenes_get_count_seed_and_options():
    scenes = datasets.load("scenes", count=6, seed=3, shortcut=0.5)
    assert len(scenes) == 6
    assert scenes.identity != datasets.load("scenes", count=6, seed=4, shortcut=0.5).identity
    assert scenes.identity != datasets.load("scenes", count=6, seed=3).identity


@pytest.mark.parametrize(("name", "options", "message"), [
    ("imagnet", {}, "name: found 'imagnet'; expected one of scenes, digits"),
    ("folder:", {}, "name: found 'folder:'"),
    ("cifar10:png", {}, "name: found 'cifar10:png'"),
    ("digits:x", {}, "name: found 'digits:x'"),
    ("svhn:more", {}, "name: found 'svhn:more'"),
    ("cifar100:x", {}, "name: found 'cifar100:x'"),
    ("digits", {"split": "val"}, "split: found 'val'"),
    ("digits", {"shortcut": 0.5}, "options: found shortcut for digits"),
    ("digits", {"count": 540}, "count: found 540; expected 1 to 539"),
    ("scenes", {}, "count: found None"),
    ("scenes", {"count": 5, "split": "train"}, "split: found 'train' for scenes"),
    ("cifar10:lossless100", {"split": "train"}, "split: found 'train' for cifar10:lossless100"),
])
def test_bad_requests_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(name, **options)


def test_idx_against_bytes_written_by_hand(tmp_path):
    path = tmp_path / "two-idx3-ubyte.gz"
    content = b"\0\0\x08\x03" + b"\0\0\0\x02" + b"\0\0\0\x01" + b"\0\0\0\x03" + bytes([1, 2, 3, 4, 5, 6])
    path.write_bytes(gzip.compress(content))
    assert read_idx(path).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]
    path.write_bytes(gzip.compress(content[:-1]))
    with pytest.raises(ValueError, match=r"found 5 bytes; expected 6 for the shape \(2, 1, 3\)"):
        read_idx(path)
    path.write_bytes(gzip.compress(b"\x89PNG" + content))
    with pytest.raises(ValueError, match="found the first bytes 89 50 4e"):
        read_idx(path)


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def test_binary_cifar_is_planes_of_red_green_and_blue(tmp_path):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8), np.arange(12) % 10
    records = [bytes([label]) + b"".join(picture[:, :, channel].tobytes() for channel in range(3))
               for label, picture in zip(labels, pixels, strict=True)]
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for batch in (5, 4, 3, 2, 1):                                       # the order in the archive does not matter
            add(tar, f"cifar-10-batches-bin/data_batch_{batch}.bin", b"".join(records[2 * batch - 2: 2 * batch]))
        add(tar, "cifar-10-batches-bin/test_batch.bin", b"".join(records[10:]))
        add(tar, "cifar-10-batches-bin/readme.html", b"text")
    train, test = cifar10_module.read_binary(path, "train"), cifar10_module.read_binary(path, "test")
    np.testing.assert_array_equal(np.concatenate([train["pixels"], test["pixels"]]), pixels)
    np.testing.assert_array_equal(np.concatenate([train["labels"], test["labels"]]), labels)


@pytest.mark.parametrize(("content", "message"), [
    (bytes(3072), "found 3072 bytes; expected a multiple of 3073"),
    (None, "found no test_batch.bin"),
])
def test_a_wrong_cifar_archive_is_named(tmp_path, content, message):
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as tar:
        add(tar, "cifar-10-batches-bin/test_batch.bin" if content else "other.bin", content or b"")
    with pytest.raises(ValueError, match=message):
        cifar10_module.read_binary(tmp_path / "c.tar.gz", "test")


def jpeg_archive(path, order):
    """One flat picture per label of `order`, whose red tells its place; the k-th file of a class is its k-th occurrence."""
    with tarfile.open(path, "w:xz") as tar:
        for label in reversed(range(10)):
            for k, place in enumerate(np.flatnonzero(order == label)):
                stream = io.BytesIO()
                Image.new("RGB", (32, 32), (10 * int(place), 100, 200)).save(stream, "JPEG", quality=95)
                add(tar, f"cifar10/test/{cifar10_module.CLASSES[label]}/{k:04d}.jpg", stream.getvalue())


def test_jpegs_are_put_in_the_original_order(tmp_path):
    order = np.array([3, 8, 8, 0, 6, 6, 1, 6, 3, 1, 0, 9])
    jpeg_archive(tmp_path / "j.tar.xz", order)
    arrays = cifar10_module.read_jpegs(tmp_path / "j.tar.xz", "test", order)
    assert arrays["labels"].tolist() == order.tolist()
    assert np.abs(arrays["pixels"][:, 16, 16, 0] - 10.0 * np.arange(12)).max() <= 2
    with pytest.raises(ValueError, match="test: found 12 pictures; expected 13"):
        cifar10_module.read_jpegs(tmp_path / "j.tar.xz", "test", np.append(order, 9))


@pytest.fixture
def nothing_in_reach(monkeypatch, tmp_path):
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    monkeypatch.delenv("IMAGENET_ROOT", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    away = {"folder": tmp_path, "url": NOBODY}
    monkeypatch.setitem(downloads.FILES, "mnist", tuple(replace(file, **away) for file in downloads.FILES["mnist"]))
    monkeypatch.setattr(cifar10_module, "ORIGINAL", replace(cifar10_module.ORIGINAL, **away))
    for name in ("CIFAR10_JPEG", "CIFAR10_LOSSLESS_100"):
        monkeypatch.setattr(cifar10_module, name, replace(getattr(cifar10_module, name), folder=tmp_path))


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar10:jpeg", "cifar10:lossless100", "imagenet"])
def test_missing_data_without_network_say_what_helps(nothing_in_reach, name):
    with pytest.raises(FileNotFoundError, match="DATA_MIRROR"):
        datasets.load(name)


def test_mnist_against_torchvision(mirror, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (mirror / "MNIST" / "raw").glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    for split, count in (("train", 60_000), ("test", 10_000)):
        ours, reference = datasets.load("mnist", split=split), torchvision.datasets.MNIST(tmp_path, train=split == "train")
        assert len(ours) == len(reference) == count
        np.testing.assert_array_equal(ours.labels, reference.targets)
        np.testing.assert_array_equal(ours.read(np.arange(500))[..., 1], reference.data[:500])
        np.testing.assert_array_equal(ours.read(np.arange(count - 9, count))[..., 2], reference.data[-9:])


def test_jpeg_cifar_lines_up_with_the_original_pictures(mirror):
    jpeg, original = datasets.load("cifar10:jpeg"), datasets.load("cifar10:lossless100")
    assert jpeg.name == "JPEG CIFAR-10/test"
    assert jpeg.identity["version"] == "JPEG CIFAR-10" != original.identity["version"]
    assert np.bincount(jpeg.labels).tolist() == [1000] * 10
    np.testing.assert_array_equal(jpeg.labels[:100], original.labels)
    first = np.arange(100)
    difference = jpeg.read(first).astype(float)[:, None] - original.read(first).astype(float)[None]
    distances = (difference ** 2).mean((2, 3, 4))
    assert distances.argmin(1).tolist() == first.tolist()                   # each JPEG is nearest to the picture of its own place
    assert np.sqrt(distances[first, first]).max() < 25                      # and is that picture, as JPEG of quality 75 leaves it


@pytest.mark.slow
def test_jpeg_cifar_training_pictures(mirror):
    train = datasets.load("cifar10:jpeg", split="train")
    assert len(train) == 50_000
    assert train.labels.tolist() == np.repeat(np.arange(10), 5000).tolist()
    assert np.bincount(datasets.load("cifar10:jpeg", split="train", count=2000).labels).min() > 150


def test_imagenet_sample(mirror, monkeypatch):
    monkeypatch.delenv("IMAGENET_ROOT", raising=False)
    pictures = datasets.load("imagenet", count=20)
    assert pictures.name == "imagenet sample"
    assert len(pictures.class_names) == 1000
    assert pictures.class_names[0] == "n01440764"
    assert all(min(picture.shape[:2]) <= 256 < sum(picture.shape[:2]) and picture.shape[2] == 3 for picture in pictures.read(np.arange(20)))
