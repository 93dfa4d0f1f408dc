"""Encoders by name: `local:simclr,seed=1`, `published:resnet20`, `timm:resnet50.a1_in1k`, `file:path.pt+timm:resnet18` and so on."""

import re

from lib.encoders.encoder import Encoder

__all__ = ["Encoder", "load", "parse"]

SCHEMES = ("local", "published", "timm", "torchvision", "file")


def load(name: str, *, device: str = "cpu") -> Encoder:
    """Load an encoder, in eval mode and on the device.

    Args:
        name: `scheme:base[,option=value]*`, where the scheme is
            `local`, a network that this project trains itself (lib/encoders/local.py);
            `published`, weights that others published (lib/encoders/published.py);
            `timm` and `torchvision`, with `pretrained=0` for random weights (lib/encoders/hubs.py);
            `file`, the reader's own weights, `file:PATH+timm:MODEL`.
        device: "cpu", "cuda", ...

    Raises:
        ValueError: if the name or an option is not known, or weights do not fit.
        FileNotFoundError: if weights are neither on this machine nor in reach; the message says what helps.
    """
    scheme, base, options = parse(name)
    # Imported here, so that one kind of encoder does not need the libraries of the others.
    if scheme == "local":
        from lib.encoders.local import load_local as loader
    elif scheme == "published":
        from lib.encoders.published import load_published as loader
    elif scheme == "timm":
        from lib.encoders.hubs import load_timm as loader
    elif scheme == "torchvision":
        from lib.encoders.hubs import load_torchvision as loader
    elif scheme == "file":
        from lib.encoders.hubs import load_file as loader
    else:
        raise ValueError(f"encoder: found the scheme {scheme!r} in {name!r}; expected one of {', '.join(SCHEMES)}")
    return loader(name, base, options, device)


def parse(name: str) -> tuple[str, str, dict[str, int | float | str]]:
    """Split `scheme:base[,option=value]*`; values that look like numbers become numbers.

    >>> parse("local:simclr,seed=1,width=32")
    ('local', 'simclr', {'seed': 1, 'width': 32})

    Raises:
        ValueError: if a part is missing or an option is given twice.
    """
    scheme, colon, rest = name.partition(":")
    base, *given = rest.split(",")
    if not (scheme and colon and base):
        raise ValueError(f"encoder: found {name!r}; expected scheme:base[,option=value]*, e.g. published:resnet20")
    options = {}
    for option in given:
        key, equals, value = option.partition("=")
        if not (key and equals and value):
            raise ValueError(f"encoder: {name!r}: found the option {option!r}; expected option=value")
        if key in options:
            raise ValueError(f"encoder: {name!r}: found the option {key} twice; expected it once")
        options[key] = _value(value)
    return scheme, base, options


def _value(text: str) -> int | float | str:
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.\d*|\.?\d+)(e[+-]?\d+)?", text, re.IGNORECASE):
        return float(text)
    return text
