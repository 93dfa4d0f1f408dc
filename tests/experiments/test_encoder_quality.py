"""Whether training taught an encoder anything: against its untrained self, by every kind of quality."""

from functools import partial

import numpy as np
import pytest
import torch

from lib import datasets, store
from lib.encoders import local, networks
from lib.encoders.recipe import PRESENTATIONS
from lib.experiments import encoder_quality
from lib.experiments.encoder_quality import MARGIN, Improvement, improvement
from lib.statistics import Estimate

TASKS = {
    "supervised": "class accuracy", "nuisance": "background accuracy", "rotation": "linear probe accuracy",
    "simclr": "linear probe accuracy", "autoencoder": "explained picture variance", "clip": "caption retrieval",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "fetch", partial(store.fetch, folder=tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def scenes():
    return datasets.load("scenes", count=200, seed=0)


def test_every_method_that_learns_has_a_task_and_a_margin():
    assert TASKS.keys() == {method for method, shown in PRESENTATIONS.items() if shown}
    assert set(TASKS.values()) == MARGIN.keys()


@pytest.mark.parametrize("method", TASKS)
def test_an_untrained_encoder_gains_nothing_over_itself(scenes, method):
    found = improvement(f"local:{method},width=4,pictures=256,presentations=0", scenes)
    assert found.task == TASKS[method]
    assert found.margin == MARGIN[found.task] > 0
    assert found.trained == found.untrained
    assert (found.gain.value, found.gain.low, found.gain.high) == (0, 0, 0)
    assert found.gain.count == (80 if found.task == "linear probe accuracy" else 200)
    assert not found.passed


def test_a_little_training_on_backgrounds_passes(scenes):
    name = "local:nuisance,width=4,pictures=512,presentations=2560"
    found = improvement(name, scenes)
    assert found.passed
    assert found.gain.value == pytest.approx(found.trained - found.untrained)
    encoder = local.load_local(name, "nuisance", {"width": 4, "pictures": 512, "presentations": 2560})
    with torch.no_grad():
        said = encoder.classify(encoder.preprocess(scenes.read(np.arange(200)))).argmax(1).numpy()
    names = [column for column in scenes.concepts if column.startswith("background: ")]
    assert found.trained == np.mean([scenes.concepts.loc[row, names[label]] for row, label in enumerate(said)])


def test_passing_needs_the_whole_interval_above_the_margin():
    def one(low):
        return Improvement("local:simclr", "linear probe accuracy", 0.8, 0.6, Estimate(0.2, low, 0.3, 100), 0.05)

    assert one(0.051).passed
    assert not one(0.05).passed


class Known(torch.nn.Module):
    """An objective whose reconstruction or embeddings are given."""

    def __init__(self, reconstruct):
        super().__init__()
        self.reconstruct = reconstruct

    def forward(self, x):
        return self.reconstruct(x)


@pytest.mark.parametrize(("reconstruct", "expected"), [(lambda x: x, 1.0), ("mean", 0.0)])
def test_explained_variance_is_one_for_the_picture_and_zero_for_the_mean_picture(scenes, monkeypatch, reconstruct, expected):
    if reconstruct == "mean":
        mean = networks.normalised(scenes.read(np.arange(200))).mean(0)
        reconstruct = lambda x: mean.expand_as(x)  # noqa: E731
    monkeypatch.setattr(local, "objective_of", lambda _: Known(reconstruct))
    found = improvement("local:autoencoder,width=4", scenes)
    assert found.trained == pytest.approx(expected, abs=1e-5)


class Captions:
    """A CLIP that knows each picture's number: captions of the first `known` pictures of every hundred are found, the others are not."""

    def __init__(self, known):
        self.clip, self.known, self.start = self, known, {"picture": 0, "text": 0}

    def _next(self, kind, batch):
        numbers = torch.arange(self.start[kind], self.start[kind] + len(batch)) % 100
        self.start[kind] += len(batch)
        return numbers

    def encode_image(self, batch, normalize):
        assert normalize
        numbers = self._next("picture", batch)
        return torch.eye(100)[torch.where(numbers < self.known, numbers, 0)]

    def encode_text(self, batch, normalize):
        assert normalize
        return torch.eye(100)[self._next("text", batch)]


def test_retrieval_is_the_share_of_pictures_whose_own_caption_is_nearest_of_a_hundred(scenes, monkeypatch):
    monkeypatch.setattr(local, "objective_of", lambda _: Captions(known=30))
    assert improvement("local:clip,width=4,pictures=256", scenes).trained == pytest.approx(0.3)


def test_a_probe_is_asked_for_every_factor_and_judged_on_new_pictures(scenes, monkeypatch):
    factors = dict.fromkeys(name.partition(":")[0] for name in scenes.concepts)
    told = scenes.concepts.to_numpy(float)
    monkeypatch.setattr(encoder_quality, "embeddings", lambda *_: told)
    assert improvement("local:simclr,width=4,pictures=256,presentations=0", scenes).trained > 0.95
    only = scenes.concepts.filter(regex="^background: ").to_numpy(float)
    monkeypatch.setattr(encoder_quality, "embeddings", lambda *_: only)
    one = improvement("local:simclr,width=4,pictures=256,presentations=0", scenes, probe_share=0.5)
    assert 1 / len(factors) < one.trained < 0.7
    assert one.gain.count == 100


@pytest.mark.parametrize("name", ["local:random", "published:resnet20", "local:nothing"])
def test_only_trained_local_encoders_are_judged(scenes, name):
    with pytest.raises(ValueError, match=f"name: found '{name}'; expected a trained local encoder: supervised, .*, clip"):
        improvement(name, scenes)


def test_too_few_pictures_for_a_retrieval_are_refused_by_number(scenes):
    with pytest.raises(ValueError, match="pictures: found 99; expected at least 100"):
        improvement("local:clip,width=4,pictures=256,presentations=0", scenes.take(np.arange(99)))
