"""Planted embeddings have the stated cosines; planted units are what their names say."""

import numpy as np
import pytest

from lib.planted import clustered_embeddings, units


def cosines(**settings):
    """Mean cosine of two pictures of one concept and of two concepts, without a picture's cosine to itself."""
    embeddings, concept = clustered_embeddings(**settings)
    product = embeddings @ embeddings.T
    same = concept[:, None] == concept
    return product[same & ~np.eye(len(concept), dtype=bool)].mean(), product[~same].mean()


@pytest.mark.parametrize(("within", "between"), [(0.51, 0.09), (0.9, 0.3), (0.4, 0.4), (0.2, 0.0)])
def test_cosines_are_as_stated(within, between):
    # Cross terms of random directions have a standard deviation of at most 1 / sqrt(dims) = 0.022 each; means over 20 concepts are closer.
    found = cosines(within=within, between=between, concepts=20, pictures_each=20, dims=2000)
    assert found == pytest.approx((within, between), abs=0.015)


def test_embeddings_are_unit_rows_sorted_by_concept_and_fixed_by_the_seed():
    embeddings, concept = clustered_embeddings(concepts=3, pictures_each=4, dims=8, seed=5)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1)
    assert concept.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(embeddings, clustered_embeddings(concepts=3, pictures_each=4, dims=8, seed=5)[0])
    assert not np.allclose(embeddings, clustered_embeddings(concepts=3, pictures_each=4, dims=8, seed=6)[0])


def test_limits_have_closed_form():
    # within = 1: pictures of a concept coincide; within = between = 1: all pictures do.
    embeddings, _ = clustered_embeddings(within=1, between=0.2, concepts=3, pictures_each=4)
    np.testing.assert_allclose(embeddings[0], embeddings[3])
    assert not np.allclose(embeddings[0], embeddings[4])
    embeddings, _ = clustered_embeddings(within=1, between=1, concepts=3, pictures_each=4)
    np.testing.assert_allclose(embeddings, np.broadcast_to(embeddings[0], embeddings.shape))


@pytest.mark.parametrize(("within", "between"), [(0.1, 0.2), (1.1, 0.2), (0.5, -0.1), (float("nan"), 0.1)])
def test_impossible_cosines_are_refused(within, between):
    with pytest.raises(ValueError, match="within, between: found"):
        clustered_embeddings(within=within, between=between)


def test_units_are_what_their_kind_says():
    embeddings, concept = clustered_embeddings(concepts=30, pictures_each=20, dims=16)
    activations, table = units(embeddings, concept, repeats=3)
    assert activations.shape == (600, len(table)) == (600, 33)
    assert table["kind"].value_counts().eq(3).all()
    assert table["expected"].between(0.49, 1).all()

    def of(kind, repeat):
        return activations[:, table.index[table["kind"] == kind][repeat]]

    noise = 6e-3  # six standard deviations
    for repeat in range(3):
        np.testing.assert_allclose(of("indicator of one concept", repeat), concept == repeat, atol=noise)
        opponent = (concept == repeat) * 1.0 - (concept == repeat + 1)
        np.testing.assert_allclose(of("opponent: one concept against another", repeat), opponent, atol=noise)
        np.testing.assert_allclose(of("any of 4 concepts", repeat), np.isin(concept, range(repeat, repeat + 4)), atol=noise)
        inside = concept == repeat
        noisy = of("indicator with noise, signal 4", repeat)
        assert noisy[inside].mean() - noisy[~inside].mean() == pytest.approx(4, abs=5 / np.sqrt(inside.sum()))
        assert noisy[~inside].std() == pytest.approx(1, abs=0.2)
        direction = of("direction of the similarity itself", repeat)
        residual = direction - embeddings @ np.linalg.lstsq(embeddings, direction, rcond=None)[0]
        np.testing.assert_allclose(residual, 0, atol=1e-9)
    assert not np.allclose(of("random", 0), of("random", 1))
    again, _ = units(embeddings, concept, repeats=3)
    np.testing.assert_array_equal(activations, again)
