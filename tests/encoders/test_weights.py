"""Weights: only tensors are read, only what fits is loaded, and the hash is that of the content."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lib.encoders.weights import load_strictly, read_weights, weights_sha256


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


class Payload:
    def __reduce__(self):
        return print, ("code of a stranger ran",)


@pytest.mark.parametrize("wrap", [
    lambda weights: weights,
    lambda weights: {"state_dict": weights, "best_prec1": 91.8},
    lambda weights: {"model": weights},
    lambda weights: {"state_dict": {f"module.{key}": value for key, value in weights.items()}, "epoch": 3},
])
def test_usual_wrappings_are_removed(tmp_path, wrap):
    weights = network().state_dict()
    torch.save(wrap(weights), tmp_path / "w.pt")
    read = read_weights(tmp_path / "w.pt")
    assert list(read) == list(weights)
    other = network(1).eval()
    load_strictly(other, read, "w.pt")
    assert torch.equal(other[0].weight, weights["0.weight"])


def test_a_prefix_of_some_keys_only_is_part_of_their_names(tmp_path):
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "w.pt")
    assert list(read_weights(tmp_path / "w.pt")) == ["module.a", "b"]


def test_safetensors(tmp_path):
    save_file(network().state_dict(), tmp_path / "w.safetensors")
    assert torch.equal(read_weights(tmp_path / "w.safetensors")["3.bias"], network()[3].bias)


def test_no_code_runs(tmp_path, capsys):
    torch.save({"weight": torch.zeros(1), "payload": Payload()}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt cannot be read as tensors only"):
        read_weights(tmp_path / "w.pt")
    assert "stranger" not in capsys.readouterr().out


def test_other_contents_are_named(tmp_path):
    path = tmp_path / "w.pt"
    with pytest.raises(FileNotFoundError, match=r"found no file .*w\.pt"):
        read_weights(path)
    path.write_bytes(b"not a file of weights")
    with pytest.raises(ValueError, match=r"w\.pt cannot be read"):
        read_weights(path)
    (tmp_path / "w.safetensors").write_bytes(b"not a file of weights")
    with pytest.raises(ValueError, match=r"w\.safetensors cannot be read"):
        read_weights(tmp_path / "w.safetensors")
    for content, found in (([1, 2], "list"), ({"epoch": 3}, "a dict with epoch"), ({}, "a dict with"), (torch.zeros(2), "Tensor")):
        torch.save(content, path)
        with pytest.raises(ValueError, match=f"found {found}.*expected a dict of named tensors"):
            read_weights(path)


def test_keys_and_shapes_that_do_not_fit_are_listed_and_nothing_is_loaded():
    module = network()
    before = weights_sha256(module)
    weights = network(1).state_dict()
    del weights["0.bias"]
    weights["4.weight"] = torch.zeros(3)
    weights["3.weight"] = torch.zeros(5, 4)
    listed = r"1 missing: 0\.bias; 1 unexpected: 4\.weight; 1 of another shape: 3\.weight \(5, 4\) instead of \(2, 4\)"
    with pytest.raises(ValueError, match=listed):
        load_strictly(module, weights, "w.pt")
    assert weights_sha256(module) == before


def test_the_hash_is_that_of_names_and_values():
    module, weights = network(), network().state_dict()
    assert weights_sha256(module) == weights_sha256(network())
    assert weights_sha256(module) != weights_sha256(network(1))
    load_strictly(module, {key: value for key, value in weights.items() if "num_batches" not in key}, "without counters")
    module[1].num_batches_tracked += 7                                       # does not change what the network computes
    assert weights_sha256(module) == weights_sha256(network())
    module[1].running_mean += 1e-6                                           # does
    assert weights_sha256(module) != weights_sha256(network())
