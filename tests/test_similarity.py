"""Similarities behind one interface: normalisation, the concept oracle in closed form, caching, circularity, bad input."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import encoders, perceptual
from lib.datasets.pictures import Pictures, in_memory
from lib.encoders.encoder import Encoder
from lib.similarity import concept_rows, embeddings, is_circular, normalised, pairwise


def noise(count=12, side=16, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return in_memory("noise", pixels, np.zeros(count), ("any",), {"dataset": "noise", "count": count, "side": side, "seed": seed})


def described(concepts: dict) -> Pictures:
    table = pd.DataFrame(concepts).astype(bool)
    return dataclasses.replace(noise(len(table)), concepts=table)


def one_hot_factors(values: np.ndarray) -> Pictures:
    """Pictures with one value per factor; values is (pictures, factors)."""
    return described({f"factor{f}: {v}": values[:, f] == v for f in range(values.shape[1]) for v in range(values[:, f].max() + 1)})


def tiny_encoder(name="file:tiny", *, labels="", seed=0, calls=None):
    weights = torch.randn(48, 5, generator=torch.Generator().manual_seed(seed))

    def embed(batch):
        if calls is not None:
            calls.append(len(batch))
        return batch.reshape(len(batch), -1)[:, :48] @ weights

    def preprocess(pictures):
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255

    return Encoder(name, torch.nn.Identity(), preprocess, embed, None, {"encoder": "tiny", "seed": seed}, labels)


@pytest.fixture
def registered(monkeypatch):
    """Names that lib.encoders.load knows in this test."""
    known = {}
    monkeypatch.setattr(encoders, "load", lambda name, device="cpu": known[name])
    return known


# Normalisation

@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-1e2, 1e2))
@settings(max_examples=30, deadline=None)
def test_dot_products_are_pearson_correlations(seed, scale, shift):
    raw = np.random.default_rng(seed).standard_normal((6, 40))
    rows = normalised(scale * (raw + shift), "raw")
    assert rows.dtype == np.float32
    # Centring float32 values around `shift` loses |shift| * 2^-24 of the unit spread.
    np.testing.assert_allclose(rows @ rows.T, np.corrcoef(raw), atol=1e-5 + 4 * abs(shift) * 2**-24)


@pytest.mark.parametrize("value", [0.0, 3.7, -1e6])
def test_constant_rows_are_refused(value):
    rows = np.random.default_rng(0).standard_normal((3, 1000)).astype(np.float32)
    rows[1] = value
    with pytest.raises(ValueError, match=r"raw: found 1 of 3 embeddings constant or not finite \(the first: picture 1\)"):
        normalised(rows, "raw")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(value):
    rows = np.random.default_rng(0).standard_normal((3, 10))
    rows[2, 4] = value
    with pytest.raises(ValueError, match=r"raw: found 1 of 3 .* picture 2"):
        normalised(rows, "raw")


def test_a_large_common_offset_is_not_mistaken_for_a_constant_row():
    rows = 100 + np.random.default_rng(0).standard_normal((3, 50))
    np.testing.assert_allclose(np.linalg.norm(normalised(rows, "raw"), axis=1), 1, rtol=1e-5)


# The concept oracle

@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_oracle_counts_shared_factor_values(seed):
    rng = np.random.default_rng(seed)
    values = np.stack([rng.permutation(np.arange(12) % size) for size in (2, 3, 5)], axis=1)    # 10 values in all, each of them present
    shared = (values[:, None] == values[None]).sum(2)
    pictures = one_hot_factors(values)
    rows = concept_rows(pictures)
    np.testing.assert_allclose(rows @ rows.T, shared, atol=1e-6)
    # Centring subtracts 3 * 3 / 10 from the dot product of every pair, and from the squared length 3.
    z = embeddings("oracle:concepts", pictures)
    np.testing.assert_allclose(z @ z.T, (shared - 0.9) / (3 - 0.9), atol=1e-6)


def test_a_factor_with_many_values_present_weighs_as_much_as_the_others():
    pictures = described({"tag: a": [1, 1], "tag: b": [1, 0], "tag: c": [1, 0], "tag: d": [1, 0], "shape: x": [1, 0], "shape: y": [0, 1]})
    rows = concept_rows(pictures)
    np.testing.assert_allclose((rows**2).sum(1), 2, rtol=1e-6)
    assert rows[0] @ rows[1] == pytest.approx(0.5)      # the cosine of (1, 1, 1, 1) and (1, 0, 0, 0), and no shared shape


def test_absence_is_a_value_of_its_own():
    rows = concept_rows(described({"striped": [1, 0, 0], "shape: x": [1, 1, 0], "shape: y": [0, 0, 1]}))
    np.testing.assert_allclose(rows @ rows.T, [[2, 1, 0], [1, 2, 1], [0, 1, 2]], atol=1e-6)


def test_oracle_needs_concepts_that_vary():
    with pytest.raises(ValueError, match="pictures: noise: found no concepts"):
        embeddings("oracle:concepts", noise())
    with pytest.raises(ValueError, match="oracle:concepts of noise: found 2 of 2 embeddings constant"):
        embeddings("oracle:concepts", described({"shape: x": [1, 1], "colour: red": [1, 1]}))


# Encoders and descriptors

def test_encoder_rows_are_its_normalised_embeddings_in_order(registered, tmp_path):
    encoder = registered["file:tiny"] = tiny_encoder()
    pictures = noise()
    expected = normalised(encoder.embed(encoder.preprocess(pictures.read(np.arange(12)))).numpy(), "expected")
    for batch_size in (1, 5, 12, 100):
        got = embeddings("file:tiny", pictures, batch_size=batch_size, cache=None)
        np.testing.assert_allclose(got, expected, atol=1e-6)
    assert not list(tmp_path.iterdir())


def test_cache_is_keyed_by_pictures_and_encoder(registered, tmp_path):
    calls = []
    registered["file:tiny"] = registered["file:alias"] = tiny_encoder(calls=calls)
    registered["file:other"] = tiny_encoder(seed=1, calls=calls)
    first = embeddings("file:tiny", noise(), cache=tmp_path)
    assert calls == [12]
    np.testing.assert_array_equal(embeddings("file:alias", noise(), batch_size=5, cache=tmp_path), first)
    assert calls == [12]
    assert not np.allclose(embeddings("file:other", noise(), cache=tmp_path), first)
    embeddings("file:tiny", noise(seed=1), cache=tmp_path)
    embeddings("file:tiny", noise().take(np.arange(7)), cache=tmp_path)
    assert calls == [12, 12, 12, 7]


def test_descriptor_needs_no_network(tmp_path):
    z = embeddings("descriptor:hog_colour", noise(), cache=tmp_path)
    np.testing.assert_allclose((z**2).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(z.mean(1), 0, atol=1e-6)


def test_gradients_are_off_while_embedding(registered):
    seen, parameter = [], torch.nn.Parameter(torch.randn(768, 4, generator=torch.Generator().manual_seed(0)))

    def embed(batch):
        seen.append((batch.reshape(len(batch), -1) @ parameter).requires_grad)
        return batch.reshape(len(batch), -1) @ parameter

    registered["file:tiny"] = dataclasses.replace(tiny_encoder(), embed=embed)
    embeddings("file:tiny", noise(), cache=None)
    assert seen == [False]


def test_dreamsim_goes_through_its_loader(monkeypatch, tmp_path):
    raw = np.random.default_rng(0).standard_normal((12, 30)).astype(np.float32)
    monkeypatch.setattr(perceptual, "dreamsim_identity", lambda: {"encoder": "dreamsim"})
    monkeypatch.setattr(perceptual, "load_dreamsim", lambda *, device: lambda batch: raw[: len(batch)])
    np.testing.assert_array_equal(embeddings("dreamsim", noise(), cache=tmp_path), normalised(raw, "raw"))


# Pairs

def test_pairs_of_embeddings_are_their_dot_products():
    pictures = one_hot_factors(np.array([[0, 0], [0, 1], [1, 1]]))
    z = embeddings("oracle:concepts", pictures)
    first, second = np.array([0, 0, 1, 2]), np.array([0, 1, 2, 0])
    np.testing.assert_allclose(pairwise("oracle:concepts", pictures)(first, second), (z @ z.T)[first, second], rtol=1e-6)


def test_distances_become_similarities_whatever_the_batch(monkeypatch):
    def of_means(first, second):
        return np.abs(first.mean((1, 2, 3)) - second.mean((1, 2, 3)))

    monkeypatch.setattr(perceptual, "load_distance", lambda name, *, device: of_means)
    pictures = noise()
    means = pictures.read(np.arange(12)).mean((1, 2, 3))
    first, second = np.arange(12), np.arange(12)[::-1]
    for batch_size in (1, 5, 64):
        got = pairwise("lpips", pictures, batch_size=batch_size)(first, second)
        np.testing.assert_allclose(got, -np.abs(means[first] - means[second]))
    assert pairwise("dists", pictures)(np.array([], int), np.array([], int)).shape == (0,)


@pytest.mark.parametrize(("first", "second", "message"), [
    ([0, 1], [0], "expected two equally long vectors of indices"),
    ([0.0], [1.0], "expected two equally long vectors of indices"),
    ([0], [3], "found indices from 0 to 3; expected 0 to 2"),
    ([-1], [0], "found indices from -1 to 0; expected 0 to 2"),
])
def test_bad_pairs_are_named(first, second, message):
    compare = pairwise("oracle:concepts", one_hot_factors(np.array([[0, 0], [0, 1], [1, 1]])))
    with pytest.raises(ValueError, match=message):
        compare(first, second)


# Circularity

def test_circular_means_same_labels_or_same_network(registered):
    registered["file:labels"] = tiny_encoder(labels="cifar10", seed=1)
    registered["file:free"] = tiny_encoder(seed=2)
    supervised, free = tiny_encoder(labels="cifar10", seed=3), tiny_encoder(seed=4)
    imagenet = tiny_encoder(labels="imagenet", seed=5)
    assert is_circular("file:labels", supervised)
    assert not is_circular("file:labels", imagenet)
    assert not is_circular("file:free", free)                   # neither saw labels: two empty names are not the same labels
    assert is_circular("file:free", registered["file:free"])    # a network that judges itself
    assert is_circular("lpips", imagenet)
    assert not is_circular("dists", supervised)
    for name in ("descriptor:hog_colour", "oracle:concepts", "dreamsim"):
        assert not is_circular(name, imagenet)


# Bad input

@pytest.mark.parametrize(("name", "options", "message"), [
    ("lpips", {}, "compares pairs and has no embeddings"),
    ("descriptor:sift", {}, "name: found 'descriptor:sift'; expected 'descriptor:hog_colour'"),
    ("oracle:labels", {}, "name: found 'oracle:labels'"),
    ("resnet20", {}, "found 'resnet20'; expected scheme:base"),
    ("descriptor:hog_colour", {"batch_size": 0}, "batch_size: found 0; expected at least 1"),
])
def test_bad_input_is_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        embeddings(name, noise(), cache=None, **options)


def test_no_pictures_and_wrong_shapes_are_named(registered):
    with pytest.raises(ValueError, match="pictures: noise: found none"):
        embeddings("descriptor:hog_colour", noise(0), cache=None)
    registered["file:tiny"] = dataclasses.replace(tiny_encoder(), embed=lambda batch: batch)
    with pytest.raises(ValueError, match=r"file:tiny: found embeddings of shape \(12, 3, 16, 16\); expected \(12, dims\)"):
        embeddings("file:tiny", noise(), cache=None)
