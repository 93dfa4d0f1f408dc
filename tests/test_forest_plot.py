"""A forest plot shows what its table says."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.forest_plot import forest_plot

TABLE = pd.DataFrame({
    "arm": ["a", "b", "a", "b"], "number": ["x", "x", "y", "y"], "kind": ["k", "l", "k", "l"], "gain": [1.0, -1.0, 2.0, 0.0],
    "low": [0.5, -np.inf, 1.5, -1.0], "high": [1.75, np.inf, 2.5, 1.0],
})  # fmt: skip
SETTINGS = {"rows": "arm", "panels": "number", "value": "gain", "labels": {"y": "of y", "x": "of x"}}


def test_points_and_intervals_are_where_they_belong():
    figure = forest_plot(TABLE, **SETTINGS)
    first, second = figure.axes
    assert [axes.get_xlabel() for axes in figure.axes] == ["of y", "of x"]  # in the order of the labels
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "b"]
    [points] = second.containers
    assert points.lines[0].get_xydata().tolist() == [[1, 0]]
    assert [segment[:, 0].tolist() for segment in points.lines[2][0].get_segments()] == [[0.5, 1.75]]
    [hollow] = [line for line in second.lines if line.get_markerfacecolor() == "none"]
    assert hollow.get_xydata().tolist() == [[-1, 1]]  # its interval has no end
    plt.close(figure)


def test_kinds_stand_apart_and_are_named():
    figure = forest_plot(TABLE, **SETTINGS, colours="kind")
    heights = [points.lines[0].get_ydata() for points in figure.axes[0].containers]
    assert np.concatenate(heights).astype(float).tolist() == [0 - 0.2, 1 + 0.2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["k", "l"]
    plt.close(figure)


@pytest.mark.parametrize(("table", "labels", "message"), [
    (TABLE.head(0), SETTINGS["labels"], "table: found no rows"), (TABLE, {"x": "of x"}, "labels: found none for 'y'"),
])
def test_what_cannot_be_drawn_is_said(table, labels, message):
    with pytest.raises(ValueError, match=message):
        forest_plot(table, **SETTINGS | {"labels": labels})
