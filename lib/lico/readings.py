"""The readings of LICO: what the paper, two releases of its code and a later study each mean by it, as settings.

| | paper | code24a | code24b | r2 |
|---|---|---|---|---|
| tokens of transport | the prompt's | summaries of all classes | summaries of rolled prompts | the prompt's, end and padding |
| similar pictures by | flattened maps | means of maps | means of maps | flattened maps |
| similar texts by | flattened mapped tokens | summaries | summaries, of the label's label | flattened mapped tokens |
| weight goes to samples | near | far | far | near |
| temperature | divisor | divisor | divisor | log scale |
| transport has a gradient | yes | no | no | yes |
| contexts | shared, permuted | a class's own, permuted | shared | shared, permuted |
| the name stands | at the end | in the middle | at the end | at the end |

The body of the paper could not be had: `paper` follows its abstract, its figure and what both studies quote of it (specs/lico.md). In all
readings the text encoder stays frozen, as the paper says; the released code hands its parameters to the optimiser. That `r2` brings
features to length one before it compares them is assumed: the specification does not say. How a classifier is trained is no part of a
reading: all have the plan they are given, and none has the second study's clipping to 0.5, or the released learning rate of 0.1, weight
decay of 0.0005, moving average, batch norm momentum of 0.001 and names written into the code. Two remedies that nobody has published with
LICO, a debiased divergence of Sinkhorn and a penalty on tokens that are alike, are not among the settings.
"""

import math
from dataclasses import dataclass, replace

from lib.lico.prompts import CONTEXTS, END, MIDDLE
from lib.lico.temperature import DIVISOR, INITIAL, LOG_SCALE

OWN, ROLLED, ALL = "own", "rolled", "all"
FLAT, MEANS = "flat", "means"
CHANNELS, PLACES = "channels", "places"
_CHOICES = {"tokens": (OWN, ROLLED, ALL), "manifold": (FLAT, MEANS), "points": (CHANNELS, PLACES), "temperature": (DIVISOR, LOG_SCALE)}


@dataclass(frozen=True)
class Reading:
    """One meaning of LICO; the defaults are the paper's.

    Args:
        name: for tables.
        alpha: weight of manifold matching beside the cross-entropy.
        beta: weight of transport.
        warm_up: share of training over which both weights rise from 0.
        contexts, place, own_context, with_end: of `Prompts`.
        permuted: contexts are permuted at every step.
        tokens: of a class in transport: "own" prompt's, "rolled" summaries, or the summaries of "all" classes.
        manifold: what is compared across the batch: "flat" maps and mapped tokens, or "means" of maps and summaries of texts.
        scaled, floored: of `distances`.
        sign: of distances in similarities, -1 or, as released, +1.
        temperature, initial, learnable: of `Temperature`.
        points: what is transported: "channels" (each a flattened map) or "places" (each the channels' values there).
        regularisation, iterations, tolerance: of `sinkhorn`.
        transport_gradient: False as released.
        mask_dead: leave silent channels out of transport; the paper has all channels in it.
        mask_padding: leave out what follows shorter prompts; else it counts as tokens.
        dropout: of the mapping net.
        label_of_label: texts are looked up twice, t[y][y_i], as released: sample i gets the text of class y[y_i].
        rolls_alike: all rolls turn by one, as released; else the k-th by k.

    Raises:
        ValueError: if a value is unknown or out of range.
    """

    name: str
    alpha: float = 10.0
    beta: float = 1.0
    warm_up: float = 0.0
    contexts: int = CONTEXTS
    place: str = END
    own_context: bool = False
    with_end: bool = False
    permuted: bool = True
    tokens: str = OWN
    manifold: str = FLAT
    scaled: bool = True
    floored: bool = False
    sign: float = -1.0
    temperature: str = DIVISOR
    initial: float = INITIAL
    learnable: bool = True
    points: str = CHANNELS
    regularisation: float = 0.1
    iterations: int = 100
    tolerance: float = 1e-4
    transport_gradient: bool = True
    mask_dead: bool = False
    mask_padding: bool = True
    dropout: float = 0.5
    label_of_label: bool = False
    rolls_alike: bool = False

    def __post_init__(self):
        for field, allowed in _CHOICES.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}: found {getattr(self, field)!r}; expected {' or '.join(map(repr, allowed))}")
        for field in ("alpha", "beta"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field}: found {getattr(self, field)}; expected a number of at least 0")
        for field in ("contexts", "iterations"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: found {getattr(self, field)}; expected at least 1")
        if not 0 < self.regularisation < math.inf:
            raise ValueError(f"regularisation: found {self.regularisation}; expected a number above 0")
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance: found {self.tolerance}; expected a number of at least 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: found {self.dropout}; expected 0 to below 1")
        if not 0 <= self.warm_up <= 1:
            raise ValueError(f"warm_up: found {self.warm_up}; expected a share of training, 0 to 1")
        if self.sign not in (-1, 1):
            raise ValueError(f"sign: found {self.sign}; expected -1 or 1")

    def but(self, **changed) -> "Reading":
        """The same with some settings changed."""
        return replace(self, **changed)


PAPER = Reading("paper")
CODE24A = Reading(
    "code24a", place=MIDDLE, own_context=True, tokens=ALL, manifold=MEANS, floored=True, sign=1.0, transport_gradient=False,
)  # fmt: skip
CODE24B = Reading(
    "code24b", permuted=False, tokens=ROLLED, manifold=MEANS, floored=True, sign=1.0, transport_gradient=False, label_of_label=True,
    rolls_alike=True,
)  # fmt: skip
R2 = Reading(
    "r2", temperature=LOG_SCALE, with_end=True, mask_padding=False, regularisation=1e-4, tolerance=0.0, dropout=0.0,
)  # fmt: skip
READINGS = {reading.name: reading for reading in (PAPER, CODE24A, CODE24B, R2)}
