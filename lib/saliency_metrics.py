"""How good is a saliency map? Measures of maps against the network they explain, against true masks, and against themselves.

| measure | question | source |
|---|---|---|
| insertion, deletion | does the class's probability rise (fall) soon as pixels come in (go)? | RISE: Petsiuk et al., BMVC 2018 |
| pointing game | is the highest place on the object? | Zhang et al., ECCV 2016 |
| energy in mask | which share of the map is on the object? (SCH of the second LICO study is the same number) | Wang et al., CVPRW 2020 |
| equivariance (SES) | is the map of a flipped or cropped picture the flipped or cropped map? | Bartak et al., TMLR 2024 |
| share of objects (MOSU) | do several objects get their share of the map? | Bartak et al., TMLR 2024 |

Insertion grows with a network's confidence as well as with a map's focus: a less certain network has less of it under the very same map,
and networks whose probability changes abruptly have more. Compare two networks on pictures that both get right, with the probability of
the whole picture divided out, and beside the bounds of the true mask and of random maps (specs/lico.md, 5.11).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms.functional import gaussian_blur

from lib.keyed_random import generator, keys

BLUR = (11, 5.0)  # kernel and sigma in pixels, RISE's for pictures of 224; smaller pictures are blurred more by it
STEP = 0.036  # share of the pixels at a time; both studies have about as much


@dataclass(frozen=True)
class PerturbationCurves:
    """How the probability of a class changes while pixels are exchanged.

    Args:
        pixels: (steps + 1,) pixels exchanged so far, from 0 to all.
        probability: (n, steps + 1) of each picture's class.
    """

    pixels: np.ndarray
    probability: np.ndarray

    @property
    def fractions(self) -> np.ndarray:
        """(steps + 1,) share of the picture exchanged, from 0 to 1."""
        return self.pixels / self.pixels[-1]

    @property
    def areas(self) -> np.ndarray:
        """(n,) area under each curve by the trapezoid rule; 1 exactly if the probability is 1 throughout."""
        heights = self.probability[:, 1:] + self.probability[:, :-1]
        return (heights * np.diff(self.pixels)).sum(1) / (2 * self.pixels[-1])


def insertion(probability, pictures, maps, targets, *, start: torch.Tensor | None = None, **settings) -> PerturbationCurves:
    """From a blurred picture to the picture, most salient pixels first; arguments as in `exchanged`, `start` replaces the blur."""
    return exchanged(probability, blurred(pictures) if start is None else start, pictures, maps, targets, **settings)


def deletion(probability, pictures, maps, targets, *, end: float = 0.0, **settings) -> PerturbationCurves:
    """From the picture to grey, `end` of every channel (0 is the middle grey of this project's pictures), most salient pixels first."""
    return exchanged(probability, pictures, torch.full_like(pictures, end), maps, targets, **settings)


@torch.no_grad()
def exchanged(
    probability: Callable[[torch.Tensor], torch.Tensor], before: torch.Tensor, after: torch.Tensor, maps, targets, *, step: float = STEP,
    batch_size: int = 256, seed: int = 0,
) -> PerturbationCurves:  # fmt: skip
    """Exchange the pixels of pictures step by step, all pictures and steps in batches of one size.

    Args:
        probability: (m, channels, H, W) -> (m, classes) in [0, 1], whatever m.
        before, after: (n, channels, H, W) pictures at the first and at the last step.
        maps: (n, H, W), finite; large values go first. Ties, all pixels of a constant map among them, go in random order.
        targets: (n,) classes whose probability is followed.
        step: share of the pixels at a time, rounded to pixels; the last step may be shorter.
        batch_size: pictures through the network at a time; changes nothing.
        seed: of the order of ties, which belongs to each picture's number.

    Raises:
        ValueError: if shapes disagree, a map is not finite, step is not above 0 and at most 1, or a target is no class.
    """
    maps, targets = _checked_maps(maps), np.asarray(targets)
    if before.ndim != 4 or before.shape != after.shape or before.shape[2:] != maps.shape[1:] or len(before) != len(maps):
        found = f"{tuple(before.shape)}, {tuple(after.shape)} and {maps.shape}"
        raise ValueError(f"before, after, maps: found shapes {found}; expected (n, channels, H, W) twice and (n, H, W)")
    if targets.shape != (len(maps),) or targets.dtype.kind not in "iu":
        raise ValueError(f"targets: found {targets.dtype} of shape {targets.shape}; expected integers of shape ({len(maps)},)")
    if not 0 < step <= 1:
        raise ValueError(f"step: found {step}; expected a share of the pixels, above 0 and at most 1")
    total = maps[0].size
    counts = np.append(np.arange(0, total, max(1, round(step * total))), total)
    ranks = torch.from_numpy(_ranks(maps, seed)).to(before.device)
    limits = torch.from_numpy(counts).to(before.device)
    found = np.empty((len(maps), len(counts)))
    pairs = np.stack(np.meshgrid(np.arange(len(maps)), np.arange(len(counts)), indexing="ij"), 2).reshape(-1, 2)
    for first in range(0, len(pairs), batch_size):
        pictures, steps = (torch.from_numpy(one).to(before.device) for one in pairs[first : first + batch_size].T)
        gone = (ranks[pictures] < limits[steps][:, None, None])[:, None]
        of_classes = probability(torch.where(gone, after[pictures], before[pictures])).double().cpu().numpy()
        wanted = targets[pairs[first : first + batch_size, 0]]
        if wanted.min() < 0 or wanted.max() >= of_classes.shape[1]:
            raise ValueError(f"targets: found {targets.min()} to {targets.max()}; expected 0 to {of_classes.shape[1] - 1}")
        found.reshape(-1)[first : first + batch_size] = of_classes[np.arange(len(of_classes)), wanted]
    return PerturbationCurves(counts, found)


def blurred(pictures: torch.Tensor, *, kernel: int = BLUR[0], sigma: float = BLUR[1]) -> torch.Tensor:
    """Gaussian blur, mirrored at the edges. It moves insertion a lot: report it.

    Args:
        pictures: (n, channels, H, W).
        kernel: side of the kernel in pixels, odd.
        sigma: in pixels.
    """
    return gaussian_blur(pictures, [kernel, kernel], [sigma, sigma])


def pointing_game(maps, masks) -> np.ndarray:
    """(n,) does the map's maximum lie in the mask? Of several equal maxima, the share of them that do.

    Args:
        maps: (n, H, W).
        masks: (n, H, W) bool, each with a pixel in it.
    """
    maps, masks = _checked(maps, masks)
    highest = maps == maps.max((1, 2), keepdims=True)
    return (highest & masks).sum((1, 2)) / highest.sum((1, 2))


def energy_in_mask(maps, masks) -> np.ndarray:
    """(n,) share of the map's sum inside the mask; NaN where a map is 0 everywhere.

    Args:
        maps: (n, H, W), none negative.
        masks: (n, H, W) bool, each with a pixel in it.
    """
    maps, masks = _checked(maps, masks)
    if maps.min() < 0:
        raise ValueError(f"maps: found the negative value {maps.min():.3g}; expected shares, of values of at least 0")
    total = maps.sum((1, 2))
    return np.divide((maps * masks).sum((1, 2)), total, out=np.full(len(maps), np.nan), where=total > 0)


def equivariance(maps_then_moved, moved_then_maps, *, centred: bool = False) -> np.ndarray:
    """SES: (n,) cosine of the transformed map of a picture, t(s(x)), with the map of the transformed picture, s(t(x)); NaN where one is 0.

    Args:
        maps_then_moved, moved_then_maps: (n, H, W).
        centred: subtract each map's mean first, which makes it their correlation (NaN where one is constant): the cosine of two maps with
            a high floor, as RISE's have, is near 1 whatever stands on it.
    """
    first, second = _checked_maps(maps_then_moved), _checked_maps(moved_then_maps)
    if first.shape != second.shape:
        raise ValueError(f"maps_then_moved, moved_then_maps: found shapes {first.shape} and {second.shape}; expected the same")
    constant = np.zeros(len(first), bool)
    if centred:
        constant = (np.ptp(first, axis=(1, 2)) == 0) | (np.ptp(second, axis=(1, 2)) == 0)
        first, second = (maps - maps.mean((1, 2), keepdims=True) for maps in (first, second))
    lengths = np.sqrt(np.square(first).sum((1, 2)) * np.square(second).sum((1, 2)))
    return np.divide((first * second).sum((1, 2)), lengths, out=np.full(len(first), np.nan), where=(lengths > 0) & ~constant)


def cropped(pictures: torch.Tensor, *, share: float = 7 / 8, seed: int = 0) -> torch.Tensor:
    """(n, channels, H, W) a window of each picture, somewhere in it, brought to the size of the whole: a transformation for `equivariance`.

    Args:
        pictures: (n, channels, H, W); maps with one channel are cut as their pictures are.
        share: of the window's sides in the picture's.
        seed: of where windows are, which belongs to each picture's number.

    Raises:
        ValueError: if share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: found {share}; expected a share of the sides, above 0 and at most 1")
    windows = torch.zeros(len(pictures), 2, 3, dtype=pictures.dtype, device=pictures.device)
    windows[:, 0, 0] = windows[:, 1, 1] = share
    windows[:, :, 2] = torch.from_numpy((1 - share) * generator(seed, 123).uniform(-1, 1, (len(pictures), 2)))
    places = affine_grid(windows, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, places, padding_mode="border", align_corners=False)


def share_of_objects(maps, masks, *, target: str = "area") -> np.ndarray:
    """MOSU: (n,) divergence between the objects' shares of the map and their shares of the area, in nats; 0 is fair, infinite is possible.

    Args:
        maps: (n, H, W), none negative.
        masks: (n, objects, H, W) bool, each with a pixel in it.
        target: "area", KL(map || area) as the study's code has it, finite where an object has none of the map; or "map", KL(area || map)
            as its text says.

    Returns:
        NaN where no object has any of the map.
    """
    maps, masks = _checked_maps(maps), np.asarray(masks)
    if masks.dtype != bool or masks.ndim != 4 or masks.shape[:1] + masks.shape[2:] != maps.shape:
        raise ValueError(f"masks: found {masks.dtype} of shape {masks.shape}; expected bool (n, objects, H, W) for maps {maps.shape}")
    if maps.min() < 0:
        raise ValueError(f"maps: found the negative value {maps.min():.3g}; expected shares, of values of at least 0")
    area = masks.sum((2, 3))
    if not area.all():
        raise ValueError(f"masks: found {int((area == 0).sum())} objects without a pixel; expected at least one in each")
    if target not in ("area", "map"):
        raise ValueError(f"target: found {target!r}; expected 'area' or 'map'")
    mass = np.einsum("nohw,nhw->no", masks, maps)
    total = mass.sum(1, keepdims=True)
    shares = np.divide(mass, total, out=np.full_like(mass, np.nan), where=total > 0)
    fair = area / area.sum(1, keepdims=True)
    first, second = (shares, fair) if target == "area" else (fair, shares)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(first > 0, first * np.log(first / second), 0 * first)
    return terms.sum(1)


def random_maps(count: int, side: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """(count, H, W) maps that know nothing, uniform in [0, 1), each pixel's own: the lower bound beside every score."""
    numbers = keys(seed, 120, np.arange(count)[:, None, None], np.arange(side[0])[:, None], np.arange(side[1]))
    return (numbers >> np.uint64(11)) / 2.0**53


def _ranks(maps, seed):
    """(n, H, W) place of every pixel in its map's order, the most salient first, ties in random order."""
    n, total = len(maps), maps[0].size
    ties = keys(seed, 121, np.arange(n)[:, None], np.arange(total))
    order = np.lexsort((ties, -maps.reshape(n, -1)), axis=1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(total), (n, total)), axis=1)
    return ranks.reshape(maps.shape)


def _checked_maps(maps):
    maps = np.asarray(maps.cpu() if isinstance(maps, torch.Tensor) else maps, dtype=np.float64)
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"maps: found shape {maps.shape}; expected (n, H, W), at least one of each")
    if not np.isfinite(maps).all():
        raise ValueError(f"maps: found {np.count_nonzero(~np.isfinite(maps))} values that are not finite; expected none")
    return maps


def _checked(maps, masks):
    maps, masks = _checked_maps(maps), np.asarray(masks)
    if masks.dtype != bool or masks.shape != maps.shape:
        raise ValueError(f"masks: found {masks.dtype} of shape {masks.shape}; expected bool of shape {maps.shape}")
    if not masks.any((1, 2)).all():
        raise ValueError(f"masks: found {int((~masks.any((1, 2))).sum())} without a pixel; expected at least one in each")
    return maps, masks
