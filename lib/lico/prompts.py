"""Prompts for every class: learned context vectors around the class's name, through a frozen text encoder.

    [begin] X_1 ... X_12 <name> . [end]        (CoOp, Zhou et al., IJCV 2022; the class's name at the end, as in the paper's figure)

Only the positions that some class uses are run through the encoder, and, where attention looks back only, what all classes begin with once.
What comes out is a row for every token of the prompt, and one for the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from lib.keyed_random import generator, keys
from lib.lico.text_encoders import TextEncoder

END, MIDDLE, FRONT = "end", "middle", "front"
SPREAD = 0.02  # standard deviation of contexts at first
CONTEXTS = 12


@dataclass(frozen=True)
class TextFeatures:
    """What a text encoder says of classes: all of them, or those that were asked for.

    Args:
        tokens: (C, M, width), a row for each token of the class's prompt; shorter ones are filled up with what is said of padding.
        mask: (C, M) bool, which rows are tokens.
        summary: (C, width), of the whole prompt.

    Raises:
        ValueError: if shapes disagree or a class has no token.
        FloatingPointError: if a value is not finite.
    """

    tokens: torch.Tensor
    mask: torch.Tensor
    summary: torch.Tensor

    def __post_init__(self):
        shapes = tuple(self.tokens.shape), tuple(self.mask.shape), tuple(self.summary.shape)
        if self.tokens.ndim != 3 or shapes[1] != shapes[0][:2] or shapes[2] != (shapes[0][0], shapes[0][2]):
            found = ", ".join(map(str, shapes))
            raise ValueError(f"tokens, mask, summary: found shapes {found}; expected (C, M, width), (C, M), (C, width)")
        if not self.mask.any(1).all():
            raise ValueError(f"mask: found {int((~self.mask.any(1)).sum())} classes without a token; expected at least one of each")
        if not (self.tokens.isfinite().all() and self.summary.isfinite().all()):
            raise FloatingPointError("tokens, summary: found values that are not finite; expected none")

    def of(self, classes: torch.Tensor | None) -> "TextFeatures":
        """The features of these classes (n,), None: of all."""
        return self if classes is None else TextFeatures(self.tokens[classes], self.mask[classes], self.summary[classes])


class Prompts(nn.Module):
    """Prompts of all classes; calling it gives their `TextFeatures`.

    Args:
        encoder: frozen.
        class_names: in the order of the labels.
        contexts: learned vectors of a prompt.
        place: of the name: "end", "middle" (half of the contexts before it, half after) or "front".
        own_context: every class has contexts of its own; else all share them.
        stop: follows contexts and name; "" for encoders that do not know the sign.
        with_end: count the end token's output among the tokens.
        learnable: whether contexts are trained; what frozen ones give is computed once.
        seed: of the contexts at first, N(0, 0.02^2).

    Raises:
        ValueError: if names are missing, empty or repeated, two are the same tokens, a setting is unknown, or a prompt is too long for the
            encoder.
    """

    def __init__(
        self, encoder: TextEncoder, class_names: Sequence[str], *, contexts: int = CONTEXTS, place: str = END, own_context: bool = False,
        stop: str = ".", with_end: bool = False, learnable: bool = True, seed: int = 0,
    ):  # fmt: skip
        super().__init__()
        check_names(class_names)
        if contexts < 1:
            raise ValueError(f"contexts: found {contexts}; expected at least 1")
        if place not in (END, MIDDLE, FRONT):
            raise ValueError(f"place: found {place!r}; expected {END!r}, {MIDDLE!r} or {FRONT!r}")
        self.encoder, self.class_names, self.learnable = encoder, tuple(class_names), learnable
        self.layout = {"contexts": contexts, "place": place, "own_context": own_context, "with_end": with_end}
        layouts = [_layout(encoder, name, contexts, place, stop) for name in class_names]
        _check_tokens(encoder, class_names, layouts)
        longest = max(map(len, layouts))
        if longest > encoder.longest:
            name = class_names[max(range(len(layouts)), key=lambda one: len(layouts[one]))]
            raise ValueError(
                f"class_names: found {name!r}, with which a prompt of {contexts} contexts has {longest} tokens; {encoder.name} takes at "
                f"most {encoder.longest}"
            )
        padded = torch.tensor([slots + [0] * (longest - len(slots)) for slots in layouts])  # below 0: contexts
        lengths = torch.tensor([len(slots) for slots in layouts])
        alike = (padded == padded[0]).all(0)
        self._shared = 0 if own_context or alike.all() else int(alike.long().argmin())  # positions at the beginning
        there = torch.arange(longest) < lengths[:, None]
        begin, end = len(encoder.begin), len(encoder.end)
        rows = there & (torch.arange(longest) >= begin) & (torch.arange(longest) < (lengths - (0 if with_end else end))[:, None])
        spread = torch.randn((len(layouts) if own_context else 1, contexts, encoder.embedding_width), generator=_torch_generator(seed))
        self.contexts = nn.Parameter(SPREAD * spread.to(next(encoder.parameters())), requires_grad=learnable)
        device = self.contexts.device
        for name, value in (
            ("_slots", (-1 - padded).clamp_min(0)), ("_is_context", padded < 0), ("_there", there), ("_lengths", lengths),
            ("_words", encoder.embed(padded.clamp_min(0).to(device)).detach()),
        ):  # fmt: skip
            self.register_buffer(name, value.to(device), persistent=False)
        # Every class's rows first, then what follows its end, then begin and end tokens that do not count.
        most = int(rows.sum(1).max())
        order = torch.argsort(torch.where(rows, 0, torch.where(there, 2, 1)), dim=1, stable=True)[:, :most]
        self.register_buffer("_rows", order.to(device), persistent=False)
        self.register_buffer("_mask", torch.gather(rows, 1, order).to(device), persistent=False)
        self.register_buffer("_all", torch.arange(len(layouts), device=device), persistent=False)
        self._kept: tuple[tuple, TextFeatures] | None = None

    @classmethod
    def of(cls, encoder: TextEncoder, class_names: Sequence[str], reading, **settings) -> "Prompts":
        """Prompts laid out as a reading has it; settings as in the class."""
        layout = {name: getattr(reading, name) for name in ("contexts", "place", "own_context", "with_end")}
        return cls(encoder, class_names, **layout, **settings)

    @property
    def width(self) -> int:
        """Of the features."""
        return self.encoder.width

    @property
    def count(self) -> int:
        """Of classes."""
        return len(self.class_names)

    def order(self, seed: int, step: int) -> torch.Tensor:
        """A random order of the contexts that belongs to a step of training ("dynamic context"), shared by all classes."""
        return torch.from_numpy(generator(seed, 110, step).permutation(self.contexts.shape[1])).to(self.contexts.device)

    def forward(self, order: torch.Tensor | None = None, classes: torch.Tensor | None = None) -> TextFeatures:
        """Features of classes, with gradient to the contexts.

        Args:
            order: permutation of the contexts; their places stay, so that another order is another prompt. Frozen contexts keep theirs.
            classes: (n,) int64, each once, whose prompts alone are run through the encoder; None: all.
        """
        if self.learnable:
            return self._features(order, self._all if classes is None else classes)
        state = self.contexts.device, self.contexts.dtype, self.contexts._version
        if self._kept is None or self._kept[0] != state:
            with torch.no_grad():
                self._kept = state, self._features(None, self._all)
        return self._kept[1].of(classes)

    def rolled(self, shifts: Sequence[int], classes: torch.Tensor | None = None) -> torch.Tensor:
        """(n, len(shifts), width): summaries of the prompts with their contexts rolled by each shift, all in one go; classes as above."""
        classes = self._all if classes is None else classes
        places = torch.arange(self.contexts.shape[1], device=classes.device)
        turned = torch.cat([self._embeddings(places.roll(shift), classes) for shift in shifts])
        each = classes.repeat(len(shifts))
        return self._summary(self.encoder(turned, self._there[each]), each).unflatten(0, (len(shifts), len(classes))).movedim(0, 1)

    def _features(self, order, classes):
        outputs = self.encoder(self._embeddings(order, classes), self._there[classes], self._shared)
        tokens = outputs.gather(1, self._rows[classes][:, :, None].expand(-1, -1, outputs.shape[2]))
        return TextFeatures(tokens, self._mask[classes], self._summary(outputs, classes))

    def _embeddings(self, order, classes):
        contexts = self.contexts if order is None else self.contexts[:, order]
        contexts = contexts.index_select(0, classes) if len(contexts) > 1 else contexts.expand(len(classes), -1, -1)
        chosen = contexts.gather(1, self._slots[classes][:, :, None].expand(-1, -1, contexts.shape[2]))
        return torch.where(self._is_context[classes][:, :, None], chosen, self._words[classes])

    def _summary(self, outputs, classes):
        if self.encoder.summary == "end":
            return outputs[torch.arange(len(outputs), device=outputs.device), self._lengths[classes] - 1]
        there = self._there[classes]
        return (outputs * there[:, :, None]).sum(1) / there.sum(1, keepdim=True)


def check_names(class_names: Sequence[str], expected: Sequence[str] | None = None) -> None:
    """Refuse names that cannot stand for classes.

    Args:
        class_names: in the order of the labels.
        expected: names of the data set's classes, in their order; the two must agree.

    Raises:
        ValueError: if there are fewer than two, one is empty or repeated, or they are not the expected ones.
    """
    if len(class_names) < 2:
        raise ValueError(f"class_names: found {len(class_names)}; expected at least two classes")
    if empty := [position for position, name in enumerate(class_names) if not name.strip()]:
        raise ValueError(f"class_names: found an empty name at {empty[0]}; expected a name for each class")
    if len(set(class_names)) < len(class_names):
        twice = next(name for name in class_names if list(class_names).count(name) > 1)
        raise ValueError(f"class_names: found {twice!r} twice; expected each once")
    if expected is not None and list(class_names) != list(expected):
        if len(class_names) != len(expected):
            raise ValueError(f"class_names: found {len(class_names)} names for {len(expected)} classes; expected one each")
        place = next(i for i, (one, other) in enumerate(zip(class_names, expected, strict=True)) if one != other)
        raise ValueError(f"class_names: found {class_names[place]!r} at {place}; expected {expected[place]!r}, the data set's order")


def _layout(encoder, name, contexts, place, stop):
    """Slots of a prompt: token numbers, and -1 - k for context k."""
    learned, words = [-1 - k for k in range(contexts)], encoder.tokenize(name)
    if not words:
        raise ValueError(f"class_names: found {name!r}, which has no token for {encoder.name}; expected a name it knows")
    half = contexts // 2
    inner = {END: learned + words, MIDDLE: learned[:half] + words + learned[half:], FRONT: words + learned}[place]
    return [*encoder.begin, *inner, *(encoder.tokenize(stop) if stop else []), *encoder.end]


def _check_tokens(encoder, class_names, layouts):
    found = {}
    for name, slots in zip(class_names, layouts, strict=True):
        if (other := found.setdefault(tuple(slots), name)) != name:
            raise ValueError(f"class_names: found {other!r} and {name!r}, the same tokens for {encoder.name}; expected two classes apart")


def _torch_generator(seed):
    return torch.Generator().manual_seed(int(keys(seed, 111) >> 1))
