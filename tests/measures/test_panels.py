"""Embeddings are read a group of dimensions at a time where that is faster: it must not show."""

import numpy as np

from lib.extremes import extremes
from lib.measures import machine_interpretability as module


def test_panels_of_dimensions_give_the_same_scores(monkeypatch):
    rng = np.random.default_rng(0)
    embeddings, ranked = rng.standard_normal((500, 200)), extremes(rng.standard_normal((500, 40)))
    panels, counts = module._panels, []
    monkeypatch.setattr(module, "_panels", lambda *a, **k: counts.append(len(panels(*a, **k))) or panels(*a, **k))
    whole = module.score_sides(ranked.top, ranked.bottom, ranked.units, embeddings, temperature=20)
    monkeypatch.setattr(module, "_PANEL_BYTES", 64 * 500 * 8 // 4)
    apart = module.score_sides(ranked.top, ranked.bottom, ranked.units, embeddings, temperature=20)
    assert counts == [1, 4]  # 200 dimensions in groups of 64
    np.testing.assert_allclose(apart, whole, rtol=0, atol=1e-12)
    assert whole.std() > 0.1
