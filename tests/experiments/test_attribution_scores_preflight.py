"""Settings of notebook 02 that would fail late are refused early, by name."""

import pytest
import torch
import torchvision

from lib import datasets, notebooks, profiles
from lib.experiments.attribution_scores import check, sites, ways_of, weights_taken_away
from lib.experiments.attribution_scores.networks import one_layer_redrawn, with_untrained
from tests.experiments.test_attribution_scores import small

NOTEBOOK = notebooks.find("02")


@pytest.fixture(scope="module")
def settings():
    return profiles.resolve(NOTEBOOK, "quick")


@pytest.fixture(scope="module")
def pictures():
    return datasets.load("scenes", count=30, seed=30), datasets.load("digits", count=60)


@pytest.mark.parametrize("profile", ["quick", "study", "cifar10", "imagenet"])
def test_profiles_pass(profile, pictures):
    check(profiles.resolve(NOTEBOOK, profile), *pictures)


@pytest.mark.parametrize(("change", "message"), [
    ({"seeds": []}, r"seeds: found \[\]; expected at least one, and each once"),
    ({"angles": [0.0, 0.0, 0.1]}, "angles: found .*; expected at least one, and each once"),
    ({"strategies": ["gradient", "saliency"]}, "strategy: found 'saliency'; expected one of gradient"),
    ({"strategies": ["gradient"]}, "strategies: found none called 'gradient x activation'"),
    ({"drifts": ["rain"]}, "drifts: found 'rain'; expected some of noise, blur, shift, contrast"),
    ({"strengths": [0.5, 1.5, 0.1]}, r"strengths: found .*; expected three at least, above 0 and below 1"),
    ({"strengths": [0.5]}, "strengths: found .*; expected three at least"),
    ({"angles": [0.1, 0.2, 0.3]}, "angles: found .*; expected 0 and at least two more, rising"),
    ({"count": 3}, "count: found 3; expected at least 6"),
    ({"count": 31}, "count: found 31; expected at most the 30 pictures there are"),
    ({"grey_count": 61}, "grey_count: found 61; expected at most the 60 pictures there are"),
    ({"references": 2}, "references: found 2; expected at least 3"),
    ({"autoencoder_presentations": 0}, "autoencoder_presentations: found 0; expected at least 64"),
    ({"arms": ["both"]}, r"arms: found \['both'\]; expected 'normal' among them"),
    ({"arms": ["normal", "best"]}, "arms: found 'best'"),
    ({"latent_sizes": [1]}, r"latent_sizes: found \[1\]; expected numbers from 1, one of them 2 at least"),
    ({"steps": 0}, "steps: found 0; expected at least 1"),
    ({"strong": ["best"]}, "arms: found 'best'"),
    ({"strong": ["both"], "strong_sizes": [1]}, r"strong_sizes: found \[1\]"),
    ({"strong": ["both"], "strong_sizes": [7]}, r"strong_sizes: found \[7\]; expected some of latent_sizes"),
    ({"constrained_count": 30}, "constrained_count: found 30; expected 0, or at least a batch of 64"),
    ({"factor_count": 1}, "factor_count: found 1; expected at least 100"),
    ({"grey_count": 15}, "grey_count: found 15; expected at least 16"),
    ({"draw_noises": [-1.0]}, r"draw_noises: found \[-1.0\]; expected numbers from 0"),
    ({"weights": [-0.1]}, r"weights: found \[-0.1\]; expected numbers from 0"),
    ({"constrained_seeds": [-1]}, r"constrained_seeds: found \[-1\]; expected numbers from 0"),
    ({"compared": ["supervised"]}, "encoder: found 'supervised'; expected scheme:base"),
    ({"compared": ["mine:supervised"]}, "compared: found 'mine:supervised'; expected one of local:"),
    ({"compared": ["local:supervise"]}, "local:supervise: method: found 'supervise'; expected one of random, supervised"),
    ({"encoders": ["local:simclr,wide=8"]}, "local:simclr,wide=8: found the option 'wide'; expected one of"),
    ({"layers": ["trunk.stage9"]}, "layers: found none of trunk.stage9 in local:supervised,presentations=0; expected at least one"),
    ({"betas": [0.0]}, r"betas: found \[0\.0\]"),
    ({"noise": 0.0}, "noise: found 0"),
    ({"drift_samples": 0}, "drift_samples: found 0"),
    ({"constrained_references": 0}, "constrained_references: found 0"),
    ({"layers": [""]}, "layers: found an empty name"),
    ({"strategies": ["gradient", "gradient x activation", "plain gradient"]}, "strategies: found 'plain gradient'"),
    ({"encoders": [f"local:supervised,width={width}" for width in range(8, 17)]}, "encoders: found 9; expected at most 8"),
])  # fmt: skip
def test_settings_that_cannot_work_are_refused(settings, pictures, change, message):
    with pytest.raises(ValueError, match=message):
        check(settings.model_copy(update=change), *pictures)


