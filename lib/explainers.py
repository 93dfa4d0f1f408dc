"""Saliency maps of a classifier for one class, by the five methods that LICO was combined with.

| method | from | source |
|---|---|---|
| Grad-CAM | captum | Selvaraju et al., ICCV 2017 |
| Grad-CAM++ | the optional package grad-cam | Chattopadhay et al., WACV 2018 |
| Score-CAM | the optional package grad-cam | Wang et al., CVPRW 2020 |
| Group-CAM | here | Zhang et al., arXiv 2103.13859 |
| RISE | here | Petsiuk et al., BMVC 2018 |

All give one map a picture, (n, H, W), none negative, from a layer's feature maps enlarged bilinearly (RISE: from masked pictures). Networks
are looked at in eval mode, one picture independent of the others.
"""

from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import nn
from torch.nn.functional import interpolate, relu, softmax

from lib.attribution.sites import Site, evaluate, evaluating
from lib.keyed_random import generator
from lib.saliency_metrics import blurred


def explain(
    name: str, network: nn.Module, layer: str, batch: torch.Tensor, targets: torch.Tensor, *, at_once: int = 64, **settings
) -> torch.Tensor:
    """Maps by the name of a method, (n, H, W).

    Args:
        name: one of `EXPLAINERS`.
        network: batch -> (n, classes) logits.
        layer: name of a part of it, whose output are the last feature maps (n, channels, h, w).
        batch: (n, channels, H, W) pictures as the network takes them, at least one.
        targets: (n,) int64, the class that is explained in each.
        at_once: pictures whose feature maps are held at a time; changes nothing.
        settings: of the method.

    Raises:
        ValueError: if the method is unknown, the layer has no places, or a target is no class.
        ImportError: if the method needs a package that is not installed.
    """
    if name not in EXPLAINERS:
        raise ValueError(f"name: found {name!r}; expected one of {', '.join(EXPLAINERS)}")
    if not len(batch) or len(targets) != len(batch):
        raise ValueError(f"batch, targets: found {len(batch)} pictures and {len(targets)} classes; expected one each, and at least one")
    with evaluating(network), _gradients_kept(network):
        maps, logits = _maps_and_logits(network, layer, batch[:1])
        if maps.ndim != 4 or maps.shape[2] * maps.shape[3] < 2:
            raise ValueError(f"layer: found an output of shape {tuple(maps.shape)}; expected feature maps (n, channels, h, w) with places")
        if targets.min() < 0 or targets.max() >= logits.shape[1]:
            raise ValueError(f"targets: found {int(targets.min())} to {int(targets.max())}; expected 0 to {logits.shape[1] - 1}")
        parts = [EXPLAINERS[name](network, layer, x, y, **settings).detach()
                 for x, y in zip(batch.split(at_once), targets.split(at_once), strict=True)]  # fmt: skip
        return torch.cat(parts)


