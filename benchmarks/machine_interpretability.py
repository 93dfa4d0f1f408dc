"""What scoring every unit costs: `python benchmarks/machine_interpretability.py [--quick] [--folder FOLDER]`.

1. Over a bare forward pass: activations of all convolutions and batch norms of a network, the extremes of every unit and its score,
   against the same network on the same pictures with no hooks. The pass that embeds the pictures for the similarity is not counted.
2. Given activations and embeddings: against NumPy, one unit at a time with argpartition, and against the definition, one pair of pictures
   at a time. Both are timed on some of the units and must give the same scores.

The sides of a comparison take turns in one process; medians are reported. Ours runs on two threads and NumPy on one, so CPU time is given
beside time on the clock.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from lib import activations, figures
from lib.datasets.pictures import Pictures, in_memory
from lib.encoders.cifar_networks import CifarResNet
from lib.encoders.encoder import Encoder
from lib.encoders.networks import ResidualNetwork, normalised
from lib.extremes import extremes
from lib.keyed_random import keys, permutations
from lib.machine import describe
from lib.measures.machine_interpretability import machine_interpretability, null_distribution, score_sides
from lib.paths import ROOT
from lib.tables import write_csv

TASKS, REFERENCES, TEMPERATURE = 20, 9, 0.16
COUNT = TASKS * (REFERENCES + 1)
MEASURED = (nn.Conv2d, nn.BatchNorm2d)
FORWARD_GOAL, TOTAL_GOAL, SCORING_GOAL = 1.15, 10, 50


class Stopwatch:
    """Seconds on the clock and of CPU, by name, one entry a repeat."""

    def __init__(self):
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.setdefault(name, []).append(time.perf_counter() - wall)
        self.cpu.setdefault(name, []).append(time.process_time() - cpu)

    def medians(self, name: str) -> np.ndarray:
        """(wall, CPU) seconds."""
        return np.array([np.median(self.wall[name]), np.median(self.cpu[name])])


# Over a forward pass


def networks(count: int) -> Iterator[tuple[Encoder, Pictures]]:
    """Residual networks with random weights, and pictures of the size they take: what they show does not matter for time."""
    torch.manual_seed(0)
    for name, network, side in (("ResNet-20, 32 pixels", CifarResNet(3), 32), ("our residual network, 64 pixels", ResidualNetwork(), 64)):
        module = network.eval()
        pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        yield Encoder(name, module, normalised, module, None, {}), in_memory("noise", pixels, np.zeros(count), ("noise",), {})


def bare_pass(encoder: Encoder, pictures: Pictures) -> None:
    with torch.no_grad():
        for _, batch in pictures.batches(activations.BATCH_SIZE):
            encoder.module(encoder.preprocess(batch))


def over_a_forward_pass(pictures: int, dims: int, repeats: int) -> pd.DataFrame:
    embeddings = unit_rows(pictures, dims)
    rows = []
    for encoder, shown in networks(pictures):
        names, watch, units = activations.layers(encoder.module, MEASURED), Stopwatch(), 0
        bare_pass(encoder, shown.take(np.arange(min(512, pictures))))
        for _ in range(repeats):
            with watch.time("bare"):
                bare_pass(encoder, shown)
            with watch.time("extremes"):
                ranked = activations.stream(encoder, shown, names, count=COUNT)
            with watch.time("scores"):
                scores = [score_sides(one.top, one.bottom, one.units, embeddings) for one in ranked.values()]
            with watch.time("everything"):  # as lib.survey does it, with a null distribution and tables
                null = null_distribution(pictures, embeddings, units=200)
                for one in ranked.values():
                    machine_interpretability(one, embeddings, null=null, bootstrap=1)
            units = sum(map(len, scores))
        bare, extreme, score, everything = (watch.medians(name) for name in ("bare", "extremes", "scores", "everything"))
        ratio, ratio_cpu = (extreme + score) / bare
        rows.append({
            "network": encoder.name, "layers": len(names), "units": units, "pictures": pictures, "bare_seconds": bare[0],
            "extremes_seconds": extreme[0], "scores_seconds": score[0], "ratio": ratio, "ratio_cpu": ratio_cpu,
            "ratio_with_null": ((extreme + everything) / bare)[0], "goal": FORWARD_GOAL, "reached": ratio <= FORWARD_GOAL,
        })  # fmt: skip
    return pd.DataFrame(rows)


# Against one unit at a time


def unit_rows(count: int, dims: int) -> np.ndarray:
    rows = np.random.default_rng(1).standard_normal((count, dims), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def select_with_numpy(activation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most and least activating pictures of one unit, the most extreme first."""
    top = np.argpartition(-activation, COUNT)[:COUNT]
    bottom = np.argpartition(activation, COUNT)[:COUNT]
    return top[np.argsort(-activation[top])], bottom[np.argsort(activation[bottom])]


