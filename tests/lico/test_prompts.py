"""Prompts: what is fed to the encoder, which rows come out, and what is learned."""

import numpy as np
import pytest
import torch

from lib.encoders.small_clip import CutTokenizer, small_clip
from lib.lico import text_encoders, text_sources
from lib.lico.prompts import FRONT, MIDDLE, Prompts, TextFeatures, check_names
from lib.lico.text_encoders import ContrastiveText
from tests.lico.conftest import NAMES


def test_words_alone_give_what_the_whole_clip_gives(encoder):
    tokenizer = CutTokenizer([*NAMES, "."])
    clip = small_clip(len(tokenizer), width=8, dims=32).eval()
    ours = ContrastiveText(clip, tokenizer, "small")
    # Outputs of a layer norm are of order 1 and go through a product of 32: some roundings of 1e-7 add up.
    for text in NAMES:
        tokens = torch.tensor([[*ours.begin, *ours.tokenize(text), *ours.end]])
        outputs = ours(ours.embed(tokens), torch.ones(tokens.shape, dtype=torch.bool))
        with torch.no_grad():
            expected = clip.encode_text(tokenizer([text]))[0]
        np.testing.assert_allclose(outputs[0, -1].detach(), expected, atol=5e-6)


def test_rows_are_contexts_name_and_stop_and_shorter_prompts_are_padded(encoder):
    features = Prompts(encoder, NAMES, contexts=3)()
    assert tuple(features.tokens.shape) == (4, 3 + 3 + 1, 32)
    assert features.mask.sum(1).tolist() == [6, 6, 7, 6]
    with_end = Prompts(encoder, NAMES, contexts=3, with_end=True)()
    assert with_end.mask.sum(1).tolist() == [7, 7, 8, 7]
    # The end token's row is the summary, and stands behind the others whatever their number.
    for row, length in zip(range(4), (7, 7, 8, 7), strict=True):
        np.testing.assert_array_equal(with_end.tokens[row, length - 1].detach(), features.summary[row].detach())
    np.testing.assert_array_equal(with_end.tokens[:, :6].detach(), features.tokens[:, :6].detach())


def test_what_fills_up_a_short_prompt_is_what_the_encoder_says_behind_its_end(encoder):
    prompts = Prompts(encoder, NAMES, contexts=3)
    words = [*encoder.tokenize("red star"), *encoder.tokenize("."), *encoder.end, 0]  # one token shorter than the longest
    parts = [torch.tensor(encoder.begin), torch.tensor(words)]
    sequence = torch.cat([encoder.embed(parts[0]), prompts.contexts[0], encoder.embed(parts[1])])[None]
    outputs = encoder(sequence, torch.ones(sequence.shape[:2], dtype=torch.bool))[0]
    np.testing.assert_allclose(prompts().tokens[0, -1].detach(), outputs[-1].detach(), atol=5e-6)


def test_a_prompt_is_the_sequence_it_stands_for(encoder):
    prompts = Prompts(encoder, NAMES, contexts=4, seed=3)
    for place, layout in (("end", "XXXXns"), ("middle", "XXnXXs"), ("front", "nXXXXs")):
        other = Prompts(encoder, NAMES, contexts=4, place=place, seed=3)
        words = {"n": encoder.tokenize("red star"), "s": encoder.tokenize(".")}
        contexts = iter(prompts.contexts[0])
        parts = [encoder.embed(torch.tensor(encoder.begin))]
        parts += [next(contexts)[None] if one == "X" else encoder.embed(torch.tensor(words[one])) for one in layout]
        parts.append(encoder.embed(torch.tensor(encoder.end)))
        sequence = torch.cat(parts)[None]
        outputs = encoder(sequence, torch.ones(sequence.shape[:2], dtype=torch.bool))[0]
        features = other()
        np.testing.assert_allclose(features.tokens[0, : len(outputs) - 2].detach(), outputs[1:-1].detach(), atol=5e-6)
        np.testing.assert_allclose(features.summary[0].detach(), outputs[-1].detach(), atol=5e-6)


def test_contexts_get_a_gradient_and_the_encoder_does_not(encoder):
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    prompts = Prompts(encoder, NAMES, contexts=3)
    start = prompts.contexts.detach().clone()
    optimizer = torch.optim.SGD([one for one in prompts.parameters() if one.requires_grad], lr=1.0)
    features = prompts()
    (features.tokens.square().sum() + features.summary.square().sum()).backward()
    optimizer.step()
    assert (prompts.contexts != start).any(2).all()
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())
    assert all(one.grad is None for one in encoder.parameters())


def test_the_encoder_stays_in_eval_mode(encoder):
    prompts = Prompts(encoder, NAMES, contexts=2)
    prompts.train()
    assert not any(one.training for one in encoder.modules())


