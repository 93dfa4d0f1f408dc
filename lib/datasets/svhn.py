"""SVHN: house numbers cropped to digits, 32x32 in colour (Netzer et al., NIPS workshop 2011), from the publisher's MATLAB files."""

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from lib import paths, store
from lib.datasets.pictures import Pictures, in_memory
from lib.downloads import Download

SHA256 = {
    "train": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    "extra": "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
}
FILES = {
    part: Download(
        f"{part}_32x32.mat", f"http://ufldl.stanford.edu/housenumbers/{part}_32x32.mat", sha256, f"svhn/{part}_32x32.mat",
        folder=paths.IMAGES, source="Stanford University, ufldl.stanford.edu/housenumbers",
    )
    for part, sha256 in SHA256.items()
}  # fmt: skip
CLASSES = tuple("0123456789")


def svhn(split: str, *, extra: bool = False) -> Pictures:
    """The pictures of one split in original order.

    Args:
        split: "train" or "test".
        extra: with "train", also the 531,131 easier pictures, as the LICO code has it.

    Raises:
        FileNotFoundError: if a file is neither on this machine nor in reach.
    """
    parts = [split, "extra"] if extra and split == "train" else [split]
    read = [
        store.fetch("datasets/svhn", {"file": FILES[part].sha256}, lambda part=part: read_mat(FILES[part].fetch()), code=[read_mat])
        for part in parts
    ]
    pixels, labels = (np.concatenate([arrays[name] for arrays in read]) for name in ("pixels", "labels"))
    return in_memory(f"svhn/{'+'.join(parts)}", pixels, labels, CLASSES, {"dataset": "svhn", "parts": parts})


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """Pixels (n, 32, 32, 3) uint8 and labels (n,); the digit 0, which the file calls 10, is class 0.

    Raises:
        ValueError: if the file holds something else.
    """
    content = loadmat(path)
    if not {"X", "y"} <= set(content) or content["X"].shape[:3] != (32, 32, 3) or content["X"].shape[3] != content["y"].size:
        found = ", ".join(f"{name} {content[name].shape}" for name in content if not name.startswith("__"))
        raise ValueError(f"{path}: found {found}; expected X (32, 32, 3, n) and y (n, 1), the cropped digits of SVHN")
    pixels = np.ascontiguousarray(content["X"].astype(np.uint8).transpose(3, 0, 1, 2))
    return {"pixels": pixels, "labels": content["y"].ravel().astype(np.int64) % 10}
