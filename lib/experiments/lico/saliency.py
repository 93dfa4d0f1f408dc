"""Saliency of every classifier, judged picture by picture, and classifiers set side by side on the pictures that both get right."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from lib import explainers, saliency_metrics
from lib.encoders.weights import weights_sha256
from lib.experiments.evidence import over_seeds
from lib.experiments.lico.arms import CONTROLS, TUNED
from lib.experiments.lico.side_by_side import work_beside
from lib.experiments.remembered import remembered
from lib.explainers import explain
from lib.lico.loading import loader
from lib.lico.training import Trained
from lib.saliency_metrics import cropped, deletion, energy_in_mask, equivariance, insertion, pointing_game, random_maps
from lib.statistics import Estimate, paired_difference

TRUE_MASK, RANDOM_MAP = "true mask", "random map"
METRICS = ("insertion", "deletion", "overall", "insertion / p", "above random", "pointing", "energy", "equivariance")
LEAST_PICTURES = 10  # in common; a bootstrap of fewer says nothing


def maps_of(network: Trained, x: torch.Tensor, targets: torch.Tensor, name: str, **settings) -> np.ndarray:
    """(n, H, W) maps of a classifier by an explainer."""
    device = next(network.backbone.module.parameters()).device
    return explain(name, network.backbone.module, network.backbone.layer, x.to(device), targets.to(device), **settings).cpu().numpy()


def maps_of_labels(network: Trained, pictures, name: str, **settings) -> np.ndarray:
    """(n, H, W) maps of the true class of every picture."""
    x = loader(pictures, side=network.backbone.side)(np.arange(len(pictures)), None)
    return maps_of(network, x, torch.from_numpy(pictures.labels), name, **settings)


def judged(
    network: Trained, pictures, masks: np.ndarray | None, names: Sequence[str], *, settings: Mapping[str, dict] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Every picture of a set by every explainer, and by the bounds: a random map, and the true mask where it is known.

    The class that is explained is the true one: comparisons are on pictures that are classified rightly, where it is the predicted one too.

    Args:
        network: trained.
        pictures: with labels.
        masks: (n, H, W) bool, where the object is; None if not known.
        names: of explainers.
        settings: of each explainer, by name.
        seed: of random maps and ties.

    Returns:
        One row a picture and map: picture, right (is it classified rightly), probability (of its class), map, and `METRICS`. "above random"
        is insertion - deletion beyond that of a random map of the same picture, over the probability of the whole picture: a classifier
        that is surer of itself has more of both, whatever its maps are. Energy is of what a map has above its least value, and equivariance
        a correlation, since some maps have a floor: the mean of that of mirrored and of cropped pictures (not of RISE), where
        a map is the same everywhere of the other alone.
    """
    settings = dict(settings or {})
    inputs = {
        "weights": weights_sha256(network.backbone.module), "network": network.backbone.name, "layer": network.backbone.layer,
        "pictures": pictures.identity, "names": list(names), "settings": settings, "seed": seed,
        "masks": "" if masks is None else hashlib.sha256(repr(masks.shape).encode() + np.ascontiguousarray(masks).tobytes()).hexdigest(),
    }  # fmt: skip

    def make():
        module = network.backbone.module
        device = next(module.parameters()).device
        x = loader(pictures, side=network.backbone.side)(np.arange(len(pictures)), None).to(device)
        labels = torch.from_numpy(pictures.labels).to(device)

        def probability(batch):
            return module(batch).softmax(1)

        with torch.no_grad():
            of_classes = torch.cat([probability(batch) for batch in x.split(256)]).cpu().numpy()
        moves = (partial(torch.flip, dims=[3]), partial(cropped, seed=seed))
        tables = []
        for name in (*names, RANDOM_MAP, *([] if masks is None else [TRUE_MASK])):
            kept = []
            if name == RANDOM_MAP:
                maps = random_maps(len(x), x.shape[2:], seed=seed)
            elif name == TRUE_MASK:
                maps = masks.astype(float)
            else:
                by = {"name": name, **settings.get(name, {})}
                maps = maps_of(network, x, labels, **by)
                # RISE has the same masks for both pictures: its maps would differ by the masks, whatever the classifier makes of them.
                for move in () if name == "RISE" else moves:
                    then_moved = move(torch.from_numpy(maps)[:, None])[:, 0]
                    kept.append(equivariance(then_moved, maps_of(network, move(x), labels, **by), centred=True))
            risen = insertion(probability, x, maps, pictures.labels, seed=seed)
            fallen = deletion(probability, x, maps, pictures.labels, seed=seed)
            nothing = np.full(len(x), np.nan)
            tables.append(pd.DataFrame({
                "picture": np.arange(len(x)), "right": of_classes.argmax(1) == pictures.labels,
                "probability": of_classes[np.arange(len(x)), pictures.labels], "map": name,
                "insertion": risen.areas, "deletion": fallen.areas, "overall": risen.areas - fallen.areas,
                "insertion / p": risen.areas / risen.probability[:, -1],
                "pointing": nothing if masks is None else pointing_game(maps, masks),
                "energy": nothing if masks is None else energy_in_mask(maps - maps.min((1, 2), keepdims=True), masks),
                "equivariance": pd.DataFrame(kept).mean() if kept else nothing,
            }))  # fmt: skip
        return pd.concat(tables).to_dict("records")

    rows = remembered("lico/saliency", inputs, make, code=[explainers, saliency_metrics, judged, loader])
    of_random = rows[rows["map"] == RANDOM_MAP].set_index("picture")["overall"]
    return rows.assign(**{"above random": (rows["overall"] - rows["picture"].map(of_random)) / rows["probability"]})


