"""CIFAR-100 and SVHN from small files in the layout of the real ones."""

import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from scipy.io import savemat

from lib import datasets
from lib.datasets import cifar100 as cifar100_module
from lib.datasets import svhn as svhn_module

NAMES = ["apple", "aquarium_fish", "baby"]


def packed(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-100-binary/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), rng.integers(0, 3, count)


def records(pixels, labels):
    return b"".join(bytes([7, label]) + picture.transpose(2, 0, 1).tobytes() for picture, label in zip(pixels, labels, strict=True))


def at_hand(monkeypatch, tmp_path, module, name, path):
    """The file in the place of the real one, with its own hash, and a cache of its own."""
    monkeypatch.setattr(module.store, "fetch", lambda kind, inputs, make, *, code: make())
    known = getattr(module, name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if isinstance(known, dict):
        part = path.name.partition("_")[0]
        known = known | {part: replace(known[part], sha256=digest, folder=path.parent)}
    else:
        known = replace(known, sha256=digest, folder=path.parent)
    monkeypatch.setattr(module, name, known)


def test_cifar100_is_read_as_it_was_written(monkeypatch, tmp_path):
    parts = {split: pictures(count, seed) for split, count, seed in (("train", 5, 0), ("test", 3, 1))}
    files = {f"{split}.bin": records(*part) for split, part in parts.items()} | {"fine_label_names.txt": "\n".join(NAMES).encode()}
    at_hand(monkeypatch, tmp_path, cifar100_module, "ARCHIVE", packed(tmp_path / "cifar-100-binary.tar.gz", files))
    for split, (pixels, labels) in parts.items():
        found = datasets.load("cifar100", split=split)
        np.testing.assert_array_equal(found.read(np.arange(len(found))), pixels)
        np.testing.assert_array_equal(found.labels, labels)
        assert found.class_names == ("apple", "aquarium fish", "baby")


@pytest.mark.parametrize(("files", "message"), [
    ({"train.bin": b"x" * 3075}, "found 3075 bytes; expected a multiple of 3074"),
    ({"train.bin": b""}, "found 0 bytes"),
    ({"test.bin": b""}, "found no train.bin"),
])  # fmt: skip
def test_another_archive_is_refused(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        cifar100_module.read_binary(packed(tmp_path / "archive.tar.gz", files), "train")


def test_svhn_is_read_as_it_was_written(monkeypatch, tmp_path):
    (pixels, _), labels = pictures(4), np.array([1, 10, 9, 10])
    for part in ("train", "extra"):
        savemat(tmp_path / f"{part}_32x32.mat", {"X": pixels.transpose(1, 2, 3, 0), "y": labels[:, None]})
        at_hand(monkeypatch, tmp_path, svhn_module, "FILES", tmp_path / f"{part}_32x32.mat")
    found = datasets.load("svhn", split="train")
    np.testing.assert_array_equal(found.read(np.arange(4)), pixels)
    assert found.labels.tolist() == [1, 0, 9, 0]
    more = datasets.load("svhn:extra", split="train")
    assert len(more) == 8
    assert more.identity != found.identity


def test_another_mat_file_is_refused(tmp_path):
    savemat(tmp_path / "other.mat", {"X": np.zeros((4, 4, 3, 2)), "y": np.zeros((2, 1))})
    with pytest.raises(ValueError, match="expected X"):
        svhn_module.read_mat(tmp_path / "other.mat")


def test_files_that_are_nowhere_say_what_helps(monkeypatch, tmp_path):
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    for module, name, load in ((cifar100_module, "ARCHIVE", cifar100_module.cifar100), (svhn_module, "FILES", svhn_module.svhn)):
        known = getattr(module, name)
        away = {"url": "http://127.0.0.1:9/nothing", "folder": tmp_path}
        changed = {part: replace(one, **away) for part, one in known.items()} if isinstance(known, dict) else replace(known, **away)
        monkeypatch.setattr(module, name, changed)
        with pytest.raises(FileNotFoundError, match="What helps"):
            load("train")
