"""Scores over representations, libraries, sizes, forms and checkpoints: everything of notebook 05 that fits heads to frozen features."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lib import concepts, datasets, processes, representations, store
from lib.concept_heads import correct_through
from lib.concept_libraries.elements import Elements, elements_of
from lib.concept_libraries.library import ConceptLibrary
from lib.concept_libraries.textual import textual
from lib.datasets.pictures import Pictures
from lib.datasets.scenes import FACTORS, Scenes
from lib.encoders import local
from lib.experiments.inherent_interpretability.concepts import element_embeddings, visual
from lib.image_text_similarity import TRUTH
from lib.linear_head import tuning_rows
from lib.measures.inherent_interpretability import NUMBERS, InherentInterpretability, inherent_interpretability
from lib.measures.inherent_interpretability_as_released import released_score

Scores = Mapping[str, InherentInterpretability]


@dataclass(frozen=True)
class World:
    """Pictures that heads learn from, elements cut from them, other pictures that are only tested, and names for textual concepts."""

    train: Pictures
    test: Pictures
    elements: Elements
    names: Sequence[str] = ()
    similarities: np.ndarray | None = None  # (training pictures, names), `lib.image_text_similarity`

    def without_pixels(self) -> "World":
        """The same with labels and identities alone: what scoring features needs, small enough to be sent to other processes."""
        train, test = (replace(one, read=_unreadable) for one in (self.train, self.test))
        return replace(self, train=train, test=test, elements=replace(self.elements, crops=self.elements.crops[:0]))

    def labelled_by(self, target: str) -> "World":
        """The same pictures with the values of a factor of scenes as classes; "class" changes nothing.

        Raises:
            ValueError: if there is no such factor.
        """
        if target == "class":
            return self
        if not isinstance(self.train, Scenes) or target not in FACTORS:
            raise ValueError(f"targets: found {target!r} for {self.train.name}; expected class, or for scenes one of {', '.join(FACTORS)}")
        values = FACTORS[target]
        train, test = (
            replace(one, labels=pd.Categorical(one.factors[target], values).codes.astype(np.int64), class_names=values)
            for one in (self.train, self.test)
        )
        return replace(self, train=train, test=test, elements=replace(self.elements, classes=train.labels[self.elements.pictures]))


def _unreadable(indices):
    raise ValueError("pictures: found none here; expected to be read where they are, before features are scored elsewhere")


@dataclass(frozen=True)
class Features:
    """What one representation makes of a world."""

    train: np.ndarray  # (training pictures, dims)
    test: np.ndarray  # (test pictures, dims)
    elements: np.ndarray  # (elements, dims)


@dataclass(frozen=True)
class Library:
    """Which concepts a representation is interpreted by."""

    kind: str = "prototype"  # "prototype", "cluster", "end2end" or "text"
    concepts: int = 100  # of "text" as many as pass its filters
    draws: int = 2  # libraries that differ by their seed; of "text" one
    least_seen: float = 0.25  # of "text"
    least_similarity: float = 0.45  # of "text"


def pictures_of(settings) -> tuple[Pictures, Pictures]:
    """Training and test pictures of a notebook's settings: other scenes, or the parts of the data set; a count of 0 is all of them.

    Where the truth stands in for a CLIP, the training pictures have the concepts of the blocks.
    """
    found = []
    for split, count, seed in (("train", settings.train_count, settings.train_seed), ("test", settings.test_count, settings.test_seed)):
        part = {} if settings.dataset == "scenes" else {"split": split}
        found.append(datasets.load(settings.dataset, count=count or None, seed=seed, **part).in_memory())
    train, test = found
    return replace(train, concepts=concepts.concepts_of(train, settings.blocks)) if settings.clip == TRUTH else train, test


def world_of(train: Pictures, test: Pictures, *, cut: str, per_class: int, seed: int = 0, **text) -> World:
    """Cut the elements once for all encoders; text: names and similarities."""
    return World(train, test, elements_of(train, cut, per_class=per_class, seed=seed), **text)


def features_of(names: Sequence[str], world: World) -> dict[str, Features]:
    """Features of encoders, with weight noise or without: name -> Features."""
    return {name: _features(name, world) for name in tqdm(names, desc="features", leave=False)}


def libraries_of(features: Features, world: World, library: Library, *, seed: int = 0) -> list[ConceptLibrary]:
    """The draws of a library for one representation.

    Raises:
        ValueError: as the kinds of library do; of "text", if the world has no names.
    """
    labels, source = world.train.labels, world.elements.source
    if library.kind == "text":
        if world.similarities is None:
            raise ValueError("similarities: found none in the world; expected those of its names, for a textual library")
        filters = {"least_seen": library.least_seen, "least_similarity": library.least_similarity}
        held_out = tuning_rows(labels, seed=seed)
        return [textual(features.train, world.similarities, world.names, held_out, seed=seed, source=source, **filters)]
    more = {"features": features.train, "labels": labels} if library.kind == "end2end" else {}
    found = [
        visual(library.kind, features.elements, world.elements.classes, source, library.concepts, seed=seed + draw, **more)
        for draw in range(library.draws)
    ]
    least = min(one.count for one in found)  # slots of end2end that no element chose are no concepts, and draws must be of one size
    return [replace(one, vectors=one.vectors[:least], elements=None if one.elements is None else one.elements[:least]) for one in found]


def scores_of(
    features: Mapping[str, Features], world: World, libraries: Mapping[str, Library], *, description: str = "scores", seed: int = 0,
    **settings,
) -> dict[str, dict[str, InherentInterpretability]]:  # fmt: skip
    """`inherent_interpretability` of all representations with all libraries: name of the library -> representation -> score.

    A textual library of which no concept passes the filters gives no score.
    """
    work = partial(scored, libraries=libraries, world=world.without_pixels(), seed=seed, settings=settings)
    found = processes.share_out(work, {name: (one,) for name, one in features.items()}, description=description)
    return {label: {name: one[label] for name, one in found.items() if label in one} for label in libraries}


def scores_with(
    features: Mapping[str, Features], world: World, library: Library, ways: Mapping[str, Mapping], *, seed: int = 0, **settings
) -> dict[str, dict[str, InherentInterpretability]]:  # fmt: skip
    """The same library scored in several ways: way -> representation -> score; ways: name -> settings of the measure."""
    work = partial(_in_ways, library=library, ways=ways, world=world.without_pixels(), seed=seed, settings=settings)
    found = processes.share_out(work, {name: (one,) for name, one in features.items()}, description="ways to score")
    return {way: {name: one[way] for name, one in found.items()} for way in ways}


def _in_ways(features, *, library, ways, world, seed, settings):
    one = {"the": library}
    return {way: scored(features, one, world=world, seed=seed, settings=settings | given)["the"] for way, given in ways.items()}


def scored(
    features: Features, libraries: Mapping[str, Library], *, world: World, seed: int = 0, settings: Mapping = MappingProxyType({})
) -> dict[str, InherentInterpretability]:  # fmt: skip
    """The scores of one representation with several libraries; without those of textual ones of which no name passes the filters."""
    found = {}
    for label, library in libraries.items():
        try:
            drawn = libraries_of(features, world, library, seed=seed)
        except ValueError as error:
            if library.kind == "text" and str(error).startswith(("least_seen", "least_similarity")):
                continue
            raise
        found[label] = inherent_interpretability(
            features.train, world.train.labels, features.test, world.test.labels, drawn, test_source=world.test.identity, seed=seed,
            through=_remembered, **settings,
        )  # fmt: skip
    return found


def _remembered(*data, **settings):
    """`correct_through`, kept in the cache: hours of heads outlive an interruption, and libraries of a size share random directions."""
    digests = [hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest() for one in data]
    inputs = {"data": digests, "shapes": [list(np.shape(one)) for one in data], **settings}
    return store.fetch("through_concepts", inputs, lambda: correct_through(*data, **settings), code=[correct_through])


def summary(scores: Mapping[str, Scores], key: str = "library") -> pd.DataFrame:
    """One row a library (or way) and representation: every number with _low and _high, concepts, chance, and why it is refused."""
    rows = []
    for label, several in scores.items():
        for name, one in several.items():
            row = {
                key: label, "representation": name, "chance": one.chance, "refused": one.refused, "concepts": one.settings["concepts"],
                "classes": one.settings["classes"], "dims": one.settings["dims"], "libraries": one.settings["libraries"],
                "tested": one.settings["tested"],
            }  # fmt: skip
            for number in NUMBERS:
                found = getattr(one, number)
                row |= {number: found.value, f"{number}_low": found.low, f"{number}_high": found.high}
            rows.append(row)
    return pd.DataFrame(rows)


def retention_curves(scores: Mapping[str, Scores], key: str = "library") -> pd.DataFrame:
    """The retention curves: `key`, representation, and the columns of `InherentInterpretability.curve`."""
    return pd.concat(
        [one.curve.assign(**{key: label, "representation": name}) for label, several in scores.items() for name, one in several.items()],
        ignore_index=True,
    )


def training_curve(names: Sequence[str], seeds: Sequence[int], world: World, library: Library, **settings) -> pd.DataFrame:
    """Scores at every checkpoint of local encoders' training: encoder, seed, checkpoint, presentations, and the columns of `summary`."""
    for name in representations.with_seeds(names, seeds):
        local.trained(local.recipe_named(name))  # where it has not been: with all threads, before others need it
    followed = representations.checkpoints(names, seeds)
    features = processes.share_out(
        partial(_features, world=world), {name: (name,) for name in followed}, description="features along training"
    )  # fmt: skip
    scores = scores_of(features, world, {library.kind: library}, description="scores along training", **settings)
    table = summary(scores)
    return pd.DataFrame([followed[name] for name in table["representation"]]).join(table)


def _features(name, world):
    train, test = (representations.features(name, pictures) for pictures in (world.train, world.test))
    return Features(train, test, element_embeddings(name, world.elements))


def as_released(features: Mapping[str, Features], world: World, library: Library, *, seed: int = 0, **settings) -> pd.DataFrame:
    """The authors' reading: representation, sparsity, kept, accuracy, retention, score (the trapezoid)."""
    work = partial(_released, world=world.without_pixels(), library=library, seed=seed, settings=settings)
    found = processes.share_out(work, {name: (one,) for name, one in features.items()}, description="the authors' reading")
    return pd.concat([curve.assign(representation=name, score=score) for name, (score, curve) in found.items()], ignore_index=True)


def _released(features, *, world, library, seed, settings):
    [one, *_] = libraries_of(features, world, library, seed=seed)
    return released_score(features.train, world.train.labels, features.test, world.test.labels, one, seed=seed, **settings)

