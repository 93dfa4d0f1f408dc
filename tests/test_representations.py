"""Representations by name."""

from functools import partial

import numpy as np
import pytest
import torch

from lib import activations, datasets, encoders, representations, store
from lib.datasets.pictures import in_memory
from lib.encoders import local
from lib.encoders.encoder import Encoder
from lib.encoders.published import NETWORKS
from lib.encoders.weight_noise import add_weight_noise


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of its own: what an earlier run kept would hide broken code."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(store, "fetch", partial(store.fetch, folder=folder))
        yield folder


@pytest.fixture(scope="module")
def pictures():
    return datasets.load("scenes", count=60)


def test_pixels_are_averages_of_blocks(pictures):
    found = representations.features("pixels", pictures)
    assert found.shape == (60, 16 * 16 * 3)
    expected = pictures.read(np.arange(60)).reshape(60, 16, 4, 16, 4, 3).mean((2, 4)).reshape(60, -1) / 255
    np.testing.assert_allclose(found, expected, atol=1 / 255 + 1e-6)  # rows and columns are averaged in turn, to whole levels


def test_noise_has_nothing_to_do_with_the_pictures(pictures):
    found = representations.features("noise", pictures)
    np.testing.assert_array_equal(found[:20], representations.features("noise,seed=0", pictures.take(np.arange(40, 60))))
    assert not np.isclose(found, representations.features("noise,seed=1", pictures)).any()
    assert found.std() == pytest.approx(1, abs=0.05)


def test_an_encoder_gives_its_embedding_and_a_layer_its_means(pictures):
    name = "local:random,width=8"
    encoder = encoders.load(name)
    np.testing.assert_allclose(representations.features(name, pictures), activations.embeddings(encoder, pictures), atol=1e-6)
    layer = "trunk.stage2.0.conv1"
    expected = activations.activations(encoder, pictures, [layer])[layer]
    np.testing.assert_allclose(representations.features(f"{name}@{layer}", pictures), expected, atol=1e-6)
    assert representations.features("descriptor:hog_colour", pictures).shape[0] == 60


@pytest.mark.parametrize(("name", "message"), [
    ("pixel", "expected scheme:base"), ("local:randon", "randon"), ("local:random,width=8@trunk.stage9", "nearest: trunk.stage"),
])  # fmt: skip
def test_unknown_names_are_refused(name, message, pictures):
    with pytest.raises(ValueError, match=message):
        representations.features(name, pictures)


def small(count, side, seed=0):
    """Pictures of random pixels whose spread falls from place to place, so that every component has a size of its own."""
    pixels = np.random.default_rng(seed).standard_normal((count, side * side * 3)) * np.geomspace(40, 2, side * side * 3) + 128
    pixels = pixels.clip(0, 255).astype(np.uint8).reshape(count, side, side, 3)
    return in_memory("toy", pixels, np.zeros(count, int), ("any",), {"toy": seed})


def test_principal_components_are_those_of_the_whole_picture():
    pictures = small(700, 4)  # more than a batch
    pixels = pictures.read(np.arange(700)).reshape(700, -1) / 255
    left, sizes, _ = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    found = representations.features("pca:5", pictures)
    assert found.shape == (700, 5)
    assert found.dtype == np.float32
    signs = np.sign((found * left[:, :5]).sum(0))
    np.testing.assert_allclose(found * signs, left[:, :5] * sizes[:5], atol=1e-3 * sizes[4] / np.sqrt(700))


@pytest.mark.parametrize(("name", "message"), [
    ("pca:many", "^pca:many: found 'many' components; expected a whole number, e.g. pca:64$"),
    ("pca:", "^pca:: found '' components; expected a whole number"),
    ("pca:-3", "^pca:-3: found '-3' components"),
    ("pca:0", "^components: found 0; expected 1 to 12$"),
    ("pca:13", "^components: found 13; expected 1 to 12$"),
])  # fmt: skip
def test_bad_numbers_of_components_are_named(name, message):
    with pytest.raises(ValueError, match=message):
        representations.features(name, small(20, 2))


def test_noise_on_the_weights_makes_another_representation(pictures):
    name, layer = "local:random,width=8", "trunk.stage2.0.conv1"
    clean = representations.features(name, pictures)
    noisy = representations.features(f"{name}+noise=0.5", pictures)
    expected = activations.embeddings(add_weight_noise(encoders.load(name), 0.5), pictures)
    np.testing.assert_allclose(noisy, expected, atol=1e-6)
    assert np.abs(noisy - clean).max() > 0.1 * clean.std()
    assert np.abs(noisy - representations.features(f"{name}+noise=0.25", pictures)).max() > 0.1 * clean.std()
    np.testing.assert_array_equal(representations.features(name, pictures), clean)  # what was made with noise is kept elsewhere
    np.testing.assert_array_equal(representations.features(f"{name}+noise=0", pictures), clean)
    of_layer = activations.activations(add_weight_noise(encoders.load(name), 0.5), pictures, [layer])[layer]
    np.testing.assert_allclose(representations.features(f"{name}+noise=0.5@{layer}", pictures), of_layer, atol=1e-6)


@pytest.mark.parametrize("level", ["nan", "inf", "-1"])
def test_bad_levels_of_noise_are_named(level, pictures):
    with pytest.raises(ValueError, match=rf"^level: found {float(level)}; expected a number from 0$"):
        representations.features(f"local:random,width=8+noise={level}", pictures)


