"""The experiments of notebook 03: LICO, language-image consistency."""

from lib.experiments.lico.arms import ABLATIONS, CONTROLS, GRID, NAMES, PLAIN, TUNED, Arm, arms_of, side_of
from lib.experiments.lico.data import Task, balanced, loader, task
from lib.experiments.lico.defects import defects
from lib.experiments.lico.hand_made import costs_by_temperature, moved_by_matching, moved_by_transport, plans_by_regularisation
from lib.experiments.lico.paper_claims import PAPER, claims
from lib.experiments.lico.preflight import check
from lib.experiments.lico.published import arithmetic
from lib.experiments.lico.published import gains as published_gains
from lib.experiments.lico.runs import (
    Setting,
    accuracies,
    all_trained,
    chosen_of,
    gains,
    histories,
    reliance_on_background,
    texts_to_tune,
    trained,
    tried,
    what_is_left,
)
from lib.experiments.lico.saliency import RANDOM_MAP, TRUE_MASK, beside, judged, maps_of_labels, typical_pictures
from lib.experiments.lico.sanity import cascaded, similarity_under_cascade
from lib.experiments.lico.show import saliency_sheet

__all__ = [
    "ABLATIONS",
    "CONTROLS",
    "GRID",
    "NAMES",
    "PAPER",
    "PLAIN",
    "RANDOM_MAP",
    "TRUE_MASK",
    "TUNED",
    "Arm",
    "Setting",
    "Task",
    "accuracies",
    "all_trained",
    "arithmetic",
    "arms_of",
    "balanced",
    "beside",
    "cascaded",
    "check",
    "chosen_of",
    "claims",
    "costs_by_temperature",
    "defects",
    "gains",
    "histories",
    "judged",
    "loader",
    "maps_of_labels",
    "moved_by_matching",
    "moved_by_transport",
    "plans_by_regularisation",
    "published_gains",
    "reliance_on_background",
    "saliency_sheet",
    "side_of",
    "similarity_under_cascade",
    "task",
    "texts_to_tune",
    "trained",
    "tried",
    "typical_pictures",
    "what_is_left",
]  # fmt: skip
