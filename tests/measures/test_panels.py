"""Embeddings are read a group of dimensions at a time where that is faster: it must not show."""

import numpy as np

from lib.extremes import extremes
from lib.measures import machine_interpretability as module


def test_panels_of_dimensions_give_the_same_bits(monkeypatch):
    rng = np.random.default_rng(0)
    embeddings, ranked = rng.standard_normal((500, 200)).astype(np.float32), extremes(rng.standard_normal((500, 40)))
    panels, counts = module._panels, []
    monkeypatch.setattr(module, "_panels", lambda *a, **k: counts.append(len(panels(*a, **k))) or panels(*a, **k))
    apart = module.score_sides(ranked.top, ranked.bottom, ranked.units, embeddings, temperature=20)
    monkeypatch.setattr(module, "_CACHE_BYTES", 1)
    whole = module.score_sides(ranked.top, ranked.bottom, ranked.units, embeddings, temperature=20)
    assert counts == [2, 1]  # 200 dimensions in groups of 128
    np.testing.assert_array_equal(apart, whole)
    assert whole.std() > 0.1


def test_a_unit_scores_the_same_bits_in_any_company():
    rng = np.random.default_rng(0)
    embeddings, ranked = rng.standard_normal((500, 300)).astype(np.float32), extremes(rng.standard_normal((500, 600)))
    together = module.score_sides(ranked.top, ranked.bottom, ranked.units, embeddings, temperature=20)
    for unit in (0, 1, 511, 512, 599):
        one = ranked.take([unit])
        alone = module.score_sides(one.top, one.bottom, one.units, embeddings, temperature=20)
        np.testing.assert_array_equal(alone[0], together[unit])
