"""Grids of pictures: what is at which place of the figure, and errors that name the argument."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lib.picture_grid import contact_sheet


@pytest.fixture(autouse=True)
def _close_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def drawn(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def plain(*colours, shape=(8, 8)):
    return [np.full((*shape, 3), colour, dtype=np.uint8) for colour in colours]


def test_pictures_are_row_by_row_and_sharp():
    # No gap, 4 cells of exactly 16 x 16 pixels: the figure is the pictures, each pixel enlarged twice.
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    figure = contact_sheet(pictures, columns=2, width=0.32, gap=0)
    figure.set_dpi(100)
    expected = np.concatenate([np.concatenate(row, axis=1) for row in (pictures[:2], pictures[2:])])
    np.testing.assert_array_equal(drawn(figure), expected.repeat(2, axis=0).repeat(2, axis=1))


def test_border_surrounds_its_picture_and_empty_cells_stay_white():
    figure = contact_sheet([*plain(0, 0), None], columns=3, borders=["red", None, None], width=3, gap=0.2)
    pixels = drawn(figure)
    height, width = pixels.shape[:2]
    red = (pixels == np.array(to_rgb("red")) * 255).all(axis=-1)
    assert red[:, : width // 3].any()
    assert not red[:, width // 3 + 10:].any()
    assert (pixels[:, 2 * width // 3 + 10:] == 255).all()
    assert (pixels[height // 2, width // 2] == 0).all()


def test_pictures_of_other_shapes_keep_their_proportions():
    (image,) = contact_sheet(plain(0, shape=(4, 16))).axes[0].images
    left, right, bottom, top = image.get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(4)


def test_texts_have_room_and_do_not_cover_pictures():
    titles = ["a large red striped star at the top left on grass with a key", "", "short"]
    figure = contact_sheet(plain(0, 0, 0), columns=2, titles=titles, row_labels=["first", "second"], column_labels=["one", "two\nlines"],
                           width=4)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert {text.get_text().replace("\n", " ") for text in axes.texts} == {titles[0], "short", "first", "second", "one", "two lines"}
    page = figure.bbox
    for text in axes.texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, text
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, text
        assert not any(box.overlaps(image.get_window_extent()) for image in axes.images), text


@pytest.mark.parametrize(("arguments", "message"), [
    ({"pictures": []}, "pictures: found none"),
    ({"pictures": [np.zeros((4, 4, 3))]}, r"pictures: found float64 of shape \(4, 4, 3\) at 0"),
    ({"pictures": plain(0), "columns": 0}, "columns: found 0"),
    ({"pictures": plain(0, 0), "titles": ["a"]}, "titles: found 1; expected 2"),
    ({"pictures": plain(0, 0), "borders": ["red"]}, "borders: found 1; expected 2"),
    ({"pictures": plain(0, 0), "columns": 1, "row_labels": ["a"]}, "row_labels: found 1; expected 2"),
    ({"pictures": plain(0, 0), "columns": 1, "column_labels": ["a", "b"]}, "column_labels: found 2; expected 1"),
    ({"pictures": plain(0), "row_labels": ["x" * 500]}, "row_labels: found 500 letters"),
])
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet(**arguments)
