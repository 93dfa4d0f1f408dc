"""Prototypes, clusters and random directions as concepts."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from lib.concept_libraries.library import ConceptLibrary, clusters, given, prototypes, random_directions


@pytest.fixture(scope="module")
def blobs():
    """Twelve directions with noise: embeddings, group, and a class that is shared by two groups."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((12, 20))
    group = np.repeat(np.arange(12), 30)
    return 5 * centres[group] + 0.2 * rng.standard_normal((360, 20)), group, group // 2


def test_prototypes_are_elements_drawn_evenly_over_classes(blobs):
    embeddings, _, classes = blobs
    order = np.argsort(classes, kind="stable")  # sorted by class, as the authors' list is
    found = prototypes(embeddings[order], classes[order], 20, source={"pictures": "a"})
    assert found.vectors.shape == (20, 20)
    assert sorted(np.bincount(classes[order][found.elements])) == [3, 3, 3, 3, 4, 4]
    assert len(set(found.elements)) == 20
    expected = embeddings[order][found.elements]
    np.testing.assert_allclose(found.vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5)
    assert (found.kind, found.source, found.settings["concepts"]) == ("prototype", {"pictures": "a"}, 20)
    other = prototypes(embeddings[order], classes[order], 20, seed=1)
    assert set(other.elements) != set(found.elements)
    np.testing.assert_array_equal(prototypes(embeddings[order], classes[order], 20).elements, found.elements)


def test_prototypes_that_are_too_alike_are_passed_over(blobs):
    embeddings, group, classes = blobs
    found = prototypes(embeddings, classes, 12, most_alike=0.9)
    assert sorted(group[found.elements]) == list(range(12))
    cosines = found.vectors @ found.vectors.T
    assert cosines[np.triu_indices(12, 1)].max() <= 0.9
    with pytest.raises(ValueError, match=r"concepts: found 13, and only 12 of 360 elements with cosines up to 0\.9"):
        prototypes(embeddings, classes, 13, most_alike=0.9)


def test_clusters_are_the_blobs(blobs):  # T13
    embeddings, group, _ = blobs
    found = clusters(embeddings, 12)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    nearest = (embeddings @ found.vectors.T / np.linalg.norm(embeddings, axis=1, keepdims=True)).argmax(1)
    assert adjusted_rand_score(group, nearest) == 1
    assert (nearest[found.elements] == np.arange(12)).all()  # each is shown by an element of its own
    for one in range(12):
        assert (embeddings[nearest == one] @ found.vectors[one]).mean() > 0.98 * np.linalg.norm(embeddings[nearest == one], axis=1).mean()


def test_random_directions_have_length_one_and_belong_to_their_seed():
    found, again, other = (random_directions(50, 8, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(found.vectors, again.vectors)
    assert not np.allclose(found.vectors, other.vectors)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)


def test_repeated_concepts_are_counted():
    assert given(np.array([[1.0, 0], [2, 0], [0, 1], [3, 0]])).repeated == 2
    assert given(np.eye(3)).repeated == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: given(np.zeros((2, 3))), "vectors: found 2 that are 0; expected directions"),
        (lambda: given(np.full((2, 3), np.nan)), "vectors: found 6 values that are not finite"),
        (lambda: given(np.zeros(3)), r"vectors: found shape \(3,\); expected \(concepts, dims\)"),
        (lambda: ConceptLibrary(np.eye(2), "taste"), "kind: found 'taste'; expected one of prototype, cluster"),
        (lambda: prototypes(np.eye(4), np.zeros(4), 5), "concepts: found 5 for 4 elements; expected 1 to 4"),
        (lambda: prototypes(np.eye(4), np.zeros(3), 2), r"embeddings, classes: found shapes \(4, 4\) and \(3,\)"),
        (lambda: clusters(np.ones((4, 2)), 3), "concepts: found 3 for 1 different elements"),
        (lambda: clusters(np.ones(4), 3), r"embeddings: found shape \(4,\); expected \(elements, dims\)"),
        (lambda: random_directions(0, 4), "concepts, dims: found 0 and 4"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
