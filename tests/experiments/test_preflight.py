"""Settings of notebook 04 that would fail late are refused early, by name."""

import numpy as np
import pytest

from lib import datasets, notebooks, profiles
from lib.experiments.machine_interpretability import check

NOTEBOOK = notebooks.find("04")


@pytest.fixture(scope="module")
def pictures():
    return datasets.load("scenes", count=10_000)


@pytest.fixture(scope="module")
def settings():
    return profiles.resolve(NOTEBOOK, "quick")


@pytest.mark.parametrize("profile", ["quick", "study"])
def test_profiles_that_need_no_mirror_pass(profile, pictures):
    check(profiles.resolve(NOTEBOOK, profile), pictures)


@pytest.mark.parametrize(("change", "message"), [
    ({"temperatures": [0.1]}, "temperatures: found 1 for 2 similarities; expected one each, and at least one"),
    ({"temperatures": [], "similarities": []}, "temperatures: found 0 for 0 similarities"),
    ({"temperatures": [0.1, 0.0]}, "temperatures, sparsities: found 0.0; expected positive numbers"),
    ({"sparsities": [-1.0]}, "temperatures, sparsities: found -1.0; expected positive numbers"),
    ({"encoders": []}, "encoders: found none; expected at least one"),
    ({"seeds": []}, "seeds: found none; expected at least one"),
    ({"reshuffles": 0}, "reshuffles: found 0; expected at least 1"),
    ({"quantiles": [0.001]}, "query_quantile: found 0.001, rank 10 of 10000 pictures; expected a quantile from 0.02"),
    ({"picture_numbers": [1000, 399]}, "picture_numbers: found 399; expected at least 400"),
    ({"training": "published:resnet20"}, "training, untrained: found 'published:resnet20'; expected a local encoder"),
    ({"untrained": "timm:resnet18"}, "training, untrained: found 'timm:resnet18'; expected a local encoder"),
    ({"encoders": ["local:superwised"]}, "superwised"),
    ({"similarities": ["oracle:concepts", "local:simclr,widht=8"]}, "found the option 'widht'"),
    ({"training": "local:supervised,network=vgg"}, "network: found 'vgg'; expected one of"),
    ({"one_encoder": "local:clip,seed=3"}, "one_encoder: found 'local:clip,seed=3'; expected one of the encoders: local:random"),
    ({"dictionary_layer": "trunk.stage3.0.conv9"}, "dictionary_layer: found 'trunk.stage3.0.conv9'; expected a layer .*: trunk.stage3"),
])  # fmt: skip
def test_each_mistake_is_named(change, message, settings, pictures, monkeypatch):
    monkeypatch.setattr("lib.training.train", lambda *_, **__: pytest.fail("trained before the settings were checked"))
    with pytest.raises(ValueError, match=message):
        check(settings.model_copy(update=change), pictures)


def test_too_few_pictures_are_refused(settings, pictures):
    with pytest.raises(ValueError, match="picture_count: found 399 pictures of scenes; expected at least 400"):
        check(settings, pictures.take(np.arange(399)))
