"""What the units of a network do on pictures: hooks, the reduction of maps to one number a unit, one pass over all pictures and layers."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.extremes import Extremes, StreamingExtremes
from lib.threads import THREADS

# The layer classes of the MIS paper, section 4, as it names them.
KINDS = {"Conv": nn.Conv2d, "Linear": nn.Linear, "BatchNorm": nn.BatchNorm2d, "LayerNorm": nn.LayerNorm, "GroupNorm": nn.GroupNorm}
MEASURED = tuple(KINDS.values())
BATCH_SIZE = 256
_WAITING_NUMBERS = 64 * 2**20


def layers(module: nn.Module, kinds: Sequence[type] = MEASURED, *, inner_only: bool = False) -> list[str]:
    """Names of a module's layers of the given kinds, in order of definition.

    Args:
        module: any network.
        kinds: layer classes, subclasses included.
        inner_only: leave out the first and the last layer, as the MIS paper does: the first convolution with a batch norm defined right
            behind it, and the last linear or convolutional layer.
    """
    found = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, tuple(kinds))]
    if inner_only:
        weighted = [name for name, layer in found if isinstance(layer, nn.Conv2d | nn.Linear)]
        dropped = {weighted[0], weighted[-1]} if weighted else set()
        names = [name for name, _ in found]
        after_first = names.index(weighted[0]) + 1 if weighted else len(found)
        if after_first < len(found) and isinstance(found[after_first][1], nn.BatchNorm2d):
            dropped.add(names[after_first])
        found = [(name, layer) for name, layer in found if name not in dropped]
    return [name for name, _ in found]


def norms_behind_convolutions(encoder: Encoder, pictures: Pictures) -> dict[str, str]:
    """Batch norm -> the convolution whose output it reads, unchanged: what runs, not the order of definition, decides."""
    made: dict[int, tuple[str, torch.Tensor]] = {}  # keeps the tensors, so that no other can get the same id
    followed = {}

    def follow(name):
        def hook(layer, inputs, output):
            if isinstance(layer, nn.Conv2d):
                made[id(output)] = (name, output)
            elif inputs and id(inputs[0]) in made:
                followed[name] = made[id(inputs[0])][0]

        return hook

    watched = [(name, layer) for name, layer in encoder.module.named_modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    handles = [layer.register_forward_hook(follow(name)) for name, layer in watched]
    try:
        with torch.no_grad():
            encoder.module(encoder.preprocess(pictures.read(np.arange(2))))
    finally:
        for handle in handles:
            handle.remove()
    return followed


def kind(layer: nn.Module) -> str:
    """The layer's class by its name in `KINDS`; any other class by its own name."""
    return next((name for name, cls in KINDS.items() if isinstance(layer, cls)), type(layer).__name__)


@contextmanager
def captured(
    module: nn.Module, names: Sequence[str], reduce: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> Iterator[dict[str, torch.Tensor]]:
    """Record the outputs of layers during forward passes inside the block; hooks are removed on the way out, whatever happened.

    Args:
        module: any network; its mode and gradients are left as they are.
        names: layers, as in `named_modules`.
        reduce: applied to each output at once, so that a map need not be kept, e.g. `unit_means`. What still shares the output's memory is
            copied, because a later in-place ReLU would change it.

    Yields:
        A dictionary, filled anew by every forward pass: name -> detached tensor.

    Raises:
        ValueError: if a layer does not exist; the message lists the nearest names.
        TypeError: in a forward pass, if a layer returns anything but one tensor.
    """
    known = dict(module.named_modules())
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=5, cutoff=0.3) or [name for name in known if name][:5]
            raise ValueError(f"layers: found {name!r}; expected a layer of the network, nearest: {', '.join(near)}")
    outputs: dict[str, torch.Tensor] = {}

    def recorder(name):
        def record(_layer, _inputs, output):
            if not isinstance(output, torch.Tensor):
                raise TypeError(f"layers: {name} returned {type(output).__name__}; expected one tensor")
            kept = reduce(output.detach()) if reduce else output.detach()
            shared = kept.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
            outputs[name] = kept.clone() if shared else kept

        return record

    handles = [known[name].register_forward_hook(recorder(name)) for name in names]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def unit_means(output: torch.Tensor) -> torch.Tensor:
    """One number a unit and picture, signs kept.

    Args:
        output: (n, units, H, W), averaged over places; (n, tokens, units), averaged over all tokens, the class token included; or
            (n, units), left as it is.

    Raises:
        ValueError: for any other shape.
    """
    if output.ndim == 4:
        return output.mean((2, 3))
    if output.ndim == 3:
        return output.mean(1)
    if output.ndim == 2:
        return output
    raise ValueError(f"output: found shape {tuple(output.shape)}; expected (n, units, H, W), (n, tokens, units) or (n, units)")


