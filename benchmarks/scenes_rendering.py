"""How many scenes are rendered in a minute on one core: `python benchmarks/scenes_rendering.py [--quick] [--folder FOLDER]`.

Rendering is NumPy without BLAS, hence on one core whatever the number of threads. Painting the tiles of the backgrounds, once per process
and size, is timed apart; so is drawing the factors, concepts, labels and captions.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from lib.datasets.scenes import render, scenes
from lib.machine import describe
from lib.paths import ROOT
from lib.tables import write_csv

GOAL = 10_000  # pictures a minute on one core


def seconds(do) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def read_all(drawn, batch: int) -> None:
    for start in range(0, drawn.count, batch):
        drawn.read(np.arange(start, start + batch))


def measured(count: int, sizes: tuple[int, ...]) -> pd.DataFrame:
    """One row per size of picture and of batch; medians of three."""
    rows = []
    for size in sizes:
        factors = seconds(partial(scenes, count, size=size))
        drawn = scenes(count, size=size)
        backgrounds = seconds(partial(render, drawn.factors.drop_duplicates("background"), size=size))
        for batch, pictures in ((1, min(256, count)), (256, count)):
            median = np.median([seconds(partial(read_all, drawn.take(np.arange(pictures)), batch)) for _ in range(3)])
            rows.append({
                "size": size, "batch": batch, "pictures": pictures, "pictures_a_minute": round(60 * pictures / median),
                "background_seconds": backgrounds, "factor_seconds": factors, "goal": GOAL, "reached": 60 * pictures / median >= GOAL,
            })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few pictures, to see that it runs; the numbers mean nothing")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where data/results/benchmarks is written")
    arguments = parser.parse_args()
    table = measured(256, (64,)) if arguments.quick else measured(4096, (64, 128))
    write_csv(arguments.folder / "data" / "results" / "benchmarks" / "scenes_rendering.csv", table.assign(**describe()))
    print(table.to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
