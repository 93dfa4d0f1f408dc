"""CIFAR-100: 60,000 colour pictures of 32x32 in a hundred classes (Krizhevsky 2009), from the binary version of its publisher."""

import tarfile
from pathlib import Path

import numpy as np

from lib import paths, store
from lib.datasets.pictures import Pictures, in_memory
from lib.downloads import Download

ARCHIVE = Download(
    "cifar-100-binary.tar.gz", "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", "cifar100/cifar-100-binary.tar.gz", folder=paths.IMAGES,
    source="A. Krizhevsky, University of Toronto",
)  # fmt: skip
_RECORD = 3074  # bytes of a picture: coarse class, class, and 32 x 32 of red, green and blue


def cifar100(split: str) -> Pictures:
    """The pictures of one split in original order, with the names of their classes as the archive has them, words apart.

    Raises:
        FileNotFoundError: if the archive is neither on this machine nor in reach.
    """
    archive = ARCHIVE.fetch()
    names = class_names(archive)
    arrays = store.fetch(
        "datasets/cifar100", {"archive": ARCHIVE.sha256, "split": split}, lambda: read_binary(archive, split), code=[read_binary]
    )
    return in_memory(f"cifar100/{split}", arrays["pixels"], arrays["labels"], names, {"dataset": "cifar100", "split": split})


def class_names(archive: Path) -> tuple[str, ...]:
    """Names of the hundred classes in the order of the labels."""
    return tuple(name.replace("_", " ") for name in _content(archive, "fine_label_names.txt").decode().split())


def read_binary(archive: Path, split: str) -> dict[str, np.ndarray]:
    """Pixels (n, 32, 32, 3) uint8 and labels (n,) of "train" or "test".

    Raises:
        ValueError: if the archive has no such file, or it does not hold whole pictures.
    """
    content = np.frombuffer(_content(archive, f"{split}.bin"), dtype=np.uint8)
    if content.size == 0 or content.size % _RECORD:
        raise ValueError(f"{archive}: {split}.bin: found {content.size} bytes; expected a multiple of {_RECORD}, that of a picture")
    records = content.reshape(-1, _RECORD)
    pixels = records[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return {"pixels": np.ascontiguousarray(pixels), "labels": records[:, 1].astype(np.int64)}


def _content(archive, wanted):
    with tarfile.open(archive) as tar:
        for member in tar:
            if Path(member.name).name == wanted:
                return tar.extractfile(member).read()
    raise ValueError(f"{archive}: found no {wanted}; expected the binary version of CIFAR-100")
