"""MNIST: 70,000 handwritten digits, 28x28 grey, read from the four original files (LeCun et al., Proc. IEEE 1998)."""

import gzip
from pathlib import Path

import numpy as np

from lib.datasets.pictures import Pictures, in_memory
from lib.downloads import FILES


def mnist(split: str) -> Pictures:
    """The pictures of one split in original order, 28x28.

    Raises:
        FileNotFoundError: if the files are neither on this machine nor in reach.
    """
    downloads = FILES["mnist"][:2] if split == "train" else FILES["mnist"][2:]
    pixels, labels = (read_idx(download.fetch()) for download in downloads)
    return in_memory(f"mnist/{split}", pixels, labels, tuple("0123456789"), {"dataset": "mnist", "split": split})


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped idx file of unsigned bytes.

    The format: two zero bytes, the type (8 is unsigned byte), the number of dimensions, each dimension as a big-endian 32-bit integer, then
    the values.

    Raises:
        ValueError: if the file is something else or is cut off.
    """
    with gzip.open(path) as stream:
        content = stream.read()
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: found the first bytes {content[:3].hex(' ')}; expected 00 00 08, an idx file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start], dtype=">u4").astype(int)
    if len(content) != start + shape.prod():
        raise ValueError(f"{path}: found {len(content) - start} bytes; expected {shape.prod()} for the shape {tuple(shape.tolist())}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
