"""Curves of several representations in one panel."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_rgb

from lib import figures
from lib.experiments.curves import curves


def test_curves_are_means_over_seeds_with_a_band_for_each():
    table = pd.DataFrame({
        "representation": ["pixels"] * 2 + ["local:simclr,seed=0"] * 2 + ["local:simclr,seed=1"] * 2, "clusters": [5, 10] * 3,
        "score": [1.0, 2, 3, 4, 5, 8], "low": 0.5, "high": 9.0,
    })  # fmt: skip
    figure, axes = plt.subplots()
    curves(axes, table, "clusters", "score")
    assert {line.get_label(): line.get_ydata().tolist() for line in axes.lines} == {"pixels": [1, 2], "simclr": [4, 6]}
    assert [tuple(band.get_facecolor()[0][:3]) for band in axes.collections] == [
        to_rgb(figures.PALETTE[0]), to_rgb(figures.PALETTE[1]), to_rgb(figures.PALETTE[1]),
    ]  # fmt: skip
    curves(axes, table, "clusters", "score", band=False)
    assert len(axes.collections) == 3
    plt.close(figure)
