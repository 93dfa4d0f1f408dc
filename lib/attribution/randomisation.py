"""Networks whose learned weights are taken away, to see whether a map or a score depends on them.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018: a map that stays the same shows the picture, not the network.
"""

import copy
import types
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from lib.encoders.encoder import Encoder
from lib.encoders.weights import weights_sha256
from lib.keyed_random import keys

_PLAIN = (int, float, str, type(None), torch.dtype, torch.device)
WEIGHTED = (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)


def weighted_layers(module: nn.Module) -> list[str]:
    """Layers whose weights can be drawn anew, in order of definition."""
    return [name for name, layer in module.named_modules() if isinstance(layer, WEIGHTED)]


def randomised(encoder: Encoder, layers: Sequence[str], *, seed: int = 0) -> Encoder:
    """A copy of an encoder with the weights of some layers drawn anew (Xavier uniform, as the authors do) and their biases 0.

    All else stays, also the statistics of batch norms. The draw belongs to the layer's name, so that layers randomised alone and
    together get the same weights.

    Args:
        encoder: stays as it is; its functions may be its module, a layer, methods of these, or functions defined around these.
        layers: names; see `weighted_layers`.
        seed: of the weights.

    Raises:
        ValueError: if a layer does not exist or has no weights, or the encoder's functions cannot be moved to the copy.
    """
    known = weighted_layers(encoder.module)
    for name in layers:
        if name not in known:
            listed = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
            raise ValueError(f"layers: found {name!r}; expected layers with weights: {listed}")
    copied = {}
    module = copy.deepcopy(encoder.module, copied)
    found = dict(module.named_modules())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for name in layers:
            torch.manual_seed(int(keys(seed, 94, *name.encode()) >> np.uint64(1)))
            nn.init.xavier_uniform_(found[name].weight)
            if found[name].bias is not None:
                nn.init.zeros_(found[name].bias)
    return Encoder(
        name=f"{encoder.name}, {', '.join(layers) or 'nothing'} randomised",
        module=module,
        preprocess=encoder.preprocess,
        embed=_moved(encoder.embed, "embed", copied),
        classify=None if encoder.classify is None else _moved(encoder.classify, "classify", copied),
        identity=encoder.identity | {"weights": weights_sha256(module)},
        circular_labels=encoder.circular_labels,
    )


def cascade(encoder: Encoder, layers: Sequence[str], *, seed: int = 0) -> dict[str, Encoder]:
    """Randomise from the top down: layer -> the encoder with this layer and all above it randomised.

    Args:
        encoder: trained.
        layers: from the lowest to the highest.
        seed: of the weights.
    """
    return {layer: randomised(encoder, layers[number:], seed=seed) for number, layer in reversed(list(enumerate(layers)))}


def _moved(function, name, copied):
    """The same function of the copied module: what it is bound to, or defined around, is replaced by its copy."""
    around = function.__closure__ if isinstance(function, types.FunctionType) else None
    if not around:
        if not _belongs(function, copied):
            raise ValueError(f"encoder: {name}: found {function!r}; expected the module, a layer, or a function bound to one or around one")
        return copy.deepcopy(function, copied)
    used = [cell.cell_contents for cell in around]
    other = [one for one in used if not _belongs(one, copied) and not isinstance(one, _PLAIN)]
    if other or all(isinstance(one, _PLAIN) for one in used):
        raise ValueError(f"encoder: {name}: found a function around {other or used!r:.80}; expected one around layers of its module")
    cells = tuple(types.CellType(copy.deepcopy(one, copied)) for one in used)
    moved = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, cells)
    moved.__kwdefaults__ = function.__kwdefaults__
    return moved


def _belongs(value, copied):
    """Whether this is a part of the module, or a method of one."""
    return id(value) in copied or id(getattr(value, "__self__", None)) in copied
