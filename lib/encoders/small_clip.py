"""A CLIP small enough to train on scenes and captions in a minute.

It is open_clip's model and tokenizer, with the vocabulary cut to the words that captions use.
"""

from collections.abc import Sequence

import open_clip
import torch
from torch import nn

CONTEXT_LENGTH = 24


class CutTokenizer:
    """open_clip's byte-pair tokenizer, whose 49,408 tokens are renumbered to those that occur in given sentences.

    The end token keeps the highest number, because the text encoder finds it by its number. A word with a token that never occurred is
    refused by name.
    """

    def __init__(self, sentences: Sequence[str], context_length: int = CONTEXT_LENGTH):
        self._full = open_clip.SimpleTokenizer(context_length=context_length)
        words = sorted({word for sentence in sentences for word in sentence.split()})
        used = sorted({token for word in words for token in self._full.encode(word)})
        self.context_length = context_length
        self.vocabulary = [0, *(token for token in used if token != 0), self._full.sot_token_id, self._full.eot_token_id]
        self._number = {token: number for number, token in enumerate(self.vocabulary)}

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __call__(self, sentences: Sequence[str]) -> torch.Tensor:
        """Sentences -> (n, context_length) int64, padded with 0.

        Raises:
            ValueError: if a word needs a token outside the vocabulary, or a sentence is too long.
        """
        rows = torch.zeros(len(sentences), self.context_length, dtype=torch.int64)
        for row, sentence in zip(rows, sentences, strict=True):
            tokens = self._full.encode(sentence)
            if not self._number.keys() >= set(tokens):
                unknown = [word for word in sentence.split() if not self._number.keys() >= set(self._full.encode(word))]
                raise ValueError(f"sentences: found {', '.join(unknown)} in {sentence!r}; expected words that occur in the captions")
            if len(tokens) + 2 > self.context_length:
                raise ValueError(f"sentences: found {len(tokens)} tokens in {sentence!r}; expected at most {self.context_length - 2}")
            numbers = [self._number[token] for token in (self._full.sot_token_id, *tokens, self._full.eot_token_id)]
            row[: len(numbers)] = torch.tensor(numbers)
        return rows


def small_clip(vocabulary: int, *, side: int = 64, width: int = 16, dims: int = 64, context_length: int = CONTEXT_LENGTH) -> nn.Module:
    """An untrained CLIP of open_clip's class: its modified residual network with one block a stage, and a text transformer of two layers.

    Args:
        vocabulary: number of tokens.
        side: pixels a side of the pictures, a multiple of 32.
        width: channels of the first stage of the picture network.
        dims: of the shared embedding.
        context_length: longest sentence in tokens, start and end included.
    """
    return open_clip.model.CLIP(
        embed_dim=dims,
        vision_cfg=open_clip.model.CLIPVisionCfg(layers=(1, 1, 1, 1), width=width, image_size=side, head_width=64),
        text_cfg=open_clip.model.CLIPTextCfg(context_length=context_length, vocab_size=vocabulary, width=dims, heads=4, layers=2),
    )
