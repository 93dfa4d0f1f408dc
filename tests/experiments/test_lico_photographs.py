"""The pointing game on photographs, on a folder in COCO's layout with a classifier whose maps are known."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import nn

from lib import processes, store
from lib.experiments import remembered as remembered_module
from lib.experiments.lico.photographs import all_pointed_at, photographs, pointed_at, pointing_beside
from lib.lico.backbones import Backbone
from lib.lico.training import Trained


@pytest.fixture
def questions(tmp_path, monkeypatch):
    """Black pictures with a red square at the left, where the outline is, or at the right, where it is not; and one of no class."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2014").mkdir()
    images, annotations = [], []
    for number, place in enumerate((2, 2, 20)):
        pixels = np.zeros((16, 32, 3), np.uint8)
        pixels[4:10, place : place + 6, 0] = 255
        Image.fromarray(pixels).save(tmp_path / "val2014" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 16, "width": 32})
        annotations.append({"image_id": number, "category_id": 1, "segmentation": [[1, 3, 9, 3, 9, 11, 1, 11]]})
    annotations.append({"image_id": 0, "category_id": 2, "segmentation": [[1, 3, 9, 3, 9, 11, 1, 11]]})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "red thing"}, {"id": 2, "name": "giraffe"}]}
    (tmp_path / "annotations" / "instances_val2014.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("COCO_ROOT", str(tmp_path))
    monkeypatch.setattr(remembered_module.store, "fetch", partial(store.fetch, folder=tmp_path / "cache"))
    monkeypatch.setattr(processes, "share_out", lambda *_, **__: None)
    return photographs(3)


def network(sign=1.0):
    """Its first class is red, its second is not."""
    module = nn.Sequential(nn.Conv2d(3, 1, 1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)).eval()
    module[0].weight.data[:] = 0
    module[0].weight.data[0, 0] = 1
    module[0].bias.data[:] = 1
    module[4].weight.data[:] = sign
    module[4].weight.data[1] *= -1
    return Trained(Backbone("red", module.requires_grad_(False), "1", 16), pd.DataFrame(), "")


def test_maps_point_at_what_is_red(questions):
    found = pointed_at(network(), questions, ["red thing", "another"], ["Grad-CAM"])
    assert found.category.unique().tolist() == ["red thing"]  # no giraffes among the classes
    by_file = {questions.files[picture].stem: hit for picture, hit in zip(found.picture, found.pointing, strict=True)}
    assert by_file == {"0": 1, "1": 1, "2": 0}
    assert found.area.between(0.1, 0.2).all()
    with pytest.raises(ValueError, match="none of them a class"):
        pointed_at(network(), questions, ["lion", "another"], ["Grad-CAM"])


def test_arms_are_paired_by_question(questions):
    networks = {("CE", 0): network(), ("paper", 0): network(-1.0)}
    table = all_pointed_at(networks, questions, ["red thing", "another"], ["Grad-CAM"])
    [one] = pointing_beside(table, over="CE").to_dict("records")
    assert (one["arm"], one["map"], one["questions"], one["seeds"]) == ("paper", "Grad-CAM", 3, 1)
    wide = table.pivot(index="question", columns="arm", values="pointing")
    assert one["difference"] == pytest.approx((wide.paper - wide.CE).mean())
    assert one["difference"] < 0


def test_without_a_folder_it_says_so(monkeypatch):
    monkeypatch.delenv("COCO_ROOT", raising=False)
    with pytest.raises(FileNotFoundError, match="coco: found no COCO_ROOT; expected this environment variable"):
        photographs(10)
