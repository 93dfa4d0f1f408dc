"""Unit scores of a whole encoder, cached as extremes."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from lib import activations, datasets, encoders, store, survey
from lib.extremes import extremes
from lib.measures.machine_interpretability import machine_interpretability

NAME = "local:random,width=4,pictures=256"
CLIP = "local:clip,width=4,pictures=256,presentations=0"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "fetch", partial(store.fetch, folder=tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def scenes():
    return datasets.load("scenes", count=400, seed=0)


@pytest.fixture(scope="module")
def similarity():
    z = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_extremes_are_those_of_the_matrix_and_come_back_the_same_without_a_forward_pass(scenes, monkeypatch):
    encoder, names = encoders.load(NAME), ["trunk.stage1.0.conv1", "trunk.stage2.0.conv2"]
    first = survey.extremes_of(encoder, scenes, names, count=50, seed=2)
    matrix = activations.activations(encoder, scenes, names)
    monkeypatch.setattr(activations, "stream", lambda *_, **__: pytest.fail("a forward pass although it is in the cache"))
    again = survey.extremes_of(encoder, scenes, names, count=50, seed=2)
    for name in names:
        expected = extremes(matrix[name], count=50, seed=2)
        for found in (first[name], again[name]):
            np.testing.assert_array_equal(found.top, expected.top)
            np.testing.assert_array_equal(found.bottom, expected.bottom)
            np.testing.assert_array_equal(found.units, expected.units)
            assert found.pictures == 400
            assert found.statistics.dtypes.equals(expected.statistics.dtypes)
            pd.testing.assert_frame_equal(found.statistics, expected.statistics, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("change", [{"seed": 1}, {"count": 60}, {"pictures": "others"}, {"encoder": "other"}, {"names": "others"}])
def test_whatever_determines_the_extremes_makes_another_entry(scenes, change, cache):
    encoder, names = encoders.load(NAME), ["trunk.stage3.0.conv1"]
    survey.extremes_of(encoder, scenes, names, count=50)
    assert len(list((cache / "extremes").glob("*.npz"))) == 1
    survey.extremes_of(
        encoders.load(f"{NAME},seed=1") if "encoder" in change else encoder,
        scenes.take(np.arange(400)[::-1]) if "pictures" in change else scenes,
        ["trunk.stage3.0.conv2"] if "names" in change else names,
        count=change.get("count", 50), seed=change.get("seed", 0),
    )  # fmt: skip
    assert len(list((cache / "extremes").glob("*.npz"))) == 2


def test_the_table_lists_inner_layers_with_their_depth(scenes):
    encoder = encoders.load(NAME)
    table = survey.layer_table(encoder, scenes)
    assert list(table) == ["layer", "kind", "depth"]
    convolutions = [name for name, layer in encoder.module.named_modules() if isinstance(layer, torch.nn.Conv2d)]
    assert table["layer"].tolist() == convolutions[1:]  # neither the stem nor the head
    assert (table["kind"] == "Conv").all()
    np.testing.assert_allclose(table["depth"], np.linspace(0, 1, len(table)))
    norms = survey.layer_table(encoder, scenes, kinds=["BatchNorm"], inner_only=False)
    assert norms["kind"].tolist() == ["BatchNorm"] * len(convolutions)
    head = survey.layer_table(encoder, scenes, kinds=["Linear"], inner_only=False)
    assert head[["layer", "depth"]].to_numpy().tolist() == [["head", 0.0]]
    assert survey.layer_table(encoder, scenes, kinds=["LayerNorm"]).empty


def test_layers_that_never_run_are_left_out(scenes):
    table = survey.layer_table(encoders.load(CLIP), scenes, inner_only=False)
    assert not table["layer"].str.startswith("attnpool").any()
    assert len(table) > 10


def test_scores_are_those_of_the_measure_on_each_layer(scenes, similarity):
    arms = {"cosine": (similarity, 0.16), "function": (lambda a, b: (similarity[a] * similarity[b]).sum(1), 0.3)}
    found = survey.unit_scores(NAME, scenes, arms, reshuffles=2, seed=1)
    table = survey.layer_table(encoders.load(NAME), scenes)
    matrix = activations.activations(encoders.load(NAME), scenes, table["layer"].tolist())
    assert len(found) == 2 * sum(values.shape[1] for values in matrix.values())
    assert (found["encoder"] == NAME).all()
    for name, (one, temperature) in arms.items():
        for row in table.iloc[[0, -1]].itertuples():
            rows = found[(found["similarity"] == name) & (found["layer"] == row.layer)]
            expected = machine_interpretability(matrix[row.layer], one, temperature=temperature, reshuffles=2, null_units=200, seed=1)
            np.testing.assert_allclose(rows["score"], expected.units["score"], atol=1e-6)
            np.testing.assert_allclose(rows["null"], expected.null, atol=1e-6)
            np.testing.assert_array_equal(rows["unit"], np.arange(len(rows)))
            assert (rows["layer_width"] == matrix[row.layer].shape[1]).all()
            assert (rows["depth"] == row.depth).all()


def test_constant_units_and_layers_are_listed_without_a_score(scenes, similarity, monkeypatch):
    encoder = encoders.load(NAME)
    with torch.no_grad():
        encoder.module.trunk.stage1[0].conv1.weight[2] = 0
        encoder.module.trunk.stage2[0].conv1.weight.zero_()
    monkeypatch.setattr(encoders, "load", lambda *_, **__: encoder)
    found = survey.unit_scores(NAME, scenes, {"cosine": (similarity, 0.16)})
    dead = found[found["layer"] == "trunk.stage1.0.conv1"]
    assert dead["live"].tolist() == [True, True, False, True]
    assert dead["score"].isna().tolist() == [False, False, True, False]
    silent = found[found["layer"] == "trunk.stage2.0.conv1"]
    assert len(silent) == 8
    assert not silent["live"].any()
    assert silent["score"].isna().all()
    with torch.no_grad():
        for value in encoder.module.parameters():
            value.zero_()
    encoder.identity["weights"] = "zero"
    with pytest.raises(ValueError, match="found no unit that varies in layers of kind Conv, Linear"):
        survey.unit_scores(NAME, scenes, {"cosine": (similarity, 0.16)})


def test_a_clip_is_scored_too(scenes, similarity):
    found = survey.unit_scores(CLIP, scenes, {"cosine": (similarity, 0.16)})
    assert found["score"].between(0, 1).all()


def test_too_few_pictures_are_refused_before_an_encoder_is_trained(scenes, similarity, monkeypatch):
    monkeypatch.setattr("lib.encoders.load", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(ValueError, match="pictures: found 399"):
        survey.unit_scores(NAME, scenes.take(np.arange(399)), {"cosine": (similarity[:399], 0.16)})
