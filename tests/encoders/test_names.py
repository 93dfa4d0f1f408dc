"""Names of encoders: how they are parsed, and what is refused."""

import pytest

from lib import encoders


@pytest.mark.parametrize(("name", "parsed"), [
    ("local:simclr,seed=1,width=32", ("local", "simclr", {"seed": 1, "width": 32})),
    ("timm:resnet50.a1_in1k", ("timm", "resnet50.a1_in1k", {})),
    ("file:some/a b.pt+timm:resnet18,classes=10", ("file", "some/a b.pt+timm:resnet18", {"classes": 10})),
    ("local:x,rate=1e-3,share=.5,whole=2.,minus=-3,word=a1,version=1.2.3,dash=a-b",
     ("local", "x", {"rate": 1e-3, "share": 0.5, "whole": 2.0, "minus": -3, "word": "a1", "version": "1.2.3", "dash": "a-b"})),
])
def test_names_are_parsed(name, parsed):
    assert encoders.parse(name) == parsed
    assert [type(value) for value in encoders.parse(name)[2].values()] == [type(value) for value in parsed[2].values()]


@pytest.mark.parametrize(("name", "message"), [
    ("resnet18", "found 'resnet18'; expected scheme:base"),
    (":resnet18", "expected scheme:base"),
    ("timm:", "expected scheme:base"),
    ("timm:,seed=1", "expected scheme:base"),
    ("timm:resnet18,seed", "found the option 'seed'; expected option=value"),
    ("timm:resnet18,seed=", "found the option 'seed='"),
    ("timm:resnet18,=1", "found the option '=1'"),
    ("timm:resnet18,seed=1,seed=2", "found the option seed twice"),
    ("tim:resnet18", "found the scheme 'tim' in 'tim:resnet18'; expected one of local, published, timm"),
    ("published:resnet21", "published: found 'resnet21'; expected one of resnet20"),
    ("published:resnet20,seed=1", "found the options seed; expected none"),
])
def test_bad_names_are_named(name, message):
    with pytest.raises(ValueError, match=message):
        encoders.load(name)
