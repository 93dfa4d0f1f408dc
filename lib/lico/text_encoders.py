"""Text encoders whose input can be vectors instead of words, as learned prompts need, frozen."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from inspect import signature

import torch
from torch import nn

from lib.encoders.weights import weights_sha256

ROWS_IN_ONE = 64  # of texts that begin alike: what attention costs grows with the square


class TextEncoder(nn.Module, ABC):
    """A frozen text encoder, split where learned vectors enter.

    Attributes:
        name: for tables.
        embedding_width: of a token's embedding, what goes in.
        width: of what comes out.
        longest: tokens of a text at most, with begin and end.
        begin, end: numbers of the tokens around every text.
        summary: which output stands for the whole text: "end", its last token's, or "mean", that of all its tokens.
    """

    name: str
    embedding_width: int
    width: int
    longest: int
    begin: tuple[int, ...]
    end: tuple[int, ...]
    summary: str

    @abstractmethod
    def tokenize(self, text: str) -> list[int]:
        """Numbers of the tokens of a text, without begin and end.

        Raises:
            ValueError: if it is too long.
        """

    @abstractmethod
    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """(...) token numbers -> (..., embedding_width), without their places."""

    @abstractmethod
    def forward(self, embeddings: torch.Tensor, mask: torch.Tensor, shared: int = 0) -> torch.Tensor:
        """What comes out at every token, (n, L, width).

        Args:
            embeddings: (n, L, embedding_width); L may be below `longest`.
            mask: (n, L) bool, what is not padding.
            shared: so many positions at the beginning are the same in all rows, which can make it cheaper and changes nothing else.
        """

    def train(self, mode: bool = True) -> "TextEncoder":
        """Always in eval mode: it is frozen."""
        return super().train(False)

    @property
    def identity(self) -> dict[str, str]:
        """What determines its outputs: its layers with their activations, its weights, and its name."""
        layers = hashlib.sha256(repr(self).encode()).hexdigest()
        return {"text encoder": self.name, "layers": layers, "weights": weights_sha256(self)}


class ContrastiveText(TextEncoder):
    """The text side of a CLIP of open_clip, whose attention looks back only: padding behind a text changes nothing, so it is cut.

    Args:
        clip: with `token_embedding`, `positional_embedding`, `transformer`, `ln_final` and `text_projection`, itself or in `text`.
        tokenizer: texts -> (n, length) numbers, the end token having the highest.
        name: for tables.

    Raises:
        ValueError: if its attention is not causal.
    """

    summary = "end"

    def __init__(self, clip: nn.Module, tokenizer: Callable[[Sequence[str]], torch.Tensor], name: str):
        super().__init__()
        tower = getattr(clip, "text", clip)
        if getattr(tower, "attn_mask", None) is None:
            raise ValueError(f"{name}: found a text encoder without a causal mask; expected a CLIP's, or hugging_face:NAME")
        self.name, self._tokenizer = name, tokenizer
        self.token_embedding, self.transformer, self.ln_final = tower.token_embedding, tower.transformer, tower.ln_final
        self.positional_embedding, self.text_projection = tower.positional_embedding, tower.text_projection
        self.register_buffer("attn_mask", tower.attn_mask, persistent=False)
        self.longest, self.embedding_width = self.positional_embedding.shape
        empty = self._row("")
        self.begin, self.end = (int(empty[0]),), (int(empty[1]),)
        projection = self.text_projection
        self.width = (
            self.embedding_width if projection is None
            else projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]
        )  # fmt: skip
        self.eval().requires_grad_(False)

    def _row(self, text):
        row = self._tokenizer([text])[0]
        return row[: int(row.argmax()) + 1]

    def tokenize(self, text):
        found = self._row(text)[1:-1].tolist()
        if len(found) > self.longest - 3:  # longer ones are cut silently
            raise ValueError(f"text: found {len(found)} tokens or more in {text!r:.60}; expected at most {self.longest - 3}")
        return found

    def embed(self, tokens):
        return self.token_embedding(tokens)

    def forward(self, embeddings, mask, shared=0):
        length = embeddings.shape[1]
        x = embeddings + self.positional_embedding[:length]
        if shared and len(x) > 1:
            return torch.cat([self._in_one_row(some, shared) for some in x.split(ROWS_IN_ONE)])
        return self._through(x, self.attn_mask[:length, :length])

    def _in_one_row(self, x, shared):
        """Rows that begin alike, one after the other in one row whose beginning is there once: attention looks back only."""
        count, length, _ = x.shape
        own = torch.arange(count, device=x.device).repeat_interleave(length - shared)
        place = torch.arange(length, device=x.device)
        row = torch.cat([torch.full((shared,), -1, device=x.device), own])  # -1: of all rows
        place = torch.cat([place[:shared], place[shared:].repeat(count)])
        seen = ((row[:, None] == row) | (row == -1)) & (place <= place[:, None])
        bias = torch.zeros(seen.shape, dtype=x.dtype, device=x.device).masked_fill(~seen, -torch.inf)
        found = self._through(torch.cat([x[0, :shared], x[:, shared:].flatten(0, 1)])[None], bias)[0]
        return torch.cat([found[:shared].expand(count, -1, -1), found[shared:].unflatten(0, (count, length - shared))], 1)

    def _through(self, x, bias):
        x = self.ln_final(self.transformer(x, attn_mask=bias))
        if self.text_projection is None:
            return x
        return self.text_projection(x) if isinstance(self.text_projection, nn.Linear) else x @ self.text_projection


class HuggingFaceText(TextEncoder):
    """A text encoder of transformers, by `inputs_embeds`: BERT and its kind, and sentence encoders.

    Args:
        model: whose output has `last_hidden_state`.
        tokenizer: of the same.
        name: for tables.

    Raises:
        ValueError: if the model decodes too, or takes words only, as CLIP's does.
    """

    summary = "mean"

    def __init__(self, model: nn.Module, tokenizer, name: str):
        super().__init__()
        if getattr(model.config, "is_encoder_decoder", False) or "inputs_embeds" not in signature(model.forward).parameters:
            raise ValueError(f"{name}: found {type(model).__name__}; expected a text encoder that takes vectors (for a CLIP, open_clip:)")
        self.name, self.model, self._tokenizer = name, model, tokenizer
        table = model.get_input_embeddings()
        self.embedding_width, self.width = table.embedding_dim, model.config.hidden_size
        self.longest = min(int(tokenizer.model_max_length), getattr(model.config, "max_position_embeddings", 512))
        around, opening = tokenizer("")["input_ids"], (tokenizer.bos_token_id, tokenizer.cls_token_id)
        first = int(bool(around) and around[0] in opening)
        self.begin, self.end = tuple(around[:first]), tuple(around[first:])
        self.eval().requires_grad_(False)

    def tokenize(self, text):
        found = self._tokenizer.encode(text, add_special_tokens=False)
        if len(found) > self.longest - len(self.begin) - len(self.end):
            most = self.longest - len(self.begin) - len(self.end)
            raise ValueError(f"text: found {len(found)} tokens in {text!r:.60}; expected at most {most}")
        return found

    def embed(self, tokens):
        return self.model.get_input_embeddings()(tokens)

    def forward(self, embeddings, mask, shared=0):  # attention looks both ways: what follows a beginning changes it
        return self.model(inputs_embeds=embeddings, attention_mask=mask.long()).last_hidden_state
