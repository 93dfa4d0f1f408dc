"""How much memory streaming takes as a layer gets wider: `python benchmarks/memory_of_extremes.py [--quick] [--folder FOLDER]`.

Every width is streamed in a process of its own, whose peak is read from the operating system. Expected is what the state needs, 16 bytes a
unit and kept pair of pictures, besides the tile of pictures that waits to be merged, 256 MiB and a batch at most. What else is used does
not grow with the units, except for the result, 8 bytes a pair, which takes the place of the tile.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from lib.extremes import StreamingExtremes
from lib.machine import peak_megabytes
from lib.paths import ROOT

COUNT, BATCH, TILE_MEGABYTES = 200, 64, 268
STATE_BYTES = 16 * COUNT


def stream(units: int, pictures: int) -> dict[str, float]:
    before = peak_megabytes()
    rng = np.random.default_rng(0)
    streamed = StreamingExtremes(units, count=COUNT)
    for start in range(0, pictures, BATCH):
        indices = np.arange(start, min(start + BATCH, pictures))
        streamed.update(rng.standard_normal((len(indices), units), dtype=np.float32), indices)
    streaming = peak_megabytes()
    streamed.result()
    return {"units": units, "pictures": pictures, "before": before, "streaming": streaming, "with_result": peak_megabytes()}


def in_a_process(units: int, pictures: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--units", str(units), "--pictures", str(pictures)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def draw(table):
    import matplotlib.pyplot as plt

    from lib import figures

    figures.use_style()
    figure, axes = plt.subplots()
    thousands, expected = table["units"] / 1000, table["before"] + table["state"]
    axes.plot(thousands, table["with_result"], "s-", color=figures.PALETTE[1], label="peak, result included")
    axes.plot(thousands, table["streaming"], "o-", color=figures.PALETTE[0], label="peak while streaming")
    axes.plot(thousands, expected, "--", color="0.3", label=f"state, {STATE_BYTES / 1000:.1f} KB a unit")
    axes.fill_between(thousands, expected, expected + TILE_MEGABYTES, color="0.9", label="and a tile of pictures")
    axes.set(xlabel="units (thousands)", ylabel="resident memory (MB)", ylim=(0, None))
    axes.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few units, to see that it runs")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where data/results/benchmarks and figures/benchmarks are written")
    parser.add_argument("--units", type=int, help="measure this width in this process")
    parser.add_argument("--pictures", type=int, help="with --units")
    arguments = parser.parse_args()
    if arguments.units:
        print(json.dumps(stream(arguments.units, arguments.pictures)))
        return
    widths, pictures = ((500, 1000), 450) if arguments.quick else ((1000, 10_000, 50_000, 100_000, 200_000), 3000)
    rows = [in_a_process(units, pictures) for units in widths]

    # Only now: a child process starts with its parent's peak, so the parent stays small until the last child is done.
    import pandas as pd

    from lib import figures
    from lib.machine import describe
    from lib.tables import write_csv

    table = pd.DataFrame(rows)
    table["state"] = table["units"] * STATE_BYTES / 1e6
    write_csv(arguments.folder / "data" / "results" / "benchmarks" / "memory_of_extremes.csv", table.assign(unit="MB", **describe()))
    print(table.to_string(float_format="{:.0f}".format))
    figures.save(
        draw(table), "memory_of_extremes", profile="benchmarks", data=None, provenance={"Script": Path(__file__).name},
        folder=arguments.folder / "figures",
    )  # fmt: skip


if __name__ == "__main__":
    main()
