"""Settings of notebook 03 that cannot work are refused before anything is trained."""

import json
from types import SimpleNamespace

import pytest
import torch

from lib.datasets.scenes import CLASS_NAMES
from lib.encoders.small_clip import CutTokenizer, small_clip
from lib.experiments.lico import check, check_pictures
from lib.experiments.lico.data import task
from lib.lico import text_sources
from lib.lico.text_encoders import ContrastiveText

QUICK = {
    "dataset": "scenes", "network": "small", "text": "local:clip", "batch_size": 64, "steps": 400, "trial_steps": 200, "trials": 2,
    "masks": 200,
    "arms": ["CE", "paper", "tuned", "shuffled names", "sham"], "seeds": [0], "explainers": ["Grad-CAM", "RISE"], "saliency_count": 20,
    "ablations": [], "same_setting": [], "labels": [20, 40], "limited_arms": ["CE", "paper"], "shortcut_arms": ["CE", "paper"],
    "long_steps": 0, "long_arms": ["CE", "paper"],
    "shortcut": 0.8, "cascade_count": 10, "cascade_draws": 1, "label_count": 0,
    "precision": "no", "coco_count": 0, "seed": 0, "trial_seeds": [0], "part_seeds": [0],
}  # fmt: skip


@pytest.fixture(scope="module")
def scenes():
    return task("scenes", train_count=400, validation_count=20, test_count=40)


@pytest.fixture
def check_with(monkeypatch, scenes):
    tokenizer = CutTokenizer([*CLASS_NAMES])
    encoder = ContrastiveText(small_clip(len(tokenizer), width=8, dims=16).eval(), tokenizer, "small")
    monkeypatch.setattr(text_sources, "load", lambda source: encoder)

    def check_all(**changed):
        settings = SimpleNamespace(**QUICK | changed)
        check(settings)
        check_pictures(settings, scenes)

    return check_all


def test_the_quick_settings_are_fine(check_with):
    check_with()


@pytest.mark.parametrize(("changed", "message"), [
    ({"part_seeds": [0, 7]}, "part_seeds: found 7; expected some of the seeds"),
    ({"precision": "half"}, "precision: found 'half'; expected one of no, bf16, fp16"),
    ({"label_count": 200}, "label_count: found 200 with labels"),
    ({"trial_seeds": []}, "trial_seeds: found none; expected at least one"),
    ({"cascade_draws": 0}, "cascade_draws: found 0; expected at least 1"),
    ({"arms": ["paper", "CE"]}, "arms: found 'paper' first; expected 'CE'"),
    ({"arms": ["CE", "papre"]}, "arms: found 'papre'; expected some of"),
    ({"arms": ["CE", "CE"]}, "arms: found .* expected each once"),
    ({"seeds": []}, "seeds: found none"),
    ({"explainers": ["LIME"]}, "explainers: found 'LIME'"),
    ({"ablations": ["no text"]}, "ablations: found 'no text'"),
    ({"same_setting": ["tuned"]}, "same_setting: found 'tuned'; expected some of shuffled names"),
    ({"same_setting": ["sham"], "arms": ["CE", "sham"], "shortcut_arms": ["CE", "sham"]}, "same_setting: found .* without 'tuned'"),
    ({"same_setting": ["one-hot"]}, "same_setting: found .* without 'one-hot' in arms"),
    ({"same_setting": ["sham", "sham"]}, "same_setting: found .* expected each once"),
    ({"limited_arms": ["paper", "tuned"]}, "limited_arms: found no 'CE'"),
    ({"shortcut_arms": ["CE", "one-hot"]}, "shortcut_arms: found 'one-hot', which is tuned with the arms"),
    ({"arms": ["CE"]}, r"arms: found \['CE'\]; expected 'CE' and something to set beside it"),
    ({"long_steps": 400}, "long_steps: found 400; expected 0, or more than the 400 steps"),
    ({"long_steps": 800, "long_arms": ["paper", "tuned"]}, "long_arms: found no 'CE'"),
    ({"shortcut_arms": []}, r"shortcut_arms: found \[\]"),
    ({"limited_arms": ["CE"]}, r"limited_arms: found \['CE'\]"),
    ({"shortcut": 1.5}, "shortcut: found 1.5; expected a probability"),
    ({"cascade_count": 0}, "cascade_count: found 0"),
    ({"cascade_count": 21}, "cascade_count: found 21; expected at most the 20 of saliency_count"),
    ({"trials": 46}, "trials: found 46; expected 0, for all, to 45"),
    ({"steps": 0}, "steps: found 0"),
    ({"batch_size": 1}, "batch_size: found 1; expected at least 2"),
    ({"batch_size": 401}, "batch_size: found 401; expected at most the 400"),
    ({"saliency_count": 41}, "saliency_count: found 41; expected at most the 40"),
    ({"labels": [30]}, "labels: found 30; expected multiples of 20 classes"),
    ({"labels": [4000]}, "labels: found 4000; expected multiples of 20 classes up to"),
    ({"arms": ["CE", "code24b"], "batch_size": 16}, "code24b takes labels for places in the batch"),
    ({"long_arms": ["CE", "code24b"], "long_steps": 800, "batch_size": 16}, "code24b takes labels for places in the batch"),
    ({"limited_arms": ["CE", "code24b"], "batch_size": 16}, "code24b takes labels for places in the batch"),
    ({"shortcut_arms": ["CE", "code24b"], "batch_size": 16}, "code24b takes labels for places in the batch"),
    ({"network": "vgg"}, "network: found 'vgg'"),
    ({"network": "resnet20"}, "network: found 'resnet20', for 32 x 32 pixels"),
])  # fmt: skip
def test_what_cannot_work_is_said_with_its_name(check_with, changed, message):
    with pytest.raises(ValueError, match=message):
        check_with(**changed)


