"""The pointing game on photographs, on a folder in COCO's layout with a classifier whose maps are known."""

import json
from functools import partial

import numpy as np
import open_clip
import pandas as pd
import pytest
from PIL import Image
from torch import nn

from lib import processes, store
from lib.experiments import remembered as remembered_module
from lib.experiments.lico.photographs import (
    CLASSES_OF,
    _near,
    all_pointed_at,
    classes_of,
    photographs,
    pointed_at,
    pointing_beside,
    pointing_of_arms,
)
from lib.lico.backbones import Backbone
from lib.lico.training import Trained

NAMES = ["another", "red thing", "laptop computer", "notebook computer"]
LEFT, RIGHT = [1, 3, 9, 3, 9, 11, 1, 11], [19, 3, 27, 3, 27, 11, 19, 11]
STRICT = {"tolerance": 0}


@pytest.fixture
def questions(tmp_path, monkeypatch):
    """Black pictures with a red square at the left or at the right.

    0: outlined where it is, and a giraffe; 1: outlined where it is, and a laptop on the other side; 2: outlined on the other side; 3: a
    giraffe.
    """
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2014").mkdir()
    images = []
    for number, place in enumerate((2, 2, 20, 2)):
        pixels = np.zeros((16, 32, 3), np.uint8)
        pixels[4:10, place : place + 6, 0] = 255
        Image.fromarray(pixels).save(tmp_path / "val2014" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 16, "width": 32})
    annotations = [
        {"image_id": picture, "category_id": kind, "segmentation": [outline]}
        for picture, kind, outline in ((0, 1, LEFT), (0, 2, LEFT), (1, 1, LEFT), (1, 3, RIGHT), (2, 1, LEFT), (3, 2, LEFT))
    ]
    kinds = [{"id": number, "name": name} for number, name in enumerate(("red thing", "giraffe", "laptop"), 1)]
    content = {"images": images, "annotations": annotations, "categories": kinds}
    (tmp_path / "annotations" / "instances_val2014.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("COCO_ROOT", str(tmp_path))
    monkeypatch.setattr(remembered_module.store, "fetch", partial(store.fetch, folder=tmp_path / "cache"))
    monkeypatch.setattr(processes, "share_out", lambda *_, **__: None)
    return photographs(3, NAMES)


def network(sign=1.0):
    """Red is for its second and third class, and against the others."""
    module = nn.Sequential(nn.Conv2d(3, 1, 1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 4)).eval()
    module[0].weight.data[:] = 0
    module[0].weight.data[0, 0] = 1
    module[0].bias.data[:] = 1
    module[4].weight.data[:, 0] = sign * module[4].weight.data.new_tensor([-1, 1, 1, -1])
    module[4].bias.data[:] = module[4].bias.data.new_tensor([0, 0, 0, -9])
    return Trained(Backbone("red", module.requires_grad_(False), "1", 16), pd.DataFrame(), "")


def test_maps_point_at_what_is_red(questions):
    assert len(questions.files) == 3  # not the one with a giraffe alone
    found = pointed_at(network(), questions, NAMES, "Grad-CAM", **STRICT)
    by_question = {(questions.files[one.picture].stem, one.category): one.pointing for one in found.itertuples()}
    assert by_question == {("0", "red thing"): 1, ("1", "red thing"): 1, ("1", "laptop"): 0, ("2", "red thing"): 0}
    assert found.area.between(0.1, 0.2).all()
    assert found.difficult.tolist() == [questions.files[one].stem in ("0", "1") for one in found.picture]
    with pytest.raises(ValueError, match="none of them a class"):
        pointed_at(network(), questions, ["lion", "another"], "Grad-CAM")


def test_the_likeliest_of_several_classes_is_explained(questions):
    one = network()
    before = pointed_at(one, questions, NAMES, "Grad-CAM", tolerance=16).set_index("category").pointing["laptop"]
    one.backbone.module[4].bias.data[3] = 9  # the other laptop, which is against red: its map is highest wherever red is not
    after = pointed_at(one, questions, NAMES, "Grad-CAM", tolerance=16).set_index("category").pointing["laptop"]
    assert before == 1 > after


def test_a_maximum_may_be_a_few_pixels_away(questions):
    mask = np.zeros((5, 9), bool)
    mask[2, 2] = True
    np.testing.assert_array_equal(_near(mask, 2)[2], [True] * 5 + [False] * 4)
    assert _near(mask, 2).sum() == 13  # a disc
    assert not _near(np.zeros((3, 3), bool), 15).any()
    hits = {pixels: pointed_at(network(), questions, NAMES, "Grad-CAM", tolerance=pixels).pointing.sum() for pixels in (0, 5, 20)}
    assert hits == {0: 2, 5: 2, 20: 4}  # about ten pixels lie between


def test_an_object_without_a_pixel_is_left_out(questions):
    outlines = tuple(({"counts": [16 * 32]},) if kind == "laptop" else one
                     for kind, one in zip(questions.categories, questions.outlines, strict=True))  # fmt: skip
    object.__setattr__(questions, "outlines", outlines)
    assert "laptop" not in pointed_at(network(), questions, NAMES, "Grad-CAM").category.tolist()


def test_arms_are_paired_by_question_and_resampled_by_picture(questions):
    networks = {("CE", 0): network(), ("paper", 0): network(-1.0)}
    table = all_pointed_at(networks, questions, NAMES, ["Grad-CAM"], **STRICT)
    [one] = pointing_beside(table, over="CE").to_dict("records")
    assert (one["arm"], one["map"], one["questions"], one["seeds"]) == ("paper", "Grad-CAM", 4, 1)
    wide = table.pivot(index=["picture", "question"], columns="arm", values="pointing")
    assert one["difference"] == pytest.approx((wide.paper - wide.CE).mean())
    assert one["low"] < one["difference"] < one["high"]


def test_questions_about_one_picture_are_not_independent():
    rng = np.random.default_rng(0)
    hits = np.repeat(rng.integers(0, 2, 30), 5).astype(float)  # five questions a picture, all alike
    base = pd.DataFrame({"map": "Grad-CAM", "seed": 0, "question": range(150), "picture": np.repeat(range(30), 5), "pointing": 0.0})
    table = pd.concat([base.assign(arm="CE"), base.assign(arm="paper", pointing=hits)])
    widths = []
    for pictures in (table["picture"], table["question"]):
        [one] = pointing_beside(table.assign(picture=pictures), over="CE").to_dict("records")
        widths.append(one["high"] - one["low"])
    assert widths[0] > 1.7 * widths[1]  # the root of five would be 2.2


def test_kinds_count_alike():
    rows = [("dog", 1.0, False, 0), ("dog", 1.0, True, 1), ("dog", 1.0, False, 2), ("cat", 0.0, False, 3)]
    table = pd.DataFrame(rows, columns=["category", "pointing", "difficult", "question"])
    [one] = pointing_of_arms(table.assign(map="Grad-CAM", arm="CE", seed=0, area=0.25)).to_dict("records")
    assert (one["pointing"], one["of questions"], one["difficult"], one["area"]) == (0.5, 0.75, 1.0, 0.25)
    assert (one["questions"], one["kinds"]) == (4, 2)


def test_kinds_are_classes_of_imagenet():
    names = open_clip.IMAGENET_CLASSNAMES
    assert not [one for some in CLASSES_OF.values() for one in some if one not in names]
    assert classes_of("zebra", names) == [340]
    assert classes_of("bear", names) == [294, 295, 296, 297]
    assert [len(classes_of(kind, names)) for kind in ("dog", "cat", "person")] == [118, 5, 0]


def test_without_a_folder_it_says_so(monkeypatch):
    monkeypatch.delenv("COCO_ROOT", raising=False)
    with pytest.raises(FileNotFoundError, match="coco: found no COCO_ROOT; expected this environment variable"):
        photographs(10, NAMES)
