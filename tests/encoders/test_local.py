"""Locally trained encoders: names, what they are made of, and that a name always means the same weights."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch

from lib import datasets, encoders, store
from lib.activations import embeddings
from lib.encoders import local, networks
from lib.encoders.recipe import PRESENTATIONS, Recipe, build, nuisance_labels, recipe_of

SMALL = "width=4,pictures=256,presentations=256"
METHODS = ("supervised", "nuisance", "rotation", "simclr", "autoencoder", "clip")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of its own, empty at first, for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(store, "fetch", partial(store.fetch, folder=folder))
        yield folder


@pytest.fixture(scope="module")
def scenes():
    return datasets.load("scenes", count=12, seed=0)


def load(method, options=SMALL, **settings):
    return encoders.load(f"local:{method},{options}", **settings)


def pictures_of(**options):
    return local.training_pictures(Recipe("supervised", **options))


# Names

def test_a_name_gives_the_recipe_with_defaults_of_its_network():
    recipe = local.recipe_named("local:simclr,seed=1,width=32,checkpoint=3,shortcut=0.5")
    assert recipe == Recipe("simclr", seed=1, width=32, shortcut=0.5)
    assert (Recipe("simclr").width, Recipe("simclr", network="vit").width) == (16, 96)
    assert Recipe("simclr").presentations == PRESENTATIONS["simclr"] > 0 == Recipe("random").presentations
    assert (Recipe("simclr").side, Recipe("simclr", data="cifar10").side) == (64, 32)
    assert (Recipe("simclr", network="vit").learning_rate, Recipe("clip").learning_rate) == (1e-3, 2e-3)
    assert Recipe("simclr", presentations=127).checkpoint_steps == Recipe("random").checkpoint_steps == [0]
    assert Recipe("simclr", presentations=12_800).checkpoint_steps[-1] == 100


@pytest.mark.parametrize(("name", "message"), [
    ("local:suprvised", "method: found 'suprvised'; expected one of random, supervised, nuisance, rotation, simclr, autoencoder, clip"),
    ("local:simclr,data=imagenet", "data: found 'imagenet'; expected one of scenes, cifar10"),
    ("local:clip,data=cifar10", "data: found 'cifar10'; expected one of scenes"),
    ("local:nuisance,data=cifar10", "data: found 'cifar10'; expected one of scenes"),
    ("local:simclr,network=mlp", "network: found 'mlp'; expected one of resnet, vit"),
    ("local:autoencoder,network=vit", "network: found 'vit'; expected one of resnet"),
    ("local:simclr,depth=3", "found the option 'depth'; expected one of seed, width, network, data, .*, checkpoint"),
    ("local:simclr,seed=one", "seed: found 'one'; expected int"),
    ("local:simclr,width=1.5", r"width: found 1.5; expected int"),
    ("local:simclr,shortcut=much", "shortcut: found 'much'; expected float"),
    ("local:simclr,shortcut=0.5,data=cifar10", "shortcut: found 0.5 with data=cifar10; expected 0, only scenes have one"),
    ("local:simclr,seed=-1", "seed: found -1; expected at least 0"),
    ("local:simclr,pictures=100", "pictures: found 100; expected at least 128"),
    ("local:simclr,presentations=-2", "presentations: found -2; expected at least -1"),
    ("local:simclr,network=vit,width=40", "width: found 40; expected a multiple of 32"),
    ("local:clip,width=5", "width: found 5; expected a multiple of 2"),
    ("local:random,presentations=1000", "presentations: found 1000; expected 0"),
    ("local:simclr,checkpoint=10", "checkpoint: found 10; expected 0 to 9"),
    ("local:simclr,checkpoint=last", "checkpoint: found 'last'; expected 0 to 9"),
    ("local:random,checkpoint=1", "checkpoint: found 1; expected 0 to 0"),
])
def test_errors_name_the_option_and_the_choices(name, message, monkeypatch):
    monkeypatch.setattr(local, "trained", lambda _: pytest.fail("training began"))
    with pytest.raises(ValueError, match=message):
        encoders.load(name)


def test_a_whole_number_will_do_for_a_share():
    assert recipe_of("simclr", {"shortcut": 1}, "local:simclr,shortcut=1").shortcut == 1


# Untrained networks

def test_untrained_weights_depend_on_seed_and_shape_alone():
    pictures = pictures_of(pictures=128)
    states = {method: build(Recipe(method, width=4), pictures).state_dict() for method in ("random", "supervised", "simclr", "rotation")}
    state = torch.random.get_rng_state()
    for one in states.values():
        for key, value in states["random"].items():
            if key.startswith("trunk."):
                assert torch.equal(one[key], value)
    other = build(Recipe("random", width=4, seed=1), pictures).state_dict()
    assert not torch.equal(other["trunk.stem.0.weight"], states["random"]["trunk.stem.0.weight"])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(("network", "width", "side", "dims"), [("resnet", 4, 32, 16), ("resnet", 4, 64, 16), ("vit", 32, 64, 32)])
def test_trunks_have_the_stated_embedding(network, width, side, dims):
    trunk = networks.trunk(network, width, side).eval()
    x = torch.randn(2, 3, side, side)
    assert trunk.dims == dims
    assert trunk.features(x).shape == trunk(x).shape == (2, dims)
    if network == "resnet":
        assert trunk.maps(x).shape == (2, dims, 4, 4)
        torch.testing.assert_close(trunk.features(x), trunk.maps(x).mean((2, 3)))


@pytest.mark.parametrize("side", [32, 64])
def test_a_decoder_draws_pictures_of_the_side(side):
    assert networks.Decoder(5, side)(torch.zeros(2, 5)).shape == (2, 3, side, side)


def test_networks_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match="network: found 'mlp'"):
        networks.trunk("mlp", 4, 64)
    with pytest.raises(ValueError, match="side: found 48"):
        networks.trunk("resnet", 4, 48)


def test_pictures_are_normalised_to_plus_minus_two():
    found = networks.normalised(np.array([[[[0, 127, 255]]]], np.uint8))
    assert found.shape == (1, 3, 1, 1)
    assert found.flatten().tolist() == pytest.approx([-2, -0.5 / 63.75, 2])


def test_the_nuisance_is_the_background(scenes):
    names = [name.removeprefix("background: ") for name in scenes.concepts if name.startswith("background: ")]
    for row, label in enumerate(nuisance_labels(scenes)):
        assert scenes.concepts.loc[row, f"background: {names[label]}"]


# Trained ones

@pytest.mark.parametrize("method", ["random", *METHODS])
def test_every_method_gives_a_working_encoder(cache, scenes, method):
    encoder = load(method, "width=4,pictures=256" + ("" if method == "random" else ",presentations=256"))
    x = encoder.preprocess(scenes.read(np.arange(12)))
    assert x.shape == (12, 3, 64, 64)
    with torch.no_grad():
        first = encoder.embed(x)
        assert first.shape == (12, 64 if method in ("autoencoder", "clip") else 16)
        torch.testing.assert_close(encoder.embed(x[:1]), first[:1], rtol=0, atol=1e-5)
        if method in ("supervised", "nuisance"):
            assert encoder.classify(x).shape == (12, 20 if method == "supervised" else 6)
        else:
            assert encoder.classify is None
        encoder.module(x)
    assert not any(layer.training for layer in encoder.module.modules())
    assert not any(value.requires_grad for value in encoder.module.parameters())
    assert encoder.circular_labels == ("scenes" if method == "supervised" else "")
    assert len({tuple(row) for row in embeddings(encoder, scenes).round(4)}) == 12
    assert encoder.identity["method"] == method


@pytest.mark.parametrize("method", METHODS)
def test_a_name_gives_the_same_weights_trained_anew_and_from_the_cache(cache, monkeypatch, tmp_path, method):
    first = load(method).identity
    with monkeypatch.context() as patch:
        patch.setattr(local.training, "train", lambda *_, **__: pytest.fail("trained although it is in the cache"))
        assert load(method).identity == first
    if method in ("supervised", "clip"):
        monkeypatch.setattr(store, "fetch", partial(store.fetch, folder=tmp_path))
        assert load(method).identity == first
    assert load(method, f"{SMALL},seed=1").identity != first


def test_checkpoints_begin_untrained_and_end_trained(cache, scenes):
    steps = Recipe("supervised", width=4, pictures=256, presentations=256).checkpoint_steps
    assert steps == [0, 1, 2]
    found = [embeddings(load("supervised", f"{SMALL},checkpoint={number}"), scenes) for number in range(3)]
    np.testing.assert_array_equal(found[0], embeddings(load("random", "width=4,pictures=256"), scenes))
    np.testing.assert_array_equal(found[2], embeddings(load("supervised"), scenes))
    assert not np.allclose(found[0], found[1])
    assert not np.allclose(found[1], found[2])
    identities = [load("supervised", f"{SMALL},checkpoint={number}").identity["weights"] for number in range(3)]
    assert len(set(identities)) == 3


def test_what_a_recipe_is_trained_on_changes_its_weights(cache):
    base = load("supervised").identity
    for change in ("shortcut=0.9", "picture_seed=7"):
        assert load("supervised", f"{SMALL},{change}").identity != base
    assert pictures_of(pictures=200).count == 200
    assert pictures_of(pictures=128, picture_seed=7).identity != pictures_of(pictures=128).identity


def test_a_vision_transformer_learns_too(cache, scenes):
    options = "network=vit,width=32,pictures=128,presentations=128"
    found = [embeddings(load("rotation", f"{options},checkpoint={number}"), scenes) for number in (0, 1)]
    assert found[0].shape == (12, 32)
    assert not np.allclose(*found)


def test_parts_beyond_the_embedding_are_those_of_the_encoder(cache, scenes):
    x = networks.normalised(scenes.read(np.arange(4)))
    for method in ("autoencoder", "clip"):
        objective, encoder = local.objective_of(f"local:{method},{SMALL}"), load(method)
        with torch.no_grad():
            torch.testing.assert_close(objective.embed(x), encoder.embed(x))
        assert not objective.training
    assert objective.clip.encode_text(objective.tokens[:2]).shape == (2, 64)


def test_pictures_of_another_size_are_refused(cache):
    encoder = load("random", "width=4,pictures=256")
    with pytest.raises(ValueError, match=r"found shapes \[\(32, 32, 3\)\]; expected \(64, 64, 3\)"):
        encoder.preprocess(np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="the size it was trained on"):
        encoder.preprocess([np.zeros((64, 64, 3), np.uint8), np.zeros((64, 60, 3), np.uint8)])


def test_a_damaged_cache_entry_is_trained_again(cache):
    first = load("rotation").identity
    for payload in (cache / "encoders" / "rotation").glob("*.safetensors"):
        payload.write_bytes(b"damaged")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load("rotation").identity == first
    assert any("damaged" in str(one.message) for one in caught)