def grad_cam(network: nn.Module, layer: str, batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """ReLU(sum_c w_c A_c), w_c the mean gradient of the class's logit on channel c."""
    maps = LayerGradCam(network, network.get_submodule(layer)).attribute(batch, target=targets, relu_attributions=True)
    return _enlarged(maps, batch)[:, 0]


def grad_cam_plus_plus(network: nn.Module, layer: str, batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """As Grad-CAM, with gradients weighted place by place."""
    return _from_grad_cam("GradCAMPlusPlus", network, layer, batch, targets)


def score_cam(network: nn.Module, layer: str, batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Weights are the scores of pictures masked by each channel, without gradients."""
    # One at a time: the package holds every picture as often as there are channels.
    return torch.cat([_from_grad_cam("ScoreCAM", network, layer, *one) for one in zip(batch.split(1), targets.split(1), strict=True)])


def group_cam(
    network: nn.Module, layer: str, batch: torch.Tensor, targets: torch.Tensor, *, groups: int = 32, threshold: float = 0.7,
    batch_size: int = 256,
) -> torch.Tensor:  # fmt: skip
    """ReLU(sum_g s_g M_g): masks of groups of channels, each weighted by what it adds to a blurred picture.

        M_g = ReLU(sum_(c in g) w_c A_c), its lower values set to 0, enlarged and scaled to [0, 1],
        s_g = p(M_g x + (1 - M_g) blur(x)) - p(blur(x)),    p the probability of the class.

    Args:
        groups: of neighbouring channels, at most as many as there are.
        threshold: quantile of a mask below which it is 0.
        batch_size: masked pictures through the network at a time.

    Raises:
        ValueError: if a setting is out of range.
    """
    if groups < 1 or not 0 <= threshold <= 1 or batch_size < 1:
        found = f"{groups}, {threshold}, {batch_size}"
        raise ValueError(f"groups, threshold, batch_size: found {found}; expected at least 1, a share, and at least 1")
    maps, logits = _maps_and_logits(network, layer, batch)
    (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), maps)
    maps = maps.detach()
    weighted = maps * gradient.mean((2, 3), keepdim=True)
    parts = torch.stack([relu(part.sum(1)) for part in weighted.tensor_split(min(groups, maps.shape[1]), dim=1)], 1)
    least = parts.flatten(2).quantile(threshold, dim=2)[:, :, None, None]
    masks = _enlarged(torch.where(parts >= least, parts, 0), batch)
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    masks = (masks - low) / (high - low).clamp_min(1e-12)
    soft = blurred(batch)
    base = _probability(network, soft, targets)
    gained = []
    for mask, picture, blur, target, of_blur in zip(masks, batch, soft, targets, base, strict=True):
        shown = mask[:, None] * picture + (1 - mask[:, None]) * blur
        gained.append(_in_parts(network, shown, target.expand(len(shown)), batch_size) - of_blur)
    return relu((torch.stack(gained)[:, :, None, None] * masks).sum(1))


def rise(
    network: nn.Module, layer: str, batch: torch.Tensor, targets: torch.Tensor, *, masks: int = 2000, cells: int = 7,
    shown: float = 0.5, batch_size: int = 256, seed: int = 0,
) -> torch.Tensor:  # fmt: skip
    """S = sum_k p(x M_k) M_k / sum_k M_k: how probable the class is on average where a place is shown.

    With the sum of the masks below the line, not its expectation, a network that never changes its mind has a constant map.

    Args:
        layer: is not looked at.
        masks: random masks, the same for all pictures.
        cells: a side of the coarse grid that is enlarged and shifted.
        shown: share of cells that are shown.
        batch_size: masked pictures through the network at a time.
        seed: of the masks.
    """
    if masks < 1 or cells < 1 or batch_size < 1 or not 0 < shown < 1:
        found = f"{masks}, {cells}, {shown}, {batch_size}"
        raise ValueError(f"masks, cells, shown, batch_size: found {found}; expected at least 1 each, and a share between 0 and 1")
    height, width = batch.shape[2:]
    drawn = random_masks(masks, (height, width), cells=cells, shown=shown, seed=seed).to(batch)
    total = drawn.sum(0).clamp_min(1e-12)
    found = []
    for picture, target in zip(batch, targets, strict=True):
        probable = [
            _probability(network, picture * some[:, None], target.expand(len(some))) for some in drawn.split(batch_size)
        ]  # fmt: skip
        found.append(torch.einsum("k,khw->hw", torch.cat(probable), drawn) / total)
    return torch.stack(found)


def random_masks(count: int, side: tuple[int, int], *, cells: int = 7, shown: float = 0.5, seed: int = 0) -> torch.Tensor:
    """(count, H, W) masks in [0, 1]: grids of cells that are shown or not, enlarged bilinearly and shifted at random."""
    rng = generator(seed, 122)
    grids = torch.from_numpy((rng.random((count, 1, cells, cells)) < shown).astype(np.float32))
    cell = [-(-length // cells) for length in side]
    enlarged = interpolate(grids, size=[(cells + 1) * one for one in cell], mode="bilinear", align_corners=False)[:, 0]
    tops, lefts = (torch.from_numpy(rng.integers(0, one, count)) for one in cell)
    rows = (tops[:, None] + torch.arange(side[0]))[:, :, None].expand(-1, -1, enlarged.shape[2])
    columns = (lefts[:, None] + torch.arange(side[1]))[:, None].expand(-1, side[0], -1)
    return enlarged.gather(1, rows).gather(2, columns)


def _maps_and_logits(network, layer, batch):
    logits, [maps] = evaluate(network, network, batch, [Site(layer, "output")])
    return maps, logits


@contextmanager
def _gradients_kept(network):
    """Libraries call backward: gradients that the caller's parameters hold are put back."""
    before = [(one, one.grad) for one in network.parameters()]
    try:
        for one, _ in before:
            one.grad = None
        yield
    finally:
        for one, gradient in before:
            one.grad = gradient


@torch.no_grad()
def _probability(network, batch, targets):
    return softmax(network(batch).float(), dim=1).gather(1, targets[:, None])[:, 0]


def _in_parts(network, batch, targets, size):
    return torch.cat([_probability(network, one, some) for one, some in zip(batch.split(size), targets.split(size), strict=True)])


def _enlarged(maps, batch):
    return interpolate(maps, size=batch.shape[2:], mode="bilinear", align_corners=False)


def _from_grad_cam(kind, network, layer, batch, targets):
    try:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        raise ImportError(f"{kind}: needs the package grad-cam, which is not installed; pip install '.[saliency]'") from error
    method = getattr(pytorch_grad_cam, kind)(model=network, target_layers=[network.get_submodule(layer)])
    try:
        # The picture has a gradient, so that there is one where the weights of the network have none.
        wanted = [ClassifierOutputTarget(int(target)) for target in targets]
        found = method(input_tensor=batch.detach().clone().requires_grad_(), targets=wanted)
    finally:
        method.activations_and_grads.release()
    return torch.from_numpy(np.asarray(found)).to(batch)


EXPLAINERS: dict[str, Callable] = {
    "Grad-CAM": grad_cam, "Grad-CAM++": grad_cam_plus_plus, "Score-CAM": score_cam, "Group-CAM": group_cam, "RISE": rise,
}  # fmt: skip
