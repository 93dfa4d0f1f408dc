"""Clusters shown to the reader: pictures of them, and what explains them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.keyed_random import keys
from lib.measures.quantized_reversed_probing import QuantizedReversedProbing
from lib.measures.reverse_probe import concept_attribution

_LEAST_TESTED = 10
_LEAST_ATTRIBUTION = 0.2  # nats, below which a concept is not named


@dataclass(frozen=True)
class Cards:
    """Some clusters of a representation."""

    pictures: np.ndarray  # (cards, shown) indices: members drawn at random
    labels: list[str]  # information, and the concepts that explain it
    table: pd.DataFrame  # cluster, size, tested, information, low, high, most (bits of naming it), share of that, present, absent


def cluster_cards(
    score: QuantizedReversedProbing, concepts: pd.DataFrame, *, best: bool, count: int = 4, shown: int = 8, seed: int = 0
) -> Cards:
    """The clusters that concepts explain best, or least, for their size: by information as a share of what naming the cluster would give.

    Args:
        score: of the representation; its first clustering is shown, with the test pictures of all its splits.
        concepts: those it was scored with.
        best: or the least explained.
        count: cards, among the clusters with enough members to show and at least 10 test pictures.
        shown: pictures a card, members drawn at random.
        seed: of the drawing.
    """
    probe, labels = score.probes[0], score.assignments[0].labels
    concepts = concepts.iloc[:, score.used]
    values = concepts.to_numpy(np.float32)
    attribution = concept_attribution(probe, labels, values)
    every = _explained(score)
    enough = every[(every["size"] >= 2 * shown) & (every["tested"] >= _LEAST_TESTED)]
    chosen = enough.sort_values("share", ascending=not best, kind="stable").head(count)
    pictures, texts, rows = [], [], []
    for row in chosen.itertuples():
        members = np.flatnonzero(labels == row.cluster)
        pictures.append(members[np.argsort(keys(seed, members))[:shown]])
        # Where a concept is rarer than elsewhere, it is its absence that speaks for the cluster.
        more = values[members].mean(0) > values.mean(0)
        order = [one for one in np.argsort(-attribution[row.cluster]) if attribution[row.cluster, one] > _LEAST_ATTRIBUTION]
        present = [concepts.columns[one] for one in order if more[one]][:3]
        absent = [concepts.columns[one] for one in order if not more[one]][:3]
        texts.append("\n".join([f"{row.information:.1f} of {row.most:.1f} bits", *(f"+ {name}" for name in present)]))
        rows.append({**row._asdict(), "present": "; ".join(present), "absent": "; ".join(absent)})
    return Cards(np.array(pictures), texts, pd.DataFrame(rows).drop(columns="Index", errors="ignore"))


def _explained(score):
    """Of every cluster of the first clustering: size, tested (in any split), information with interval, most (bits), and their share."""
    same = [probe for probe, clustering in zip(score.probes, score.replicates["clustering"], strict=True) if clustering == 0]
    labels, size = score.assignments[0].labels, score.assignments[0].sizes
    own, gains = (np.concatenate(parts) for parts in ([labels[probe.test] for probe in same], [probe.gains for probe in same]))
    table = pd.Series(gains).groupby(own).agg(["mean", "std", "size"]).reindex(np.arange(len(size)))
    reach, most = 1.96 * table["std"] / np.sqrt(table["size"]), np.log2(len(labels) / size)
    return pd.DataFrame({
        "cluster": np.arange(len(size)), "size": size, "tested": table["size"].fillna(0).astype(int), "information": table["mean"],
        "low": table["mean"] - reach, "high": table["mean"] + reach, "most": most, "share": table["mean"] / most,
    })  # fmt: skip
