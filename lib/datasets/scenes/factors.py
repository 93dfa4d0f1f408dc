"""The factor table of the scenes: what each picture shows, drawn before anything is rendered.

A picture has eight named factors and a number of nuisances. Number i of every column is a function of (seed, column, i) alone: it is the
i-th output of a counter-based generator (Philox) whose key is the hash of seed and column name. A longer table therefore begins with the
shorter one, and fixing one factor leaves all others as they were.
"""

import hashlib

import numpy as np
import pandas as pd

FACTORS: dict[str, tuple[str, ...]] = {
    "shape": ("disc", "square", "triangle", "star", "heart"),
    "texture": ("striped", "checked", "dotted", "ringed"),
    "colour": ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white"),
    "size": ("small", "medium", "large"),
    "row": ("top", "middle", "bottom"),
    "column": ("left", "centre", "right"),
    "background": ("sky", "grass", "sand", "brick", "water", "night"),
    "distractor": ("none", "key", "leaf", "mug", "fish", "moon"),
}

# Uniform on [0, 1); lib.datasets.scenes.rendering says what each one moves, and how far.
NUISANCES = (
    "object x", "object y", "object scale", "object rotation", "texture rotation", "texture phase",
    "object red", "object green", "object blue", "light angle", "light strength",
    "background x", "background y", "background tone", "background warmth",
    "distractor place", "distractor rotation", "distractor tone", "grain x", "grain y", "wording",
)

CLASS_NAMES = tuple(f"{texture} {shape}" for shape in FACTORS["shape"] for texture in FACTORS["texture"])


def uniform(seed: int, name: str, count: int) -> np.ndarray:
    """The first `count` numbers of the stream (seed, name): (count,) float64, uniform on [0, 1)."""
    key = np.frombuffer(hashlib.sha256(f"scenes/{seed}/{name}".encode()).digest()[:16], dtype="<u8")
    return (np.random.Philox(key=key).random_raw(count) >> np.uint64(11)) * 2.0**-53


def draw(count: int, *, seed: int, shortcut: float = 0.0, fixed: dict[str, str] | None = None) -> pd.DataFrame:
    """Draw the table of `count` pictures: one categorical column per factor, one float column per nuisance.

    All factors are uniform and independent, but for the shortcut: with probability `shortcut` the background is the one assigned to the
    class (see `assigned_background`), else it is uniform, so that P(background = assigned) = shortcut + (1 - shortcut) / 6.

    Args:
        count: pictures, at least 1.
        seed: a whole number, at least 0.
        shortcut: probability in [0, 1].
        fixed: factors that have the same value in all pictures, e.g. {"shape": "star"}.

    Raises:
        ValueError: if an argument is outside its range, a fixed factor or value does not exist, or background is fixed while shortcut > 0.
    """
    fixed = dict(fixed or {})
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"scenes: count: found {count!r}; expected a whole number, at least 1")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"scenes: seed: found {seed!r}; expected a whole number, at least 0")
    if not 0 <= shortcut <= 1:
        raise ValueError(f"scenes: shortcut: found {shortcut!r}; expected a number in [0, 1]")
    for factor, value in fixed.items():
        check_value(factor, value)
    if shortcut and "background" in fixed:
        raise ValueError(f"scenes: fixed: found a background while shortcut is {shortcut}; expected one of the two, not both")

    codes = {factor: (uniform(seed, factor, count) * len(values)).astype(np.int64) for factor, values in FACTORS.items()}
    codes |= {factor: np.full(count, FACTORS[factor].index(value)) for factor, value in fixed.items()}
    follows = uniform(seed, "shortcut", count) < shortcut
    codes["background"] = np.where(follows, assigned_background(_class_index(codes["shape"], codes["texture"])), codes["background"])
    table = {factor: pd.Categorical.from_codes(codes[factor], categories=values) for factor, values in FACTORS.items()}
    return pd.DataFrame(table | {name: uniform(seed, name, count) for name in NUISANCES})


def check_value(factor: str, value: str) -> None:
    """Raise a ValueError that lists what there is, if there is no such factor or no such value."""
    if factor not in FACTORS:
        raise ValueError(f"scenes: factor: found {factor!r}; expected one of {', '.join(FACTORS)}")
    if value not in FACTORS[factor]:
        raise ValueError(f"scenes: {factor}: found {value!r}; expected one of {', '.join(FACTORS[factor])}")


def check_table(table: pd.DataFrame) -> None:
    """Raise a ValueError unless the table has all columns of `draw` and every factor has values that exist."""
    for name in (*FACTORS, *NUISANCES):
        if name not in table:
            raise ValueError(f"scenes: factors: found no column {name!r}; expected all columns of lib.datasets.scenes.factors.draw")
    for factor in FACTORS:
        codes(table, factor)


def codes(table: pd.DataFrame, factor: str) -> np.ndarray:
    """Number of each row's value in FACTORS[factor], (rows,) int64; a ValueError names a value that does not exist."""
    numbers = pd.Index(FACTORS[factor]).get_indexer(table[factor])
    if (numbers < 0).any():
        check_value(factor, table[factor].iloc[int((numbers < 0).argmax())])
    return numbers.astype(np.int64)


def labels(table: pd.DataFrame) -> np.ndarray:
    """Class of each row, (rows,) int64: 4 x number of the shape + number of the texture, an index into CLASS_NAMES."""
    return _class_index(codes(table, "shape"), codes(table, "texture"))


def _class_index(shape, texture):
    return shape * len(FACTORS["texture"]) + texture


def assigned_background(label):
    """Number of the background that the shortcut ties to a class: class index modulo 6.

    Of the 20 classes, four share each of the first two backgrounds and three each of the others.
    """
    return label % len(FACTORS["background"])


def concepts(table: pd.DataFrame) -> pd.DataFrame:
    """One bool column per value of each factor, e.g. "shape: star": (rows, 38)."""
    return pd.DataFrame({f"{factor}: {value}": codes(table, factor) == number
                         for factor, values in FACTORS.items() for number, value in enumerate(values)})
