"""Ways to say what each place of a layer contributes to one latent unit.

With z_i the unit, a what is at the layer, and pictures x_t = t (x + sigma e) + (1 - t) x' between a reference x' and the picture with noise
e ~ N(0, I), the estimator of the paper's code is

    Phi_i(x) = mean over samples of [d z_i / d a at x_t] * [a(x_t)]^w,        t ~ U(0, 1).

It looks like expected gradients, but multiplies by the activation itself instead of its difference from the reference, so that the sum
over places is not z_i - z_i(x'). Strategies differ in what multiplies the gradient, in t, and in how the gradient flows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Strategy:
    """How a unit is attributed.

    Args:
        name: for tables and figures.
        factor: what multiplies the gradient: "one", "activation" (w = 1), or "difference", the activation minus that of the reference.
        between: "pictures", t ~ U(0, 1); "none", t = 1; or "activations", points on the straight line from the reference's activation to
            the picture's (integrated gradients, Gauss-Legendre, `samples` points, no noise).
        samples: n, draws of (t, e) to average over.
        noise: sigma, in units of the network's input.
        guided: ReLUs pass positive gradients only (Springenberg et al., 2015).
        pooled: Grad-CAM (Selvaraju et al., 2017): the gradient's mean over places weighs channels, and what is negative is cut.

    Raises:
        ValueError: if a setting is out of range or two exclude each other.
    """

    name: str
    factor: str = "one"
    between: str = "none"
    samples: int = 1
    noise: float = 0.0
    guided: bool = False
    pooled: bool = False

    def __post_init__(self):
        for field, allowed in (("factor", ("one", "activation", "difference")), ("between", ("none", "pictures", "activations"))):
            if getattr(self, field) not in allowed:
                raise ValueError(f"strategy: {field}: found {getattr(self, field)!r}; expected one of {', '.join(allowed)}")
        if self.samples < 1:
            raise ValueError(f"strategy: samples: found {self.samples}; expected at least 1")
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"strategy: noise: found {self.noise}; expected a number from 0")
        if self.between == "activations" and (self.noise or self.factor != "difference"):
            raise ValueError("strategy: between activations: expected the factor 'difference' and no noise")
        if self.factor == "difference" and self.between != "activations":
            raise ValueError("strategy: the factor 'difference': expected between='activations'")

    def but(self, **changes) -> "Strategy":
        """The same strategy with other settings."""
        return replace(self, **changes)


GRADIENT = Strategy("gradient", between="pictures", samples=10, noise=0.5)
GRADIENT_TIMES_ACTIVATION = Strategy("gradient x activation", "activation", between="pictures", samples=10, noise=0.5)
PLAIN_GRADIENT = Strategy("plain gradient")
PLAIN_GRADIENT_TIMES_ACTIVATION = Strategy("plain gradient x activation", "activation")
SMOOTHGRAD = Strategy("SmoothGrad", samples=20, noise=0.5)
INTEGRATED_GRADIENTS = Strategy("integrated gradients", "difference", between="activations", samples=20)
GUIDED_BACKPROPAGATION = Strategy("guided backpropagation", guided=True)
GRAD_CAM = Strategy("Grad-CAM", "activation", pooled=True)

STRATEGIES = {
    one.name: one
    for one in (
        GRADIENT, GRADIENT_TIMES_ACTIVATION, PLAIN_GRADIENT, PLAIN_GRADIENT_TIMES_ACTIVATION, SMOOTHGRAD, INTEGRATED_GRADIENTS,
        GUIDED_BACKPROPAGATION, GRAD_CAM,
    )
}  # fmt: skip


def named(name: str) -> Strategy:
    """A strategy by its name.

    Raises:
        ValueError: if there is none; the message lists them.
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy: found {name!r}; expected one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


_RELUS = {functional.relu, functional.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_}


class _GuidedReLUs(TorchFunctionMode):
    """Catches layers and functions alike, as a network may call either."""

    def __init__(self):
        super().__init__()
        self.caught = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        # The gradient above the ReLU is cut; the ReLU's own derivative cuts where its input was negative.
        value = function(*args, **(kwargs or {}))
        if function in _RELUS and value.requires_grad:
            self.caught += 1
            value.register_hook(lambda gradient: gradient.clamp(min=0))
            return value.clone()  # what a site records: the gradient there is not yet that below the ReLU
        return value


@contextmanager
def gradient_flow(strategy: Strategy) -> Iterator[None]:
    """Forward passes inside build the graph that the strategy wants.

    Raises:
        ValueError: if the strategy is guided and no ReLU ran.
    """
    if not strategy.guided:
        yield
        return
    with _GuidedReLUs() as relus:
        yield
    if not relus.caught:
        raise ValueError("strategy: guided backpropagation: found a network without ReLUs; expected some, it differs in nothing else")
