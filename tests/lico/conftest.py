"""A text encoder for tests: the small CLIP with random weights and the words of ten classes."""

import pytest
import torch

from lib.encoders.small_clip import CutTokenizer, small_clip
from lib.lico.text_encoders import ContrastiveText

NAMES = ("red star", "red ring", "a blue star", "blue ring")


@pytest.fixture(scope="session")
def encoder() -> ContrastiveText:
    """Frozen, with random weights large enough that outputs differ clearly."""
    tokenizer = CutTokenizer([*NAMES, "."])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = small_clip(len(tokenizer), width=8, dims=32)
    return ContrastiveText(clip.eval(), tokenizer, "small")
