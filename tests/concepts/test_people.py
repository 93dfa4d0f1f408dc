"""CIFAR-10H: shares of raters, and only for the pictures that they saw."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lib import datasets
from lib.concepts import concepts_of, people
from lib.datasets.cifar10 import CLASSES
from lib.datasets.pictures import in_memory

IDENTITY = {"dataset": "cifar10", "version": "original", "split": "test"}
EXPECTED = "expected all 10,000 CIFAR-10 test pictures in their own order"


def pictures_of(count=10_000, name="cifar10/test", **identity):
    return in_memory(name, np.zeros((count, 1, 1), np.uint8), np.arange(count) % 10, CLASSES, IDENTITY | identity)


@pytest.fixture
def counts(tmp_path, monkeypatch):
    """Answers of a few raters in place of the real ones."""
    made = np.random.default_rng(0).integers(0, 20, (10_000, 10))
    made[:, 3] += 1
    np.save(tmp_path / "counts.npy", made)
    monkeypatch.setattr(people, "ANSWERS", SimpleNamespace(fetch=lambda: tmp_path / "counts.npy"))
    return made


@pytest.mark.parametrize("version", ["original", "JPEG CIFAR-10"])
def test_answers_become_shares_of_the_raters(counts, version):
    found = people.shares_of_raters(pictures_of(version=version))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(found * counts.sum(1)[:, None], counts, rtol=1e-12)
    np.testing.assert_array_equal(people.shares_of_raters(pictures_of().in_memory()), found)


@pytest.mark.parametrize(("pictures", "found"), [
    (pictures_of(split="train", name="cifar10/train"), "10000 pictures of cifar10/train"),
    (pictures_of(dataset="mnist", name="mnist/test"), "10000 pictures of mnist/test"),
    (pictures_of(100, first=100, name="cifar10/test[:100]"), "100 pictures of cifar10/test[:100]"),
    (pictures_of().take(np.arange(10_000)[::-1]), "10000 pictures of cifar10/test"),
    (replace(pictures_of(), identity={}), "10000 pictures of cifar10/test"),
], ids=["train", "other data", "fewer", "reordered", "unknown"])  # fmt: skip
def test_other_pictures_are_refused(counts, pictures, found):
    with pytest.raises(ValueError) as error:
        people.shares_of_raters(pictures)
    assert str(error.value) == f"blocks: found 'people' for {found}; {EXPECTED}"


def test_missing_answers_say_what_helps(monkeypatch, tmp_path):
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    nobody = replace(people.ANSWERS, folder=tmp_path, url="http://127.0.0.1:9/nothing")
    monkeypatch.setattr(people, "ANSWERS", nobody)
    helps = r"cifar10h-counts\.npy: not in (.|\n)*set DATA_MIRROR to a folder that holds human/cifar10h-counts\.npy"
    with pytest.raises(FileNotFoundError, match=helps):
        people.shares_of_raters(pictures_of())


def test_the_majority_of_real_raters_agrees_with_the_label(mirror):
    pictures = datasets.load("cifar10")
    shares = people.shares_of_raters(pictures)
    assert shares.shape == (10_000, 10)
    assert (shares.argmax(1) == pictures.labels).mean() > 0.95
    concepts = concepts_of(pictures, ["people"]).to_numpy()
    assert concepts.any(1).all()  # somebody's choice is always at least a fifth: of ten classes with 47 raters or more, nearly so
    assert 1 < concepts.sum(1).mean() < 1.1
    assert concepts[np.arange(10_000), pictures.labels].mean() > 0.95
