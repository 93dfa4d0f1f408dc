"""Is every encoder what it is said to be? Asked before anything is measured on it."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lib import datasets, encoders, perceptual
from lib.datasets.pictures import Pictures
from lib.encoders import local, sanity
from lib.experiments import encoder_quality

CHECK_SEED = 500  # of scenes that neither train nor are measured
CHECK_PICTURES = 4000
SAME_FILES = 0.005  # where the same files were measured before, accuracy must agree within half a point


def encoder_checks(names: Sequence[str], pictures: Pictures, stated: pd.DataFrame) -> pd.DataFrame:
    """Check all encoders: local ones against their untrained selves, others against the accuracy that was stated for them.

    Args:
        names: of encoders.
        pictures: those of the notebook, on which the form of every output is checked.
        stated: the columns encoder, pictures, accuracy, count (data/reported/published_accuracy.csv).

    Returns:
        One row per check: encoder, check, value, low, high, expected, passed ("yes", "no", or "" where nothing is stated).
    """
    rows = []
    for name in tqdm(names, desc="checking encoders", leave=False):
        encoder = encoders.load(name)
        if name.startswith("local:"):
            sanity.check(encoder, pictures.take(np.arange(8)))
            if encoders.parse(name)[1] != "random":
                rows.append(_against_untrained(name))
            continue
        for row in stated[stated["encoder"] == name].itertuples():
            with suppress(FileNotFoundError):  # these pictures are not at hand here
                rows.append(_against_stated(encoder, row))
        if name not in set(stated["encoder"]):
            found = sanity.check(encoder, pictures)
            if found.accuracy is not None:
                rows.append(
                    {
                        "encoder": name,
                        "check": f"accuracy on {pictures.name}",
                        "value": found.accuracy,
                        "low": found.interval[0],
                        "high": found.interval[1],
                        "expected": "nothing stated",
                        "passed": "",
                    }
                )
    return pd.DataFrame(rows, columns=["encoder", "check", "value", "low", "high", "expected", "passed"])


def at_hand(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which encoders or similarities can be had here, and one line for each that cannot: weights that only a mirror holds, or no network.

    Raises:
        FileNotFoundError: if none can be had.
    """
    there, absent = [], []
    for name in names:
        try:
            if name.startswith(("published:", "timm:", "torchvision:", "file:")):
                encoders.load(name)
            elif name in perceptual.NAMES:
                perceptual.files(name)
            there.append(name)
        except FileNotFoundError as error:
            absent.append(f"left out, not at hand: {name} ({error})")
    if not there:
        raise FileNotFoundError("\n".join(absent))
    return there, absent


def verdicts(checked: pd.DataFrame) -> dict[str, str]:
    """Encoder -> "passed", "failed" or "" (nothing to compare with), over all its checks."""
    return {
        name: "failed" if "no" in set(group["passed"]) else "passed" if "yes" in set(group["passed"]) else ""
        for name, group in checked.groupby("encoder")
    }


def _against_untrained(name):
    one = encoder_quality.improvement(name, _check_pictures(local.recipe_named(name).data))
    return {
        "encoder": name,
        "check": f"{one.task}: {one.untrained:.2f} untrained, {one.trained:.2f} trained; gain",
        "value": one.gain.value,
        "low": one.gain.low,
        "high": one.gain.high,
        "expected": f"above {one.margin:g}",
        "passed": "yes" if one.passed else "no",
    }


def _against_stated(encoder, row):
    """A sample is compared by its interval; the very files that were measured before, within half a point."""
    where = _STATED[row.pictures]()
    found = sanity.check(encoder, where, row.accuracy)
    same_files = len(where) == row.count
    passed = abs(found.accuracy - row.accuracy) <= SAME_FILES if same_files else found.agrees
    return {
        "encoder": encoder.name,
        "check": f"accuracy on {where.name}, n = {len(where)}",
        "value": found.accuracy,
        "low": found.interval[0],
        "high": found.interval[1],
        "expected": f"{row.accuracy:.3f} stated for {row.pictures}, n = {row.count}",
        "passed": "yes" if passed else "no",
    }


_STATED = {
    "cifar10 test (original)": lambda: _original_or_its_first_hundred(),
    "first 100 test pictures lossless": lambda: datasets.load("cifar10:lossless100"),
    "first 1000 test pictures as JPEG": lambda: datasets.load("cifar10:jpeg").take(np.arange(1000)),
    "imagenet sample": lambda: datasets.load("imagenet"),
}


def _original_or_its_first_hundred():
    pictures = datasets.load("cifar10")
    return pictures if pictures.name == "cifar10/test" else datasets.load("cifar10:lossless100")


def _check_pictures(data):
    if data == "scenes":
        return datasets.load("scenes", count=CHECK_PICTURES, seed=CHECK_SEED)
    return datasets.load(data, count=CHECK_PICTURES, seed=CHECK_SEED)
