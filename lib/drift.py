"""Drift: pictures that are no longer like those a network was trained on, and how well a number tells it."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata
from sklearn.covariance import LedoitWolf

from lib.keyed_random import generator
from lib.statistics import Estimate

Drift = Callable[[np.ndarray, float, int], np.ndarray]


def add_noise(pictures: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """clip(x + strength * N(0, 1)) in units of the full range: the drift of the paper, whose lambda goes from 0 to 0.9.

    Args:
        pictures: uint8 (n, height, width, 3).
        strength: standard deviation.
        seed: with the number of a picture it gives the noise, the same for every strength.

    Returns:
        uint8, same shape.
    """
    noise = [generator(seed, 95, number).standard_normal(pictures.shape[1:3], dtype=np.float32) for number in range(len(pictures))]
    return _bytes(pictures / 255 + strength * np.stack(noise)[..., None])


def blur(pictures: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """A Gaussian blur whose standard deviation is `strength` times a tenth of the picture's side."""
    return _bytes(ndimage.gaussian_filter(pictures / 255, (0, *(0.1 * strength * side for side in pictures.shape[1:3]), 0)))


def move(pictures: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """A shift down and right by `strength` times a third of the side; what comes in continues the border."""
    steps = [round(strength * side / 3) for side in pictures.shape[1:3]]
    padded = np.pad(pictures, ((0, 0), (steps[0], 0), (steps[1], 0), (0, 0)), mode="edge")
    return padded[:, : pictures.shape[1], : pictures.shape[2]]


def fade(pictures: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Contrast lost towards the picture's own mean: 1 - strength of it is left."""
    mean = pictures.mean((1, 2, 3), keepdims=True)
    return _bytes((mean + (1 - strength) * (pictures - mean)) / 255)


DRIFTS: dict[str, Drift] = {"noise": add_noise, "blur": blur, "shift": move, "contrast": fade}


def relative_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The drift score of the paper, (S(x) - S(x_lambda)) / S(x), from each picture's score before and after; NaN where S(x) is 0."""
    before, after = np.asarray(before, float), np.asarray(after, float)
    return np.divide(before - after, before, out=np.full(before.shape, np.nan), where=before != 0)


def detection(usual: np.ndarray, drifted: np.ndarray, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """How well one number tells drifted pictures from usual ones: area under the ROC curve, in whichever direction it moves.

    The direction is that of the medians, so the value may lie a little below 0.5 by chance, and is never above what it would be with the
    direction known.

    Args:
        usual: (n,) the number on pictures as usual.
        drifted: (n,) on the same pictures after the drift: both are resampled as pairs.
        resamples: of the bootstrap over pictures; the direction is found anew in each.
        seed: of the resampling.

    Raises:
        ValueError: if they are not two equally long vectors of finite numbers, at least two.
    """
    usual, drifted = np.asarray(usual, float), np.asarray(drifted, float)
    if usual.shape != drifted.shape or usual.ndim != 1 or len(usual) < 2 or not np.isfinite([usual, drifted]).all():
        raise ValueError(f"usual, drifted: found shapes {usual.shape} and {drifted.shape}; expected finite vectors of the same pictures")

    count = len(usual)

    def areas(rows):
        """Of each row of picture numbers, by the sum of ranks."""
        one, other = usual[rows], drifted[rows]
        ranks = rankdata(np.concatenate([one, other], axis=1), axis=1)[:, count:].sum(1)
        area = (ranks - count * (count + 1) / 2) / count**2
        return np.where(np.median(other, axis=1) >= np.median(one, axis=1), area, 1 - area)

    low, high = np.quantile(areas(np.random.default_rng(seed).integers(0, count, (resamples, count))), (0.025, 0.975))
    return Estimate(float(areas(np.arange(count)[None])[0]), float(low), float(high), count)


def mahalanobis(known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Distance of codes from where those of known pictures lie: codes (n, d) -> (n,), with a shrunk covariance (Ledoit and Wolf).

    Args:
        known: (pictures, d) codes of training pictures.
    """
    fitted = LedoitWolf().fit(known)
    return lambda codes: np.sqrt(fitted.mahalanobis(codes))


def _bytes(values):
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
