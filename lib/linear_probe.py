"""How much of a label can be read linearly from an embedding."""

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def linear_probe(embeddings: np.ndarray, labels: np.ndarray, *, share: float) -> np.ndarray:
    """Fit a ridge classifier on the first share of the rows and say which of the others it gets right.

    Features are standardised and the penalty is chosen by leave-one-out: a closed form, fast, and the same every time.

    Args:
        embeddings: (n, dims), in an order that has nothing to do with the labels.
        labels: (n,).
        share: of the rows to fit on, in (0, 1).

    Returns:
        (n - split,) bool.
    """
    split = int(share * len(embeddings))
    probe = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-2, 4, 7))).fit(embeddings[:split], labels[:split])
    return probe.predict(embeddings[split:]) == labels[split:]
