"""Networks of open_clip with pretrained weights, by name or from a folder."""

from collections.abc import Callable
from pathlib import Path

import open_clip
from torch import nn


def open_clip_network(wanted: str, device: str = "cpu") -> tuple[nn.Module, Callable, Callable]:
    """The network, frozen, what prepares a picture for it, and its tokenizer.

    Args:
        wanted: MODEL/TAG, downloaded when first used, or a folder with open_clip_config.json and open_clip_model.safetensors.
        device: where it runs.

    Raises:
        ValueError: if there is no such model and tag.
        FileNotFoundError: if the weights are neither on this machine nor in reach.
    """
    if Path(wanted).is_dir():
        model, tag = f"local-dir:{wanted}", None
    else:
        model, _, tag = wanted.partition("/")
        if (model, tag) not in open_clip.list_pretrained():
            raise ValueError(f"source: found open_clip:{wanted}; expected a folder, or MODEL/TAG, e.g. open_clip:ViT-B-16/openai")
    try:
        network, preprocess = open_clip.create_model_from_pretrained(model, pretrained=tag, device=device)
    except (OSError, RuntimeError) as error:  # what hubs raise without a network
        help_ = "name a folder with open_clip_config.json and open_clip_model.safetensors, or set HF_HOME to one that holds the download"
        raise FileNotFoundError(f"open_clip:{wanted}: cannot be loaded ({error})\nWhat helps: {help_}") from error
    return network.eval().requires_grad_(False), preprocess, open_clip.get_tokenizer(model)
