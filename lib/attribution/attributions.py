"""Attribution of every latent unit to a layer: Phi_i(x), what each channel and place of the layer contributes to unit i.

All d units of a batch cost d vector-Jacobian products, whatever way they are taken together: that is the floor. What saves work is algebra:
a product that goes down to the picture passes all layers on its way, and where everything flows through a narrower layer of d' < d units,
its Jacobian is taken once and multiplied.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from lib.attribution.sites import PICTURE, Site, depends_on_batch, evaluate, evaluating
from lib.attribution.smoothing import draws
from lib.attribution.strategies import GRADIENT, Strategy, gradient_flow

ROWS = 32  # pictures times samples that are in a network at once
_VECTORS = 32  # rows times units of one vector-Jacobian product: more gains nothing on a CPU (benchmarks/attribution_scores.py)
_PRODUCT = 2**23  # numbers of a product with the Jacobian of a narrow layer that are in memory at once
_CHECKED = 1e-3  # relative, of a product with the Jacobian of a narrow layer; in float32 it is met within 1e-5



def attributions(
    module: nn.Module, latent: Callable, batch: torch.Tensor, site: Site = PICTURE, strategy: Strategy = GRADIENT, **settings
) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Attribute units of a latent code to what is at one site: `attributions_at` without the number of the site."""
    for _, pictures, chosen, values in attributions_at(module, latent, batch, [site], strategy, **settings):
        yield pictures, chosen, values


