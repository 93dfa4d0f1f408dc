"""Clusters shown to the reader: pictures of them, and what explains them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.keyed_random import keys
from lib.measures.quantized_reversed_probing import QuantizedReversedProbing
from lib.measures.reverse_probe import concept_attribution

_LEAST_ATTRIBUTION = 0.2  # nats, below which a concept is not named


@dataclass(frozen=True)
class Cards:
    """Some clusters of a representation."""

    pictures: np.ndarray  # (cards, shown) indices: members drawn at random
    labels: list[str]  # size, information, and the concepts that explain it
    table: pd.DataFrame  # cluster, size, information, present, absent


def cluster_cards(
    score: QuantizedReversedProbing, concepts: pd.DataFrame, *, best: bool, count: int = 4, shown: int = 8, seed: int = 0
) -> Cards:
    """The clusters that concepts explain best, or least, among those with enough members to show.

    Args:
        score: of the representation; its first clustering and split are shown.
        concepts: those it was scored with.
        best: or the least explained.
        count: cards.
        shown: pictures a card, members drawn at random.
        seed: of the drawing.
    """
    probe, assignment = score.probes[0], score.assignments[0]
    concepts = concepts.iloc[:, score.used]
    values = concepts.to_numpy(np.float32)
    attribution = concept_attribution(probe, assignment.labels, values)
    enough = score.clusters[(score.clusters["size"] >= 2 * shown) & score.clusters["information"].notna()]
    chosen = enough.sort_values("information", ascending=not best, kind="stable").head(count)
    pictures, labels, rows = [], [], []
    for row in chosen.itertuples():
        members = np.flatnonzero(assignment.labels == row.cluster)
        pictures.append(members[np.argsort(keys(seed, members))[:shown]])
        # Where a concept is rarer than elsewhere, it is its absence that speaks for the cluster.
        more = values[members].mean(0) > values.mean(0)
        order = [one for one in np.argsort(-attribution[row.cluster]) if attribution[row.cluster, one] > _LEAST_ATTRIBUTION]
        present = [concepts.columns[one] for one in order if more[one]][:3]
        absent = [concepts.columns[one] for one in order if not more[one]][:3]
        labels.append("\n".join([f"{row.information:.1f} bits", *(f"+ {name}" for name in present)]))
        said = {"present": "; ".join(present), "absent": "; ".join(absent)}
        rows.append({"cluster": row.cluster, "size": row.size, "information": row.information} | said)
    return Cards(np.array(pictures), labels, pd.DataFrame(rows))
