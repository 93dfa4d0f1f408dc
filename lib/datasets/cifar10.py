"""CIFAR-10: 60,000 colour pictures of 32x32 in ten classes (Krizhevsky 2009).

Two versions. The original, read from the "binary version" of its publisher: the same pixels as torchvision's archive, which is a pickle and
would run code. And a JPEG version (quality 75) that a local mirror may hold: it costs accurate networks 5 to 11 points of accuracy, so its
name is "JPEG CIFAR-10" and no number measured on it may be compared with a published one.
"""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from lib import store
from lib.datasets.pictures import Pictures, in_memory
from lib.downloads import CIFAR10_JPEG, CIFAR10_LOSSLESS_100, CIFAR10_TEST_LABELS, FILES

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ORIGINAL = FILES["cifar10"][0]
COUNT = {"train": 50_000, "test": 10_000}


def cifar10(split: str, version: str = "") -> Pictures:
    """The pictures of one split.

    Args:
        split: "train" or "test".
        version: "" is the original where it is on this machine, else the mirror's JPEG version, else a download of the original;
            "jpeg" is always the JPEG version; "lossless100" the first 100 test pictures of the original.

    The original order is kept, except for the JPEG training pictures, whose original order is not known: they come class by class.

    Raises:
        FileNotFoundError: if the data are neither on this machine nor in reach.
        ValueError: if the version does not exist, or not in this split.
    """
    if version == "lossless100":
        return _lossless_100(split)
    if version not in ("", "jpeg"):
        raise ValueError(f"version: found {version!r}; expected '', 'jpeg' or 'lossless100'")
    archive = ORIGINAL.local() if version == "" else None
    if archive is None and (version == "jpeg" or CIFAR10_JPEG.local()):
        return _jpeg(split)
    return _original(split, archive or ORIGINAL.fetch())


def _original(split: str, archive: Path) -> Pictures:
    arrays = store.fetch("datasets/cifar10", {"archive": ORIGINAL.sha256, "split": split},
                         lambda: read_binary(archive, split), code=[read_binary])
    return in_memory(f"cifar10/{split}", arrays["pixels"], arrays["labels"], CLASSES,
                     {"dataset": "cifar10", "version": "original", "split": split})


def _jpeg(split: str) -> Pictures:
    archive = CIFAR10_JPEG.fetch()
    order = np.load(CIFAR10_TEST_LABELS.fetch(), allow_pickle=False) if split == "test" else np.arange(COUNT["train"]) // 5_000
    arrays = store.fetch("datasets/cifar10", {"archive": CIFAR10_JPEG.sha256, "order": CIFAR10_TEST_LABELS.sha256, "split": split},
                         lambda: read_jpegs(archive, split, order), code=[read_jpegs])
    return in_memory(f"JPEG CIFAR-10/{split}", arrays["pixels"], arrays["labels"], CLASSES,
                     {"dataset": "cifar10", "version": "JPEG CIFAR-10", "split": split})


def _lossless_100(split: str) -> Pictures:
    if split != "test":
        raise ValueError(f"split: found {split!r} for cifar10:lossless100; expected 'test', these are the first 100 test pictures")
    if archive := ORIGINAL.local():
        original = _original("test", archive)
        pixels, labels = original.read(np.arange(100)), original.labels[:100]
    else:
        with np.load(CIFAR10_LOSSLESS_100.fetch(), allow_pickle=False) as arrays:
            pixels, labels = arrays["x"], arrays["y"]
    return in_memory("cifar10/test[:100]", pixels, labels, CLASSES,
                     {"dataset": "cifar10", "version": "original", "split": "test", "first": 100})


def read_binary(archive: Path, split: str) -> dict[str, np.ndarray]:
    """Pixels and labels from the binary version: per picture one byte of label, then the 32x32 red, green and blue bytes.

    Raises:
        ValueError: if a file of the archive does not hold whole pictures.
    """
    names = [f"data_batch_{batch}.bin" for batch in range(1, 6)] if split == "train" else ["test_batch.bin"]
    batches = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            if name in names:
                content = np.frombuffer(tar.extractfile(member).read(), dtype=np.uint8)
                if content.size == 0 or content.size % 3073:
                    raise ValueError(f"{archive}: {member.name}: found {content.size} bytes; "
                                     "expected a multiple of 3073, label and pixels of each picture")
                batches[name] = content.reshape(-1, 3073)
    if missing := [name for name in names if name not in batches]:
        raise ValueError(f"{archive}: found no {', '.join(missing)}; expected the binary version of CIFAR-10")
    records = np.concatenate([batches[name] for name in names])
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return {"pixels": np.ascontiguousarray(pixels), "labels": records[:, 0].astype(np.int64)}


def read_jpegs(archive: Path, split: str, order: np.ndarray) -> dict[str, np.ndarray]:
    """Pixels and labels from the JPEG version, `<split>/<class>/<k>.jpg`.

    The k-th file of a class is the k-th picture of that class in the original order, so the labels in that order say which file goes where.

    Args:
        archive: the tar file.
        split: "train" or "test".
        order: (pictures,) labels in the order wanted.

    Raises:
        ValueError: if a picture is missing.
    """
    order = np.asarray(order, dtype=np.int64)
    positions = [np.flatnonzero(order == label) for label in range(len(CLASSES))]
    pixels, seen = np.empty((len(order), 32, 32, 3), dtype=np.uint8), np.zeros(len(order), dtype=bool)
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if member.isfile() and parts[-3] == split:
                position = positions[CLASSES.index(parts[-2])][int(Path(parts[-1]).stem)]
                pixels[position] = np.asarray(Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB"))
                seen[position] = True
    if not seen.all():
        raise ValueError(f"{archive}: {split}: found {seen.sum()} pictures; expected {len(seen)}")
    return {"pixels": pixels, "labels": order}