def attributions_at(
    module: nn.Module,
    latent: Callable[[torch.Tensor], torch.Tensor],
    batch: torch.Tensor,
    sites: Sequence[Site] = (PICTURE,),
    strategy: Strategy = GRADIENT,
    *,
    units: Sequence[int] | None = None,
    reference: torch.Tensor | None = None,
    narrowest: str = "",
    seed: int = 0,
    noise_seed: int | None = None,
    rows: int = ROWS,
) -> Iterator[tuple[int, slice, slice, torch.Tensor]]:
    """Attribute units of a latent code to what is at several sites, a few pictures and units at a time.

    Args:
        module: the network; evaluated in eval mode, and given back as it was.
        latent: batch -> (n, d), e.g. `encoder.embed`, or (n, channels, height, width), of which each value is a unit.
        batch: (n, ...) preprocessed pictures.
        sites: where; several cost about as much as the lowest of them alone.
        strategy: how; by default the paper's gradient.
        units: which of the d; by default all. A gradient that is asked for at few units costs few vector-Jacobian products.
        reference: x', one input; by default zeros (after preprocessing to a mean of 0 that is grey, not black).
        narrowest: name of a layer whose output (n, d') everything between the sites and the code flows through.
        seed: of the smoothing noise; the same seed gives all units, pictures and networks the same noise.
        noise_seed: of e, where it differs from that of t.
        rows: pictures times samples in the network at once; bounds the memory, but that the attributions of one picture are kept where it
            has more samples than this, and the whole Jacobian of a narrow layer for these rows.

    Yields:
        number of the site, slice of the pictures, slice of the units, and Phi (pictures, units, channels, height, width) of these. A
        sequence has height 1 and its tokens side by side; a layer without places one channel, with its features side by side. (Maps whose
        channels come last cannot be told from others: take a site where they come first.) Of Grad-CAM there is one channel.

    Raises:
        ValueError: if shapes do not fit, a unit does not exist, the code has no gradient at a site, a gradient is not finite, not
            everything flows through `narrowest`, or batch norm would mix the points of a path.
    """
    _check_batch(batch)
    for name, found, kind in (*(("sites", site, Site) for site in sites), ("strategy", strategy, Strategy)):
        if not isinstance(found, kind):
            raise ValueError(f"{name}: found {found!r:.80}; expected a {kind.__name__} of lib.attribution")
    if not sites or len(set(sites)) < len(sites):
        raise ValueError(f"sites: found {[str(site) for site in sites]}; expected at least one, and each once")
    if rows < 1:
        raise ValueError(f"rows: found {rows}; expected at least 1")
    if reference is not None and strategy.between == "none":
        raise ValueError(f"reference: found one with {strategy.name}, which takes no path from it; expected none")
    if reference is not None and reference.shape != batch.shape[1:]:
        raise ValueError(f"reference: found shape {tuple(reference.shape)}; expected {tuple(batch.shape[1:])}, that of one picture")
    if narrowest and strategy.guided:
        raise ValueError("narrowest: found a layer with guided backpropagation, which is no Jacobian; expected none")
    mixing = depends_on_batch(module)
    if strategy.between == "activations" and mixing:
        raise ValueError("strategy: integrated gradients: found batch norm without running statistics, which would mix the points of a "
                         "path; expected a network that takes each picture by itself")  # fmt: skip
    reference = torch.zeros_like(batch[0]) if reference is None else reference.to(batch)
    # A layer that mixes the pictures of a batch would otherwise make a picture's attribution depend on its neighbours.
    together = 1 if mixing else max(1, rows // strategy.samples)
    at_once = strategy.samples if mixing else min(strategy.samples, rows)
    # Integrated gradients replace what is at the site, and a narrow layer is worth most for the lowest one: site by site.
    groups = [[site] for site in sites] if narrowest or strategy.between == "activations" else [list(sites)]
    noise = _Noise(batch.shape[1:], reference, strategy, seed, noise_seed)
    for start in range(0, len(batch), together):
        pictures = slice(start, min(start + together, len(batch)))
        for group in groups:
            parts = [
                _of_pictures(module, latent, batch[pictures], group, noise, slice(first, first + at_once), units, narrowest)
                for first in range(0, strategy.samples, at_once)
            ]
            for number, chosen, values in parts[0] if len(parts) == 1 else _summed(parts):
                yield sites.index(group[number]), pictures, chosen, values


def all_attributions(module: nn.Module, latent: Callable, batch: torch.Tensor, *where, **settings) -> torch.Tensor:
    """`attributions` in one tensor, (n, units, channels, height, width), for codes and layers small enough to keep."""
    units = settings.get("units")
    count = latent_size(module, latent, batch) if units is None else len(units)
    found = None
    for pictures, chosen, values in attributions(module, latent, batch, *where, **settings):
        found = values.new_full((len(batch), count, *values.shape[2:]), float("nan")) if found is None else found
        found[pictures, chosen] = values
    return found


def activations(module: nn.Module, latent: Callable, batch: torch.Tensor, site: Site, strategy: Strategy, *, seed: int = 0) -> torch.Tensor:
    """What is at the site, mean over the strategy's samples, (n, channels, height, width): the baseline that no attribution should equal.

    Arguments as in `attributions`.
    """
    _check_batch(batch)
    mixing = depends_on_batch(module)
    together = 1 if mixing else max(1, ROWS // strategy.samples)
    at_once = strategy.samples if mixing else min(strategy.samples, ROWS)
    noise = _Noise(batch.shape[1:], torch.zeros_like(batch[0]), strategy, seed, None)

    def summed(part, first):
        value = evaluate(module, latent, noise.inputs(part, slice(first, first + at_once)), [site])[1][0].detach()
        return _with_places(value).unflatten(0, (len(part), -1)).sum(1)

    with evaluating(module):
        every = [
            sum(summed(batch[start : start + together], first) for first in range(0, strategy.samples, at_once))
            for start in range(0, len(batch), together)
        ]
    return torch.cat(every) / strategy.samples


def latent_size(module: nn.Module, latent: Callable, batch: torch.Tensor) -> int:
    """Number of units of a latent code.

    Raises:
        ValueError: if the batch is no batch, or the code is no code.
    """
    _check_batch(batch)
    with evaluating(module), torch.no_grad():
        return _flat(latent(batch[:1]), 1).shape[1]


def _check_batch(batch):
    if not isinstance(batch, torch.Tensor) or batch.ndim < 2 or not len(batch) or not batch.is_floating_point():
        found = f"{batch.dtype} of shape {tuple(batch.shape)}" if isinstance(batch, torch.Tensor) else type(batch).__name__
        raise ValueError(f"batch: found {found}; expected a float tensor (n, ...) of at least one picture")


class _Noise:
    """Which inputs are averaged over, and how much each counts."""

    def __init__(self, shape, reference, strategy, seed, noise_seed):
        self.reference, self.strategy = reference, strategy
        # Of integrated gradients the samples are points between the activations.
        self.positions, weights = np.polynomial.legendre.leggauss(strategy.samples)
        self.weights, self.drawn = weights / 2, None
        if strategy.between != "activations":
            self.weights = np.full(strategy.samples, 1 / strategy.samples)
            if strategy.samples > 1 or strategy.noise or strategy.between != "none":
                self.drawn = draws(tuple(shape), strategy.samples, seed=seed, noise_seed=noise_seed)

    def inputs(self, pictures, samples):
        """Noisy pictures on the way from the reference, (pictures x samples, ...), the samples of a picture one after another."""
        if self.drawn is None:
            return pictures.repeat_interleave(len(self.positions[samples]), 0)
        t, e = (one[samples].to(pictures) for one in self.drawn)
        noisy = pictures[:, None] + self.strategy.noise * e
        return (noisy if self.strategy.between == "none" else self.reference + t * (noisy - self.reference)).flatten(0, 1)

    def line(self, module, latent, pictures, site, samples):
        """Points between the activations of the reference and of the pictures, and their differences."""
        both = torch.cat([pictures, self.reference[None]])
        values = evaluate(module, latent, both, [site])[1][0].detach()
        difference = values[:-1] - values[-1:]
        steps = torch.as_tensor((self.positions[samples] + 1) / 2).to(difference).view(-1, *(1 for _ in values.shape[1:]))
        points = (values[-1:] + steps * difference[:, None]).flatten(0, 1).requires_grad_()
        return points, difference.repeat_interleave(len(steps), 0)


def _summed(parts):
    """Sums over samples that are too many to be in the network at once; all units of the pictures are kept."""
    total = {}
    for part in parts:
        found = {}
        for number, _, values in part:
            found.setdefault(number, []).append(values)
        for number, values in found.items():
            total[number] = total.get(number, 0) + torch.cat(values, 1)
    for number, values in total.items():
        yield number, slice(0, values.shape[1]), values


def _of_pictures(module, latent, pictures, sites, noise, samples, units, narrowest):
    """Sites, units and their attributions for some pictures and samples, in one forward pass."""
    strategy = noise.strategy
    inputs = noise.inputs(pictures, samples)
    recorded = [*sites, Site(narrowest, "output")] if narrowest else sites
    with evaluating(module), gradient_flow(strategy):
        if strategy.between == "activations":
            points, difference = noise.line(module, latent, pictures, sites[0], samples)
            code, found = evaluate(module, latent, inputs, recorded, replaced=points)
            factors = [difference]
        else:
            code, found = evaluate(module, latent, inputs, recorded)
            factors = [place.detach() if strategy.factor == "activation" else None for place in found[: len(sites)]]
    places = found[: len(sites)]
    factors = [None if factor is None else _with_places(factor) for factor in factors]
    weights = torch.as_tensor(noise.weights[samples]).to(pictures)
    code = _as_units(code, len(inputs))
    chosen = _checked_units(units, code.shape[1])

    def over_samples(gradient, factor):
        """(rows, units, channels, height, width) -> (pictures, units, ...), the strategy's factor taken in."""
        if strategy.pooled:
            gradient = gradient.mean((3, 4), keepdim=True)
        product = gradient if factor is None else gradient * factor[:, None]
        if strategy.pooled:
            product = product.sum(2, keepdim=True).clamp(min=0)
        if strategy.samples == 1:
            return product
        return torch.einsum("ns...,s->n...", product.unflatten(0, (len(pictures), -1)), weights.to(product))

    for site, place in zip(sites, places, strict=True):
        if strategy.pooled and place.ndim == 2:
            raise ValueError(f"site: {site} has no places (shape {tuple(place.shape)}), which Grad-CAM needs; expected maps or tokens")
    if narrowest:
        way = partial(over_samples, factor=factors[0])
        between = (code, found[1], places[0])
        for wanted, values in _through(*between, chosen, way, narrowest, sites[0], averaged_first=not strategy.pooled):
            yield 0, wanted, values
        return
    step = max(1, _VECTORS // len(inputs))
    for start in range(0, len(chosen), step):
        wanted = slice(start, min(start + step, len(chosen)))
        gradients = _products(code, places, chosen[wanted], sites)
        for number, (gradient, factor) in enumerate(zip(gradients, factors, strict=True)):
            yield number, wanted, over_samples(gradient, factor)


def _with_places(values, axis=1):
    """(..., channels, height, width) of maps, of tokens whose channels are last, and of features, which have no places."""
    kind = values.ndim - axis
    if kind == 3:
        return values
    if kind == 2:
        return values.movedim(-1, -2).unsqueeze(-2)
    if kind == 1:
        return values.unsqueeze(-2).unsqueeze(-2)
    found = (len(values), *values.shape[axis:])
    raise ValueError(f"site: found shape {found}; expected (n, channels, height, width), (n, tokens, channels) or (n, features)")


def _as_units(code, rows):
    code = _flat(code, rows)
    if not code.requires_grad:
        raise ValueError("latent: found a code without a gradient; expected one that is not computed under torch.no_grad or detached")
    return code


def _flat(code, rows):
    if not isinstance(code, torch.Tensor) or code.ndim < 2 or len(code) != rows:
        found = tuple(code.shape) if isinstance(code, torch.Tensor) else type(code).__name__
        raise ValueError(f"latent: found {found} for {rows} pictures; expected a tensor ({rows}, d) or ({rows}, channels, height, width)")
    return code.flatten(1)


def _checked_units(units, count):
    chosen = np.arange(count) if units is None else np.asarray(units)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu" or not 0 <= chosen.min() <= chosen.max() < count:
        raise ValueError(f"units: found {units!r:.80}; expected a list of numbers from 0 to {count - 1}")
    if len(np.unique(chosen)) < len(chosen):
        raise ValueError(f"units: found {units!r:.80}; expected each once")
    return chosen


def _products(code, places, units, sites):
    """d code_i / d place of some units, one (rows, units, ...) for each place."""
    if len(units) == 1:
        vector = torch.zeros_like(code)
        vector[:, units[0]] = 1
        gradients = torch.autograd.grad(code, places, vector, retain_graph=True, allow_unused=True)
    else:
        vectors = code.new_zeros(len(units), *code.shape)
        vectors[np.arange(len(units)), :, units] = 1
        try:
            gradients = torch.autograd.grad(code, places, vectors, retain_graph=True, allow_unused=True, is_grads_batched=True)
        except RuntimeError:  # an operation that torch cannot batch
            several = [torch.autograd.grad(code, places, one, retain_graph=True, allow_unused=True) for one in vectors]
            gradients = [None if of_place[0] is None else torch.stack(of_place) for of_place in zip(*several, strict=True)]
    for gradient, site in zip(gradients, sites, strict=True):
        if gradient is None:
            raise ValueError(f"site: the latent code does not depend on {site}; expected a layer on its way")
        if not torch.isfinite(gradient.sum()):  # one pass over the numbers
            raise ValueError(f"site: found gradients of units {units[:5].tolist()} at {site} that are not finite; expected finite ones")
    return [_with_places(one[:, None] if len(units) == 1 else one.movedim(0, 1), axis=2) for one in gradients]


def _through(code, narrow, place, chosen, over_samples, name, site, *, averaged_first):
    """The same by the chain rule at a layer of d' units: J = (d code / d narrow) (d narrow / d place)."""
    if narrow.ndim != 2:
        raise ValueError(f"narrowest: the output of {name} has shape {tuple(narrow.shape)}; expected (n, d')")
    upper = torch.cat([
        _products(code, [narrow], part, [f"output of {name}"])[0][:, :, 0, 0]
        for part in np.array_split(chosen, -(-len(chosen) * len(narrow) // 1024))
    ], 1)  # fmt: skip
    lower = torch.cat([
        _products(narrow, [place], part, [f"{site} below {name}"])[0]
        for part in np.array_split(np.arange(narrow.shape[1]), -(-narrow.shape[1] // max(1, _VECTORS // len(narrow))))
    ], 1)  # fmt: skip
    _check_all_flows(code, place, chosen, upper, lower, name)
    # Where the layers above are linear, one matrix holds for all rows, and the mean over samples can be taken before the product.
    shared = averaged_first and bool((upper == upper[:1]).all())
    if shared:
        lower, upper = over_samples(lower), upper[0]
    step = max(1, _PRODUCT // lower[:, 0].numel())
    for start in range(0, len(chosen), step):
        wanted = slice(start, min(start + step, len(chosen)))
        # As products of matrices: einsum would copy the Jacobian into another order each time.
        product = torch.matmul(upper[wanted] if shared else upper[:, wanted], lower.flatten(2)).unflatten(2, lower.shape[2:])
        yield wanted, product if shared else over_samples(product)


def _check_all_flows(code, place, chosen, upper, lower, name):
    """One vector-Jacobian product with a random vector must be the same on both ways."""
    vector = torch.randn(len(chosen), generator=torch.Generator().manual_seed(0)).to(code)
    vectors = torch.zeros_like(code)
    vectors[:, chosen] = vector
    direct = _with_places(torch.autograd.grad(code, place, vectors, retain_graph=True)[0])
    chained = torch.einsum("nk,nk...->n...", torch.einsum("u,nuk->nk", vector, upper), lower)
    if not torch.allclose(direct, chained, rtol=0, atol=_CHECKED * float(direct.abs().max())):
        raise ValueError(f"narrowest: not everything between the site and the code flows through {name}; expected a layer that it does")
