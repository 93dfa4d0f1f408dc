"""What people said the CIFAR-10 test pictures show: CIFAR-10H (Peterson et al., ICCV 2019), 47 to 63 answers a picture."""

import numpy as np

from lib.datasets.pictures import Pictures
from lib.downloads import Download
from lib.paths import IMAGES

NAME = "cifar10h"
# The file lies in the authors' repository under data/; the licence is CC BY-NC-SA 4.0.
ANSWERS = Download(
    "cifar10h-counts.npy",
    "https://github.com/jcpeterson/cifar-10h/raw/597cbc5f07266c9405b830ee4a53463539124c4f/data/cifar10h-counts.npy",
    "9b36b4550349af56c79083356312eb4af856cc5fd3caf1f669d40b9d0bbb69ff", "human/cifar10h-counts.npy", folder=IMAGES,
    source="github.com/jcpeterson/cifar-10h",
)  # fmt: skip


def shares_of_raters(pictures: Pictures) -> np.ndarray:
    """Which share of the raters chose each class, (10000, 10), rows summing to 1.

    Args:
        pictures: all CIFAR-10 test pictures in their original order.

    Raises:
        ValueError: if the pictures are others.
        FileNotFoundError: if the answers are neither on this machine nor in reach.
    """
    known = {name: pictures.identity.get(name) for name in ("dataset", "split", "taken")}
    if known != {"dataset": "cifar10", "split": "test", "taken": None} or len(pictures) != 10_000:
        found = f"{len(pictures)} pictures of {pictures.name}"
        raise ValueError(f"blocks: found 'people' for {found}; expected all 10,000 CIFAR-10 test pictures in their own order")
    counts = np.load(ANSWERS.fetch(), allow_pickle=False).astype(float)
    return counts / counts.sum(1, keepdims=True)
