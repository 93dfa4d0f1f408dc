"""The cut tokenizer and the small CLIP on captions of scenes."""

import open_clip
import pytest
import torch

from lib.encoders.small_clip import CONTEXT_LENGTH, CutTokenizer, small_clip

CAPTIONS = ("on sand there is a large red checked disc", "in a night sky there is a small white star at the bottom right", "Grass, sand!")


@pytest.fixture(scope="module")
def tokenizer():
    return CutTokenizer(CAPTIONS)


@pytest.fixture(scope="module")
def clip(tokenizer):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return small_clip(len(tokenizer), side=32, width=4).eval()


def test_numbers_stand_for_open_clips_tokens(tokenizer):
    full = open_clip.SimpleTokenizer(context_length=CONTEXT_LENGTH)
    vocabulary = torch.tensor(tokenizer.vocabulary)
    assert torch.equal(vocabulary[tokenizer(CAPTIONS)], full(list(CAPTIONS)))
    assert len(tokenizer) == len(set(tokenizer.vocabulary)) == len(tokenizer.vocabulary)
    assert set(tokenizer.vocabulary) == {0, *full(list(CAPTIONS)).flatten().tolist()}


def test_the_end_token_has_the_highest_number(tokenizer):
    # open_clip reads a sentence's embedding at the highest number in its row.
    tokens = tokenizer(CAPTIONS)
    full = open_clip.SimpleTokenizer(context_length=CONTEXT_LENGTH)
    assert tokens.max().item() == len(tokenizer) - 1
    assert torch.equal(tokens.argmax(1), full(list(CAPTIONS)).argmax(1))
    assert (tokens == len(tokenizer) - 1).sum(1).tolist() == [1, 1, 1]


def test_the_same_words_in_any_order_give_the_same_vocabulary(tokenizer):
    assert CutTokenizer(CAPTIONS[::-1]).vocabulary == tokenizer.vocabulary
    assert torch.equal(tokenizer([CAPTIONS[1]])[0], tokenizer(CAPTIONS)[1])
    assert torch.equal(tokenizer(["red sand"]), tokenizer(["  RED   Sand"]))


def test_unknown_words_are_refused_by_name(tokenizer):
    with pytest.raises(ValueError, match="sentences: found xylophone, zebra in 'a xylophone on a zebra'"):
        tokenizer(["red sand", "a xylophone on a zebra"])


def test_a_sentence_fills_the_context_and_no_more(tokenizer):
    assert (tokenizer(["red " * (CONTEXT_LENGTH - 2)]) != 0).all()
    with pytest.raises(ValueError, match=f"sentences: found {CONTEXT_LENGTH - 1} tokens .* at most {CONTEXT_LENGTH - 2}"):
        tokenizer(["red " * (CONTEXT_LENGTH - 1)])
    assert CutTokenizer(CAPTIONS, context_length=40)(["red " * 38]).shape == (1, 40)


def test_a_caption_is_encoded_the_same_whatever_else_is_in_the_batch(clip, tokenizer):
    tokens = tokenizer(CAPTIONS)
    with torch.no_grad():
        together = clip.encode_text(tokens, normalize=True)
        for row in range(3):
            torch.testing.assert_close(clip.encode_text(tokens[[row]], normalize=True)[0], together[row], rtol=0, atol=1e-5)
        # What stands behind the end token does not count.
        longer = tokens.clone()
        longer[0, tokens[0].argmax() + 1 :] = 1
        torch.testing.assert_close(clip.encode_text(longer, normalize=True), together, rtol=0, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_pictures_and_captions_meet_in_one_space_of_unit_vectors(clip, tokenizer):
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        picture, text, scale = clip(x, tokenizer(CAPTIONS))[:3]
        torch.testing.assert_close(picture, torch.nn.functional.normalize(clip.visual(x), dim=1))
    assert picture.shape == text.shape == (3, 64)
    torch.testing.assert_close(torch.cat([picture, text]).norm(dim=1), torch.ones(6))
    assert scale.item() == pytest.approx(1 / 0.07, rel=1e-4)
