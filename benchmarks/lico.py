"""What LICO costs: `python benchmarks/lico.py [--quick] [--folder FOLDER]`.

1. A training step with both losses over a plain one, on the paper's WRN-28-2 and batch of 64, with a text encoder of CLIP ViT-B/32's size
   (random weights cost as much as trained ones): contexts frozen, so that texts are computed once; learned, with prompts cut to the
   positions they use; the same with 1,000 classes, of which prompts of those in the batch are encoded; and learned with all 77 positions,
   as the released code has it. Steps of all ways take turns, so that what else the machine does falls on all of them.
2. Sinkhorn's algorithm on a batch against POT's solver of batches and against POT one problem at a time, to the same error of the sums.
3. Insertion and deletion of 1,000 pictures against one picture at a time.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import ot
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from lib.datasets.cifar10 import CLASSES
from lib.encoders.wide_networks import wide_resnet
from lib.lico.backbones import Backbone, backbone
from lib.lico.objective import Consistency
from lib.lico.prompts import Prompts
from lib.lico.readings import PAPER
from lib.lico.text_encoders import ContrastiveText
from lib.lico.transport import cosine_cost, sinkhorn
from lib.machine import describe
from lib.paths import ROOT
from lib.saliency_metrics import deletion, insertion, random_maps
from lib.tables import write_csv

FROZEN_GOAL, LEARNED_GOAL = 1.15, 1.5
TOLERANCE = 1e-4  # of the plan's row sums, both ways
CLOSE = 1e-3


class Whole(ContrastiveText):
    """An encoder that is run over all its positions, as the released code does."""

    def forward(self, embeddings, mask, shared=0):
        length = embeddings.shape[1]
        padded = torch.nn.functional.pad(embeddings, (0, 0, 0, self.longest - length))
        return super().forward(padded, mask)[:, :length]


def text_encoder(width: int, layers: int, kind: type[ContrastiveText]) -> ContrastiveText:
    """The text side of a CLIP with random weights."""
    text = open_clip.model.CLIPTextCfg(width=width, heads=max(1, width // 64), layers=layers)
    vision = open_clip.model.CLIPVisionCfg(layers=1, width=64, head_width=64, patch_size=32, image_size=32)
    clip = open_clip.model.CLIP(width, vision, text)
    return kind(clip, open_clip.get_tokenizer("ViT-B-32"), "CLIP's size")


def seconds(run: Callable, repeats: int) -> tuple[float, object]:
    """Median over repeats, after one that does not count (no repeats: of one), and what was computed."""
    found = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        result = run()
        found.append(time.perf_counter() - start)
    return float(np.median(found[1:] or found)), result


def step_of(network: Backbone, side: Consistency | None, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """A whole step of training: forward, backward, update."""
    parameters = list(network.module.parameters()) + [one for one in (side.parameters() if side else ()) if one.requires_grad]
    optimizer = torch.optim.SGD(parameters, 0.03, 0.9, weight_decay=1e-4)

    def run():
        maps, logits = network.look(x)
        loss = cross_entropy(logits, y)
        if side is not None:
            loss = loss + side(maps, y).total
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return run


def steps(depth: int, width: int, batch: int, text_width: int, layers: int, many: int, repeats: int) -> list[dict]:
    """One row a way of having texts, against the plain step with as many classes."""
    torch.manual_seed(0)
    x, numbers = torch.randn(batch, 3, 32, 32), [f"class {number}" for number in range(many)]
    cut, whole = (text_encoder(text_width, layers, kind) for kind in (ContrastiveText, Whole))
    ways = {
        "contexts frozen": (CLASSES, cut, False, FROZEN_GOAL), "contexts learned, prompts cut": (CLASSES, cut, True, LEARNED_GOAL),
        f"the same, {many} classes": (numbers, cut, True, None), "contexts learned, 77 positions": (CLASSES, whole, True, None),
    }  # fmt: skip
    taken = {}
    for name, (names, encoder, learnable, _) in ways.items():
        y = torch.randperm(len(names)).repeat(1 + batch // len(names))[:batch]
        network = Backbone("wrn", wide_resnet(depth, width, len(names)), "last", 32)
        side = Consistency(Prompts(encoder, names, learnable=learnable), network.shape(), PAPER)
        taken[name] = [step_of(network, one, x, y) for one in (None, side)]
    found = {name: [] for name in taken}
    for _ in range(1 + repeats):
        for name, both in taken.items():
            found[name].append([seconds(run, 0)[0] for run in both])
    rows = []
    for name, (*_, goal) in ways.items():
        plain, mine = np.median(found[name][1:], axis=0)
        rows.append(_row(f"step, {name}", "plain step", mine, plain, mine / plain, goal, None if goal is None else mine <= goal * plain))
    return rows


def transports(problems: int, points: int, tokens: int, dims: int, repeats: int) -> list[dict]:
    """One row a way of solving a batch of problems."""
    torch.manual_seed(0)
    cost = cosine_cost(torch.randn(problems, points, dims), torch.randn(problems, tokens, dims))
    mine, ours = seconds(lambda: sinkhorn(cost, tolerance=TOLERANCE), repeats)
    # POT stops by the change of its potentials: its tolerance is lowered until its plans are as exact as ours.
    for tolerance in 10.0 ** np.arange(-2, -8, -1):
        other, theirs = seconds(lambda tolerance=tolerance: ot.batch.solve_batch(cost, reg=0.1, tol=tolerance, grad="detach").plan, repeats)
        if float((theirs.sum(2) - 1 / points).abs().sum(1).max()) <= TOLERANCE:
            break
    _same(ours.plan, theirs)
    rows = [_row("Sinkhorn", "POT, in batches", mine, other, other / mine)]
    measures = np.full(points, 1 / points), np.full(tokens, 1 / tokens)
    double = cost.double().numpy()
    other, theirs = seconds(
        lambda: [ot.sinkhorn(*measures, one, 0.1, method="sinkhorn_log", stopThr=TOLERANCE / 10) for one in double], repeats
    )
    _same(ours.plan, torch.from_numpy(np.stack(theirs)))
    return [*rows, _row("Sinkhorn", "POT, one by one", mine, other, other / mine)]


def perturbations(pictures: int, repeats: int) -> list[dict]:
    """Insertion and deletion of many pictures at a time against one."""
    torch.manual_seed(0)
    network = backbone("small", 20).module.eval()
    x, maps, targets = torch.randn(pictures, 3, 64, 64), random_maps(pictures, (64, 64)), np.arange(pictures) % 20

    def probability(batch):
        return network(batch).softmax(1)

    def areas(chosen):
        return [measure(probability, x[chosen], maps[chosen], targets[chosen]).areas for measure in (insertion, deletion)]

    with torch.no_grad():
        mine, ours = seconds(lambda: areas(slice(None)), repeats)
        other, theirs = seconds(lambda: np.concatenate([areas(slice(one, one + 1)) for one in range(pictures)], axis=1), repeats)
    _same(torch.from_numpy(np.stack(ours)), torch.from_numpy(theirs))
    return [_row(f"insertion and deletion of {pictures} pictures", "one picture at a time", mine, other, other / mine)]


def _row(what, against, mine, other, ratio, goal=None, reached=None):
    return {
        "what": what, "against": against, "seconds": mine, "their_seconds": other, "ratio": ratio,
        "goal": "" if goal is None else f"at most {goal:g}", "reached": "" if reached is None else reached,
    }  # fmt: skip


def _same(ours, theirs):
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    if not difference < CLOSE:
        raise RuntimeError(f"results differ by {difference:.2g} of the largest value; expected less than {CLOSE:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; the numbers mean nothing")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where data/results/benchmarks is written")
    arguments = parser.parse_args()
    if arguments.quick:
        rows = [*steps(10, 1, 4, 64, 1, 12, 1), *transports(2, 8, 3, 5, 1), *perturbations(3, 1)]
    else:
        rows = [*steps(28, 2, 64, 512, 12, 1000, 9), *transports(64, 512, 13, 64, 5), *perturbations(1000, 1)]
    table = pd.DataFrame(rows)
    write_csv(arguments.folder / "data" / "results" / "benchmarks" / "lico.csv", table.assign(**describe()))
    print(table.to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