def test_a_missing_package_is_named(check_with, monkeypatch):
    monkeypatch.setattr("lib.experiments.lico.preflight.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="Score-CAM needs the package grad-cam"):
        check_with(explainers=["Score-CAM"])


def test_classes_without_a_common_order_are_refused(check_with, scenes, monkeypatch):
    monkeypatch.setattr(type(scenes), "class_names", property(lambda self: self.train.class_names[::-1]))
    with pytest.raises(ValueError, match="class_names"):
        check_with()


def test_names_that_the_encoder_cannot_take_are_refused(monkeypatch, check_with):
    def fails(*_, **__):
        raise ValueError("text: found 90 tokens")

    monkeypatch.setattr(ContrastiveText, "tokenize", fails)
    with pytest.raises(ValueError, match="found 90 tokens"):
        check_with()


def test_what_needs_no_pictures_is_checked_before_them():
    with pytest.raises(ValueError, match="arms: found 'papre'"):
        check(SimpleNamespace(**QUICK | {"arms": ["CE", "papre"]}))
    with pytest.raises(ValueError, match=r"shortcut: found 0\.8 for cifar10"):
        check(SimpleNamespace(**QUICK | {"dataset": "cifar10"}))
    with pytest.raises(ValueError, match="precision: found 'bf16' with texts by local:clip"):
        check(SimpleNamespace(**QUICK | {"precision": "bf16"}))
    check(SimpleNamespace(**QUICK | {"precision": "bf16", "text": "open_clip:ViT-B-32/openai"}))


def test_random_numbers_are_left_alone(check_with):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check_with()
    assert torch.equal(torch.get_rng_state(), before)


def test_photographs_are_asked_for_before_anything_is_trained(check_with, monkeypatch, tmp_path):
    monkeypatch.delenv("COCO_ROOT", raising=False)
    with pytest.raises(FileNotFoundError, match="COCO_ROOT"):
        check(SimpleNamespace(**QUICK | {"coco_count": 5}))
    (tmp_path / "annotations").mkdir()
    giraffe = {"image_id": 1, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]]}
    content = {"images": [{"id": 1, "file_name": "1.png", "height": 8, "width": 8}], "annotations": [giraffe],
               "categories": [{"id": 1, "name": "giraffe"}]}  # fmt: skip
    (tmp_path / "annotations" / "instances_val2014.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("COCO_ROOT", str(tmp_path))
    with pytest.raises(ValueError, match="found no picture with an object of the kinds wanted"):
        check_with(coco_count=1)
