"""Concepts learned with the head: groups of elements are found again (specs/iis.md, T12)."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from lib.concept_libraries.end_to_end import end_to_end


@pytest.fixture(scope="module")
def world():
    """Six classes, one direction each; elements are noisy copies of the directions."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((16, 6)))[0].T
    group = np.repeat(np.arange(6), 20)
    labels = rng.integers(0, 6, 1200)
    return (
        directions[group] + 0.03 * rng.standard_normal((120, 16)), group,
        3 * directions[labels] + 0.3 * rng.standard_normal((1200, 16)), labels,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_groups_of_elements_are_found(world, seed):
    # Only where a picture may use few concepts: a head that sees all of them does with mixtures as well (rand indices of 0.6 to 1).
    embeddings, group, features, labels = world
    found = end_to_end(embeddings, features, labels, 6, sparsity=0.8, epochs=60, batch_size=128, rate=0.03, seed=seed)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    assert adjusted_rand_score(group, (embeddings @ found.vectors.T).argmax(1)) == 1


def test_the_same_seed_gives_the_same_concepts(world):
    embeddings, _, features, labels = world
    first, again, other = (end_to_end(embeddings, features, labels, 9, epochs=3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert first.vectors.shape != other.vectors.shape or not np.allclose(first.vectors, other.vectors)
    assert first.settings["used"] == len(first.vectors) <= 9  # slots without an element are no concepts


def test_bad_input_is_named(world):
    embeddings, _, features, labels = world
    with pytest.raises(ValueError, match="concepts: found 121 for 120 elements"):
        end_to_end(embeddings, features, labels, 121)
    with pytest.raises(ValueError, match="embeddings, features, labels: found shapes"):
        end_to_end(embeddings[:, :3], features, labels, 6)
