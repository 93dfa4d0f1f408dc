"""Losses against slow references, and what every objective embeds."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lib import objectives
from lib.augmentation import random_view
from lib.encoders.networks import ResidualNetwork, normalised

PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8))
ROWS = torch.tensor([4, 0, 3, 1, 2, 5])


@pytest.fixture
def trunk():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield ResidualNetwork(width=4, side=32).eval()


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


class Flat(nn.Module):
    """A trunk whose features are the pixels' channel means: a head on it has a closed form."""

    dims = 3

    def features(self, x):
        return x.mean((2, 3))


def test_classification_is_cross_entropy_on_the_rows_labels(trunk):
    labels = np.array([0, 1, 2, 0, 1, 2])
    objective = objectives.Classification(trunk, labels, 3)
    logits = objective(normalised(PIXELS)).log_softmax(1)
    slow = -np.mean([logits[i, labels[row]].item() for i, row in enumerate(ROWS)])
    assert objective.loss(PIXELS, ROWS, draws()).item() == pytest.approx(slow, rel=1e-5)
    torch.testing.assert_close(objective.embed(normalised(PIXELS)), trunk.features(normalised(PIXELS)))


def test_labels_and_tokens_move_with_the_module_but_are_not_weights(trunk):
    classes, captions = objectives.Classification(trunk, [0, 1], 2), objectives.CaptionMatching(nn.Identity(), [[1, 2]])
    assert classes.to("meta").labels.device.type == captions.to("meta").tokens.device.type == "meta"
    assert not {"labels", "tokens"} & (classes.state_dict().keys() | captions.state_dict().keys())


def test_rotation_turns_each_picture_and_asks_by_how_much(trunk):
    objective = objectives.Rotation(trunk)
    turns = torch.randint(0, 4, (6,), generator=draws(1))
    assert len(set(turns.tolist())) > 2
    x = normalised(PIXELS).numpy()
    turned = torch.from_numpy(np.stack([np.rot90(picture, turn, (1, 2)) for picture, turn in zip(x, turns.tolist(), strict=True)]))
    slow = functional.cross_entropy(objective(turned), turns)
    torch.testing.assert_close(objective.loss(PIXELS, ROWS, draws(1)), slow)


def test_contrastive_is_nt_xent_by_a_slow_loop(trunk):
    objective = objectives.Contrastive(trunk, temperature=0.3)
    x, generator = normalised(PIXELS), draws(2)
    first, second = (objective(random_view(x, generator)).detach().double().numpy() for _ in range(2))
    z = np.concatenate([first, second])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(12):
        partner = i + 6 if i < 6 else i - 6
        others = sum(np.exp(z[i] @ z[k] / 0.3) for k in range(12) if k != i)
        losses.append(-np.log(np.exp(z[i] @ z[partner] / 0.3) / others))
    assert objective.loss(PIXELS, ROWS, draws(2)).item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_reconstruction_is_the_mean_squared_error_of_the_normalised_picture(trunk):
    objective = objectives.Reconstruction(trunk, 32, dims=7).eval()
    x = normalised(PIXELS)
    assert objective.embed(x).shape == (6, 7)
    assert objective(x).shape == x.shape
    slow = np.mean(np.square((objective(x) - x).detach().double().numpy()))
    assert objective.loss(PIXELS, ROWS, draws()).item() == pytest.approx(slow, rel=1e-5)


class Pairs(nn.Module):
    """Stands for CLIP: pictures are their channel means, captions are rows of numbers, the scale is 5."""

    def visual(self, x):
        return functional.normalize(x.mean((2, 3)), dim=1)

    def forward(self, x, tokens):
        return self.visual(x), functional.normalize(tokens.float(), dim=1), torch.tensor(5.0), "more"


def test_caption_matching_is_the_symmetric_loss_by_a_slow_loop():
    tokens = np.random.default_rng(1).standard_normal((6, 3))
    objective = objectives.CaptionMatching(Pairs(), tokens)
    picture = Pairs().visual(normalised(PIXELS)).double().numpy()
    text = tokens[ROWS] / np.linalg.norm(tokens[ROWS], axis=1, keepdims=True)
    to_text = [-np.log(np.exp(5 * picture[i] @ text[i]) / sum(np.exp(5 * picture[i] @ one) for one in text)) for i in range(6)]
    to_picture = [-np.log(np.exp(5 * picture[i] @ text[i]) / sum(np.exp(5 * one @ text[i]) for one in picture)) for i in range(6)]
    slow = (np.mean(to_text) + np.mean(to_picture)) / 2
    assert objective.loss(PIXELS, ROWS, draws()).item() == pytest.approx(slow, rel=1e-5)
    torch.testing.assert_close(objective.embed(normalised(PIXELS)), Pairs().visual(normalised(PIXELS)))


def test_the_loss_of_matched_pairs_goes_to_zero_and_of_equal_ones_to_log_n():
    corners = torch.zeros(3, 2, 2, 3, dtype=torch.uint8)
    corners[range(3), :, :, range(3)] = 255
    flat = objectives.Contrastive(Flat())
    flat.head = nn.Linear(3, 2)
    nn.init.zeros_(flat.head.weight)
    # All embeddings equal: the partner is one of 2 n - 1 others.
    assert flat.loss(corners, ROWS[:3], draws()).item() == pytest.approx(np.log(5), rel=1e-5)
    matched = objectives.CaptionMatching(Pairs(), torch.eye(3).double() * 2 - 1)
    logits = 5 * torch.tensor([[1, -1 / 3, -1 / 3]])
    expected = functional.cross_entropy(logits, torch.tensor([0])).item()
    assert matched.loss(corners, torch.arange(3), draws()).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("make", [
    lambda trunk: objectives.Classification(trunk, [0, 1, 0, 1, 0, 1], 2), objectives.Rotation, objectives.Contrastive,
    lambda trunk: objectives.Reconstruction(trunk, 32),
])
def test_every_weight_learns(trunk, make):
    objective = make(trunk).train()
    objective.loss(PIXELS, ROWS, draws()).backward()
    assert not [name for name, value in objective.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
