"""Similarity of pictures and names: in the small CLIP, in a pretrained one from a folder, and where the truth stands in."""

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import normalize

from lib import datasets, encoders, store
from lib.image_text_similarity import image_text_similarity

TINY = "local:clip,width=8,presentations=256,pictures=256"


@pytest.fixture(scope="module")
def pictures():
    return datasets.load("scenes", count=40, seed=3)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setitem(store.fetch.__kwdefaults__, "folder", tmp_path_factory.mktemp("cache"))


def test_the_truth_is_the_table_of_concepts(pictures):
    found = image_text_similarity("truth", pictures, ["star", "colour: red"])
    np.testing.assert_array_equal(found, pictures.concepts[["shape: star", "colour: red"]])
    with pytest.raises(ValueError, match="names: found 'unicorn'; expected concepts of scenes, such as"):
        image_text_similarity("truth", pictures, ["unicorn"])
    with pytest.raises(ValueError, match="source: found 'truth' for digits/test, whose concepts are not known"):
        image_text_similarity("truth", datasets.load("digits", count=5), ["7"])


def test_cosines_of_the_small_clip(pictures):
    found = image_text_similarity(TINY, pictures, ["a red star", "night"])
    assert found.shape == (40, 2)
    assert (np.abs(found) <= 1 + 1e-5).all()
    encoder = encoders.load(TINY)
    with torch.no_grad():
        image = normalize(encoder.embed(encoder.preprocess(pictures.read(np.array([7])))), dim=1)
    one = image_text_similarity(TINY, pictures.take([7]), ["a red star", "night"])
    np.testing.assert_allclose(one[0], found[7], atol=1e-5)
    assert image.norm() == pytest.approx(1)
    np.testing.assert_array_equal(found[:, ::-1], image_text_similarity(TINY, pictures, ["night", "a red star"]))
    with pytest.raises(ValueError, match="sentences: found unicorn"):
        image_text_similarity(TINY, pictures, ["unicorn"])


def test_a_pretrained_clip_from_a_folder(pictures, tmp_path):
    config = {
        "model_cfg": {
            "embed_dim": 16, "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
            "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
    }  # fmt: skip
    torch.manual_seed(0)
    parts = config["model_cfg"]
    model = open_clip.model.CLIP(
        16, open_clip.model.CLIPVisionCfg(**parts["vision_cfg"]), open_clip.model.CLIPTextCfg(**parts["text_cfg"])
    ).eval()  # fmt: skip
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    found = image_text_similarity(f"open_clip:{tmp_path}", pictures, ["a star", "a moon"])
    pixels = np.asarray(Image.fromarray(pictures.read(np.array([5]))[0]).resize((32, 32), Image.Resampling.BICUBIC), np.float32)
    image = torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        texts = model.encode_text(open_clip.SimpleTokenizer(context_length=16)(["a star", "a moon"]))
        expected = torch.nn.functional.cosine_similarity(model.encode_image(image), texts)
    np.testing.assert_allclose(found[5], expected, atol=1e-3)


def test_what_is_no_source_is_named(pictures, monkeypatch):
    with pytest.raises(ValueError, match="source: found 'clip'; expected local:clip, open_clip:MODEL/TAG, open_clip:FOLDER or truth"):
        image_text_similarity("clip", pictures, ["star"])
    with pytest.raises(ValueError, match="source: found open_clip:ViT-X/nobody; expected a folder, or MODEL/TAG"):
        image_text_similarity("open_clip:ViT-X/nobody", pictures, ["star"])
    with pytest.raises(ValueError, match="names: found none"):
        image_text_similarity("truth", pictures, [])

    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", unreachable)
    with pytest.raises(FileNotFoundError, match=r"open_clip:ViT-B-16/openai: cannot be loaded \(no network\)\nWhat helps: name a folder"):
        image_text_similarity("open_clip:ViT-B-16/openai", pictures, ["star"])
