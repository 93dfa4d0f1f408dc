"""Where attributions are taken: the tensor that goes into a layer, or comes out of it, inside the graph of one forward pass.

The caller's network is left as it was: its mode, its gradients, its hooks and those of others. A layer that works in place, such as
`nn.ReLU(inplace=True)`, is given a copy, so that the recorded tensor is what the layer saw.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Site:
    """A place in a network.

    Args:
        layer: as in `named_modules`; "" is the picture itself.
        side: "input", what goes into the layer (the authors' choice), or "output", what comes out of it (as Grad-CAM takes it).
    """

    layer: str = ""
    side: str = "input"

    def __post_init__(self):
        if self.side not in ("input", "output"):
            raise ValueError(f"side: found {self.side!r}; expected 'input' or 'output'")
        if not self.layer and self.side == "output":
            raise ValueError("side: found 'output' of the picture; expected 'input', or a layer")

    def __str__(self):
        return f"{self.side} of {self.layer}" if self.layer else "the picture"


PICTURE = Site()


def evaluate(
    module: nn.Module,
    function: Callable[[torch.Tensor], torch.Tensor],
    batch: torch.Tensor,
    sites: Sequence[Site],
    *,
    replaced: torch.Tensor | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run function(batch), which runs the module's layers, and record what is at each site, with the graph between.

    Args:
        module: the network; normally within `evaluating`.
        function: what is evaluated, e.g. `encoder.embed`.
        batch: (n, ...) what goes in; it is not changed.
        sites: places.
        replaced: takes the place of what is at the first site, same shape.

    Returns:
        The function's value and the tensor at each site; the value can be differentiated by each.

    Raises:
        ValueError: if a layer does not exist, is not reached, runs more than once, gives anything but a tensor, or its recorded tensor is
            changed in place afterwards.
    """
    layers = dict(module.named_modules())
    found: list[list[tuple[torch.Tensor, int]]] = [[] for _ in sites]

    def keep(number, tensor):
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"site: {sites[number]} is {type(tensor).__name__}; expected one tensor")
        if replaced is not None and number == 0:
            tensor = replaced
        elif not tensor.requires_grad:  # what does not depend on the picture
            tensor = tensor.detach().requires_grad_()
        found[number].append((tensor, tensor._version))
        return tensor.clone()  # flows on, since a later layer may work in place

    def first_of(site, inputs):
        if not inputs:
            raise ValueError(f"site: {site} is given by keyword; expected the first argument, take the output of a layer below")
        return inputs[0]

    def hooked(number, site):
        if site.layer not in layers:
            near = difflib.get_close_matches(site.layer, layers, n=5, cutoff=0.3) or [name for name in layers if name][:5]
            raise ValueError(f"site: found the layer {site.layer!r}; expected one of the network's, nearest: {', '.join(near)}")
        layer = layers[site.layer]
        if isinstance(layer, torch.jit.ScriptModule):
            raise ValueError(f"site: {site} is a layer of a compiled network (torch.jit); expected one that can be looked into")
        if site.side == "input":
            return layer.register_forward_pre_hook(lambda _layer, inputs: (keep(number, first_of(site, inputs)), *inputs[1:]))
        return layer.register_forward_hook(lambda _layer, _inputs, output: keep(number, output))

    handles = []
    with torch.inference_mode(False), torch.enable_grad():
        batch = batch.detach().clone().requires_grad_()
        try:
            for number, site in enumerate(sites):
                if site == PICTURE:
                    batch = keep(number, batch)
                else:
                    handles.append(hooked(number, site))
            value = function(batch)
        finally:
            for handle in handles:
                handle.remove()
    for site, tensors in zip(sites, found, strict=True):
        if len(tensors) != 1:
            raise ValueError(f"site: {site} was passed {len(tensors)} times in one forward pass; expected once")
        if tensors[0][0]._version != tensors[0][1]:
            raise ValueError(f"site: {site} was changed in place in the same forward pass; expected a tensor that stays, take another site")
    return value, [tensors[0][0] for tensors in found]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Run in eval mode, then give every layer back the mode that it had."""
    modes = [(layer, layer.training) for layer in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training


def depends_on_batch(module: nn.Module) -> bool:
    """Whether what a picture gives depends on the others of the batch even in eval mode: batch norm without running statistics."""
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is None for layer in module.modules())