def test_sites_are_those_that_an_encoder_has():
    found = sites(["second", "elsewhere", "last"], small())
    assert [str(site) for site in found.values()] == ["the picture", "input of second", "input of last"]
    with pytest.raises(ValueError, match="layers: found none of elsewhere in small 0; expected at least one"):
        sites(["elsewhere"], small())


def test_strategies_smooth_as_asked_if_they_smooth():
    ways = {one.name: one for one in ways_of(["gradient", "Grad-CAM", "activation only"], 3, 0.2)}
    assert (ways["gradient"].samples, ways["gradient"].noise) == (3, 0.2)
    assert (ways["Grad-CAM"].samples, ways["Grad-CAM"].noise) == (1, 0.0)
    assert (ways["activation only"].samples, ways["activation only"].noise) == (3, 0.2)


def test_weights_are_taken_away_from_the_top_and_one_by_one():
    found = weights_taken_away(small(), small(1), ["first", "second", "last"])
    assert list(found) == ["untrained", "from last up", "from second up", "from first up", "first alone", "second alone", "last alone"]
    changed = {
        name: [layer for layer in ("first", "second", "last")
               if not (one.module.get_submodule(layer).weight == small().module.get_submodule(layer).weight).all()]
        for name, one in found.items()
    }  # fmt: skip
    assert changed["from second up"] == ["second", "last"]
    assert changed["second alone"] == ["second"]
    assert changed["untrained"] == ["first", "second", "last"]
    with pytest.raises(ValueError, match="layer: found 'nowhere'; expected a layer with weights in it"):
        one_layer_redrawn(small(), "nowhere")


def test_encoders_stand_beside_themselves_untrained(monkeypatch):
    monkeypatch.setattr("lib.encoders.load", lambda name: name)
    found = with_untrained(["local:supervised,width=8", "published:resnet20"], [0, 4])
    assert found["trained", "local:supervised,width=8,seed=4"] == "local:supervised,width=8,seed=4"
    assert found["untrained", "local:supervised,width=8,seed=4"] == "local:supervised,width=8,seed=4,checkpoint=0"
    published = found["untrained", "published:resnet20"]
    codes = published.embed(torch.randn(8, 3, 32, 32))
    assert codes.std(0).mean() > 0.01  # it tells pictures apart
    assert published.circular_labels == ""
    assert with_untrained(["timm:resnet18"], [0])["untrained", "timm:resnet18"] == "timm:resnet18,pretrained=0"
    for name in ("timm:resnet18,pretrained=0", "file:weights.pt+timm:resnet18"):
        with pytest.raises(ValueError, match=r"encoders: found '(timm|file):.*; expected trained local:, published:, timm: or"):
            with_untrained([name], [0])


def test_the_networks_of_the_code_have_the_layers_of_the_profile():
    chosen = profiles.resolve(NOTEBOOK, "imagenet")
    for name in chosen.encoders:
        slow = {"init_weights": False} if "inception" in name else {}
        with torch.device("meta"):
            module = torchvision.models.get_model(name.removeprefix("torchvision:"), weights=None, **slow)
        assert len(set(chosen.layers) & set(dict(module.named_modules()))) == 4
