"""Inherent Interpretability Score (IIS): how much of a representation's accuracy survives when only sparse concepts may speak?

Shen et al., "Enhancing Pre-trained Representation Classifiability can Boost its Interpretability", ICLR 2025. A representation x is
projected onto concept vectors V, of each picture's concept activations the share s with the smallest magnitudes is set to 0, and a linear
head predicts the class from what is left. The accuracy of that head over the accuracy of a head on x itself is the retention

    ARR(s) = Acc(g_cls o g_s o g_C) / Acc(h),        IIS = integral of ARR(s) ds.

What is not established from the paper is settled so (specs/iis.md): heads on both sides come from one convex solver with one rule for
the penalty, chosen on a part of the training pictures; exactly k(s) = M - floor(M s) concepts are kept; activations are standardised per
picture without learned scales; the integral is reported as the authors' trapezoid (`raw`), divided by the width of its grid (`normalised`),
and on [0, 1] with the end at s = 1 where a head knows nothing but how common classes are (`full`).

Raw scores are U-shaped in accuracy: a representation at chance retains all of nothing. So retention is also given with chance taken off,
(Acc_s - p0) / (Acc - p0), and a representation whose accuracy is not clearly above chance gets no such score. Chance p0 is the better of
two guesses that do not look at the picture: always the commonest training class, or classes as often as in training (with classes about
equally common, the commonest one is an accident).
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np
import pandas as pd

from lib.concept_heads import correct_through
from lib.concept_libraries.library import ConceptLibrary, random_directions
from lib.keyed_random import generator
from lib.linear_head import PENALTIES, fitted_head, tuning_rows
from lib.sparse_concepts import kept
from lib.statistics import Estimate

NUMBERS = ("raw", "normalised", "full", "corrected", "excess", "accuracy")
GRID = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98)  # the authors' sparsities
LEAST_ABOVE_CHANCE = 3.0  # standard errors of the accuracy


@dataclass(frozen=True)
class InherentInterpretability:
    """The score of a representation for one or several concept libraries of the same size, with what is needed to doubt it."""

    raw: Estimate  # the authors' trapezoid over the grid
    normalised: Estimate  # over the width of the grid
    full: Estimate  # on [0, 1]
    corrected: Estimate  # as `full`, of retention with chance taken off; NaN where the accuracy is not clearly above chance
    excess: Estimate  # `full` minus that of random directions; NaN without such
    accuracy: Estimate  # of the head on the representation itself
    chance: float  # accuracy of a guess that does not look at the picture
    refused: str  # why there is no corrected score, or ""
    leaked: bool  # a library was made from the test pictures: scores are too high
    curve: pd.DataFrame  # sparsity, kept, accuracy, retention, low, high, corrected, random; of the first library what heads report
    correct: np.ndarray = field(repr=False)  # (libraries, sparsities, test pictures) bool
    correct_random: np.ndarray = field(repr=False)  # (libraries, sparsities, test pictures) bool
    correct_representation: np.ndarray = field(repr=False)  # (test pictures,) bool
    by_chance: np.ndarray = field(repr=False)  # (test pictures,) how probably the guess is right
    test_labels: np.ndarray = field(repr=False)  # (test pictures,)
    settings: Mapping[str, float | int | str | None]


def area(sparsities: Sequence[float], retention) -> tuple[float, float]:
    """The integral of a retention curve by trapezoids, as the authors take it, and the same over the width of the grid.

    Args:
        sparsities: in [0, 1], in any order, each once; at least two.
        retention: (..., sparsities) in the same order.

    Returns:
        raw and normalised, each of shape (...).

    Raises:
        ValueError: if there are fewer than two sparsities, one is repeated or outside [0, 1], or shapes disagree.
    """
    grid, retention = checked_grid(sparsities), np.asarray(retention, float)
    if retention.shape[-1:] != grid.shape:
        raise ValueError(f"retention: found shape {retention.shape}; expected (..., {len(grid)}), one value a sparsity")
    order = np.argsort(grid)
    raw = np.trapezoid(retention[..., order], grid[order], axis=-1)
    return raw, raw / np.ptp(grid)


def checked_grid(sparsities: Sequence[float]) -> np.ndarray:
    """Sparsities as an array; see `area` for what is refused."""
    grid = np.asarray(sparsities, float)
    if grid.ndim != 1 or len(grid) < 2:
        raise ValueError(f"sparsities: found {np.atleast_1d(grid).tolist()}; expected at least two, since an integral needs an interval")
    if not ((grid >= 0) & (grid <= 1)).all():
        raise ValueError(f"sparsities: found {grid[~((grid >= 0) & (grid <= 1))][0]:g}; expected numbers from 0 to 1")
    values, counts = np.unique(grid, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"sparsities: found {values[counts > 1][0]:g} more than once; expected each once")
    return grid


def inherent_interpretability(
    features, labels, test_features, test_labels, libraries: ConceptLibrary | Sequence[ConceptLibrary], *,
    sparsities: Sequence[float] = GRID, form: str = "mask", order: str = "least", normalisation: str | None = None, banks: int = 3,
    penalties: Sequence[float] = PENALTIES, bootstrap: int = 1000, seed: int = 0, test_source: Mapping[str, object] | None = None,
    through: Callable[..., dict[str, np.ndarray]] = correct_through,
) -> InherentInterpretability:  # fmt: skip
    """Score a representation.

    The intervals are of a joint bootstrap: test pictures are resampled for numerator and denominator at once, and with them the libraries
    and the random ones, whose deviations from their mean are widened by sqrt(L / (L - 1)) for L of them. One library cannot say how much
    another would differ: then the interval is that of test pictures alone. Training pictures are not resampled.

    Args:
        features: (pictures, dims) of the training pictures.
        labels: (pictures,) their classes, any integers.
        test_features: (pictures, dims) of the test pictures.
        test_labels: (pictures,) their classes, all of which occur in training.
        libraries: concept vectors, or several draws of the same kind and size.
        sparsities: shares of concepts set to 0, each once; 1 stands for its analytic end and needs no head.
        form: of the sparsification, see `lib.sparse_concepts.sparsified`.
        order: which concepts go first, see `lib.sparse_concepts.ranks`.
        normalisation: of the activations; by default that of the libraries.
        banks: libraries of random directions to compare with; of 0, there is no excess.
        penalties: of the heads.
        bootstrap: resamples.
        seed: of the rows that choose penalties, of random directions and of the bootstrap.
        test_source: identity of the test pictures; a library made from them is warned of and marked as `leaked`.
        through: what fits the heads of one library; another one may remember what it did.

    Raises:
        ValueError: if shapes disagree, values are not finite, there is one class only, a class has fewer than two training pictures or a
            test class none, libraries differ in size or normalisation, there are fewer than three concepts to standardise per picture,
            or a setting is out of range.
    """
    libraries = [libraries] if isinstance(libraries, ConceptLibrary) else list(libraries)
    if not libraries or not all(isinstance(one, ConceptLibrary) for one in libraries):
        found = [type(one).__name__ for one in libraries[:1]]
        raise ValueError(f"libraries: found {found}; expected a ConceptLibrary or several; `given(vectors)` makes one of an array")
    features, labels, test_features, test_labels, classes = checked_data(features, labels, test_features, test_labels)
    scale = np.sqrt(np.square(features, dtype=np.float64).mean()) or 1.0  # so that the unit of features changes nothing
    features, test_features = ((one / scale).astype(np.float32) for one in (features, test_features))
    grid = checked_grid(sparsities)
    if len({(one.vectors.shape, one.normalisation) for one in libraries}) != 1:
        found = [(*one.vectors.shape, one.normalisation) for one in libraries]
        raise ValueError(f"libraries: found {found}; expected one size and normalisation, e.g. several draws of a kind")
    for name, value, least in (("banks", banks, 0), ("bootstrap", bootstrap, 1)):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name}: found {value!r}; expected a whole number from {least}")
    count, dims = libraries[0].vectors.shape
    how = libraries[0].normalisation if normalisation is None else normalisation
    if how == "picture" and count < 3:
        raise ValueError(f"libraries: found {count} concepts; expected at least 3, whose activations can be standardised per picture")
    leaked = test_source is not None and any(_overlap(one.source, test_source) for one in libraries)
    if leaked:
        message = "libraries: found concepts made from the test pictures; expected training pictures (scores are too high)"
        warnings.warn(message, stacklevel=2)
    settings = {"form": form, "order": order, "normalisation": how, "penalties": tuple(penalties), "seed": seed}
    tuned = tuning_rows(labels, seed=seed)
    whole = fitted_head(features, labels, tuned, classes=classes, penalties=penalties)
    data = (features, labels, test_features, test_labels, tuned, classes, grid)
    found = [through(library.vectors, *data, **settings) for library in libraries]
    random = [through(random_directions(count, dims, seed=seed + number).vectors, *data, **settings) for number in range(banks)]
    return _scored(
        correct=np.stack([one["correct"] for one in found]),
        correct_random=np.array([one["correct"] for one in random], bool).reshape(banks, len(grid), len(test_labels)),
        correct_representation=whole.predicted(test_features) == test_labels, by_chance=_guess(labels, test_labels),
        test_labels=test_labels, grid=grid, of_first=found[0], leaked=leaked, bootstrap=bootstrap, seed=seed,
        settings={
            "concepts": count, "repeated": libraries[0].repeated, "dims": dims, "libraries": len(libraries), "kind": libraries[0].kind,
            "banks": banks, "pictures": len(labels), "tested": len(test_labels), "classes": classes, "bootstrap": bootstrap,
            **{name: value for name, value in settings.items() if name != "penalties"},
        },
    )  # fmt: skip


def paired_difference(
    first: InherentInterpretability, second: InherentInterpretability, number: str = "full", *, bootstrap: int = 1000, seed: int = 0
) -> Estimate:
    """A number of one score minus that of another on the same test pictures, which are resampled for both at once.

    Args:
        first: a score.
        second: another, of the same test pictures and sparsities.
        number: "raw", "normalised", "full", "corrected", "excess" or "accuracy".
        bootstrap: resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: if they have other sparsities or classes of test pictures (that these are the same pictures is for the caller to know),
            or one has no such number.
    """
    if number not in NUMBERS:
        raise ValueError(f"number: found {number!r}; expected one of {', '.join(NUMBERS)}")
    same = np.array_equal(first.test_labels, second.test_labels)
    if not same or not np.array_equal(first.curve["sparsity"], second.curve["sparsity"]):
        raise ValueError("first, second: found other test pictures or sparsities; expected the same")
    if np.isnan([getattr(one, number).value for one in (first, second)]).any():
        raise ValueError(f"number: found {number!r}, which one of the two has not ({first.refused or second.refused or 'no banks'})")
    weights = _weights(len(first.by_chance), bootstrap, generator(seed, 76))
    values = [_numbers(one, weights, seed=seed + place)[number] for place, one in enumerate((first, second))]
    return _estimate(values[0] - values[1], len(first.by_chance))


def _overlap(source, test_source):
    """Do two identities name the same pictures, or one some of those of the other?"""
    first, second = ({key: value for key, value in one.items() if key not in ("count", "taken")} for one in (source, test_source))
    return bool(first) and first == second


def _guess(labels, test_labels):
    """How probably the better guess without a picture is right, for each test picture."""
    shares = np.bincount(labels) / len(labels)
    guesses = test_labels == shares.argmax(), shares[test_labels]
    return max(guesses, key=np.mean).astype(float)


def _weights(tested, bootstrap, rng):
    """Of each test picture in the estimate, the first row, and in every resample."""
    return np.concatenate([np.ones((1, tested)), rng.multinomial(tested, np.full(tested, 1 / tested), bootstrap)]) / tested


def _numbers(found, weights, *, seed):
    """All numbers of a score, and its curves, for the estimate and every resample: name -> (1 + resamples, ...)."""
    grid, rng = found.curve["sparsity"].to_numpy(), generator(seed, 82)
    accuracy, chance = weights @ found.correct_representation, weights @ found.by_chance

    def accuracies(several):
        if not len(several):
            return np.full((len(weights), several.shape[1]), np.nan)
        each = np.einsum("rp,lsp->rls", weights, several.astype(float), optimize=True)
        chosen = np.concatenate([np.arange(len(several))[None], rng.integers(0, len(several), (len(weights) - 1, len(several)))])
        each[:, :, found.curve["sparsity"] == 1] = chance[:, None, None]  # nothing may speak
        mean, resampled = each.mean(1), np.take_along_axis(each, chosen[:, :, None], 1).mean(1)
        # A bootstrap of L sees (L - 1) / L of their variance.
        return mean + np.sqrt(len(several) / max(len(several) - 1, 1)) * (resampled - mean)  # (1 + resamples, sparsities)

    numerator, of_random = accuracies(found.correct), accuracies(found.correct_random)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may be at chance where the estimate is refused
        retention, random_retention = numerator / accuracy[:, None], of_random / accuracy[:, None]
        above = np.where(accuracy > chance, accuracy - chance, np.nan)
        corrected = (numerator - chance[:, None]) / above[:, None]
        end = (chance / accuracy)[:, None]
        raw, normal = area(grid, retention)
        full, full_random = (_to_the_end(grid, curve, end) for curve in (retention, random_retention))
        full_corrected = _to_the_end(grid, corrected, np.zeros_like(end))
    return {
        "raw": raw, "normalised": normal, "full": full, "corrected": full_corrected, "excess": full - full_random, "accuracy": accuracy,
        "accuracies": numerator, "retention": retention, "random": random_retention, "corrected curve": corrected,
    }  # fmt: skip


def _scored(
    *, correct, correct_random, correct_representation, by_chance, test_labels, grid, of_first, leaked, bootstrap, seed, settings
):  # fmt: skip
    count, tested, chance, accuracy = settings["concepts"], len(by_chance), by_chance.mean(), correct_representation.mean()
    paired = (correct_representation - by_chance).std(ddof=1) if tested > 1 else 1.0
    error = max(paired, np.sqrt(chance * (1 - chance))) / np.sqrt(tested)
    refused = ""
    if accuracy - chance <= LEAST_ABOVE_CHANCE * error:
        needed = f"{LEAST_ABOVE_CHANCE:g} standard errors of {error:.3f} above the {chance:.3f} of a guess"
        refused = f"accuracy: found {accuracy:.3f}; expected more than {needed}"
    nothing = Estimate(np.nan, np.nan, np.nan, tested)
    reports = {name: values for name, values in of_first.items() if name != "correct"}
    curve = pd.DataFrame({"sparsity": grid, "kept": [kept(count, one) if one < 1 else 0 for one in grid]})
    found = InherentInterpretability(
        *[nothing] * 6, chance=float(chance), refused=refused, leaked=leaked, curve=curve, correct=correct, correct_random=correct_random,
        correct_representation=correct_representation, by_chance=by_chance, test_labels=test_labels, settings=settings,
    )  # fmt: skip
    numbers = _numbers(found, _weights(tested, bootstrap, generator(seed, 76)), seed=seed)
    missing = {"corrected": bool(refused), "excess": not len(correct_random)}
    estimates = {name: _estimate(numbers[name], tested) for name in NUMBERS if not missing.get(name)}
    curve = curve.assign(
        accuracy=numbers["accuracies"][0], retention=numbers["retention"][0], low=np.nanquantile(numbers["retention"][1:], 0.025, axis=0),
        high=np.nanquantile(numbers["retention"][1:], 0.975, axis=0), random=numbers["random"][0],
        corrected=np.nan if refused else numbers["corrected curve"][0], **reports,
    )  # fmt: skip
    return replace(found, curve=curve, **estimates)


def _to_the_end(grid, curves, end):
    """The integral on [0, 1]; left of the grid the first value counts, at 1 the end, where the grid does not reach it."""
    order = np.argsort(grid)
    grid, curves = grid[order], curves[:, order]
    if grid[0] > 0:
        grid, curves = np.concatenate([[0], grid]), np.concatenate([curves[:, :1], curves], 1)
    if grid[-1] < 1:
        grid, curves = np.concatenate([grid, [1]]), np.concatenate([curves, end], 1)
    return np.trapezoid(curves, grid, axis=1)


def _estimate(values, count):
    low, high = np.nanquantile(values[1:], (0.025, 0.975))
    return Estimate(float(values[0]), float(low), float(high), count)


def checked_data(features, labels, test_features, test_labels):
    """Training features and labels, test features and labels, with labels numbered from 0, and the number of classes.

    See `inherent_interpretability` for what is refused.
    """
    found = []
    for name, one, classes in (("features", features, labels), ("test_features", test_features, test_labels)):
        one, classes = np.asarray(one, np.float32), np.asarray(classes)
        prefix = name.removesuffix("features")
        if one.ndim != 2 or not len(one):
            raise ValueError(f"{name}: found shape {one.shape}; expected (pictures, dims), at least one picture")
        if not np.isfinite(one).all():
            raise ValueError(f"{name}: found {np.count_nonzero(~np.isfinite(one))} values that are not finite; expected none")
        if classes.shape != one.shape[:1] or classes.dtype.kind not in "iu":
            raise ValueError(
                f"{prefix}labels: found {classes.dtype} of shape {classes.shape}; expected integers of shape ({len(one)},)"
                + (" (np.unique(labels, return_inverse=True) numbers names)" if classes.dtype.kind in "US" else "")
            )
        found += [one, classes]
    features, labels, test_features, test_labels = found
    if features.shape[1] != test_features.shape[1]:
        raise ValueError(f"test_features: found {test_features.shape[1]} dims; expected {features.shape[1]}, as in features")
    names, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"labels: found one class, {names[0]}; expected at least two")
    if counts.min() < 2:
        rare = names[counts.argmin()]
        raise ValueError(f"labels: found {counts.min()} picture of class {rare}; expected two a class, one of them to choose a penalty")
    if unknown := sorted(set(test_labels.tolist()) - set(names.tolist())):
        raise ValueError(f"test_labels: found class {unknown[0]}; expected classes of the training pictures alone")
    if len(np.unique(test_labels)) < 2:
        raise ValueError(f"test_labels: found one class, {test_labels[0]}; expected at least two")
    return features, labels, test_features, np.searchsorted(names, test_labels), len(names)
