"""Predictions from sparse concepts, taken apart: what each concept contributed, what happens if one is edited, and how few suffice."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from lib.linear_head import LinearHead


def contributions(head: LinearHead, activations, predicted=None) -> np.ndarray:
    """What each concept adds to the logit of a picture's predicted class, beyond what it adds to all classes on average.

        c_im = a_im (W_m,k - mean_k' W_mk') / scale,        k the predicted class

    Args:
        head: on concept activations.
        activations: (pictures, concepts), sparse as the head was given them.
        predicted: (pictures,) a class for each picture; by default that of the head.

    Returns:
        (pictures, concepts). With the bias taken likewise, the sum over concepts is the logit above the mean of all classes.
    """
    activations = np.asarray(activations, np.float32)
    predicted = head.predicted(activations) if predicted is None else np.asarray(predicted)
    weights = head.classifier.weights - head.classifier.weights.mean(1, keepdims=True)
    return activations * weights[:, predicted].T / head.scale


def strongest(values, names: Sequence[str], count: int = 3) -> pd.DataFrame:
    """The concepts that contribute most for each picture: picture, place (from 1), concept, contribution. values: `contributions`."""
    values = np.asarray(values)
    count = min(count, values.shape[1])
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return pd.DataFrame({
        "picture": np.repeat(np.arange(len(values)), count), "place": np.tile(np.arange(1, count + 1), len(values)),
        "concept": np.asarray(names, object)[order.ravel()], "contribution": np.take_along_axis(values, order, 1).ravel(),
    })  # fmt: skip


def edited(activations, changes: dict[int, float | np.ndarray]) -> np.ndarray:
    """Activations in which some concepts are set by hand.

    Args:
        activations: (pictures, concepts); not changed.
        changes: concept -> its new value, one for all pictures or one for each.

    Raises:
        ValueError: if a concept does not exist.
    """
    activations = np.array(activations, np.float32)
    for concept, value in changes.items():
        if not 0 <= concept < activations.shape[1]:
            raise ValueError(f"changes: found concept {concept}; expected 0 to {activations.shape[1] - 1}")
        activations[:, concept] = value
    return activations


def sparse_final_layers(
    activations, labels, test_activations, test_labels, *, strengths: Sequence[float], l1_ratio: float = 0.99, iterations: int = 100,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Heads whose weights are sparse instead of their inputs: the final layer of label-free concept bottlenecks (Oikarinen et al. 2023).

    Multinomial logistic regression with an elastic-net penalty (scikit-learn's SAGA), along a path from strong to weak, each fit started
    from the one before.

    Args:
        activations: (pictures, concepts) of the training pictures, z-scored.
        labels: (pictures,).
        test_activations: (pictures, concepts).
        test_labels: (pictures,).
        strengths: of the penalty, per picture.
        l1_ratio: share of the penalty that is of the absolute values.
        iterations: over the pictures, at most, for each strength.
        seed: of the order of pictures.

    Returns:
        strength, accuracy, effective (mean number of concepts with a weight, over classes), concepts (with a weight for any class),
        converged; the strongest first.
    """
    model = LogisticRegression(solver="saga", l1_ratio=l1_ratio, warm_start=True, max_iter=iterations, tol=1e-3, random_state=seed)
    rows = []
    for strength in tqdm(sorted(strengths, reverse=True), desc="sparse final layers", leave=False):
        model.set_params(C=1 / (strength * len(labels)))
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(activations, labels)
        used = np.abs(model.coef_) > 1e-6
        rows.append({
            "strength": strength, "accuracy": float(model.score(test_activations, test_labels)), "effective": used.sum(1).mean(),
            "concepts": int(used.any(0).sum()), "converged": bool(model.n_iter_.max() < iterations),
        })  # fmt: skip
    return pd.DataFrame(rows)