def test_contexts_of_a_class_are_its_own(encoder):
    shared, own = (Prompts(encoder, NAMES, contexts=3, own_context=one) for one in (False, True))
    assert tuple(shared.contexts.shape) == (1, 3, 32)
    assert tuple(own.contexts.shape) == (4, 3, 32)
    own().tokens[1].sum().backward()
    moved = own.contexts.grad.abs().amax((1, 2))
    assert moved[1] > 0
    assert moved[[0, 2, 3]].max() == 0


def test_orders_change_the_outputs_and_belong_to_seed_and_step(encoder):
    prompts = Prompts(encoder, NAMES, contexts=4)
    assert torch.equal(prompts.order(1, 5), prompts.order(1, 5))
    assert len({tuple(prompts.order(1, step).tolist()) for step in range(20)}) > 5
    assert sorted(prompts.order(0, 0).tolist()) == [0, 1, 2, 3]
    plain, turned = prompts(), prompts(torch.tensor([1, 2, 3, 0]))
    assert (plain.summary - turned.summary).abs().max() > 1e-4
    np.testing.assert_allclose(prompts(torch.arange(4)).tokens.detach(), plain.tokens.detach(), atol=0)


def test_rolled_prompts_differ_pairwise_and_are_those_of_rolled_contexts(encoder):
    prompts = Prompts(encoder, NAMES, contexts=4)
    found = prompts.rolled(range(4)).detach()
    assert tuple(found.shape) == (4, 4, 32)
    for shift in range(4):
        expected = prompts(torch.arange(4).roll(shift)).summary.detach()
        np.testing.assert_allclose(found[:, shift], expected, atol=5e-6)
    pairs = torch.pdist(found[0])
    assert pairs.min() > 1e-4
    assert torch.pdist(prompts.rolled([1] * 4).detach()[0]).max() == 0  # as released


def test_what_frozen_contexts_give_is_computed_once(encoder, monkeypatch):
    prompts = Prompts(encoder, NAMES, contexts=3, learnable=False)
    first = prompts()
    assert not first.tokens.requires_grad
    monkeypatch.setattr(type(encoder), "forward", lambda *_: pytest.fail("computed again"))
    assert prompts() is first
    assert prompts(torch.tensor([2, 1, 0])) is first


def test_what_is_kept_of_frozen_contexts_is_that_of_the_contexts_as_they_are(encoder):
    prompts, other = (Prompts(encoder, NAMES, contexts=3, learnable=False, seed=seed) for seed in (0, 1))
    first = prompts()
    prompts.load_state_dict(other.state_dict())
    assert not torch.equal(prompts().summary, first.summary)
    assert torch.equal(prompts().summary, other().summary)


def test_what_all_prompts_begin_with_is_run_once_and_nothing_else_changes(encoder, monkeypatch):
    prompts, lengths = Prompts(encoder, NAMES, contexts=3), []
    run = encoder.transformer.forward
    monkeypatch.setattr(encoder.transformer, "forward", lambda x, **mask: lengths.append(tuple(x.shape[:2])) or run(x, **mask))
    found = prompts()
    weights = torch.linspace(-1, 1, found.tokens.numel()).reshape(found.tokens.shape)
    together = torch.autograd.grad((found.tokens * weights).sum() + found.summary.sum(), prompts.contexts)[0]
    monkeypatch.setattr(prompts, "_shared", 0)
    expected = prompts()
    alone = torch.autograd.grad((expected.tokens * weights).sum() + expected.summary.sum(), prompts.contexts)[0]
    longest = lengths[1][1]
    assert lengths == [(1, 4 + len(NAMES) * (longest - 4)), (len(NAMES), longest)]  # begin and three contexts are shared
    for name in ("tokens", "summary"):
        np.testing.assert_allclose(getattr(found, name).detach(), getattr(expected, name).detach(), atol=5e-6)
    np.testing.assert_allclose(together, alone, atol=1e-5 * float(alone.abs().max()))