def deal(side: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """References (N, K) and queries (N,) of one side."""
    dealt = np.take_along_axis(side.reshape(REFERENCES + 1, TASKS), order, 1)
    return dealt[:REFERENCES].T, dealt[REFERENCES]


def score_with_numpy(top: np.ndarray, bottom: np.ndarray, order: np.ndarray, embeddings: np.ndarray) -> float:
    """The score of one unit as in specs/mis.md 5.1; the shuffles come for nothing."""
    (positive, query_positive), (negative, query_negative) = deal(top, order), deal(bottom, order)
    queries = embeddings[query_positive] - embeddings[query_negative]
    references = embeddings[positive].mean(1) - embeddings[negative].mean(1)
    evidence = (queries * references).sum(1)
    return float((1 / (1 + np.exp(-evidence / TEMPERATURE))).mean())


def score_pair_by_pair(top: np.ndarray, bottom: np.ndarray, order: np.ndarray, embeddings: np.ndarray) -> float:
    """The score of one unit as defined: 4 K similarities a task."""
    (positive, query_positive), (negative, query_negative) = deal(top, order), deal(bottom, order)
    answers = []
    for task in range(TASKS):
        def similarity(query, references):
            return sum(embeddings[query] @ embeddings[reference] for reference in references) / REFERENCES

        evidence = (
            similarity(query_positive[task], positive[task]) - similarity(query_positive[task], negative[task])
            - similarity(query_negative[task], positive[task]) + similarity(query_negative[task], negative[task])
        )  # fmt: skip
        answers.append(1 / (1 + np.exp(-evidence / TEMPERATURE)))
    return float(np.mean(answers))


def against_one_unit_at_a_time(units: int, pictures: int, dims: int, sample: int, repeats: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Times per unit, and how many times faster ours is.

    Raises:
        AssertionError: if the three ways do not give the same scores.
    """
    # No two pictures alike, since argpartition would break ties in another way.
    values = np.random.default_rng(0).permuted(np.tile(np.arange(pictures, dtype=np.float32)[:, None], units), axis=0)
    embeddings = unit_rows(pictures, dims)
    sampled = np.linspace(0, units - 1, sample).astype(int)
    orders = permutations(keys(0, sampled[:, None, None], np.arange(REFERENCES + 1)[:, None], 0, np.arange(TASKS)))
    few = slice(0, max(1, sample // 5))
    watch = Stopwatch()
    for _ in range(repeats):
        with watch.time("ours: selection"):
            ranked = extremes(values, count=COUNT)
        with watch.time("ours: scoring"):
            ours = score_sides(ranked.top, ranked.bottom, ranked.units, embeddings, temperature=TEMPERATURE).mean(1)
        with watch.time("NumPy: selection"):
            sides = [select_with_numpy(values[:, unit].copy()) for unit in sampled]
        with watch.time("NumPy: scoring"):
            theirs = [score_with_numpy(*side, order, embeddings) for side, order in zip(sides, orders, strict=True)]
        with watch.time("pair by pair: scoring"):
            defined = [score_pair_by_pair(*side, order, embeddings) for side, order in zip(sides[few], orders[few], strict=True)]
        np.testing.assert_allclose(theirs, ours[sampled], rtol=0, atol=1e-5)
        np.testing.assert_allclose(defined, ours[sampled][few], rtol=0, atol=1e-5)

    timed = {"ours: selection": units, "ours: scoring": units, "NumPy: selection": sample, "NumPy: scoring": sample,
             "pair by pair: scoring": len(defined)}  # fmt: skip
    seconds = {name: watch.medians(name) / count for name, count in timed.items()}
    times = pd.DataFrame([
        {"step": name, "microseconds": 1e6 * wall, "microseconds_cpu": 1e6 * cpu, "units_timed": timed[name], "units": units,
         "pictures": pictures, "dims": dims}
        for name, (wall, cpu) in seconds.items()
    ])  # fmt: skip
    ours_selection, ours_scoring, selection, scoring, pairs = seconds.values()
    ratios = pd.DataFrame([
        {"ours": ours, "against": against, "ratio": (theirs_seconds / ours_seconds)[0], "ratio_cpu": (theirs_seconds / ours_seconds)[1],
         "goal": goal, "reached": bool((theirs_seconds / ours_seconds)[0] >= goal)}
        for ours, against, theirs_seconds, ours_seconds, goal in (
            ("selection and scoring", "NumPy: selection and scoring", selection + scoring, ours_selection + ours_scoring, TOTAL_GOAL),
            ("scoring", "NumPy: scoring", scoring, ours_scoring, SCORING_GOAL),
            ("scoring", "NumPy: selection and scoring", selection + scoring, ours_scoring, SCORING_GOAL),
            ("scoring", "pair by pair: scoring", pairs, ours_scoring, SCORING_GOAL),
        )
    ])  # fmt: skip
    return times, ratios


# Tables and figure


def draw(forward: pd.DataFrame, times: pd.DataFrame) -> plt.Figure:
    figures.use_style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(figures.PAGE, 2.2), width_ratios=(3, 2))
    bars = left.barh(times["step"], times["microseconds"], color=[figures.PALETTE[0 if "ours" in step else 1] for step in times["step"]])
    left.bar_label(bars, fmt=" {:.0f}", fontsize=7)
    left.set(xscale="log", xlabel="microseconds a unit", title=f"Given activations of {times['pictures'][0]:,} pictures")
    left.invert_yaxis()
    start, bare = np.zeros(len(forward)), forward["bare_seconds"]
    for label, seconds, color in (
        ("bare forward pass", bare, "0.7"),
        ("hooks and extremes", (forward["extremes_seconds"] - bare).clip(lower=0), figures.PALETTE[0]),
        ("scores", forward["scores_seconds"], figures.PALETTE[1]),
    ):
        right.bar(forward["network"].str.replace(", ", "\n"), seconds / bare, bottom=start, label=label, color=color, width=0.5)
        start = start + seconds / bare
    right.axhline(FORWARD_GOAL, color="0.5", linestyle=":", linewidth=1)
    right.set(ylabel="time / bare forward pass", ylim=(0, 1.4 * start.max()), title="All units of a network")
    right.legend(loc="upper center", ncols=1)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; the numbers mean nothing")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where data/results/benchmarks and figures/benchmarks are written")
    arguments = parser.parse_args()
    if arguments.quick:
        times, ratios = against_one_unit_at_a_time(units=40, pictures=600, dims=32, sample=10, repeats=1)
        forward = over_a_forward_pass(pictures=400, dims=32, repeats=1)
    else:
        times, ratios = against_one_unit_at_a_time(units=5000, pictures=10_000, dims=512, sample=200, repeats=7)
        forward = over_a_forward_pass(pictures=10_240, dims=512, repeats=5)
    results = arguments.folder / "data" / "results" / "benchmarks"
    for name, table in (("forward_pass", forward), ("unit_times", times), ("unit_ratios", ratios)):
        write_csv(results / f"machine_interpretability_{name}.csv", table.assign(**describe()))
        print(table.to_string(float_format="{:.3g}".format), end="\n\n")
    figure = draw(forward, times)
    figures.save(
        figure, "machine_interpretability_speed", profile="benchmarks", data=None, provenance={"Script": Path(__file__).name},
        folder=arguments.folder / "figures",
    )  # fmt: skip


if __name__ == "__main__":
    main()
