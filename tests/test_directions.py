"""Dictionaries against scikit-learn, planted atoms, and themselves on outputs of other shapes."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import NMF, PCA
from torch import nn

from lib.activations import activations, maps
from lib.datasets.pictures import in_memory
from lib.directions import non_negative_factors, places, principal_components, sparse_autoencoder
from lib.encoders.encoder import Encoder


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6)) + 0.5).astype(np.float32)


@pytest.fixture(scope="module")
def parts():
    """Non-negative rows of rank 3 with a little noise."""
    rng = np.random.default_rng(1)
    return (rng.exponential(size=(300, 3)) @ rng.exponential(size=(3, 8)) + 0.05 * rng.random((300, 8))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(rows):
    return [
        principal_components(rows, 3),
        non_negative_factors(rows, 3),
        sparse_autoencoder(rows, 2, presentations=4_000, batch_size=100),
    ]


# Places

def test_places_are_different_places_of_each_picture_whatever_the_batch():
    output = torch.arange(6 * 2 * 3 * 3).reshape(6, 2, 3, 3).float()
    found = places([output], per_picture=4, seed=1)
    assert found.shape == (24, 2)
    assert found.dtype == np.float32
    for picture, group in enumerate(found.reshape(6, 4, 2)):
        there = output[picture].reshape(2, 9).T.tolist()
        assert all(row in there for row in group.tolist())
        assert len({tuple(row) for row in group.tolist()}) == 4
    np.testing.assert_array_equal(places(output.split(1), per_picture=4, seed=1), found)
    np.testing.assert_array_equal(places(output.split([4, 2]), per_picture=4, seed=1), found)
    assert not np.array_equal(places([output], per_picture=4, seed=2), found)
    # Pictures do not all give the same places.
    assert len({tuple(group[:, 0] - 18 * picture) for picture, group in enumerate(found.reshape(6, 4, 2))}) > 1


def test_places_of_tokens_and_vectors():
    tokens = torch.arange(2 * 3 * 5).reshape(2, 3, 5).float()
    every = places([tokens], per_picture=9)
    np.testing.assert_array_equal(np.sort(every, axis=0), tokens.reshape(6, 5))
    np.testing.assert_array_equal(places([tokens[:, 0]]), tokens[:, 0])


# Fits

def test_principal_components_are_scikit_learns(rows):
    found, reference = principal_components(rows, 3), PCA().fit(rows)
    assert found.explained == pytest.approx(reference.explained_variance_ratio_[:3].sum(), rel=1e-5)
    np.testing.assert_allclose(found(torch.from_numpy(rows)).abs(), np.abs(reference.transform(rows)[:, :3]), atol=1e-4)
    assert (found.name, found.count, found.active) == ("PCA", 3, 3)
    assert principal_components(rows, 6).explained == pytest.approx(1, abs=1e-5)


def test_non_negative_codes_are_about_as_good_as_scikit_learns(parts):
    found = non_negative_factors(parts, 3)
    codes = found(torch.from_numpy(parts)).numpy()
    assert codes.min() >= 0
    assert found.explained > 0.99
    reference = NMF(3, init="nndsvda", random_state=0, max_iter=300, tol=1e-3).fit(parts)
    factors, exact = reference.components_, reference.transform(parts)
    spread = np.square(parts - parts.mean(0)).sum()
    lost, least = (np.square(parts - one @ factors).sum() / spread for one in (codes, exact))
    assert least <= lost + 1e-4
    assert lost - least < 0.005  # of the variance
    assert found.explained == pytest.approx(1 - lost, abs=1e-5)
    assert found.active == pytest.approx((codes > 1e-4 * codes.max()).sum(1).mean())


def test_non_negative_factors_see_rectified_activations(parts):
    signed = np.concatenate([parts, -parts])
    found = non_negative_factors(signed, 3)
    assert (found(torch.from_numpy(-parts)) == 0).all()
    assert found.explained > 0.99


@pytest.fixture(scope="module")
def planted():
    """Rows made of 2 of 32 atoms on average, and a sparse auto-encoder fitted on them."""
    rng = np.random.default_rng(2)
    atoms = rng.standard_normal((32, 32))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = (rng.random((8_000, 32)) < 1 / 16) * rng.uniform(1, 2, (8_000, 32))
    rows = (codes @ atoms).astype(np.float32)
    return rows, atoms, sparse_autoencoder(rows, 2, presentations=600_000, batch_size=512, sparsity=1.5)


def read_out(rows, codes):
    """The best linear reconstruction from the codes: directions (count, channels), and the share of the variance it explains."""
    design = np.c_[codes, np.ones(len(codes))]
    weights = np.linalg.lstsq(design, rows, rcond=None)[0]
    return weights[:-1], 1 - np.square(rows - design @ weights).sum() / np.square(rows - rows.mean(0)).sum()


def test_a_sparse_auto_encoder_recovers_planted_atoms(planted):
    rows, atoms, found = planted
    assert (found.name, found.count) == ("SAE x2", 64)
    codes = found(torch.from_numpy(rows)).numpy()
    used = codes[:, (codes > 0).mean(0) > 1e-3]
    directions, _ = read_out(rows, used)
    cosines = (atoms @ (directions / np.linalg.norm(directions, axis=1, keepdims=True)).T).max(1)
    assert (cosines > 0.9).mean() > 0.9, np.sort(cosines)


def test_what_is_said_of_a_sparse_auto_encoder_is_measured_on_its_codes(planted):
    rows, _, found = planted
    codes = found(torch.from_numpy(rows)).numpy()
    assert found.active == pytest.approx((codes > 0).sum(1).mean(), rel=1e-5)
    assert found.active < 8
    # The decoder explains most of the variance, and no more than the best linear read-out of the codes does.
    assert 0.85 < found.explained <= read_out(rows, codes)[1] + 1e-6


def test_more_sparsity_leaves_fewer_directions_active(rows):
    dense, sparse = (sparse_autoencoder(rows, 2, sparsity=weight, presentations=20_000, batch_size=100) for weight in (0.01, 1.0))
    assert sparse.active < dense.active
    assert sparse.explained < dense.explained


def test_a_seed_fixes_a_sparse_auto_encoder_and_the_callers_random_state_is_kept(rows):
    x, state, threads = torch.from_numpy(rows), torch.random.get_rng_state(), torch.get_num_threads()
    first, again, other = (sparse_autoencoder(rows, 1, presentations=1_000, batch_size=100, seed=seed)(x) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


# Codes

def test_outputs_of_every_shape_give_the_same_codes(fitted):
    output = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    tokens = output.flatten(2).transpose(1, 2)
    for one in fitted:
        codes = one(output)
        assert codes.shape == (2, one.count, 3, 4)
        torch.testing.assert_close(one(tokens), codes.flatten(2).transpose(1, 2))
        torch.testing.assert_close(one(tokens[0]), codes[0].flatten(1).T)
        torch.testing.assert_close(one(output[:, :, 1, 2]), codes[:, :, 1, 2])


def test_in_one_pass_they_give_what_encoding_the_maps_by_hand_gives(fitted):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(216, 2)).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    pictures = in_memory("noise", pixels, np.zeros(12), ("noise",), {})
    encoder = Encoder("test:tiny", network, lambda x: torch.as_tensor(x).movedim(-1, 1).float() / 64 - 2, network, None, {})
    found = activations(encoder, pictures, [], transforms={one.name: ("0", one) for one in fitted}, batch_size=5)
    raw = torch.cat(list(maps(encoder, pictures, "0"))).movedim(1, -1)
    for one in fitted:
        by_hand = one.encode(raw.reshape(-1, 6)).reshape(12, 36, -1).mean(1)
        np.testing.assert_allclose(found[one.name], by_hand, atol=1e-5)


@pytest.mark.parametrize("fit", [principal_components, non_negative_factors, sparse_autoencoder])
def test_bad_rows_are_named(fit, rows):
    with pytest.raises(ValueError, match=r"rows: found shape \(6,\)"):
        fit(rows[0], 1)
    broken = rows.copy()
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"expected .* finite"):
        fit(broken, 1)


@pytest.mark.parametrize("fit", [principal_components, non_negative_factors])
@pytest.mark.parametrize("count", [0, 7])
def test_an_impossible_number_of_directions_is_named(fit, rows, count):
    with pytest.raises(ValueError, match=f"count: found {count} directions; expected 1 to 6"):
        fit(rows, count)


def test_an_impossible_expansion_is_named(rows):
    with pytest.raises(ValueError, match="expansion: found 0"):
        sparse_autoencoder(rows, 0)
