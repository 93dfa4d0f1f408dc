"""Drift: pictures that are no longer like those a network was trained on, and how well a number tells it."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from sklearn.covariance import LedoitWolf

from lib.keyed_random import generator
from lib.statistics import Estimate, proportion, student_mean

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


def detection(usual: np.ndarray, drifted: np.ndarray) -> Estimate:
    """How well one number tells drifted pictures from usual ones: area under the ROC curve, 0.5 by chance.

        area = mean over i != j of 1[d_j > u_i] + 1[d_j = u_i] / 2

    A drift may raise a number or lower it. The direction is learned on every second picture and the area taken on the others, so that
    chance is not taken for a direction. Student's interval over pictures, from what each picture moves the area by (DeLong et al.,
    Biometrics 1988, for pictures that are in both samples); where no picture differs from another, as far as Wilson's interval of as many
    successes reaches.

    Args:
        usual: (n,) the number on pictures as usual.
        drifted: (n,) on the same pictures after the drift.

    Raises:
        ValueError: if they are not two equally long vectors of finite numbers, at least eight.
    """
    area = advantage(np.asarray(usual, float)[None], np.asarray(drifted, float)[None])
    return Estimate(area.value, max(area.low, 0.0), min(area.high, 1.0), area.count)


def advantage(usual: np.ndarray, drifted: np.ndarray) -> Estimate:
    """Area under the curve of the first of several numbers less that of the best of the others, paired by picture.

    Which of the others is best is, like directions, learned on every second picture.

    Args:
        usual: (numbers, n).
        drifted: (numbers, n); of one number it is the area itself.

    Raises:
        ValueError: as `detection`.
    """
    usual, drifted = np.asarray(usual, float), np.asarray(drifted, float)
    if usual.shape != drifted.shape or usual.ndim != 2 or usual.shape[1] < 8 or not np.isfinite([usual, drifted]).all():
        raise ValueError(f"usual, drifted: found shapes {usual.shape} and {drifted.shape}; expected finite numbers of the same pictures, "
                         "eight at least")  # fmt: skip
    learned, judged = (_parts(usual[:, half::2], drifted[:, half::2]) for half in (0, 1))
    rising = learned.mean(1, keepdims=True) >= 1
    learned, judged = (np.where(rising, one, 2 - one) for one in (learned, judged))
    best = judged[1 + learned[1:].mean(1).argmax()] if len(judged) > 1 else 0
    # A picture's part counts it once as usual and once as drifted: the area is half the mean, and moves by the whole of a part.
    one = student_mean(judged[0] - best)
    reach = one.high - one.value or 1 - proportion(one.count, one.count).low
    return Estimate(one.value / 2, one.value / 2 - reach, one.value / 2 + reach, one.count)


def _parts(usual, drifted):
    """(numbers, n): the share of others that a picture is below as usual, plus the share that it is above when drifted."""
    above = (drifted[:, None] > usual[:, :, None]) + 0.5 * (drifted[:, None] == usual[:, :, None])
    count = usual.shape[1]
    above[:, np.arange(count), np.arange(count)] = 0
    return (above.sum(1) + above.sum(2)) / (count - 1)


def mahalanobis(known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Distance of codes from where those of known pictures lie: codes (n, d) -> (n,), with a shrunk covariance (Ledoit and Wolf).

    Args:
        known: (pictures, d) codes of training pictures.
    """
    fitted = LedoitWolf().fit(known)
    return lambda codes: np.sqrt(fitted.mahalanobis(codes))


def _bytes(values):
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
