"""Exported classifiers load where nothing of this project is."""

import pytest
import torch
import torchvision

from lib.encoders.wide_networks import wide_resnet
from lib.lico.backbones import Backbone, backbone
from lib.lico.export import export, restore


def test_a_file_gives_the_same_logits_in_torchvisions_own_network(tmp_path):
    one = Backbone("resnet18", torchvision.models.resnet18(num_classes=3).eval(), "layer4", 32)
    path = export(one, tmp_path / "plain.safetensors")
    other = restore(torchvision.models.resnet18(num_classes=3), path)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(one.module(x), other(x))
    assert not other.training
    assert not any(weight.requires_grad for weight in other.parameters())


def test_another_architecture_is_refused_and_stays_as_it_was(tmp_path):
    path = export(backbone("small", 3), tmp_path / "plain.safetensors")
    other = wide_resnet(10, 1, 3)
    before = other.linear.weight.clone()
    with pytest.raises(ValueError, match="expected the same architecture"):
        restore(other, path)
    with pytest.raises(ValueError, match=r"found linear\.\w+ where"):
        restore(backbone("small", 4).module, path)
    assert torch.equal(before, other.linear.weight)


def test_bad_exports_are_named_and_leave_nothing(tmp_path):
    one = backbone("small", 3)
    with pytest.raises(ValueError, match=r"path: found plain\.pt"):
        export(one, tmp_path / "plain.pt")
    with torch.no_grad():
        one.module.linear.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"found values in linear\.weight"):
        export(one, tmp_path / "plain.safetensors")
    assert not list(tmp_path.iterdir())
