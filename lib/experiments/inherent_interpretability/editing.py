"""Does editing a concept do what changing the picture does? Asked of scenes, which can be rendered again with one factor changed."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from lib import activations, encoders
from lib.datasets.pictures import in_memory
from lib.datasets.scenes import FACTORS, Scenes
from lib.datasets.scenes import factors as scene_factors
from lib.datasets.scenes.rendering import render
from lib.experiments.inherent_interpretability.predictions import ConceptClassifier, concept_classifier
from lib.experiments.inherent_interpretability.sweeps import Features, Library, World, libraries_of
from lib.explained_predictions import edited
from lib.keyed_random import generator
from lib.statistics import paired_difference, proportion


def interventions(
    features: Mapping[str, Features], worlds: Mapping[str, World], library: Library, *, factors: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """`intervention` for several encoders, by a head on all concepts of a textual library.

    Args:
        features: of encoders.
        worlds: what similarities of pictures and names are from -> the world with these.
        library: of kind "text", without filters.
        factors: changed one at a time.
        seed: of the new values.

    Returns:
        The columns of `intervention`, with learned_from and representation.
    """
    found = []
    for (source, world), (name, one) in tqdm(list(product(worlds.items(), features.items())), desc="edits", leave=False):
        [drawn] = libraries_of(one, world, library, seed=seed)
        classifier = concept_classifier(drawn, one.train, world.train.labels, keep=drawn.count, seed=seed)
        edits = intervention(name, classifier, world.train, one.train, world.test, one.test, factors=factors, seed=seed)
        found.append(edits.assign(learned_from=source, representation=name))
    return pd.concat(found, ignore_index=True)


def intervention(
    name: str, classifier: ConceptClassifier, train: Scenes, train_features, test: Scenes, test_features, *, factors: Sequence[str],
    count: int | None = None, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Change a factor of test scenes in two ways, and see whether predictions agree.

    The picture is rendered again with another value of the factor, drawn at random, and predicted. Or the picture stays, and the
    activation of the old value's concept is set to what training scenes without it have on average, that of the new value to what those
    with it have.

    Args:
        name: of the encoder.
        classifier: with a textual library whose names are values of factors.
        train: scenes that gave the head and the averages.
        train_features: (pictures, dims) of them.
        test: other scenes.
        test_features: (pictures, dims) of them.
        factors: changed one at a time.
        count: test scenes, the first ones; by default all.
        seed: of the new values.

    Returns:
        One row a factor: factor, pictures, agreement with _low and _high (of predictions after edit and after rendering), untouched with
        _low and _high (the same without any edit: what agreement costs nothing), gain with _low and _high (of the first over the second,
        paired by picture), rendered (accuracy on the pictures rendered again), told (area under the curve with which the concepts of the
        factor tell test scenes with their value from others, mean over values: 0.5 is chance).

    Raises:
        ValueError: if a factor is unknown, or one of its values is no concept of the library or in no training scene.
    """
    names = {name: number for number, name in enumerate(classifier.library.names)}
    count = min(count or len(test), len(test))
    shown, training = (classifier.activations(one) for one in (np.asarray(test_features)[:count], train_features))
    before = classifier.predicted(shown)
    encoder = encoders.load(name)
    rows = []
    for factor in factors:
        if factor not in FACTORS:
            raise ValueError(f"factors: found {factor!r}; expected some of {', '.join(FACTORS)}")
        values = list(FACTORS[factor])
        if missing := [value for value in values if value not in names]:
            raise ValueError(f"factors: found {factor!r}, whose value {missing[0]!r} is no concept of the library")
        if missing := [value for value in values if train.factors[factor].eq(value).mean() in (0, 1)]:
            raise ValueError(f"train: found no scene, or only scenes, of {factor} {missing[0]!r}; expected some of every value")
        old = test.factors[factor].iloc[:count].to_numpy()
        step = generator(seed, 83).integers(1, len(values), count)
        new = np.array([values[(values.index(value) + int(move)) % len(values)] for value, move in zip(old, step, strict=True)])
        table = test.factors.iloc[:count].assign(**{factor: new})
        rendered = np.concatenate([render(table.iloc[start : start + 256], size=test.size) for start in range(0, count, 256)])
        truth = scene_factors.labels(table)
        changed = in_memory("rendered again", rendered, truth, test.class_names, {})
        after = classifier.predicted(classifier.activations(activations.embeddings(encoder, changed)))
        moved = shown
        for value in values:
            has = (train.factors[factor] == value).to_numpy()
            concept, given, without = names[value], training[has, names[value]].mean(), training[~has, names[value]].mean()
            column = np.where(new == value, given, np.where(old == value, without, shown[:, concept]))
            moved = edited(moved, {concept: column})
        by_edit = classifier.predicted(moved)
        agreed, same = (proportion(int((one == after).sum()), count) for one in (by_edit, before))
        gain = paired_difference(by_edit == after, before == after, seed=seed)
        told = np.mean([roc_auc_score(old == value, shown[:, names[value]]) for value in values if 0 < (old == value).mean() < 1])
        row = {"factor": factor, "pictures": count, "rendered": (after == truth).mean(), "told": told}
        for label, one in (("agreement", agreed), ("untouched", same), ("gain", gain)):
            row |= {label: one.value, f"{label}_low": one.low, f"{label}_high": one.high}
        rows.append(row)
    return pd.DataFrame(rows)
