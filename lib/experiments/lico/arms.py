"""The ways to train that are compared: without LICO, its readings, what is left of it without language, and its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from lib.lico.controls import GivenText, as_long_as, one_hot_text, random_text, shuffled_names, uniform_text
from lib.lico.objective import Consistency
from lib.lico.prompts import CONTEXTS, FRONT, MIDDLE, Prompts
from lib.lico.readings import CHANNELS, PAPER, PLACES, READINGS, Reading
from lib.lico.sham import Sham
from lib.lico.temperature import DIVISOR, LOG_SCALE
from lib.lico.text_encoders import TextEncoder

PLAIN, TUNED = "CE", "tuned"
NAMES, SHUFFLED, RANDOM, ONE_HOT, UNIFORM, SHAM = "names", "shuffled names", "random text", "one-hot", "uniform", "sham"
CONTROLS = (SHUFFLED, RANDOM, ONE_HOT, UNIFORM, SHAM)
CONTROL_TOKENS = CONTEXTS + 3  # about as many as a prompt has

# Stated before anything was trained (specs/lico.md, 9, whose "{0.1, 0.5, 2.66, fixed}" is read as three fixed temperatures). Without
# transport its points do not matter. The mapping net has no dropout there: with it, matching hardly tells one text from another
# (`lib.experiments.lico.dropout`), names from controls. That was found by a review after a first run with dropout.
GRID: tuple[dict, ...] = tuple(
    {"alpha": alpha, "initial": tau, "learnable": False, "temperature": DIVISOR, "beta": beta, "points": points, "mask_dead": True,
     "dropout": 0.0}
    for alpha in (0.1, 1.0, 10.0)
    for tau in (0.1, 0.5, 2.66)
    for beta in (0.0, 0.01, 0.1)
    for points in ((CHANNELS, PLACES) if beta else (CHANNELS,))
)

# As published LICO hardly learns, and what has not learned cannot show what one of its parts is worth: those are changed in this one.
MILD = PAPER.but(name="beta 0.1", beta=0.1)
ABLATIONS: dict[str, Reading] = {
    "MM only": PAPER.but(beta=0.0),
    "OT only": PAPER.but(alpha=0.0),
    "beta 0.01": PAPER.but(beta=0.01),
    "beta 0.1": MILD,
    "4 contexts": MILD.but(contexts=4),
    "name at the front": MILD.but(place=FRONT),
    "name in the middle": MILD.but(place=MIDDLE),
    "contexts of each class": MILD.but(own_context=True),
    "contexts stay in order": MILD.but(permuted=False),
    "temperature fixed": MILD.but(learnable=False),
    "temperature as CLIP's": MILD.but(temperature=LOG_SCALE),
    "places are points": MILD.but(points=PLACES),
    "dead channels left out": MILD.but(mask_dead=True),
    "no dropout": MILD.but(dropout=0.0),
    "warm-up": MILD.but(warm_up=0.5),
}


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        name: for tables.
        reading: of LICO; None is plain training.
        text: what stands for the classes: "names", or one of the controls.
    """

    name: str
    reading: Reading | None
    text: str = NAMES


def arms_of(names: Sequence[str], tuned: Mapping[str, Reading]) -> list[Arm]:
    """Arms by name.

    Args:
        names: "CE", a reading, "tuned", a control (tuned likewise), or an ablation of the paper's.
        tuned: what tuning chose, for "tuned" and each control.

    Raises:
        ValueError: if a name is unknown.
    """
    arms = []
    for name in names:
        if name == PLAIN:
            arms.append(Arm(name, None))
        elif name in READINGS or name in ABLATIONS:
            arms.append(Arm(name, (READINGS | ABLATIONS)[name]))
        elif name == TUNED or name in CONTROLS:
            if name not in tuned:
                raise ValueError(f"arms: found {name!r}, which was not tuned; expected {', '.join(tuned) or 'others'}")
            arms.append(Arm(name, tuned[name], NAMES if name == TUNED else name))
        else:
            expected = ", ".join([PLAIN, *READINGS, TUNED, *CONTROLS, *ABLATIONS])
            raise ValueError(f"arms: found {name!r}; expected some of {expected}")
    return arms


def side_of(
    arm: Arm, encoder: TextEncoder, class_names: Sequence[str], shape: tuple[int, int, int], *, stop: str = ".", seed: int = 0
) -> Consistency | Sham | None:
    """The side of the texts of an arm, untrained.

    Args:
        arm: which.
        encoder: of the names. Vectors of random, one-hot and uniform texts are as long as what it says of the names at first, and as wide
            (one-hot: classes + tokens wide); the sham's are of the size of a map.
        class_names: in the order of the labels.
        shape: of the maps.
        stop: the sign that ends a prompt.
        seed: of contexts, controls and mapping net.
    """
    if arm.reading is None:
        return None
    classes = len(class_names)
    if arm.text == SHAM:
        return Sham(classes, CONTROL_TOKENS, shape, arm.reading, seed=seed)
    names = shuffled_names(class_names, seed=seed) if arm.text == SHUFFLED else class_names
    prompts = Prompts.of(encoder, names, arm.reading, stop=stop, seed=seed)
    if arm.text in (NAMES, SHUFFLED):
        return Consistency(prompts, shape, arm.reading, seed=seed)
    text = {
        RANDOM: lambda: random_text(classes, CONTROL_TOKENS, encoder.width, seed=seed),
        ONE_HOT: lambda: one_hot_text(classes, CONTROL_TOKENS),
        UNIFORM: lambda: uniform_text(classes, CONTROL_TOKENS, encoder.width, seed=seed),
    }[arm.text]()
    with torch.no_grad():
        return Consistency(GivenText(as_long_as(text, prompts())), shape, arm.reading, seed=seed)
