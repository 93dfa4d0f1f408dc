"""Textual concepts: the sign of what is learned, and both filters (specs/iis.md, T11)."""

import numpy as np
import pytest
import torch

from lib.concept_libraries.textual import cubed_similarity, seen, textual


@pytest.fixture(scope="module")
def planted():
    """Similarities of six names follow coordinates of the features, those of two are noise."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((3000, 12)).astype(np.float32)
    targets = np.column_stack([features[:, :6], rng.standard_normal((3000, 2))]) + 0.1 * rng.standard_normal((3000, 8))
    names = [*(f"planted {number}" for number in range(6)), "noise 0", "noise 1"]
    return features, 0.2 + 0.05 * targets, names, rng.random(3000) < 0.25


def test_the_cubed_similarity_is_a_correlation_of_cubes():
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 500, 3))
    cubes = [(one - one.mean(0)) ** 3 for one in (first, second)]
    expected = (cubes[0] * cubes[1]).sum(0) / np.sqrt(np.square(cubes[0]).sum(0) * np.square(cubes[1]).sum(0))
    np.testing.assert_allclose(cubed_similarity(torch.from_numpy(first), torch.from_numpy(second)), expected, rtol=1e-9)
    same = torch.from_numpy(first)
    np.testing.assert_allclose(cubed_similarity(same, 3 * same + 2), 1)
    np.testing.assert_allclose(cubed_similarity(same, -same), -1)


def test_learned_concepts_point_towards_their_names(planted):
    # The authors' released objective ends at a correlation of -0.96 here (B1).
    features, similarities, names, held_out = planted
    library = textual(features, similarities, names, held_out, least_seen=0.0)
    assert library.names == tuple(names[:6])  # noise cannot be learned
    assert library.settings["not learned"] == 2
    activations = features[held_out] @ library.vectors.T
    for number in range(6):
        assert np.corrcoef(activations[:, number], similarities[held_out, number])[0, 1] > 0.95
    assert (library.kind, library.normalisation) == ("text", "concept")
    again = textual(features, similarities, names, held_out, least_seen=0.0)
    np.testing.assert_array_equal(again.vectors, library.vectors)


def test_names_that_no_picture_shows_are_left_out_before_learning(planted):
    features, similarities, names, held_out = planted
    assert seen(np.array([[0.1, 0.9], [0.2, 0.1], [0.3, 0.1], [0.3, 0.1], [0.3, 0.1], [0.3, 0.2]]), 0.27).tolist() == [True, True]
    assert seen(np.array([[0.1, 0.9], [0.2, 0.1], [0.3, 0.1], [0.3, 0.1], [0.3, 0.1], [0.3, 0.2]]), 0.285).tolist() == [False, False]
    faint = similarities.copy()
    faint[:, :2] -= 0.2
    library = textual(features, faint, names, held_out, least_seen=0.25)
    assert library.names == tuple(names[2:6])
    assert (library.settings["not seen"], library.settings["not learned"]) == (2, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"similarities": np.zeros((5, 2))}, r"similarities, held_out: found shapes \(5, 2\) and \(3000,\) for 3000 pictures and 8 names"),
        ({"held_out": np.zeros(3000, bool)}, "held_out: found 0 of 3000 pictures"),
        ({"least_seen": 2.0}, "least_seen: found 2.0, above every one of 8 names"),
        ({"least_similarity": 1.0}, "least_similarity: found 1.0, above all 8 concepts"),
    ],
)
def test_bad_input_is_named(planted, change, message):
    features, similarities, names, held_out = planted
    arguments = {"features": features, "similarities": similarities, "names": names, "held_out": held_out, "least_seen": 0.0}
    with pytest.raises(ValueError, match=message):
        textual(**arguments | change)
