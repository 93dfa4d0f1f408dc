"""How well a code separates factors that are known: DCI and MIG, to validate scores that know no factors.

DCI: Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations", ICLR 2018. MIG: Chen et al.,
"Isolating Sources of Disentanglement in VAEs", NeurIPS 2018.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

BINS = 20
TREES = 50


@dataclass(frozen=True)
class DCI:
    """Disentanglement and completeness of a code, in [0, 1], with those of each unit and factor."""

    disentanglement: float  # does a unit speak of one factor only?
    completeness: float  # is a factor spoken of by one unit only?
    units: np.ndarray  # (units,) disentanglement of each; NaN for units that matter to no factor
    factors: np.ndarray  # (factors,) completeness of each; NaN for factors that no unit matters to


def dci(importance) -> DCI:
    """Disentanglement and completeness of a matrix of importances.

        D_i = 1 - H(P_i.) / log K,    P_ij = R_ij / sum_k R_ik,    D = sum_i rho_i D_i,    rho_i = sum_j R_ij / sum R

    and likewise over columns for completeness, with the logarithm of the number of units.

    Args:
        importance: R, (units, factors), not negative: how much a unit matters for telling a factor (`importances`).

    Returns:
        DCI; NaN where there is one factor (disentanglement) or one unit (completeness), or nothing matters.

    Raises:
        ValueError: if it is no matrix of finite numbers from 0.
    """
    importance = np.asarray(importance, float)
    if importance.ndim != 2 or not importance.size or not np.isfinite(importance).all() or importance.min() < 0:
        raise ValueError(f"importance: found shape {importance.shape}; expected (units, factors), finite, not negative")
    units, factors = _concentration(importance), _concentration(importance.T)
    return DCI(_weighted(units, importance.sum(1)), _weighted(factors, importance.sum(0)), units, factors)


def importances(codes, factors, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """How much each unit matters for telling each factor, and how well the factor is told, by a random forest a factor.

    Args:
        codes: (n, units).
        factors: (n, factors), each with two values at least; integers are classes, floats are quantities.
        seed: of the forests.

    Returns:
        Impurity importances (units, factors), and the third number of DCI, informativeness, of each factor: the share of pictures whose
        class is told right, or R^2, by the trees that did not see the picture (out of bag).

    Raises:
        ValueError: if shapes disagree, a value is not finite, or a factor is constant.
    """
    codes, columns = _checked(codes, factors)
    forests = []
    for column in columns:
        kind = RandomForestClassifier if column.dtype.kind in "iu" else RandomForestRegressor
        # All units at every split: with a random few, importance is spread over units that say the same.
        forests.append(kind(n_estimators=TREES, max_features=None, oob_score=True, random_state=seed, n_jobs=-1).fit(codes, column))
    return np.column_stack([one.feature_importances_.clip(0) for one in forests]), np.array([one.oob_score_ for one in forests])


def mutual_information_gap(codes, factors, *, bins: int = BINS) -> float:
    """MIG: how much more the best unit tells of a factor than the second best, mean over factors.

        mean_k (I(z_(1); f_k) - I(z_(2); f_k)) / H(f_k)

    Args:
        codes: (n, units), cut into bins of the same width between their extremes.
        factors: (n, factors); floats are cut likewise, integers are classes.
        bins: how many.

    Returns:
        In [0, 1]; NaN for a single unit, of which there is no second best.

    Raises:
        ValueError: as `importances`, or for fewer than two bins.
    """
    if bins < 2:
        raise ValueError(f"bins: found {bins}; expected at least 2")
    codes, columns = _checked(codes, factors)
    if codes.shape[1] < 2:
        return float("nan")
    units = np.stack([_one_hot(_binned(unit, bins), bins) for unit in codes.T])
    gaps = []
    for column in columns:
        classes = np.unique(column, return_inverse=True)[1] if column.dtype.kind in "iu" else _binned(column, bins)
        factor = _one_hot(classes, int(classes.max()) + 1)
        second, first = np.sort(_mutual_information(units, factor))[-2:]
        gaps.append((first - second) / _mutual_information(factor[None], factor)[0])
    return float(np.mean(gaps))


def _concentration(rows):
    """1 - entropy of each row over the logarithm of its length; NaN for rows of zeros or of one value."""
    total = rows.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = rows / total
        entropy = -np.where(shares > 0, shares * np.log(shares), 0).sum(1) / np.log(rows.shape[1])
    return np.where(total[:, 0] > 0, 1 - entropy, np.nan)


def _weighted(values, weights):
    counts = weights > 0
    return float((values[counts] * weights[counts]).sum() / weights.sum()) if counts.any() else float("nan")


def _one_hot(classes, count):
    """(count, n), a row a class."""
    return (classes == np.arange(count)[:, None]).astype(float)


def _mutual_information(units, factor):
    """Of each unit (units, bins, n) with a factor (classes, n), in nats."""
    joint = units @ factor.T / units.shape[2]
    apart = joint.sum(2, keepdims=True) * joint.sum(1, keepdims=True)
    return np.where(joint > 0, joint * np.log(np.divide(joint, apart, out=np.ones_like(joint), where=joint > 0)), 0).sum((1, 2))


def _binned(values, bins):
    return np.digitize(values, np.histogram_bin_edges(values, bins)[1:-1])


def _checked(codes, factors):
    codes = np.asarray(codes, float)
    if codes.ndim != 2 or not codes.size or not np.isfinite(codes).all():
        raise ValueError(f"codes: found shape {codes.shape}; expected (n, units), finite")
    table = np.asarray(factors)
    columns = [np.asarray(factors[name]) for name in factors.columns] if hasattr(factors, "columns") else list(table.T)
    if table.ndim != 2 or len(table) != len(codes) or not columns:
        raise ValueError(f"factors: found shape {table.shape}; expected ({len(codes)}, factors)")
    for number, column in enumerate(columns):
        if column.dtype.kind not in "iuf" or not np.isfinite(column).all() or len(np.unique(column)) < 2:
            raise ValueError(f"factors: column {number}: found {column.dtype} with {len(np.unique(column))} values; "
                             "expected finite numbers of two values at least")  # fmt: skip
    return codes, columns
