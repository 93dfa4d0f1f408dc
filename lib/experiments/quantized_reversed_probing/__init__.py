"""The experiments of notebook 01, Quantized Reversed Probing: sweeps, clusters as pictures, and the claims."""

from lib.experiments.quantized_reversed_probing.cards import cluster_cards, explained_clusters
from lib.experiments.quantized_reversed_probing.paper_claims import claims
from lib.experiments.quantized_reversed_probing.planted import planted_scores
from lib.experiments.quantized_reversed_probing.preflight import at_hand, check
from lib.experiments.quantized_reversed_probing.show import card_sheet
from lib.experiments.quantized_reversed_probing.sweeps import (
    best_blocks,
    blocks_alone_and_together,
    cluster_number_curve,
    concepts_both_ways,
    features_of,
    forward_accuracy,
    native_and_kmeans,
    noisy_experts,
    probes_and_pictures,
    quantiser_sensitivity,
    rank_moves,
    scores_of,
    scores_with,
    shapley_of,
    stand_ins,
    summary,
    training_curve,
)

__all__ = [
    "at_hand", "best_blocks", "blocks_alone_and_together", "card_sheet", "check", "claims", "cluster_cards", "cluster_number_curve",
    "concepts_both_ways", "explained_clusters", "features_of", "forward_accuracy", "native_and_kmeans", "noisy_experts",
    "planted_scores", "probes_and_pictures", "quantiser_sensitivity", "rank_moves", "scores_of", "scores_with", "shapley_of",
    "stand_ins", "summary", "training_curve",
]  # fmt: skip
