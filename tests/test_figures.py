"""Figures: readable, told apart, and the same bytes in every run."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from lib import figures

# Machado, Oliveira and Fernandes (2009), table 1, severity 1.0: what people without one kind of cone see, in linear RGB.
NO_RED_CONE = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]])
NO_GREEN_CONE = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])


@pytest.fixture
def style():
    with mpl.rc_context():
        figures.use_style()
        yield


def drawn():
    figure, axes = plt.subplots()
    axes.plot([1, 3, 2], label="a line")
    axes.fill_between([0, 1, 2], [1, 2, 3], clip_on=True)
    axes.legend()
    return figure


def save(figure, folder, data=None):
    written = figures.save(figure, "name", profile="quick", data=data, provenance={"Content key": "abc"}, folder=folder)
    plt.close(figure)
    return written


def test_files_are_the_same_bytes_in_every_run(style, tmp_path):
    data = pd.DataFrame({"x": [1 / 3]})
    one, two = (save(drawn(), tmp_path / folder, data) for folder in ("one", "two"))
    assert [file.relative_to(tmp_path).as_posix() for file in one] == [f"one/quick/name.{ending}" for ending in ("png", "svg", "csv")]
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]
    assert one[2].read_text() == "x\n0.333333\n"


def test_origin_is_in_the_picture_and_time_and_version_are_not(style, tmp_path):
    png, svg = save(drawn(), tmp_path)
    with Image.open(png) as picture:
        assert picture.text == {"Content key": "abc"}
        assert picture.size == (round(figures.COLUMN * 200), 500)
    text = svg.read_text()
    assert "<dc:date>" not in text
    assert mpl.__version__ not in text


def test_style_is_readable_at_the_width_of_a_column(style):
    names = ("font.size", "axes.labelsize", "axes.titlesize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    sizes = [mpl.rcParams[name] for name in names]
    assert min(sizes) >= 7
    assert max(sizes) <= 9
    assert not mpl.rcParams["axes.spines.top"]
    assert not mpl.rcParams["axes.spines.right"]
    assert mpl.rcParams["figure.figsize"][0] == figures.COLUMN
    assert [to_rgb(color) for color in mpl.rcParams["axes.prop_cycle"].by_key()["color"]] == [to_rgb(color) for color in figures.PALETTE]


@pytest.mark.parametrize("cones", [np.eye(3), NO_RED_CONE, NO_GREEN_CONE], ids=["all cones", "no red", "no green"])
def test_colours_are_told_apart_with_any_vision(cones):
    """Distances in CIELAB; two colours 10 apart are told apart at a glance (2.3 is just noticeable)."""
    from skimage.color import rgb2lab

    rgb = np.array([to_rgb(color) for color in figures.PALETTE])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ cones.T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen[None])[0]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 10


def label_boxes(axes):
    renderer = axes.figure.canvas.get_renderer()
    return {text.get_text(): Text.get_window_extent(text, renderer) for text in axes.texts}  # without the lines to the points


@pytest.mark.parametrize("y", [[0.5] * 12, list(range(12)), [0, 0, 0, 0, 10, 10, 10, 10, 10, 10, 10, 10], [3, 1, 2]])
def test_labels_beside_the_axes_are_in_the_order_of_their_points_and_never_overlap(style, y):
    x, names = np.linspace(0, 1, len(y)), [f"name {index}" for index in range(len(y))]
    figure, axes = plt.subplots(figsize=(figures.COLUMN, 2.7))
    axes.plot(x, y, "o")
    figures.label_beside(axes, pd.Series(x, names), pd.Series(y, names), names)
    figure.canvas.draw()
    boxes = label_boxes(axes)
    plt.close(figure)
    heights = [boxes[names[index]].y0 for index in np.argsort(y, kind="stable")]
    assert (np.diff(heights) > 0.9 * boxes[names[0]].height).all()
    assert min(box.x0 for box in boxes.values()) > axes.get_window_extent().x1
    column = axes.get_window_extent()
    assert all(column.y0 - box.height < box.y0 and box.y1 < column.y1 + box.height for box in boxes.values())
    assert max(box.x1 for box in boxes.values()) <= figure.bbox.width


def test_a_label_stands_beside_its_point_where_there_is_room(style):
    figure, axes = plt.subplots()
    axes.plot([0, 1, 2], [0.0, 5.0, 10.0], "o")
    figures.label_beside(axes, [0, 1, 2], [0.0, 5.0, 10.0], ["low", "middle", "high"])
    figure.canvas.draw()
    for (name, box), y in zip(label_boxes(axes).items(), (0, 5, 10), strict=True):
        assert (box.y0 + box.y1) / 2 == pytest.approx(axes.transData.transform((0, y))[1], abs=box.height / 2), name
    plt.close(figure)


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (5, 2, 3)])
def test_panels_are_one_a_name_and_only_the_lowest_of_a_column_has_tick_labels(style, count, rows, columns):
    names = [f"panel {index}" for index in range(count)]
    figure, panels = figures.panels(names, height=1.5)
    assert list(panels) == names
    assert figure.get_axes() == list(panels.values())
    assert figure.get_size_inches().tolist() == [figures.PAGE, 1.5 * rows]
    next(iter(panels.values())).plot([0, 1], [0, 7])
    assert len({axes.get_ylim() for axes in panels.values()}) == 1
    figure.canvas.draw()
    shown = [bool(axes.get_xticklabels()) and axes.xaxis.get_tick_params()["labelbottom"] for axes in panels.values()]
    assert shown == [index >= count - columns for index in range(count)]
    plt.close(figure)
