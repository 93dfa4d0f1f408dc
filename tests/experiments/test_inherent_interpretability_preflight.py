"""Settings of notebook 05 that would fail late are refused early, by name."""

from dataclasses import replace

import numpy as np
import pytest

from lib import datasets, notebooks, profiles
from lib.experiments.inherent_interpretability import at_hand, check

NOTEBOOK = notebooks.find("05")


@pytest.fixture(scope="module")
def settings():
    return profiles.resolve(NOTEBOOK, "quick")


@pytest.fixture(scope="module")
def pictures():
    return datasets.load("scenes", count=500, seed=20), datasets.load("scenes", count=500, seed=21)


def test_a_noisy_network_is_at_hand_if_the_network_is(monkeypatch):
    def load(name):
        if name == "published:resnet56":
            raise FileNotFoundError("no mirror")
        if name != "published:resnet20":
            raise ValueError(name)

    monkeypatch.setattr("lib.encoders.load", load)
    names = ["local:random", "published:resnet20+noise=0.1", "published:resnet56", "published:resnet56+noise=1", "published:resnet20"]
    there, absent = at_hand(names)
    assert there == ["local:random", "published:resnet20+noise=0.1", "published:resnet20"]
    assert absent == ["left out, not at hand: published:resnet56 (no mirror)"]
    with pytest.raises(FileNotFoundError, match="no mirror"):
        at_hand(["published:resnet56+noise=1"])


@pytest.mark.parametrize("profile", ["quick", "study"])
def test_profiles_that_need_no_mirror_pass(profile, pictures):
    check(profiles.resolve(NOTEBOOK, profile), *pictures)


@pytest.mark.parametrize(("change", "message"), [
    ({"test_seed": 20}, "test_seed: found 20, as train_seed; expected other scenes to test on than to train on"),
    ({"encoders": []}, r"encoders: found \[\]; expected at least one, and each once"),
    ({"seeds": [0, 0]}, r"seeds: found \[0, 0\]; expected at least one, and each once"),
    ({"sparsities": [0.0, 0.5, 0.5]}, "sparsities: found .*; expected at least one, and each once"),
    ({"sparsities": [0.0, 1.5]}, "sparsities: found 1.5; expected numbers from 0 to 1"),
    ({"sparsities": [0.1, 0.5]}, "sparsities: found .*; expected 0 and others below 1"),
    ({"sparsities": [0.0, 1.0]}, "sparsities: found .*; expected 0 and others below 1"),
    ({"libraries": ["prototype", "taste"]}, "libraries: found 'taste'; expected some of prototype, cluster, end2end, text"),
    ({"libraries": ["cluster"]}, "libraries: found 'cluster' first; expected prototype"),
    ({"targets": ["colour"]}, "targets: found 'colour' first; expected class"),
    ({"targets": ["class", "taste"]}, "targets: found 'taste' for scenes; expected class, or for scenes one of shape"),
    ({"encoders": ["local:supervised@trunk.stage1"]}, "encoders: found 'local:supervised@trunk.stage1'; expected whole encoders"),
    ({"encoders": ["local:superwised"]}, "superwised"),
    ({"encoders": ["published:resnet21"]}, "resnet21"),
    ({"deep": "local:rotation"}, "deep: found 'local:rotation'; expected some of the encoders"),
    ({"varied": ["local:rotation"]}, "varied: found 'local:rotation'; expected some of the encoders"),
    ({"training": ["published:resnet20"]}, "training: found 'published:resnet20'; expected local encoders"),
    ({"draws": 0}, "draws: found 0; expected at least 1"),
    ({"banks": 0}, "banks: found 0; expected at least 1"),
    ({"concepts": 5000}, "concepts, sizes, tuning_sizes: found 5000, but 3 pictures a class give 960 patches; expected no more"),
    ({"cut": "segments", "concepts": 200}, "concepts, sizes, tuning_sizes: found 200, but 3 pictures a class give 60 segments at least"),
    ({"cut": "tiles"}, "cut: found 'tiles'; expected one of patches, segments"),
    ({"per_class": 400}, "per_class: found 400; expected 1 to"),
    ({"per_class": 1, "cut": "segments", "concepts": 10, "sizes": [10]}, "tuning_sizes: found 200, but 1 pictures a class give"),
    ({"sizes": [2, 10]}, "sizes: found 2; expected at least 3 concepts"),
    ({"counts": [0]}, r"counts, strengths: found \[0\] and"),
    ({"strengths": []}, r"counts, strengths: found .* and \[\]"),
    ({"weights": [-1.0]}, r"weights: found \[-1.0\]; expected numbers from 0"),
    ({"tuning_sparsities": [1.0]}, r"tuning_sparsities: found \[1.0\]; expected numbers from 0 to below 1"),
    ({"tuning_sizes": [2]}, r"tuning_sizes: found \[2\]; expected at least 3"),
    ({"tuning_sizes": [100_000]}, "concepts, sizes, tuning_sizes: found 100000, but"),
    ({"clip": "nonsense"}, "clip: found 'nonsense'; expected local:clip"),
    ({"names": []}, "names: found none; expected names of textual concepts, no library 'text', or clip: truth"),
    ({"edited": ["taste"]}, "edited: found 'taste'; expected some of shape"),
    ({"edited": ["distractor"]}, "edited: found 'distractor', whose value 'none' is none of the names"),
    ({"libraries": ["prototype"]}, "edited: found .* without the library 'text'"),
    ({"fine_tuned": "local:simclr"}, "fine_tuned: found 'local:simclr'; expected local:supervised"),
    ({"presentations": 100}, "presentations: found 100; expected at least a batch of 128"),
])  # fmt: skip
def test_each_mistake_is_named(change, message, settings, pictures, monkeypatch):
    monkeypatch.setattr("lib.training.train", lambda *_, **__: pytest.fail("trained before the settings were checked"))
    with pytest.raises(ValueError, match=message):
        check(settings.model_copy(update=change), *pictures)


def test_one_class_is_refused(settings, pictures):
    one = replace(pictures[0], labels=np.zeros(500, np.int64))
    with pytest.raises(ValueError, match="dataset: found scenes with fewer than two classes; expected labelled pictures"):
        check(settings, one, pictures[1])


def test_every_class_needs_two_training_pictures(settings, pictures):
    with pytest.raises(ValueError, match="train_count: found 25 pictures for 20 classes; expected two of each at least"):
        check(settings, pictures[0].take(np.arange(25)), pictures[1])
