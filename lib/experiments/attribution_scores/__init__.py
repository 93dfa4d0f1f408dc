"""The experiments of notebook 02: attribution scores of learned representations."""

from lib.experiments.attribution_scores.blind_spots import blind_spot
from lib.experiments.attribution_scores.constrained import arms_of, gains, trained
from lib.experiments.attribution_scores.drifting import changes, detections, numbers_under_drift
from lib.experiments.attribution_scores.known_factors import against_known_factors, factors_of
from lib.experiments.attribution_scores.looking import ACTIVATION, looks, noise_pictures, scored, scores_table
from lib.experiments.attribution_scores.redundancy import half_copied, half_replaced, rotated, whitened
from lib.experiments.attribution_scores.sanity import similarity_to_trained
from lib.experiments.attribution_scores.variance import identical_units, spread_over_draws

__all__ = [
    "ACTIVATION", "against_known_factors", "arms_of", "blind_spot", "changes", "detections", "factors_of", "gains", "half_copied",
    "half_replaced", "identical_units", "looks", "noise_pictures", "numbers_under_drift", "rotated", "scored", "scores_table",
    "similarity_to_trained", "spread_over_draws", "trained", "whitened",
]  # fmt: skip