Transform = Callable[[torch.Tensor], torch.Tensor]


def stream(
    encoder: Encoder,
    pictures: Pictures,
    names: Sequence[str],
    *,
    count: int = 200,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    transforms: dict[str, tuple[str, Transform]] | None = None,
) -> dict[str, Extremes]:
    """The extremes of every unit of many layers, in one pass over the pictures and in memory that does not grow with their number.

    Args:
        encoder: the network.
        pictures: at least 2 count.
        names: layers of encoder.module.
        count: pictures kept on each side of a unit.
        seed: of the tie-breaking.
        batch_size: pictures a forward pass.
        transforms: further "layers", e.g. directions of a dictionary: new name -> (layer, function of the layer's raw output, whose result
            is shaped as `unit_means` takes it).

    Returns:
        name -> Extremes, transforms included.

    Raises:
        ValueError: if there are too few pictures, a layer does not exist or is not reached, or an activation is not finite (it names layer
            and unit).
    """
    if len(pictures) < 2 * count:
        raise ValueError(f"pictures: found {len(pictures)} in {pictures.name}; expected at least {2 * count}")
    streams: dict[str, StreamingExtremes] = {}
    for indices, outputs in _forward(encoder, pictures, names, batch_size, transforms or {}):
        for name, values in outputs.items():
            if name not in streams:  # all layers share one budget of memory for the pictures that wait to be merged
                tile = max(count, _WAITING_NUMBERS // sum(one.shape[1] for one in outputs.values()))
                streams[name] = StreamingExtremes(values.shape[1], count=count, seed=seed, tile=tile)
            with _errors_name(encoder, name):
                streams[name].update(values, indices)

    def result(name: str) -> Extremes:
        with _errors_name(encoder, name):
            return streams[name].result()

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        return dict(zip(streams, pool.map(result, streams), strict=True))


def activations(
    encoder: Encoder,
    pictures: Pictures,
    names: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    transforms: dict[str, tuple[str, Transform]] | None = None,
) -> dict[str, np.ndarray]:
    """The whole activation matrix of each layer, name -> (pictures, units) float32, for layers small enough to keep.

    Arguments as in `stream`.
    """
    collected: dict[str, list[np.ndarray]] = {}
    for _, outputs in _forward(encoder, pictures, names, batch_size, transforms or {}):
        for name, values in outputs.items():
            collected.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in collected.items()}


def maps(encoder: Encoder, pictures: Pictures, name: str, *, batch_size: int = BATCH_SIZE) -> Iterator[torch.Tensor]:
    """The raw outputs of one layer, batch by batch, e.g. to fit a dictionary on them."""
    for _, batch in pictures.batches(batch_size):
        # Hooks and gradients are as the caller has them whenever this generator waits.
        with captured(encoder.module, [name]) as outputs, torch.no_grad():
            encoder.module(encoder.preprocess(batch))
        _check_reached(encoder, [name], outputs)
        yield outputs[name]


def embeddings(encoder: Encoder, pictures: Pictures, *, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """encoder.embed of every picture, (pictures, dims) float32."""
    with torch.no_grad():
        return np.concatenate([encoder.embed(encoder.preprocess(batch)).float().cpu().numpy() for _, batch in pictures.batches(batch_size)])


def _forward(encoder, pictures, names, batch_size, transforms):
    """One forward pass a batch; yields picture indices and name -> (n, units) float32."""
    sources = {layer for layer, _ in transforms.values()}
    with (
        captured(encoder.module, [name for name in names if name not in sources], reduce=unit_means) as means,
        captured(encoder.module, sorted(sources)) as raw,
        torch.no_grad(),
    ):
        for indices, batch in tqdm(
            pictures.batches(batch_size),
            total=-(-len(pictures) // batch_size),
            desc=f"{encoder.name} on {pictures.name}",
            mininterval=1,
            leave=False,
        ):
            means.clear()
            encoder.module(encoder.preprocess(batch))
            _check_reached(encoder, [*names, *sources], means.keys() | raw.keys())
            outputs = {name: unit_means(raw[name]) if name in sources else means[name] for name in names}
            outputs |= {name: unit_means(function(raw[layer])) for name, (layer, function) in transforms.items()}
            yield indices, {name: output.float().cpu().numpy() for name, output in outputs.items()}


def _check_reached(encoder, names, outputs):
    missing = [name for name in names if name not in outputs]
    if missing:
        raise ValueError(f"layers: {missing[0]!r} was not reached in a forward pass of {encoder.name}; expected layers that run")


@contextmanager
def _errors_name(encoder, layer):
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{encoder.name}, layer {layer}: {error}") from error
