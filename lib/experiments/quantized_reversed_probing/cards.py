"""Clusters shown to the reader: pictures of them, and what explains them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.keyed_random import keys
from lib.measures.quantized_reversed_probing import QuantizedReversedProbing
from lib.measures.reverse_probe import concept_attribution
from lib.measures.reversed_probing_analyses import best_pairs, block_gains_of_clusters, blocks_of

_LEAST_TESTED = 10
_LEAST_ATTRIBUTION = 0.2  # nats, below which a concept is not named


@dataclass(frozen=True)
class Cards:
    """Some clusters of a representation."""

    members: np.ndarray  # (cards, shown) indices of pictures of the cluster, drawn at random
    others: np.ndarray  # (cards, beside) indices of test pictures of other clusters that the concepts most expect here
    labels: list[str]  # information, and the concepts that explain it
    table: pd.DataFrame  # of the same clusters, from `explained_clusters`


def explained_clusters(score: QuantizedReversedProbing, concepts: pd.DataFrame) -> pd.DataFrame:
    """What the concepts say about every cluster of the first clustering.

    Args:
        score: of the representation.
        concepts: those it was scored with.

    Returns:
        One row a cluster: cluster, size, tested (pictures, by any split), information with low and high, most (what naming the cluster
        gives), share of that, present and absent (concepts whose presence or absence speaks for it, the strongest first), pair (the
        conjunction that says most, by `best_pairs`) with its precision and recall, and for each block what it adds to all others, as
        "without BLOCK". Information is in bits, its interval normal, over pictures. Precision and recall are of all pictures, the columns
        "without BLOCK" of the first split.
    """
    probe, labels, used = score.probes[0], score.assignments[0].labels, concepts.iloc[:, score.used]
    values = used.to_numpy(np.float32)
    attribution = concept_attribution(probe, labels, values)
    table = _information(score)
    for way in ("present", "absent"):
        table[way] = ""
    for cluster in table["cluster"]:
        # Where a concept is rarer than elsewhere, it is its absence that speaks for the cluster.
        more = values[labels == cluster].mean(0) > values.mean(0)
        order = [one for one in np.argsort(-attribution[cluster]) if attribution[cluster, one] > _LEAST_ATTRIBUTION]
        for way, rows in (("present", more), ("absent", ~more)):
            table.loc[cluster, way] = "; ".join([used.columns[one] for one in order if rows[one]][:3])
    pairs = best_pairs(labels, used) if used.shape[1] > 1 else pd.DataFrame()
    if len(pairs):
        together = (pairs["first"] + " & " + pairs["second"]).where(pairs["bits"].notna(), "")
        table = table.assign(pair=together, precision=pairs["precision"], recall=pairs["recall"])
    return table.join(block_gains_of_clusters(score, blocks_of(concepts)).add_prefix("without "))


def cluster_cards(
    score: QuantizedReversedProbing, concepts: pd.DataFrame, explained: pd.DataFrame, *, best: bool, count: int = 4, shown: int = 6,
    beside: int = 3, seed: int = 0,
) -> Cards:  # fmt: skip
    """The clusters that concepts explain best, or least, for their size: by information as a share of what naming the cluster would give.

    Args:
        score: of the representation; its first clustering is shown.
        concepts: those it was scored with.
        explained: `explained_clusters`.
        best: or the least explained.
        count: cards, among the clusters with enough members to show and at least 10 pictures that some split tests.
        shown: members a card.
        beside: counter-examples a card.
        seed: of drawing the members.
    """
    labels = score.assignments[0].labels
    enough = explained[(explained["size"] >= 2 * shown) & (explained["tested"] >= _LEAST_TESTED)]
    table = enough.sort_values("share", ascending=not best, kind="stable").head(count)
    test = score.probes[0].test
    expected = score.probes[0].classifier.log_probabilities(concepts.iloc[test, score.used])
    members, others, texts = [], [], []
    for row in table.itertuples():
        own = np.flatnonzero(labels == row.cluster)
        members.append(own[np.argsort(keys(seed, own))[:shown]])
        elsewhere = np.flatnonzero(labels[test] != row.cluster)
        others.append(test[elsewhere[np.argsort(-expected[elsewhere, row.cluster], kind="stable")[:beside]]])
        texts.append("\n".join([f"{row.information:.1f} of {row.most:.1f} bits", *(f"+ {one}" for one in row.present.split("; ") if one)]))
    return Cards(np.array(members), np.array(others), texts, table.reset_index(drop=True))


def _information(score):
    """Of every cluster of the first clustering: size, tested (in any split), information with interval, most (bits), and their share."""
    same = [probe for probe, clustering in zip(score.probes, score.replicates["clustering"], strict=True) if clustering == 0]
    labels, size = score.assignments[0].labels, score.assignments[0].sizes
    tested, gains = (np.concatenate(parts) for parts in ([probe.test for probe in same], [probe.gains for probe in same]))
    by_picture = pd.Series(gains).groupby(tested).mean()  # a picture that several splits test is one picture
    table = by_picture.groupby(labels[by_picture.index]).agg(["mean", "std", "size"]).reindex(np.arange(len(size)))
    reach, most = 1.96 * table["std"] / np.sqrt(table["size"]), np.log2(len(labels) / size)
    return pd.DataFrame({
        "cluster": np.arange(len(size)), "size": size, "tested": table["size"].fillna(0).astype(int), "information": table["mean"],
        "low": table["mean"] - reach, "high": table["mean"] + reach, "most": most, "share": table["mean"] / most,
    })  # fmt: skip
