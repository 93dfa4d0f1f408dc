"""Fine-tuning for the simplified score, beside the controls without which a gain says nothing (specs/iis.md 2.9, Q8)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial

import numpy as np
import pandas as pd
import torch

from lib import activations, encoders, interpretable_objective, objectives, processes, store, training
from lib.concept_libraries.elements import embedded
from lib.concept_libraries.library import prototypes, random_directions
from lib.encoders import local, networks
from lib.encoders.encoder import Encoder
from lib.experiments.inherent_interpretability.concepts import element_embeddings
from lib.experiments.inherent_interpretability.sweeps import Features, Library, World, scored
from lib.interpretable_objective import InterpretableClassification
from lib.statistics import proportion

BATCH_SIZE = 128


@dataclass(frozen=True)
class Variant:
    """One way to go on training a classifier."""

    weight: float = 1.0  # of the concepts' loss; 0: cross-entropy alone, the control with the same budget
    sparsity: float = 0.1
    concepts: int = 200
    vectors: str = "prototype"  # where they start: "prototype" or "random"
    learned: bool = True


CONTROL, TUNED, ALL, RANDOM = "cross-entropy only", "sparse concepts", "all concepts (s = 0)", "random vectors, fixed"
VARIANTS = {
    CONTROL: Variant(weight=0.0),
    TUNED: Variant(),
    ALL: Variant(sparsity=0.0),
    RANDOM: Variant(vectors="random", learned=False),
}


def variants_of(weights: Sequence[float] = (), sparsities: Sequence[float] = (), sizes: Sequence[int] = ()) -> dict[str, Variant]:
    """`VARIANTS`, and those with another weight, sparsity or number of concepts: "weight 10", "s = 0.5", "M = 50"."""
    return (
        VARIANTS
        | {f"weight {one:g}": Variant(weight=one) for one in weights}
        | {f"s = {one:g}": Variant(sparsity=one) for one in sparsities}
        | {f"M = {one}": Variant(concepts=one) for one in sizes}
    )


def fine_tuned(
    start: str, variant: Variant, world: World, *, presentations: int, learning_rate: float = 3e-4, weight_decay: float = 0.3,
    smoothing: float = 0.1, seed: int = 0,
) -> tuple[Encoder, InterpretableClassification]:  # fmt: skip
    """Train on from a classifier; kept in the cache.

    The recipe is the authors' (specs/iis.md 2.9: warm-up and a cosine, label smoothing, weight decay) but for CutMix, whose mixed pictures
    have no one class for the concepts' head.

    Args:
        start: `local:supervised` with its options.
        variant: what is added to the loss.
        world: whose elements give the first concept vectors; training pictures are those of the start.
        presentations: pictures shown.
        learning_rate: the peak of one cycle.
        weight_decay: of AdamW.
        smoothing: of the labels.
        seed: of the order of pictures, and of the concepts.

    Raises:
        ValueError: if the start is no local classifier.
    """
    if not start.startswith("local:supervised"):
        raise ValueError(f"start: found {start!r}; expected local:supervised, a classifier trained here")
    recipe = local.recipe_named(start)
    first, encoder, pictures = local.objective_of(start), encoders.load(start), local.training_pictures(recipe)
    vectors = _first_vectors(start, variant, world, seed)
    objective = InterpretableClassification(
        first.trunk, first.head, first.labels, vectors, sparsity=variant.sparsity, weight=variant.weight, learned=variant.learned,
        smoothing=smoothing,
    ).requires_grad_(True)  # fmt: skip
    objective.vectors.requires_grad_(variant.learned)
    settings = {
        "presentations": presentations, "batch_size": BATCH_SIZE, "learning_rate": learning_rate, "weight_decay": weight_decay,
    }  # fmt: skip

    def make():
        states = training.train(objective, _pixels(replace(recipe, seed=0)), **settings, seed=seed, name=f"fine-tuning, seed {seed}")
        return states[max(states)]

    inputs = {
        "start": encoder.identity, "variant": asdict(variant), "vectors": hashlib.sha256(vectors.tobytes()).hexdigest(),
        "smoothing": smoothing, "seed": seed, "pictures": pictures.identity, **settings,
    }  # fmt: skip
    state = store.fetch("fine_tuned", inputs, make, code=[training, interpretable_objective, objectives, networks])
    objective.load_state_dict(state)
    objective.eval().requires_grad_(False)
    digest = hashlib.sha256(b"".join(state[key].numpy().tobytes() for key in sorted(state))).hexdigest()
    tuned = replace(
        encoder, name=f"{start}, fine-tuned", module=objective, embed=objective.embed, classify=objective,
        identity={"encoder": "fine-tuned", "weights": digest},
    )  # fmt: skip
    return tuned, objective


def compared(
    starts: Sequence[str], variants: Mapping[str, Variant], world: World, *, presentations: int, concepts: int, seed: int = 0, **settings
) -> pd.DataFrame:
    """Every start with every variant, scored with a library made anew from the tuned encoder.

    Args:
        starts: `local:supervised` with its options; the order of pictures is another for each, and the same for all variants.
        variants: name -> what is added to the loss.
        world: pictures to score on, and elements.
        presentations: pictures shown while fine-tuning.
        concepts: of the library that scores.
        seed: of the first start.
        settings: of the measure.

    Returns:
        One row a start and variant: start, variant, steps, own (accuracy of the tuned head), said (of its concept head; NaN without one),
        interpreted (of a head fitted anew that sees all but a tenth of the concepts; NaN if that is none of the sparsities), accuracy (of a
        head fitted anew on the representation), full, normalised, corrected; own, interpreted and full with _low and _high.
    """
    tuned = {  # one after the other: training uses both cores
        (start, name): fine_tuned(start, variant, world, presentations=presentations, seed=seed + number)
        for number, start in enumerate(starts)
        for name, variant in variants.items()
    }
    pieces, rows = {}, []
    for (start, name), (encoder, objective) in tuned.items():
        train, test = (activations.embeddings(encoder, pictures) for pictures in (world.train, world.test))
        pieces[start, name] = (Features(train, test, embedded(encoder, world.elements)),)
        with torch.no_grad():
            shown, truth = torch.from_numpy(test), world.test.labels
            own = (objective.head(shown).argmax(1).numpy() == truth).mean()
            said = (objective.concept_head(objective.interpretation(shown)).argmax(1).numpy() == truth).mean()
        said = said if variants[name].weight else np.nan
        rows.append({"start": start, "variant": name, "steps": presentations // BATCH_SIZE, "said": said} | _of("own", own, len(truth)))
    libraries = {"prototype": Library("prototype", concepts, draws=1)}
    work = partial(scored, libraries=libraries, world=world.without_pixels(), seed=seed, settings=settings)
    found = processes.share_out(work, pieces, description="scores after fine-tuning")
    return pd.DataFrame([row | _scores(one["prototype"]) for row, one in zip(rows, found.values(), strict=True)])


def _scores(found):
    curve, tested = found.curve, found.settings["tested"]
    interpreted = float(curve.loc[np.isclose(curve["sparsity"], Variant().sparsity), "accuracy"].mean())
    row = {"accuracy": found.accuracy.value, "normalised": found.normalised.value, "corrected": found.corrected.value}
    row |= {"full": found.full.value, "full_low": found.full.low, "full_high": found.full.high}
    return row | (_of("interpreted", interpreted, tested) if interpreted == interpreted else {"interpreted": np.nan})


def _of(name, share, count):
    found = proportion(round(share * count), count)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


@lru_cache(maxsize=1)
def _pixels(recipe):
    """Drawn once for all variants and all seeds of a recipe."""
    return np.concatenate([batch for _, batch in local.training_pictures(recipe).batches(512)])


def _first_vectors(start, variant, world, seed):
    if variant.vectors == "random":
        dims = element_embeddings(start, world.elements).shape[1]
        return random_directions(variant.concepts, dims, seed=seed).vectors
    if variant.vectors != "prototype":
        raise ValueError(f"vectors: found {variant.vectors!r}; expected prototype or random")
    embeddings = element_embeddings(start, world.elements)
    return prototypes(embeddings, world.elements.classes, variant.concepts, seed=seed).vectors