def test_many_prompts_are_run_in_several_rows(encoder, monkeypatch):
    prompts, runs, run = Prompts(encoder, NAMES, contexts=3), [], encoder.transformer.forward
    monkeypatch.setattr(encoder.transformer, "forward", lambda x, **mask: runs.append(x.shape[1]) or run(x, **mask))
    expected = prompts().tokens.detach()
    monkeypatch.setattr(text_encoders, "ROWS_IN_ONE", 2)
    np.testing.assert_allclose(prompts().tokens.detach(), expected, atol=5e-6)
    assert len(runs) == 1 + -(-len(NAMES) // 2)


@pytest.mark.parametrize("settings", [{}, {"own_context": True}, {"learnable": False}])
def test_classes_that_are_asked_for_have_what_they_have_among_all(encoder, settings):
    prompts, chosen = Prompts(encoder, NAMES, contexts=3, **settings), torch.tensor([2, 0])
    everything, some = prompts(), prompts(classes=chosen)
    for name in ("tokens", "mask", "summary"):
        np.testing.assert_allclose(getattr(some, name).detach(), getattr(everything, name)[chosen].detach(), atol=5e-6)
    np.testing.assert_allclose(prompts.rolled([0, 2], chosen).detach(), prompts.rolled([0, 2])[chosen].detach(), atol=5e-6)


def test_one_seed_gives_one_start(encoder):
    one, same, other = (Prompts(encoder, NAMES, contexts=3, seed=seed).contexts for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    many = Prompts(encoder, NAMES, contexts=12).contexts
    assert float(many.detach().std()) == pytest.approx(0.02, rel=4 / np.sqrt(2 * many.numel()))  # four standard errors


@pytest.mark.parametrize(("names", "settings", "message"), [
    (("red star",), {}, "at least two classes"),
    (("red star", " "), {}, "found an empty name at 1"),
    (("red star", "red star"), {}, "found 'red star' twice"),
    (("red star", "green star"), {}, "found green in 'green star'"),
    (NAMES, {"contexts": 0}, "contexts: found 0"),
    (NAMES, {"contexts": 19}, "found 'a blue star', with which a prompt of 19 contexts has 25 tokens; small takes at most 24"),
    (NAMES, {"place": "top"}, "place: found 'top'"),
])  # fmt: skip
def test_bad_prompts_are_named(encoder, names, settings, message):
    with pytest.raises(ValueError, match=message):
        Prompts(encoder, names, **settings)


def test_a_name_that_is_too_long_is_refused_by_the_encoder(encoder):
    with pytest.raises(ValueError, match="expected at most"):
        encoder.tokenize("red star " * 12)


def test_names_must_be_those_of_the_data_in_their_order():
    check_names(["bird", "cat"], ["bird", "cat"])
    with pytest.raises(ValueError, match="found 'cat' at 0; expected 'bird'"):
        check_names(["cat", "bird"], ["bird", "cat"])
    with pytest.raises(ValueError, match="found 3 names for 2 classes"):
        check_names(["cat", "bird", "dog"], ["bird", "cat"])


@pytest.mark.parametrize(("tokens", "mask", "summary", "message"), [
    (torch.zeros(2, 3, 4), torch.ones(2, 2, dtype=torch.bool), torch.zeros(2, 4), "found shapes"),
    (torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 4), "found 2 classes without a token"),
])  # fmt: skip
def test_bad_features_are_named(tokens, mask, summary, message):
    with pytest.raises(ValueError, match=message):
        TextFeatures(tokens, mask, summary)


def test_features_that_are_not_finite_are_named():
    with pytest.raises(FloatingPointError, match="tokens, summary: found values that are not finite"):
        TextFeatures(torch.full((2, 3, 4), torch.nan), torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 4))


def test_names_that_are_the_same_to_the_encoder_are_refused(encoder):
    with pytest.raises(ValueError, match=f"found '{NAMES[0]}' and '{NAMES[0]} ', the same tokens"):
        Prompts(encoder, [*NAMES, f"{NAMES[0]} "])


def test_middle_and_front_are_other_prompts(encoder):
    found = [Prompts(encoder, NAMES, contexts=4, place=place)().summary for place in ("end", MIDDLE, FRONT)]
    assert min((found[0] - found[1]).abs().max(), (found[1] - found[2]).abs().max()) > 1e-4


@pytest.mark.parametrize("source", ["clip", "open_clip:", "bert:tiny", ""])
def test_unknown_sources_are_refused(source):
    with pytest.raises(ValueError, match="expected local:clip"):
        text_sources.load(source)


def test_a_hugging_face_encoder_gives_what_it_gives_from_words(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "star", "ring", "blue", "a", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=32
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"), model_max_length=32).save_pretrained(tmp_path)
    found = text_sources.load(f"hugging_face:{tmp_path}")
    assert (found.begin, found.end, found.longest) == ((2,), (3,), 32)
    tokens = torch.tensor([[2, *found.tokenize("a blue star"), 3]])
    outputs = found(found.embed(tokens), torch.ones_like(tokens, dtype=torch.bool))
    np.testing.assert_allclose(outputs.detach(), found.model(input_ids=tokens).last_hidden_state.detach(), atol=5e-6)
    features = Prompts(found, NAMES, contexts=3)()
    assert features.mask.sum(1).tolist() == [6, 6, 7, 6]


def test_a_missing_folder_or_package_says_what_helps(tmp_path):
    with pytest.raises((FileNotFoundError, ImportError), match=r"transformers|What helps"):
        text_sources.load(f"hugging_face:{tmp_path}")
