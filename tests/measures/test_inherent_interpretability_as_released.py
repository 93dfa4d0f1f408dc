"""The released reading of IIS differs from ours where it should, and only there."""

import numpy as np
import pytest
import torch

from lib.concept_libraries.library import given
from lib.measures.inherent_interpretability import inherent_interpretability
from lib.measures.inherent_interpretability_as_released import _Head, best_on_test, released_score


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    means = rng.standard_normal((5, 16))
    labels = np.tile(np.arange(5), 400)
    features = means[labels] + rng.standard_normal((2000, 16))
    return features[:1000], labels[:1000], features[1000:], labels[1000:], rng.standard_normal((50, 16))


def test_one_concept_fewer_is_kept_than_stated(world):  # B2
    _, table = released_score(*world[:4], given(np.tile(world[4], (4, 1))), rates=[1e-2], epochs=1)
    assert table["kept"].tolist() == [199, 179, 139, 99, 59, 19, 9, 3]
    head = _Head(200, 5, 3, torch.Generator().manual_seed(0))
    shown = head.norm(torch.randn(10, 200, generator=torch.Generator().manual_seed(1)))
    magnitude = shown.abs()
    assert ((magnitude > magnitude.topk(4, dim=1).values[:, -1:]).sum(1) == 3).all()


def test_the_curve_resembles_ours_and_the_score_is_not_normalised(world):
    score, table = released_score(*world[:4], given(world[4]), sparsities=(0.0, 0.5, 0.9))
    ours = inherent_interpretability(*world[:4], given(world[4]), sparsities=(0.0, 0.5, 0.9), banks=1, bootstrap=10)
    np.testing.assert_allclose(table["retention"], ours.curve["retention"], atol=0.1)
    expected = 0.5 * table["retention"][:2].mean() + 0.4 * table["retention"][1:].mean()
    assert score == pytest.approx(expected)


def test_the_best_epoch_on_test_pictures_praises_chance(world):  # B5
    rng = np.random.default_rng(1)
    labels, test_labels = rng.integers(0, 5, 1000), rng.integers(0, 5, 200)
    best = best_on_test(world[0], labels, world[2][:200], test_labels, keep=None)
    assert best > 0.22
    assert best >= best_on_test(world[0], labels, world[2][:200], test_labels, keep=None, rates=[1e-2])


def test_choices_can_be_left_out(world):
    settings = {"sparsities": (0.0, 0.5, 0.9), "rates": [1e-2], "epochs": 5}
    score, table = released_score(*world[:4], given(world[4]), **settings, one_fewer=False)
    assert table["kept"].tolist() == [50, 25, 5]
    assert score != released_score(*world[:4], given(world[4]), **settings)[0]
    data = (world[0], world[1], world[2], world[3])
    of_epochs = [best_on_test(*data, keep=10, rates=[1e-1], epochs=count) for count in (4, 5)]
    last = best_on_test(*data, keep=10, rates=[1e-1], epochs=5, best_epoch=False)
    assert last <= of_epochs[1]
    assert of_epochs[1] == max(of_epochs[0], last)
    labels, test_labels = (np.random.default_rng(seed).integers(0, 5, 1000) for seed in (2, 3))
    best, last = (best_on_test(world[0], labels, world[2], test_labels, keep=None, best_epoch=one) for one in (True, False))
    assert last < best  # at chance, one of 30 epochs is always luckier


def test_bad_settings_are_named(world):
    with pytest.raises(ValueError, match=r"rates, epochs: found \[\] and 30; expected at least one of each"):
        released_score(*world[:4], given(world[4]), sparsities=(0.0, 0.5), rates=())
    with pytest.raises(ValueError, match="test_labels: found class 77"):
        released_score(*world[:3], np.full(1000, 77), given(world[4]), sparsities=(0.0, 0.5))


def test_sparsities_that_leave_nothing_are_refused(world):
    with pytest.raises(ValueError, match=r"sparsities: found 0\.98, which leaves none of 50 concepts here"):
        released_score(*world[:4], given(world[4]))
