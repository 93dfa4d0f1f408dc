"""How many scenes are rendered in a minute on one core: `python benchmarks/scenes_rendering.py`.

Rendering is NumPy without BLAS, hence on one core whatever the number of threads. Painting the tiles of the backgrounds, once per process
and size, is timed apart.
"""

import time
from functools import partial

import numpy as np

from lib.datasets.scenes import render, scenes


def seconds(do) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def read_all(drawn, batch: int) -> None:
    for start in range(0, drawn.count, batch):
        drawn.read(np.arange(start, start + batch))


def main() -> None:
    print(f"drawing the factors, concepts, labels and captions of 4,096 scenes: {seconds(partial(scenes, 4096)):.2f} s")
    for size in (64, 128):
        drawn = scenes(4096, size=size)
        one_of_each = drawn.factors.drop_duplicates("background")
        print(f"{size} x {size}: painting the backgrounds, once: {seconds(partial(render, one_of_each, size=size)):.2f} s")
        for batch, count in ((1, 256), (256, 4096)):
            median = np.median([seconds(partial(read_all, drawn.take(np.arange(count)), batch)) for _ in range(3)])
            print(f"{size} x {size}, {batch} at a time: {60 * count / median:,.0f} pictures a minute (median of 3)")


if __name__ == "__main__":
    main()
