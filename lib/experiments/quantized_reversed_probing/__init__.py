"""The experiments of notebook 01, Quantized Reversed Probing: sweeps, clusters as pictures, and the claims."""

from lib.experiments.quantized_reversed_probing.cards import cluster_cards
from lib.experiments.quantized_reversed_probing.paper_claims import claims
from lib.experiments.quantized_reversed_probing.planted import planted_scores
from lib.experiments.quantized_reversed_probing.preflight import check
from lib.experiments.quantized_reversed_probing.sweeps import (
    blocks_alone_and_together,
    cluster_number_curve,
    concepts_both_ways,
    features_of,
    forward_accuracy,
    noisy_experts,
    probes_and_pictures,
    quantiser_sensitivity,
    scores_of,
    shapley_of,
    short,
    summary,
    training_curve,
    with_seeds,
)
from lib.measures.reversed_probing_analyses import blocks_of

__all__ = [
    "blocks_alone_and_together", "blocks_of", "check", "claims", "cluster_cards", "cluster_number_curve", "concepts_both_ways",
    "features_of", "forward_accuracy", "noisy_experts", "planted_scores", "probes_and_pictures", "quantiser_sensitivity", "scores_of",
    "shapley_of", "short", "summary", "training_curve", "with_seeds",
]  # fmt: skip
