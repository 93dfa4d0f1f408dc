"""A network as a concept expert: marks above a confidence, and an audit against the truth."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lib import datasets, encoders, store
from lib.concepts import audit, concepts_of, predictions_above
from lib.datasets.pictures import in_memory
from lib.encoders.encoder import Encoder

NAMES = ("cat", "dog", "owl")


class Head(nn.Module):
    """Reads the probabilities of the classes off the channels of the first pixel."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)  # its weights want gradients, as those of a loaded network do
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(3))
            self.linear.bias.zero_()

    def forward(self, batch):
        return self.linear(batch.log())


def encoder(name="toy:head"):
    head = Head()
    return Encoder(name, head, preprocess=lambda batch: torch.as_tensor(batch)[:, 0, 0].float(), embed=head, classify=head, identity={})


def pictures_of(probabilities, class_names=NAMES):
    """One pixel each; probabilities in hundredths."""
    pixels = np.asarray(probabilities, np.uint8)[:, None, None]
    return in_memory("toy", pixels, np.zeros(len(pixels), int), class_names, {})


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of its own for every test."""
    monkeypatch.setattr(store, "fetch", partial(store.fetch, folder=tmp_path))


@pytest.fixture
def loaded(monkeypatch):
    """The toy encoder under every name; the names asked for."""
    asked = []
    monkeypatch.setattr(encoders, "load", lambda name: asked.append(name) or encoder(name))
    return asked


def test_classes_are_marked_where_their_probability_is_above_the_confidence(loaded):
    pictures = pictures_of([[98, 1, 1], [47, 32, 21], [5, 60, 35], [20, 28, 52]])
    names, found = predictions_above("toy:head", pictures)
    assert loaded == ["toy:head"]
    assert names == NAMES
    assert found.dtype == bool
    assert found.tolist() == [[True, False, False], [False, False, False], [False, True, False], [False, False, True]]
    _, more = predictions_above("toy:head", pictures, 0.3)
    assert more.tolist() == [[True, False, False], [True, True, False], [False, True, True], [False, False, True]]


def test_a_probability_of_exactly_the_confidence_is_not_above_it(loaded, monkeypatch):
    # two classes without any preference
    flat = replace(encoder(), classify=lambda batch: torch.zeros(len(batch), 2))
    monkeypatch.setattr(encoders, "load", lambda name: flat)
    _, found = predictions_above("toy:flat", pictures_of([[1, 1, 1]], ("cat", "dog")), 0.5)
    assert found.tolist() == [[False, False]]


def test_many_pictures_keep_their_order(loaded):
    winners = np.random.default_rng(0).integers(0, 3, 600)
    _, found = predictions_above("toy:head", pictures_of(np.where(np.eye(3)[winners], 90, 5)))
    np.testing.assert_array_equal(found, np.eye(3, dtype=bool)[winners])


def test_an_encoder_without_a_head_is_refused(monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda name: replace(encoder(), classify=None))
    with pytest.raises(ValueError, match=r"^expert: found toy:none, which has no classification head; expected an encoder that has one$"):
        predictions_above("toy:none", pictures_of([[1, 1, 1]]))


def test_a_head_of_other_classes_is_refused(loaded):
    with pytest.raises(ValueError, match=r"^expert: found 3 classes in toy:head; expected the 2 of toy$"):
        predictions_above("toy:head", pictures_of([[1, 1, 1]], ("cat", "dog")))


def test_the_audit_counts_right_marks_among_marks_and_among_pictures():
    # cats: 4 pictures, 3 marked and a dog too; dogs: 2 pictures, 1 marked; owls: 2 pictures, never marked; one cat has no mark
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    marks = np.array([0, 0, 0, -1, 0, 1, 1, -1])
    concepts = pd.DataFrame({f"net: {name}": marks == number for number, name in enumerate(NAMES)} | {"other: cat": True})
    found = audit(concepts[list(concepts)[::-1]], "net", labels, NAMES)
    assert found["class"].tolist() == ["cat", "dog", "owl", "all"]
    np.testing.assert_allclose(found["precision"], [3 / 4, 1 / 2, np.nan, 4 / 6])
    np.testing.assert_allclose(found["recall"], [3 / 4, 1 / 2, 0, 4 / 8])
    np.testing.assert_allclose(found["marked"], [4 / 8, 2 / 8, 0, 6 / 8])


def test_the_audit_of_an_expert_that_marks_nothing_or_several_classes():
    labels = np.array([0, 1])
    nothing = audit(pd.DataFrame({"net: a": [False, False], "net: b": [False, False]}), "net", labels, ("a", "b")).iloc[-1]
    assert math.isnan(nothing["precision"])
    assert (nothing["recall"], nothing["marked"]) == (0, 0)
    every = audit(pd.DataFrame({"net: a": [True, True], "net: b": [True, True]}), "net", labels, ("a", "b")).iloc[-1]
    assert (every["precision"], every["recall"], every["marked"]) == (0.5, 1, 1)


def test_an_independently_trained_network_is_an_expert_for_real_pictures(mirror):
    name = "published:uva_googlenet"
    pictures = datasets.load("cifar10", count=200)
    concepts = concepts_of(pictures, [f"expert={name}"])
    assert list(concepts) == [f"expert uva_googlenet: {one}" for one in pictures.class_names]
    marks = concepts.to_numpy()
    assert marks.sum(1).max() == 1
    # beside the network's own answers to the first pictures
    network = encoders.load(name)
    with torch.no_grad():
        likely = torch.softmax(network.classify(network.preprocess(pictures.read(np.arange(40)))), 1).numpy()
    np.testing.assert_array_equal(marks[:40], likely > 0.5)

    found = audit(concepts, "expert uva_googlenet", pictures.labels, pictures.class_names).set_index("class")
    whole = found.loc["all"]
    # Stated accuracy: 81 % of JPEGs, 93 % of originals; what it is sure of is right more often, and four standard errors are 11 points.
    assert 0.70 < whole["precision"] <= 1
    assert whole["marked"] > 0.9
    # with at most one mark and one label a picture, the right marks are both precision x marked and recall
    assert whole["precision"] * whole["marked"] == pytest.approx(whole["recall"], abs=1e-12)
    np.testing.assert_allclose(found["marked"].iloc[:-1].sum(), whole["marked"])
    own = marks[pictures.labels == 3]
    assert found.loc["cat", "recall"] == pytest.approx(own[:, 3].mean())
