"""COCO from a small folder in its layout."""

import json

import numpy as np
import pytest
from PIL import Image

from lib.datasets.coco import Questions, coco, outlined


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2014").mkdir()
    rng = np.random.default_rng(0)
    images = []
    for number, (height, width) in ((7, (20, 30)), (3, (16, 12)), (9, (8, 8))):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / "val2014" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
    runs = {"counts": [20 * 4, 20 * 2, 20 * 24], "size": [20, 30]}
    annotations = [
        {"image_id": 7, "category_id": 2, "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]},
        {"image_id": 7, "category_id": 2, "segmentation": runs},
        {"image_id": 7, "category_id": 1, "segmentation": [[10, 10, 20, 10, 20, 15, 10, 15]]},
        {"image_id": 3, "category_id": 1, "segmentation": [[0, 0, 11, 0, 11, 15, 0, 15]]},
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]}
    (tmp_path / "annotations" / "instances_val2014.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_a_question_is_a_picture_and_a_kind_of_object_in_it(folder):
    found = coco(folder)
    assert len(found.files) == 2  # the third picture has no object
    assert found.categories == ("dog", "cat", "dog")
    assert found.pictures.tolist() == [0, 1, 1]
    assert [picture.shape for picture in found.read([0, 1, 2])] == [(16, 12, 3), (20, 30, 3), (20, 30, 3)]
    cats = found.mask(1)
    assert cats.shape == (20, 30)
    assert cats[1:6, 1:4].all()  # the polygon
    assert cats[:, 4:6].all()  # the runs, column by column
    assert cats.sum() == 5 * 5 + 20 * 2 - 5 * 2  # less what both cover
    assert not cats[10:16, 10:21].any()
    assert found.mask(0).all()


def test_pictures_with_the_kinds_wanted_are_chosen_and_small_objects_beside_others_are_difficult(folder):
    found = coco(folder, kinds=["cat", "giraffe"])
    assert found.categories == ("cat", "dog")  # of a picture with a cat the dog as well
    assert [found.difficult(one) for one in (0, 1)] == [True, True]  # boxes of 5 x 5 and 20 x 2; 11 x 6, of 20 x 30
    quarter, corner = ([[0, 0, 4, 0, 4, 4, 0, 4]],), ([[0, 0, 2, 0, 2, 2, 0, 2]],)
    beside = Questions((), np.array([0, 0, 1]), ("dog", "cat", "dog"), (quarter, corner, corner), ((10, 10), (10, 10)))
    assert [beside.difficult(one) for one in (0, 1, 2)] == [False, True, False]  # a quarter; small; small but alone
    with pytest.raises(ValueError, match="found no picture with an object of the kinds wanted"):
        coco(folder, kinds=["giraffe"])


def test_runs_go_down_the_columns():
    found = outlined({"counts": [1, 2, 3]}, (2, 3))
    np.testing.assert_array_equal(found, [[False, True, False], [True, False, False]])


@pytest.mark.parametrize("counts", ["packed", [1, 2]])
def test_runs_that_do_not_fit_are_refused(counts):
    with pytest.raises(ValueError, match="outline: found run lengths"):
        outlined({"counts": counts}, (2, 3))


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"instances_train2014\.json"):
        coco(folder, "train2014")
    with pytest.raises(ValueError, match="count: found 3; expected 1 to 2"):
        coco(folder, count=3)
    (folder / "val2014" / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"3\.png \(1 of 2 are missing\)"):
        coco(folder)