@pytest.mark.parametrize(("name", "expected"), [
    ("local:simclr,seed=1", ("local:simclr,seed=1", 0.0, "")),
    ("local:simclr,seed=1@trunk.stage2", ("local:simclr,seed=1", 0.0, "trunk.stage2")),
    ("local:simclr,seed=1+noise=0.5", ("local:simclr,seed=1", 0.5, "")),
    ("published:resnet20+noise=1e-2@layer1.0", ("published:resnet20", 0.01, "layer1.0")),
    ("file:my+weights.pt+timm:resnet18+noise=2", ("file:my+weights.pt+timm:resnet18", 2.0, "")),
    ("pca:64", ("pca:64", 0.0, "")),
])  # fmt: skip
def test_a_name_has_three_parts(name, expected):
    assert representations.parts(name) == expected


@pytest.mark.parametrize(("name", "level"), [("a:b+noise=", ""), ("a:b+noise=much@layer", "much"), ("a:b+noise=1+noise=2", "1+noise=2")])
def test_levels_that_are_no_numbers_are_named(name, level):
    with pytest.raises(ValueError) as error:
        representations.parts(name)
    assert str(error.value) == f"{name}: found the level of noise {level!r}; expected a number, e.g. a:b+noise=0.5"


@pytest.mark.parametrize(("name", "expected"), [
    ("local:simclr,seed=12", "local:simclr"),
    ("local:simclr,width=8,seed=0,checkpoint=3+noise=0.5@trunk.stage2", "local:simclr,width=8,checkpoint=3+noise=0.5@trunk.stage2"),
    ("local:simclr,picture_seed=7", "local:simclr,picture_seed=7"),
    ("published:resnet20@layer1", "published:resnet20@layer1"),
    ("pixels", "pixels"),
])  # fmt: skip
def test_a_family_is_the_name_without_its_seed(name, expected):
    assert representations.family(name) == expected


@pytest.mark.parametrize(("name", "expected"), [
    ("local:simclr,seed=3,width=8", "local:simclr,width=8"),
    ("local:simclr,seed=3,width=8+noise=0.5@trunk.stage2", "local:simclr,width=8"),
    ("published:resnet20", "published:resnet"),
    ("published:resnet56+noise=0.5@layer1", "published:resnet"),
    ("published:convMed_pgd", "published:convMed"),
    ("timm:resnet18", "timm:resnet18"),
    ("pixels", "pixels"),
    ("pca:64", "pca:64"),
    ("descriptor:hog_colour", "descriptor:hog_colour"),
])  # fmt: skip
def test_a_lineage_is_what_is_not_independent(name, expected):
    assert representations.lineage(name) == expected


def test_the_lineage_of_an_unknown_published_network_is_refused():
    with pytest.raises(ValueError, match=f"published: found 'resnet21'; expected one of {', '.join(NETWORKS)}"):
        representations.lineage("published:resnet21@layer1")


def test_native_clusters_are_the_classes_that_a_head_predicts(monkeypatch):
    pictures = small(600, 2)  # more than two batches
    head = torch.nn.Linear(3, 7)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]))
        head.bias.zero_()

    def classify(batch):
        assert not torch.is_grad_enabled()
        return head(batch)

    encoder = Encoder("a:b", head, lambda batch: torch.as_tensor(batch)[:, 0, 0].float(), embed=head, classify=classify, identity={})
    asked = []
    monkeypatch.setattr(encoders, "load", lambda name, *, device: asked.append((name, device)) or encoder)
    found = representations.native_clusters("a:b", pictures, device="meta")
    assert asked == [("a:b", "meta")]
    # class 1, 3 or 5, whichever channel of the first pixel is the brightest; the classes that are never predicted leave no gap
    np.testing.assert_array_equal(found.labels, pictures.read(np.arange(600))[:, 0, 0].argmax(1))
    assert (found.count, found.requested, found.settings) == (3, 3, {"preset": "given"})


def test_an_encoder_without_a_head_brings_no_clusters(pictures):
    assert representations.native_clusters("local:random,width=8", pictures) is None


def test_names_of_representations():
    names = representations.with_seeds(
        ["noise", "local:simclr", "local:supervised,width=8@trunk.a", "local:simclr+noise=0.5", "published:resnet20"], [0, 1]
    )
    assert names == [
        "noise,seed=0", "noise,seed=1", "local:simclr,seed=0", "local:simclr,seed=1", "local:supervised,width=8,seed=0@trunk.a",
        "local:supervised,width=8,seed=1@trunk.a", "local:simclr,seed=0+noise=0.5", "local:simclr,seed=1+noise=0.5", "published:resnet20",
    ]  # fmt: skip
    assert representations.short(names)[1::3] == ["noise", "supervised,width=8 a", "simclr+noise=0.5"]
    assert representations.short(["pca:64", "descriptor:hog_colour"]) == ["pca:64", "hog_colour"]


def test_checkpoints_are_named_and_described():
    found = representations.checkpoints(["local:simclr,width=8"], [0, 1])
    steps = local.recipe_named("local:simclr,width=8").checkpoint_steps
    assert len(found) == 2 * len(steps)
    assert list(found)[len(steps) + 1] == "local:simclr,width=8,seed=1,checkpoint=1"
    assert found["local:simclr,width=8,seed=1,checkpoint=1"] == {
        "encoder": "local:simclr,width=8", "seed": 1, "checkpoint": 1, "presentations": steps[1] * local.BATCH_SIZE,
    }  # fmt: skip
    assert {representations.lineage(name) for name in found} == {"local:simclr,width=8"}
