"""Probabilities of an encoder's head, kept in the cache."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from lib import datasets, encoders, store
from lib.predictions import class_probabilities


def test_probabilities_are_those_of_the_head_and_are_computed_once(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "fetch", partial(store.fetch, folder=tmp_path))
    pictures = datasets.load("scenes", count=300)
    encoder = encoders.load("local:supervised,width=8,presentations=512,pictures=512,seed=0")
    found = class_probabilities(encoder, pictures)
    with torch.no_grad():
        expected = encoder.classify(encoder.preprocess(pictures.read(np.arange(20)))).softmax(1)
    np.testing.assert_allclose(found[:20], expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert len(found) == 300
    blind = replace(encoder, classify=lambda batch: pytest.fail("computed again"))
    np.testing.assert_array_equal(class_probabilities(blind, pictures), found)
    other = replace(encoder, identity={"encoder": "another"}, classify=lambda batch: torch.zeros(len(batch), 4))
    assert (class_probabilities(other, pictures) == 0.25).all()


def test_an_encoder_without_a_head_is_refused():
    encoder = encoders.load("local:random,width=8")
    with pytest.raises(ValueError, match="encoder: found local:random,width=8, which has no classification head; expected one that has"):
        class_probabilities(encoder, datasets.load("scenes", count=3))
