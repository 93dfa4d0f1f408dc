"""Blocks of concepts: which concepts a picture gets from which source, and what cannot be made."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lib import datasets
from lib.concepts import BLOCKS, binarised, concepts_of, learned_expert, people
from lib.concepts.pixel_experts import EXPERTS
from lib.datasets.cifar10 import CLASSES
from lib.datasets.pictures import in_memory

# Written out by hand, class by class.
GROUPS_OF = {
    "airplane": {"vehicle", "sky"},
    "automobile": {"vehicle", "road"},
    "bird": {"animal", "sky", "wild"},
    "cat": {"animal", "at people's"},
    "deer": {"animal", "wild"},
    "dog": {"animal", "at people's"},
    "frog": {"animal", "water", "wild"},
    "horse": {"animal", "at people's"},
    "ship": {"vehicle", "water"},
    "truck": {"vehicle", "road"},
}


def pictures_of(labels, class_names=CLASSES, name="toy"):
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    return in_memory(name, pixels, np.array(labels), class_names, {"dataset": name})


@pytest.fixture
def pictures():
    return pictures_of(np.random.default_rng(0).permutation(np.arange(30) % 10))


def test_class_is_one_concept_a_class(pictures):
    found = concepts_of(pictures, ["class"])
    assert list(found) == [f"class: {name}" for name in CLASSES]
    assert set(found.dtypes) == {np.dtype(bool)}
    for name, column in zip(CLASSES, found, strict=True):
        np.testing.assert_array_equal(found[column], [CLASSES[label] == name for label in pictures.labels])


@pytest.mark.parametrize("class_names", [CLASSES, CLASSES[::-1], ("truck", "bird", "frog")])
def test_groups_are_those_of_the_class(class_names):
    labels = np.random.default_rng(0).integers(0, len(class_names), 20)
    found = concepts_of(pictures_of(labels, class_names), ["group"])
    assert list(found) == [f"group: {name}" for name in ("animal", "vehicle", "sky", "water", "road", "at people's", "wild")]
    assert set(found.dtypes) == {np.dtype(bool)}
    for label, row in zip(labels, found.to_numpy(), strict=True):
        assert {column.removeprefix("group: ") for column in found.columns[row]} == GROUPS_OF[class_names[label]]


def test_given_concepts_are_those_that_the_pictures_bring_along():
    scenes = datasets.load("scenes", count=12)
    pd.testing.assert_frame_equal(concepts_of(scenes, ["given"]), scenes.concepts)


def test_experts_see_the_pixels():
    # left half black, right half white, with a red frame of an eighth of the side
    pixels = np.zeros((3, 16, 16, 3), np.uint8)
    pixels[:, :, 8:] = 255
    pixels[:, [0, 1, 14, 15]] = pixels[:, :, [0, 1, 14, 15]] = 200, 30, 35
    pixels[1:, 2:14, 2:14] = 255
    pixels[2] = 255
    found = concepts_of(in_memory("toy", pixels, np.zeros(3, int), ("a",), {}), EXPERTS)
    assert found.filter(like="colour").idxmax(axis=1).tolist() == ["colour: red", "colour: white", "colour: white"]
    assert found.filter(like="border").idxmax(axis=1).tolist() == ["border: red", "border: red", "border: white"]
    assert found.filter(like="brightness").idxmax(axis=1).tolist() == ["brightness: dark", "brightness: middle", "brightness: bright"]
    assert found.filter(like="contrast").idxmax(axis=1).tolist() == ["contrast: high", "contrast: middle", "contrast: low"]
    assert found.filter(like="edges").idxmax(axis=1).tolist() == ["edges: many", "edges: some", "edges: few"]
    assert found.shape == (3, 11 + 11 + 3 + 3 + 3)
    assert (found.sum(axis=1) == 5).all()


def test_people_are_asked_for_at_least_a_fifth_of_the_raters(pictures, monkeypatch):
    shares = np.zeros((30, 10))
    shares[:, 0], shares[:, 4], shares[:, 7] = 0.2, 0.1999, 0.6001
    monkeypatch.setattr(people, "shares_of_raters", lambda asked: shares if asked is pictures else None)
    found = concepts_of(pictures, ["people"])
    assert list(found) == [f"people: {name}" for name in CLASSES]
    assert set(found.dtypes) == {np.dtype(bool)}
    assert found.columns[found.all()].tolist() == ["people: airplane", "people: horse"]
    assert found.to_numpy().sum() == 60


def test_an_expert_is_asked_by_its_name_for_a_confidence_above_a_half(pictures, monkeypatch):
    marks = np.random.default_rng(0).random((30, 2)) < 0.5
    asked = []
    monkeypatch.setattr(learned_expert, "predictions_above", lambda *what: asked.append(what) or (("cat", "dog"), marks))
    found = concepts_of(pictures, ["expert=local:supervised,seed=3"])
    assert asked == [("local:supervised,seed=3", pictures, 0.5)]
    assert list(found) == ["expert supervised,seed=3: cat", "expert supervised,seed=3: dog"]
    np.testing.assert_array_equal(found, marks)


def test_two_experts_are_two_blocks(pictures, monkeypatch):
    monkeypatch.setattr(learned_expert, "predictions_above", lambda *what: (("cat",), np.ones((30, 1), bool)))
    found = concepts_of(pictures, ["expert=published:a", "expert=published:b"])
    assert list(found) == ["expert a: cat", "expert b: cat"]
    with pytest.raises(ValueError, match="blocks: found the concept 'expert a: cat' twice"):
        concepts_of(pictures, ["expert=published:a", "expert=local:a"])


def test_rows_stay_with_their_picture_whatever_the_index(pictures):
    scenes = datasets.load("scenes", count=5)
    shifted = replace(scenes, concepts=scenes.concepts.set_index(np.arange(7, 12)))
    found = concepts_of(shifted, ["given", "class"])
    assert len(found) == 5
    np.testing.assert_array_equal(found[scenes.concepts.columns], scenes.concepts)


def test_several_blocks_stand_side_by_side_in_the_order_asked_for(pictures):
    found = concepts_of(pictures, ("colour", "class", "group"))
    alone = [concepts_of(pictures, [name]) for name in ("colour", "class", "group")]
    assert list(found) == [column for one in alone for column in one]
    np.testing.assert_array_equal(found, np.concatenate(alone, axis=1))
    assert set(found.dtypes) == {np.dtype(bool)}


def test_the_list_of_blocks_is_complete():
    assert BLOCKS == ("given", "class", "group", "colour", "border", "brightness", "contrast", "edges", "people", "expert=ENCODER")


@pytest.mark.parametrize(("changes", "blocks", "message"), [
    ({}, [], r"blocks: found \[\]; expected a list of at least one, each once"),
    ({}, ["class", "group", "class"], r"blocks: found \['class', 'group', 'class'\]; expected a list of at least one, each once"),
    ({}, "class", "blocks: found 'class'; expected a list of at least one, each once"),
    ({}, ["class", "size"], "blocks: found 'size'; expected some of given, class, group, colour, border, brightness, contrast, edges, "
                            "people, expert=ENCODER"),
    ({}, ["expert"], "blocks: found 'expert'; expected some of given"),
    ({}, ["given"], "blocks: found 'given' for toy, which brings no concepts; expected some of class, group, colour"),
    ({"labels": None}, ["class"], "blocks: found 'class' for toy, which has no labels; expected labelled pictures"),
    ({"labels": None}, ["group"], "blocks: found 'group' for toy, which has no labels; expected labelled pictures"),
    ({"class_names": (*CLASSES[:9], "lorry")}, ["group"], "blocks: found 'group' for the classes of toy; expected those of CIFAR-10"),
    ({}, ["people"], "blocks: found 'people' for 30 pictures of toy; expected all 10,000 CIFAR-10 test pictures in their own order"),
])  # fmt: skip
def test_blocks_that_cannot_be_made_are_named(changes, blocks, message, pictures):
    with pytest.raises(ValueError, match=message):
        concepts_of(replace(pictures, **changes), blocks)


def test_soft_concepts_are_present_from_the_threshold_on():
    found = binarised([[0, 0.2], [0.19999, 1]], 0.2)
    assert found.dtype == bool
    assert found.tolist() == [[False, True], [False, True]]
    assert binarised(np.zeros((0, 4)), 0.5).shape == (0, 4)


@pytest.mark.parametrize(("values", "threshold", "message"), [
    ([0.5, np.nan, np.inf], 0.5, "values: found 2 that are not finite; expected none"),
    ([0.3, 0.5], 0.3, "threshold: found 0.3 for values from 0.3 to 0.5; expected one between them"),
    ([0.3, 0.5], 0.6, "threshold: found 0.6 for values from 0.3 to 0.5; expected one between them"),
    ([0.3, 0.5], np.nan, "threshold: found nan for values from 0.3 to 0.5"),
])  # fmt: skip
def test_thresholds_that_separate_nothing_are_named(values, threshold, message):
    with pytest.raises(ValueError, match=message):
        binarised(values, threshold)
