"""The experiments of notebook 05, the Inherent Interpretability Score: sweeps, fine-tuning, predictions taken apart, and the claims."""

from lib.experiments.inherent_interpretability.editing import interventions
from lib.experiments.inherent_interpretability.fine_tuning import compared, variants_of
from lib.experiments.inherent_interpretability.paper_claims import claims
from lib.experiments.inherent_interpretability.planted import planted_scores, separation_curve
from lib.experiments.inherent_interpretability.predictions import accuracy_by_concepts, concept_classifier, explained
from lib.experiments.inherent_interpretability.preflight import at_hand, check
from lib.experiments.inherent_interpretability.show import explanation_sheet, library_sheet, right_and_wrong
from lib.experiments.inherent_interpretability.sweeps import (
    Library,
    as_released,
    features_of,
    libraries_of,
    pictures_of,
    retention_curves,
    scores_of,
    scores_with,
    summary,
    training_curve,
    world_of,
)
from lib.sparse_concepts import FORMS

__all__ = [
    "FORMS", "Library", "accuracy_by_concepts", "as_released", "at_hand", "check", "claims", "compared", "concept_classifier",
    "explained", "explanation_sheet", "features_of", "interventions", "libraries_of", "library_sheet", "pictures_of", "planted_scores",
    "retention_curves", "right_and_wrong", "scores_of", "scores_with", "separation_curve", "summary", "training_curve", "variants_of",
    "world_of",
]  # fmt: skip
