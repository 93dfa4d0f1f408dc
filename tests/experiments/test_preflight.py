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
    ({"temperatures": [0.1, 0.0]}, "temperatures: found 0.0; expected positive numbers"),
    ({"sparsities": [-1.0]}, "sparsities: found -1.0; expected positive numbers"),
    ({"temperatures": [0.1, float("nan")]}, "temperatures: found nan; expected positive numbers"),
    ({"dictionary_widths": [0]}, "dictionary_widths: found 0; expected positive numbers"),
    ({"widths": [-3]}, "widths: found -3; expected positive numbers"),
    ({"seeds": [0, -1]}, "seeds: found -1; expected numbers from 0"),
    ({"seeds": [0, 0]}, "seeds: found 0 more than once; expected each once"),
    ({"encoders": ["local:random", "local:simclr", "local:simclr"]}, "encoders: found 'local:simclr' more than once"),
    ({"all_kinds": ["Conv", "Convolution"]}, "all_kinds: found 'Convolution'; expected Conv, Linear, BatchNorm"),
    ({"similarities": ["oracle:concept", "descriptor:hog_colour"]}, "similarities: found 'oracle:concept'; expected descriptor:hog_colour"),
    ({"similarities": ["oracle:concepts", "lpips"]}, "similarities: found 'lpips', a distance of pairs; expected"),
    ({"encoders": ["local:random", "publishd:resnet20"]}, "encoders: found 'publishd:resnet20'; expected local:..., published:..."),
    ({"encoders": ["local:random", "published:resnet21"]}, "resnet21"),
    ({"encoders": ["local:random", "local:simclr,data=cifar10"]}, "trained on cifar10, with the pictures of scenes; expected data=scenes"),
    ({"encoders": ["local:random", "local:supervised,checkpoint=3"]}, "expected no seed or checkpoint in a name"),
    ({"encoders": ["local:random"]}, "encoders: found only the untrained one, 'local:random'"),
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
    ({"one_encoder": "local:clip,seed=3"}, "encoders: found 'local:clip,seed=3'; expected no seed or checkpoint in a name"),
    ({"one_encoder": "local:rotation"}, "one_encoder: found 'local:rotation'; expected one of the encoders: local:random"),
    ({"dictionary_layer": "trunk.stage3.0.conv9"}, "dictionary_layer: found 'trunk.stage3.0.conv9'; expected a layer .*: trunk.stage3"),
])  # fmt: skip
def test_each_mistake_is_named(change, message, settings, pictures, monkeypatch):
    monkeypatch.setattr("lib.training.train", lambda *_, **__: pytest.fail("trained before the settings were checked"))
    with pytest.raises(ValueError, match=message):
        check(settings.model_copy(update=change), pictures)


def test_too_few_pictures_are_refused(settings, pictures):
    with pytest.raises(ValueError, match="picture_count: found 399 pictures of scenes; expected at least 400"):
        check(settings, pictures.take(np.arange(399)))
