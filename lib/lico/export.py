"""What is left after training as a file: the plain classifier, which loads without anything of this project."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lib.lico.backbones import Backbone
from lib.paths import atomically


def export(backbone: Backbone, path: str | Path) -> Path:
    """Write the weights of a classifier; torchvision's keys for torchvision's networks, no key of the side of the texts.

    Args:
        backbone: trained.
        path: of the file, which ends in .safetensors; its folder must exist.

    Raises:
        ValueError: if the name ends otherwise, or a weight is not finite.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"path: found {path.name}; expected a name that ends in .safetensors")
    state = {key: value.detach().cpu().contiguous().clone() for key, value in backbone.module.state_dict().items()}
    if broken := [key for key, value in state.items() if not value.isfinite().all()]:
        raise ValueError(f"backbone: found values in {broken[0]} that are not finite; expected none")
    with atomically(path) as temporary:
        save_file(state, temporary, metadata={"network": backbone.name, "layer": backbone.layer})
    return path


def restore(module: nn.Module, path: str | Path) -> nn.Module:
    """Read exported weights into a network of the same architecture, in place; in eval mode and without gradient.

    Raises:
        ValueError: if keys or shapes are not those of the network.
    """
    state = load_file(path)
    own = module.state_dict()
    odd = sorted(set(state) ^ set(own)) or [key for key in own if state[key].shape != own[key].shape]
    if odd:
        raise ValueError(f"{path}: found {odd[0]} where the network has another or none ({len(odd)} such); expected the same architecture")
    with torch.no_grad():
        module.load_state_dict(state)
    return module.eval().requires_grad_(False)
