"""Encoders of scenes that `local:` names do not cover."""

import numpy as np
import pytest
import torch

from lib import datasets
from lib.encoders import controls
from lib.encoders.controls import DIMENSIONS, VariationalReconstruction, classifier, variational
from lib.encoders.networks import normalised, trunk
from lib.encoders.sanity import check


def test_loss_is_that_of_a_variational_autoencoder():
    torch.manual_seed(0)
    model = VariationalReconstruction(trunk("resnet", 4, 64), 64, beta=3.0, dims=2).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)
    found = model.loss(torch.as_tensor(pixels), None, torch.Generator().manual_seed(7))
    x = normalised(pixels)
    mean, log_variance = model.bottleneck(model.trunk.maps(x).flatten(1)).split(2, 1)
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(7))
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    squared = (model.decoder(mean + noise * posterior.stddev) - x).square().flatten(1).sum(1)
    expected = ((squared / 2 + 3 * divergence) / (3 * 64 * 64)).mean()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(model.embed(x), mean)


@pytest.mark.slow
def test_controls_are_trained_on_other_things_and_kept_apart(monkeypatch):
    asked = []

    def fetch(kind, inputs, make, code):
        asked.append((kind, inputs))
        return make()

    monkeypatch.setattr(controls.store, "fetch", fetch)
    scenes = datasets.load("scenes", count=20)
    (one, told), (right, _), other = (
        classifier(permuted=True, count=128, presentations=128 * 60), classifier(permuted=False, count=128, presentations=256),
        variational(4.0, presentations=256),
    )  # fmt: skip
    assert check(one, scenes).dimension == 64
    assert check(other, scenes).dimension == DIMENSIONS
    assert len({str(inputs) for kind, inputs in asked if kind == "encoders/controls"}) == 3
    assert one.identity != right.identity
    labels, truth = one.module.labels.numpy(), right.module.labels.numpy()
    assert (labels != truth).mean() > 0.8
    assert sorted(labels) == sorted(truth)
    assert told > 0.5  # of 20 classes, by heart


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"beta: found 0\.0"):
        variational(0.0)
    with pytest.raises(ValueError, match="presentations: found 5"):
        variational(1.0, presentations=5)
