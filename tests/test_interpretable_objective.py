"""Training for sparse concepts: gradients, and the control without them (specs/iis.md, T15)."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lib.encoders import networks
from lib.interpretable_objective import InterpretableClassification
from lib.objectives import Classification
from lib.sparse_concepts import concept_activations, kept, normalised, sparsified
from lib.training import train


class Flat(nn.Module):
    """Pictures of 2 x 2 pixels through one linear layer."""

    dims = 6

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, self.dims)

    def features(self, x):
        return self.layer(x.flatten(1))


@pytest.fixture
def parts():
    torch.manual_seed(0)
    trunk, head = Flat(), nn.Linear(6, 3)
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (256, 2, 2, 3), dtype=np.uint8), rng.integers(0, 3, 256)
    return trunk, head, pixels, labels, rng.standard_normal((10, 6)).astype(np.float32)


def test_without_weight_training_is_plain_classification_bit_for_bit(parts):
    trunk, head, pixels, labels, vectors = parts
    plain = Classification(copy.deepcopy(trunk), labels, 3)
    plain.head.load_state_dict(head.state_dict())
    found = train(plain, pixels, presentations=1024, batch_size=64, seed=1)
    other = train(InterpretableClassification(trunk, head, labels, vectors, weight=0), pixels, presentations=1024, batch_size=64, seed=1)
    for name, value in found[16].items():
        torch.testing.assert_close(other[16][name], value, rtol=0, atol=0)


def test_training_lowers_the_loss_of_the_concepts(parts):
    trunk, head, pixels, _, vectors = parts
    labels = (pixels[:, 0, 0].argmax(1)).astype(np.int64)
    objective = InterpretableClassification(trunk, head, labels, vectors, sparsity=0.5)
    inputs, rows = torch.from_numpy(pixels), torch.arange(256)

    def said():
        with torch.no_grad():
            logits = objective.concept_head(objective.interpretation(objective.embed(networks.normalised(inputs))))
        return nn.functional.cross_entropy(logits, objective.labels[rows]).item()

    before = said()
    assert before == pytest.approx(np.log(3), abs=1e-6)  # the head starts at 0
    train(objective, pixels, presentations=8192, batch_size=64, seed=0)
    assert said() < 0.7 * before


def test_the_interpretation_is_that_of_the_measure(parts):
    trunk, head, _, labels, vectors = parts
    objective = InterpretableClassification(trunk, head, labels, vectors, sparsity=0.3)
    features = np.random.default_rng(1).standard_normal((20, 6)).astype(np.float32)
    expected = sparsified(normalised(concept_activations(features, vectors)), kept(10, 0.3))
    np.testing.assert_allclose(objective.interpretation(torch.from_numpy(features)).detach().numpy(), expected, atol=1e-5)


def test_gradients_pass_through_survivors_alone_and_not_through_the_threshold(parts):
    trunk, head, _, labels, vectors = parts
    objective = InterpretableClassification(trunk, head, labels, vectors, sparsity=0.5).double()
    features = torch.from_numpy(np.random.default_rng(2).standard_normal((4, 6))).requires_grad_()
    shown = objective.interpretation(features)
    assert (shown != 0).sum(1).tolist() == [5] * 4
    weights = torch.from_numpy(np.random.default_rng(3).standard_normal((4, 10)))
    (shown * weights).sum().backward()
    survivors = (shown != 0).double()
    free = features.detach().clone().requires_grad_()
    unit = nn.functional.normalize(objective.vectors, dim=1)
    (nn.functional.layer_norm(free @ unit.T, (10,)) * survivors * weights).sum().backward()  # the mask as a constant
    torch.testing.assert_close(features.grad, free.grad)
    step = 1e-6
    for row, column in ((0, 0), (2, 3)):
        ends = []
        for sign in (1, -1):
            moved = features.detach().clone()
            moved[row, column] += sign * step
            ends.append((objective.interpretation(moved) * weights).sum().item())
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(features.grad[row, column].item(), abs=1e-5)


def test_fixed_vectors_stay_where_they_are(parts):
    trunk, head, pixels, labels, vectors = parts
    objective = InterpretableClassification(trunk, head, labels, vectors, learned=False)
    train(objective, pixels, presentations=512, batch_size=64)
    np.testing.assert_array_equal(objective.vectors.detach().numpy(), vectors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": np.ones((10, 5))}, r"vectors: found shape \(10, 5\); expected \(concepts, 6\)"),
        ({"sparsity": 1.0}, "sparsity: found 1.0; expected a number from 0 to below 1"),
        ({"weight": -1.0}, "weight: found -1.0; expected a number from 0"),
    ],
)
def test_bad_input_is_named(parts, change, message):
    trunk, head, _, labels, vectors = parts
    with pytest.raises(ValueError, match=message):
        InterpretableClassification(trunk, head, labels, **{"vectors": vectors} | change)
