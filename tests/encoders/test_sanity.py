"""The look at an encoder's output: accuracy against closed form, and every way to be something else than declared."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lib.datasets.pictures import in_memory
from lib.encoders.encoder import Encoder
from lib.encoders.sanity import check

RIGHT = 15


def pictures(count=20, classes=4, dataset=""):
    """The first pixel of a picture is its class, except for the last ones, where the label is another."""
    classes_shown = np.arange(count) % classes
    labels = np.where(np.arange(count) < RIGHT, classes_shown, (classes_shown + 1) % classes)
    pixels = np.broadcast_to(classes_shown[:, None, None, None].astype(np.uint8), (count, 4, 4, 3))
    return in_memory("flat", pixels, labels, tuple("abcd"[:classes]), {"dataset": dataset})


def reader(**changes):
    """An encoder that reads the class off the first pixel, one-hot."""
    def embed(batch):
        return nn.functional.one_hot(batch[:, 0, 0, 0].long(), 4).float()

    def preprocess(batch):
        return torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float()

    encoder = Encoder("planted:reader", nn.Identity().eval(), preprocess, embed, embed, {})
    return replace(encoder, **changes)


def test_accuracy_and_wilson_interval_in_closed_form():
    result = check(reader(), pictures(), 0.8, size=7)
    share, z, n = 0.75, 1.959963984540054, 20
    centre, half = (share + z * z / (2 * n)) / (1 + z * z / n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert result.accuracy == share
    assert result.interval == pytest.approx((centre - half, centre + half), abs=1e-9)
    assert (result.count, result.dimension, result.encoder, result.pictures) == (20, 4, "planted:reader", "flat")
    assert result.agrees is True
    assert check(reader(), pictures(), 0.95).agrees is False
    assert check(reader(), pictures()).agrees is None


@pytest.mark.parametrize(("encoder", "shown"), [
    (reader(classify=None), pictures()),
    (reader(), replace(pictures(), labels=None)),
    (reader(), pictures(classes=3)),
    (reader(circular_labels="cifar10"), pictures(dataset="imagenet")),
])
def test_no_accuracy_without_a_head_or_its_labels(encoder, shown):
    result = check(encoder, shown, 0.5)
    assert result.accuracy is result.interval is result.agrees is None
    assert result.dimension == 4


def test_labels_of_the_same_data_set_count():
    assert check(reader(circular_labels="cifar10"), pictures(dataset="cifar10")).accuracy == 0.75
    assert check(reader(circular_labels="cifar10"), pictures()).accuracy == 0.75


def embed_spoiled(change):
    return reader(embed=lambda batch: change(reader().embed(batch)), classify=None)


def mixed_over_the_batch(embedding):
    return embedding - embedding.mean(0)


calls = iter(range(10**9))


@pytest.mark.parametrize(("encoder", "message"), [
    (embed_spoiled(lambda e: e[:, :, None, None]), r"embed: 8 pictures: found .* of shape \(8, 4, 1, 1\); expected .*\(8, columns\)"),
    (embed_spoiled(lambda e: e.squeeze(0)), r"embed: one picture: found torch.float32 of shape \(4,\); expected .*\(1, columns\)"),
    (embed_spoiled(lambda e: e.T), "embed: .*expected a float tensor"),
    (embed_spoiled(lambda e: e.long()), "embed: 8 pictures: found torch.int64"),
    (embed_spoiled(lambda e: e.numpy()), "embed: 8 pictures: found ndarray"),
    (embed_spoiled(lambda e: e / 0), "embed: 8 pictures: found 32 values that are not finite"),
    (embed_spoiled(mixed_over_the_batch), "embed: found a difference of 1.* for the same pictures one by one"),
    (embed_spoiled(lambda e: e + next(calls)), "embed: found a difference of .* in a second pass; expected at most 1e-05"),
    (embed_spoiled(lambda e: torch.cat([e] * len(e), 1)), "embed: found 4 columns for the same pictures one by one; expected 32"),
    (reader(classify=lambda batch: batch[:, 0, 0, 0]), r"classify: 8 pictures: found torch.float32 of shape \(8,\)"),
    (reader(preprocess=lambda batch: torch.zeros(len(batch), 1, 4, 4)), r"preprocess: found .* of shape \(8, 1, 4, 4\); .*\(8, 3, h"),
    (reader(preprocess=lambda batch: torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)), "preprocess: found torch.uint8"),
    (reader(module=nn.Sequential(nn.ReLU()).train()), "found 2 layers in training mode"),
])
def test_what_is_not_as_declared_is_named(encoder, message):
    with pytest.raises(ValueError, match=f"planted:reader: {message}"):
        check(encoder, pictures())


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="expected: found 94; expected a share"):
        check(reader(), pictures(), 94)
    with pytest.raises(ValueError, match="pictures: flat: found none"):
        check(reader(), pictures().take([]))


def test_nothing_is_left_behind():
    layer = nn.Linear(3, 4).eval()
    encoder = reader(module=layer, embed=lambda batch: layer(batch.mean((2, 3))), classify=lambda batch: layer(batch.mean((2, 3))))
    check(encoder, pictures())
    assert layer.weight.grad is None
    assert layer.weight.requires_grad
    assert torch.is_grad_enabled()
