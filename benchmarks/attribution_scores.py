"""What attribution maps of all units of a code cost: `python benchmarks/attribution_scores.py [--quick] [--folder FOLDER]`.

The maps of d units cost d vector-Jacobian products, however they are taken: that is the floor, measured by bare products in one graph. Ours
is the whole of `unit_maps`, forward pass, sums over channels and all. Beside it:

1. captum's Saliency, unit by unit, as one would do it with the library: a forward and a backward pass for each;
2. where a code of 512 units hangs on a layer of 64, the Jacobian of that layer and a product, against both ways without that knowledge.

All compute the same maps, which is checked.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import captum.attr
import numpy as np
import pandas as pd
import torch
from torch import nn

from lib.attribution.attributions import ROWS
from lib.attribution.maps import unit_maps
from lib.attribution.sites import PICTURE, Site, evaluate
from lib.attribution.strategies import PLAIN_GRADIENT
from lib.encoders.networks import ResidualNetwork
from lib.machine import describe
from lib.paths import ROOT
from lib.tables import write_csv

FLOOR_GOAL, NARROW_GOAL = 1.1, 4.0
CLOSE = 1e-3  # of the largest value, between maps that are computed on different ways in float32


class Widened(nn.Module):
    """A residual network whose 64 pooled units are spread over a wider code by a linear layer."""

    def __init__(self, width: int, units: int, side: int):
        super().__init__()
        self.trunk = ResidualNetwork(width, side)
        self.pooled = nn.Identity()
        self.code = nn.Linear(self.trunk.dims, units)

    def forward(self, x):
        return self.code(self.pooled(self.trunk.features(x)))


def bare_products(network: nn.Module, batch: torch.Tensor, site: Site, units: int) -> Callable[[], None]:
    """d vector-Jacobian products in graphs that are there already, as many pictures at a time as ours has."""
    graphs = [evaluate(network, network, part, [site]) for part in batch.split(ROWS)]

    def run():
        for code, [place] in graphs:
            vector = torch.zeros_like(code)
            for unit in range(units):
                vector.zero_()
                vector[:, unit] = 1
                torch.autograd.grad(code, place, vector, retain_graph=True)

    return run


def one_by_one(network: nn.Module, batch: torch.Tensor, units: int) -> Callable[[], torch.Tensor]:
    """captum's Saliency for one unit after the other, at the picture."""
    saliency = captum.attr.Saliency(network)

    def run():
        maps = []
        for unit in range(units):
            parts = [saliency.attribute(part.clone().requires_grad_(), target=unit).sum(1) for part in batch.split(ROWS)]
            maps.append(torch.cat(parts))
        return torch.stack(maps, 1)

    return run


def seconds(run: Callable, repeats: int) -> tuple[float, object]:
    """Median over repeats, after one that counts only where there are none, and what was computed."""
    found = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        result = run()
        found.append(time.perf_counter() - start)
    return float(np.median(found[1:] or found)), result


def compared(pictures: int, width: int, units: int, wide: int, side: int, repeats: int) -> list[dict]:
    """One row a comparison: what, against, seconds, their_seconds, ratio, goal, reached."""
    torch.manual_seed(0)
    batch = torch.randn(pictures, 3, side, side)
    narrow, spread = Widened(width, units, side).eval(), Widened(width, wide, side).eval()
    sites = {"picture": PICTURE, "second stage": Site("trunk.stage2.0.conv1")}
    rows = []

    def row(what, against, mine, other, ratio, goal, reached):
        rows.append({
            "what": what, "against": against, "pictures": pictures, "seconds": mine, "their_seconds": other, "ratio": ratio, "goal": goal,
            "reached": reached,
        })  # fmt: skip

    for name, site in sites.items():
        mine, maps = seconds(lambda site=site: unit_maps(narrow, narrow, batch, site, PLAIN_GRADIENT), repeats)
        floor, _ = seconds(bare_products(narrow, batch, site, units), repeats)
        row(f"maps of {units} units, {name}", "bare products", mine, floor, mine / floor, f"at most {FLOOR_GOAL:g}",
            mine <= FLOOR_GOAL * floor)  # fmt: skip
        if site == PICTURE:
            other, theirs = seconds(one_by_one(narrow, batch, units), repeats)
            check_same(maps, theirs)
            row(f"maps of {units} units, {name}", "captum, unit by unit", mine, other, other / mine, "", "")
    for name, site in sites.items():
        mine, maps = seconds(lambda site=site: unit_maps(spread, spread, batch, site, PLAIN_GRADIENT, narrowest="pooled"), repeats)
        other, theirs = seconds(lambda site=site: unit_maps(spread, spread, batch, site, PLAIN_GRADIENT), 1)
        check_same(maps, theirs)
        label = f"maps of {wide} units over {spread.trunk.dims}, {name}"
        row(label, "ours, unit by unit", mine, other, other / mine, f"at least {NARROW_GOAL:g}", other >= NARROW_GOAL * mine)
        if site == PICTURE:
            other, theirs = seconds(one_by_one(spread, batch, wide), 0)
            check_same(maps, theirs)
            row(label, "captum, unit by unit", mine, other, other / mine, f"at least {NARROW_GOAL:g}", other >= NARROW_GOAL * mine)
    return rows


def check_same(maps: torch.Tensor, theirs: torch.Tensor) -> None:
    """Raise an error unless both ways gave the same maps."""
    difference = float((maps - theirs).abs().max() / theirs.abs().max())
    if not difference < CLOSE:
        raise RuntimeError(f"maps differ by {difference:.2g} of the largest value; expected less than {CLOSE:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; the numbers mean nothing")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where data/results/benchmarks is written")
    arguments = parser.parse_args()
    size = {"pictures": 64, "width": 16, "units": 64, "wide": 512, "side": 64, "repeats": 3}
    if arguments.quick:
        size = {"pictures": 3, "width": 2, "units": 4, "wide": 20, "side": 32, "repeats": 1}
    table = pd.DataFrame(compared(**size))
    write_csv(arguments.folder / "data" / "results" / "benchmarks" / "attribution_scores.csv", table.assign(**describe()))
    print(table.to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
