"""Digits: 1,797 handwritten digits of 8x8 grey pixels that come with scikit-learn, so that no network is needed."""

import numpy as np
from sklearn.datasets import load_digits

from lib.datasets.pictures import Pictures, in_memory

SCALE = 4               # 8x8 -> 32x32 by repeating pixels: what small encoders expect, and nothing is invented between pixels
TEST_SHARE = 0.3
SPLIT_SEED = 0          # fixed, so that the test pictures are the same whatever the seed of an experiment


def digits(split: str) -> Pictures:
    """The digits of one split as 32x32 pictures in original order; 30 % of each class are the test pictures."""
    bunch = load_digits()
    labels = bunch.target
    test = np.zeros(len(labels), dtype=bool)
    rng = np.random.default_rng(SPLIT_SEED)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        test[rng.permutation(members)[:round(TEST_SHARE * len(members))]] = True
    chosen = test if split == "test" else ~test

    grey = np.round(bunch.images[chosen] * (255 / 16)).astype(np.uint8)         # stored as 0 to 16
    grey = grey.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    return in_memory(f"digits/{split}", grey, labels[chosen], tuple("0123456789"),
                     {"dataset": "digits", "split": split, "scale": SCALE, "split seed": SPLIT_SEED, "test share": TEST_SHARE})
