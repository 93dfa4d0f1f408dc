"""The experiments of notebook 02: attribution scores of learned representations."""

from lib.experiments.attribution_scores.as_released import quirk_table, reference_table
from lib.experiments.attribution_scores.blind_spots import blind_spot
from lib.experiments.attribution_scores.constrained import arms_of, gains, trained
from lib.experiments.attribution_scores.drifting import ADVANTAGE, changes, detections, mean_detections, numbers_under_drift
from lib.experiments.attribution_scores.known_factors import against_known_factors, factors_of, zoo
from lib.experiments.attribution_scores.looking import (
    ACTIVATION,
    PLAIN_ACTIVATION,
    looks,
    noise_pictures,
    of_first_seeds,
    of_one_size,
    robustness_table,
    scored,
    scores_table,
    share_on_object,
    ways_of,
)
from lib.experiments.attribution_scores.networks import (
    accuracies_on_taught,
    autoencoders,
    one_layer_redrawn,
    sites,
    taught_otherwise,
    weights_taken_away,
    with_untrained,
)
from lib.experiments.attribution_scores.paper_claims import claims
from lib.experiments.attribution_scores.planted import planted_cases, rotation_sweep
from lib.experiments.attribution_scores.preflight import check
from lib.experiments.attribution_scores.redundancy import half_copied, half_replaced, redundancy_table, rotated, whitened
from lib.experiments.attribution_scores.sanity import similarity_to_trained
from lib.experiments.attribution_scores.show import gain_figure, look_sheet, unit_sheet
from lib.experiments.attribution_scores.variance import identical_units, spread_over_draws

__all__ = [
    "ACTIVATION",
    "ADVANTAGE",
    "PLAIN_ACTIVATION",
    "accuracies_on_taught",
    "against_known_factors",
    "arms_of",
    "autoencoders",
    "blind_spot",
    "changes",
    "check",
    "claims",
    "detections",
    "factors_of",
    "gain_figure",
    "gains",
    "half_copied",
    "half_replaced",
    "identical_units",
    "look_sheet",
    "looks",
    "mean_detections",
    "noise_pictures",
    "numbers_under_drift",
    "of_first_seeds",
    "of_one_size",
    "one_layer_redrawn",
    "planted_cases",
    "quirk_table",
    "redundancy_table",
    "reference_table",
    "robustness_table",
    "rotated",
    "rotation_sweep",
    "scored",
    "scores_table",
    "share_on_object",
    "similarity_to_trained",
    "sites",
    "spread_over_draws",
    "taught_otherwise",
    "trained",
    "unit_sheet",
    "ways_of",
    "weights_taken_away",
    "whitened",
    "with_untrained",
    "zoo",
]  # fmt: skip