def all_judged(
    networks: Mapping[tuple[str, int], Trained], pictures, masks: np.ndarray | None, names: Sequence[str], **settings
) -> pd.DataFrame:
    """`judged` of every arm and seed, with these as columns; without an accelerator two are judged beside each other."""
    pieces = {key: (one, pictures, masks, names) for key, one in networks.items()}
    work_beside(partial(_keep, **settings), pieces, description="saliency")
    return pd.concat([judged(*piece, **settings).assign(arm=arm, seed=seed) for (arm, seed), piece in pieces.items()], ignore_index=True)


def _keep(network, pictures, masks, names, **settings):
    judged(network, pictures, masks, names, **settings)


def beside(table: pd.DataFrame, *, over: str) -> pd.DataFrame:
    """Every arm beside another, on the pictures that both classify rightly: paired differences over pictures, then over seeds.

    Args:
        table: rows of `judged` with arm and seed.
        over: the arm that the others are set beside.

    Returns:
        One row an arm, map and metric: arm, map, metric, difference, low, high, pictures (of the seed with fewest), seeds (those at which
        there are enough pictures in common).
    """
    right, together = table[table["right"]], ["map", "seed", "picture"]
    base = right.loc[right["arm"] == over, [*together, *METRICS]]
    rows = []
    for arm in dict.fromkeys(table["arm"]):
        if arm == over:
            continue
        paired = right[right["arm"] == arm].merge(base, on=together, suffixes=("", " of base"))
        for (name, metric), one in _differences(paired).items():
            if one:
                total, count = over_seeds(list(one.values())), min(each.count for each in one.values())
                rows.append({"arm": arm, "map": name, "metric": metric, "difference": total.value, "low": total.low, "high": total.high,
                             "pictures": count, "seeds": len(one)})  # fmt: skip
    found = pd.DataFrame(rows, columns=["arm", "map", "metric", "difference", "low", "high", "pictures", "seeds"])
    return found.astype({"difference": float, "low": float, "high": float})  # also where there are no rows


def names_beside(table: pd.DataFrame) -> pd.DataFrame:
    """LICO tuned, with names, less each control, on the pictures that both classify rightly: control, and the columns of `beside`.

    Args:
        table: rows of `judged` with arm and seed.
    """
    arms = set(table["arm"])
    found = [
        beside(table[table["arm"].isin([TUNED, control])], over=control).assign(control=control)
        for control in CONTROLS if {control, TUNED} <= arms
    ]  # fmt: skip
    return pd.concat(found, ignore_index=True) if found else beside(table.iloc[:0], over="").assign(control="")


def _differences(paired: pd.DataFrame) -> dict[tuple[str, str], dict[int, Estimate]]:
    found = {}
    for (name, seed), some in paired.groupby(["map", "seed"], sort=False):
        for metric in METRICS:
            both = some[[metric, f"{metric} of base"]].dropna()
            found.setdefault((name, metric), {})
            if len(both) >= LEAST_PICTURES:
                found[name, metric][seed] = paired_difference(both[metric], both[f"{metric} of base"])
    return found


def typical_pictures(
    table: pd.DataFrame, *, arms: Sequence[str], name: str, seed: int, count: int = 6, metric: str = "above random"
) -> list[int]:
    """Which pictures to show: rightly classified by all arms, at even steps through the order of how much two arms differ on them.

    From where the second arm has most more, or least less, of the metric to where it has least: a rule, not a choice.

    Args:
        table: rows of `judged` with arm and seed.
        arms: two.
        name: of the explainer.
        seed: of the networks.
        count: pictures.
        metric: by which they differ.

    Returns:
        Numbers of the pictures; none if there are none that both arms get right, or fewer than two arms.
    """
    if len(arms) < 2:
        return []
    some = table[(table["map"] == name) & (table["seed"] == seed) & table["arm"].isin(arms)]
    right = some.groupby("picture")["right"].all()
    values = some.pivot(index="picture", columns="arm", values=metric).loc[right[right].index]
    order = (values[arms[1]] - values[arms[0]]).sort_values(ascending=False, kind="stable").index.to_numpy()
    if not len(order):
        return []
    return [int(order[place]) for place in np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))]
