"""The experiments of notebook 03: LICO, language-image consistency."""

from lib.experiments.lico.arms import CONTROLS, TUNED, arms_of
from lib.experiments.lico.background import pull_beside, reliance
from lib.experiments.lico.changes import changes, numbers_of, other_texts
from lib.experiments.lico.data import task
from lib.experiments.lico.defects import defects
from lib.experiments.lico.dropout import texts_told_apart
from lib.experiments.lico.hand_made import costs_by_temperature, moved_by_matching, moved_by_transport, plans_by_regularisation
from lib.experiments.lico.paper_claims import claims
from lib.experiments.lico.photographs import all_pointed_at, photographs, pointing_beside, pointing_of_arms
from lib.experiments.lico.preflight import check, check_pictures
from lib.experiments.lico.published import arithmetic, with_ours
from lib.experiments.lico.published import gains as published_gains
from lib.experiments.lico.runs import (
    Setting,
    accuracies,
    all_trained,
    answers,
    chosen_of,
    gains,
    histories,
    names_against,
    ranked,
    texts_to_tune,
    tried,
    what_is_left,
)
from lib.experiments.lico.saliency import all_judged, beside, maps_of_labels, names_beside, typical_pictures
from lib.experiments.lico.sanity import under_cascade
from lib.experiments.lico.show import look_of, near_zero, saliency_sheet, told_by_all

__all__ = [
    "CONTROLS",
    "TUNED",
    "Setting",
    "accuracies",
    "all_judged",
    "all_pointed_at",
    "all_trained",
    "answers",
    "arithmetic",
    "arms_of",
    "beside",
    "changes",
    "check",
    "check_pictures",
    "chosen_of",
    "claims",
    "costs_by_temperature",
    "defects",
    "gains",
    "histories",
    "look_of",
    "maps_of_labels",
    "moved_by_matching",
    "moved_by_transport",
    "names_against",
    "names_beside",
    "near_zero",
    "numbers_of",
    "other_texts",
    "photographs",
    "plans_by_regularisation",
    "pointing_beside",
    "pointing_of_arms",
    "published_gains",
    "pull_beside",
    "ranked",
    "reliance",
    "saliency_sheet",
    "task",
    "texts_to_tune",
    "texts_told_apart",
    "told_by_all",
    "tried",
    "typical_pictures",
    "under_cascade",
    "what_is_left",
    "with_ours",
]  # fmt: skip
