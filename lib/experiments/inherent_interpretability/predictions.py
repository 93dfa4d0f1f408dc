"""Predictions from concepts: accuracy against how many speak, and single predictions taken apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from lib import processes
from lib.concept_libraries.library import ConceptLibrary
from lib.experiments.inherent_interpretability.sweeps import Features, Library, World, libraries_of
from lib.explained_predictions import contributions, sparse_final_layers, strongest
from lib.linear_head import LinearHead, fitted_head, tuning_rows
from lib.sparse_concepts import concept_activations, normalised, ranks, sparsified
from lib.statistics import proportion

WHOLE = "the representation itself"


@dataclass(frozen=True)
class ConceptClassifier:
    """A library, and a head on the strongest activations of each picture."""

    library: ConceptLibrary
    keep: int  # concepts that speak for each picture
    head: LinearHead
    training: np.ndarray  # (pictures, concepts) activations of the training pictures before normalisation

    def activations(self, features) -> np.ndarray:
        """Normalised activations of features, (pictures, concepts), of which all are there still."""
        return normalised(concept_activations(features, self.library.vectors), self.training, how=self.library.normalisation)

    def speaking(self, activations) -> np.ndarray:
        """(pictures, concepts): the strongest activations, the others 0."""
        return sparsified(activations, self.keep)

    def predicted(self, activations) -> np.ndarray:
        """(pictures,) classes from normalised activations."""
        return self.head.predicted(self.speaking(activations))


def concept_classifier(library: ConceptLibrary, features, labels, *, keep: int, seed: int = 0) -> ConceptClassifier:
    """Fit the head.

    Args:
        library: of concepts.
        features: (pictures, dims) of the training pictures.
        labels: (pictures,) their classes, from 0.
        keep: concepts that speak for each picture, the most active ones.
        seed: of the pictures that choose the penalty.
    """
    training = concept_activations(features, library.vectors)
    shown = sparsified(normalised(training, how=library.normalisation), keep)
    head = fitted_head(shown, labels, tuning_rows(labels, seed=seed), classes=int(np.max(labels)) + 1)
    return ConceptClassifier(library, keep, head, training)


def accuracy_by_concepts(
    features: Mapping[str, Features], world: World, libraries: Mapping[str, Library], *, counts: Sequence[int], strengths: Sequence[float],
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Accuracy against the number of concepts that speak: the most active ones of each picture, or those with a weight for each class.

    Args:
        features: of representations.
        world: its pictures.
        libraries: kinds of concepts, of which the first draw is taken; several are also joined, as "together".
        counts: concepts that speak for each picture; those above the size of a library are left out.
        strengths: of the elastic net of the sparse final layers.
        seed: of the pictures that choose penalties.

    Returns:
        representation, concepts (name of the library; `WHOLE` for a head on the features), limited (what is sparse: "activations",
        "weights", or "" for nothing), effective (number of concepts), accuracy with _low and _high (over test pictures).
    """
    work = partial(_accuracies, labels=world.train.labels, truth=world.test.labels, strengths=strengths, seed=seed)
    pieces = {}
    for representation, one in features.items():
        drawn = {name: libraries_of(one, world, library, seed=seed)[0] for name, library in libraries.items()}
        for name, (train, test) in _shown(one, drawn).items():
            width = train.shape[1]
            if name == WHOLE:
                pieces[representation, name, ""] = train, test, [width]
            else:
                pieces[representation, name, "activations"] = train, test, [count for count in counts if count < width] + [width]
                pieces[representation, name, "weights"] = train, test, None
    found = processes.share_out(work, pieces, description="numbers of concepts")
    return pd.concat(
        [one.assign(representation=whose, concepts=name, limited=limited) for (whose, name, limited), one in found.items()],
        ignore_index=True,
    )


def explained(classifier: ConceptClassifier, features, pictures: Sequence[int], *, count: int = 3) -> pd.DataFrame:
    """The concepts behind single predictions.

    Args:
        classifier: with its library.
        features: (pictures, dims) of all test pictures.
        pictures: which of them.
        count: concepts named.

    Returns:
        picture, predicted (class), place, concept (index into the library), activation (normalised; below 0 the picture is less like the
        concept than like others), contribution (to the logit), speaking (how many concepts contribute at all).
    """
    spoken = classifier.speaking(classifier.activations(np.asarray(features)[pictures]))
    parts = contributions(classifier.head, spoken)
    table = strongest(parts, np.arange(classifier.library.count), count)
    predicted, speaking = classifier.head.predicted(spoken), (spoken != 0).sum(1)
    rows = table["picture"].to_numpy()
    concept = table["concept"].astype(int)
    return table.assign(
        picture=np.asarray(pictures)[rows], concept=concept, activation=spoken[rows, concept], predicted=predicted[rows],
        speaking=speaking[rows],
    )  # fmt: skip


def _shown(features, libraries):
    """What heads see, of the training and the test pictures: activations of each library, of all together, and the features."""
    shown = {}
    for name, library in libraries.items():
        train, test = (concept_activations(one, library.vectors) for one in (features.train, features.test))
        shown[name] = normalised(train, how=library.normalisation), normalised(test, train, how=library.normalisation)
    if len(shown) > 1:
        shown["together"] = tuple(np.concatenate(parts, 1) for parts in zip(*shown.values(), strict=True))
    return shown | {WHOLE: (features.train, features.test)}


def _accuracies(train, test, counts, *, labels, truth, strengths, seed):
    if counts is None:
        scores, test_scores = normalised(train, how="concept"), normalised(test, train, how="concept")
        layers = sparse_final_layers(scores, labels, test_scores, truth, strengths=strengths, seed=seed)
        rows = [(row.effective, row.accuracy) for row in layers.itertuples()]
    else:
        tuned, rows, similar = tuning_rows(labels, seed=seed), [], None
        places, test_places = ranks(train), ranks(test)
        for count in sorted(counts, reverse=True):
            similar = fitted_head(sparsified(train, count, places), labels, tuned, classes=int(labels.max()) + 1, similar=similar)
            rows.append((count, (similar.predicted(sparsified(test, count, test_places)) == truth).mean()))
    found = [proportion(round(accuracy * len(truth)), len(truth)) for _, accuracy in rows]
    return pd.DataFrame({
        "effective": [float(count) for count, _ in rows], "accuracy": [one.value for one in found],
        "accuracy_low": [one.low for one in found], "accuracy_high": [one.high for one in found],
    })  # fmt: skip
