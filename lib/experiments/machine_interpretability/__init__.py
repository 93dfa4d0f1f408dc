"""The experiments of notebook 04, the Machine Interpretability Score: sweeps, tables made of them, pictures of units, and the claims."""

from lib.experiments.machine_interpretability.paper_claims import claims
from lib.experiments.machine_interpretability.preflight import check
from lib.experiments.machine_interpretability.show import most_activating, one_task, short
from lib.experiments.machine_interpretability.sweeps import (
    accuracies,
    arms,
    calibration,
    convolutions_behind_norms,
    dictionary_scores,
    difficulty_curve,
    kinds,
    picture_number_curve,
    planted_scores,
    polysemanticity,
    simulated_people,
    survey_of,
    task_number_curve,
    training_curve,
    with_seeds,
)
from lib.experiments.machine_interpretability.tables import (
    against_untrained,
    agreement,
    correlations,
    depth_and_width,
    in_bins,
    kinds_compared,
    layer_means,
    lineage,
    mean_by,
    norms_behind_convolutions,
    null_band,
    summary,
    three_layers,
    training_peaks,
    without_seed,
)

__all__ = [
    "accuracies", "against_untrained", "agreement", "arms", "calibration", "check", "claims", "convolutions_behind_norms", "correlations",
    "depth_and_width", "dictionary_scores", "difficulty_curve", "in_bins", "kinds", "kinds_compared", "layer_means", "lineage", "mean_by",
    "most_activating", "norms_behind_convolutions", "null_band", "one_task", "picture_number_curve", "planted_scores", "polysemanticity",
    "short", "simulated_people", "summary", "survey_of", "task_number_curve", "three_layers", "training_curve", "training_peaks",
    "with_seeds", "without_seed",
]  # fmt: skip
