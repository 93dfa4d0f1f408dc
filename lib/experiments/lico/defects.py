"""Errors of the released code and of the two studies that change the method, each at a case small enough to see.

Every row is one number, as the faulty code has it and as it should be (specs/lico.md, 4.2 and 4.3).
"""

import copy

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm
from torch import nn

from lib.datasets import cifar10
from lib.experiments.lico.arms import stop_of
from lib.explainers import random_masks
from lib.keyed_random import generator
from lib.lico import text_encoders
from lib.lico.manifold import distances, log_similarities, matching_loss
from lib.lico.prompts import Prompts
from lib.lico.temperature import INITIAL
from lib.lico.transport import cosine_cost, sinkhorn, transport_loss
from lib.saliency_metrics import PerturbationCurves, share_of_objects

RELEASED, FIRST, SECOND = "released code", "first study", "second study"
BATCH, CLASSES, CHANNELS, TOKENS, PLACES = 64, 10, 128, 13, 64
SHORT_NAMES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")  # by which CIFAR-10 goes in tutorials


def defects(source: str, class_names, *, seed: int = 0) -> pd.DataFrame:
    """One row an error: where, error, what is counted, wrong, right.

    Args:
        source: name of a text encoder, for the errors that concern one.
        class_names: that it knows.
        seed: of all that is random.
    """
    rows = [
        *_of_transport(seed), *_of_matching(seed), *_of_texts(source, class_names, seed), *_of_training(seed), *_of_measures(seed),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["where", "error", "counted", "wrong", "right"])


def _drawn(seed, part, *shape):
    return torch.from_numpy(generator(seed, 137, part).standard_normal(shape).astype(np.float32))


def _of_transport(seed):
    maps, tokens = _drawn(seed, 0, 4, CHANNELS, PLACES), _drawn(seed, 1, 4, TOKENS, PLACES)
    gradients = []
    for gradient in (False, True):
        moving = maps.clone().requires_grad_()
        loss = transport_loss(moving, tokens, gradient=gradient).loss
        gradients.append(float(torch.autograd.grad(loss, moving)[0].norm()) if loss.requires_grad else 0.0)
    yield RELEASED, "plan and cost are both computed without gradient", "length of the gradient of L_OT on the maps", *gradients
    summaries = _drawn(seed, 2, BATCH, PLACES)  # one row a sample: broadcast against (B, N, d'), as many columns as the batch has samples
    broadcast = ((_drawn(seed, 3, BATCH, 2, PLACES)[:, :, None] - summaries) ** 2).sum(3)
    error = "class vectors of the whole batch are broadcast as tokens"
    yield FIRST, error, "columns of the cost of one picture", broadcast.shape[2], TOKENS
    cost = cosine_cost(_drawn(seed, 4, 4, 512, PLACES), tokens)
    errors = [
        float(sinkhorn(cost, regularisation=regularisation, iterations=100, tolerance=0.0).error.mean()) for regularisation in (1e-4, 0.1)
    ]  # fmt: skip
    yield SECOND, "eps of 0.0001 with 100 iterations (right: 0.1)", "mass that the plan's row sums miss, of 1", *errors
    short = tokens.clone()
    short[:, 8:] = 0
    mask = torch.arange(TOKENS).expand(4, -1) < 8
    values = [float(transport_loss(maps, short, one).loss) for one in (None, mask)]
    yield SECOND, "padding counts as tokens (5 of 13)", "L_OT", *values


def _of_matching(seed):
    features = _drawn(seed, 5, BATCH, PLACES)
    between = distances(features)
    nearest = (between + 9 * torch.eye(BATCH)).argmin(1)
    found = []
    for sign in (1.0, -1.0):
        shares = log_similarities(between, 1.0, sign=sign)
        found.append(float(((shares - 99 * torch.eye(BATCH)).argmax(1) == nearest).float().mean()))
    yield RELEASED, "similarity grows with distance", "samples whose nearest other sample is the most similar", *found
    labels = torch.from_numpy(generator(seed, 138).integers(0, CLASSES, BATCH))
    found = [float((one == labels).float().mean()) for one in (labels[labels], labels)]
    yield RELEASED, "texts are looked up twice, t[y][y_i]", "samples that get the text of their class", *found
    texts = _drawn(seed, 6, CLASSES, PLACES)[labels]
    found = []
    for scale in (1 / INITIAL, np.exp(INITIAL)):
        logs = [log_similarities(distances(one), scale) for one in (features, texts)]
        found.append(float(matching_loss(*logs)))
    yield RELEASED, "2.66 = log(1 / 0.07) divides distances (CLIP: exp(2.66) multiplies them)", "L_MM of unrelated pictures", *found
    close = torch.zeros(2, PLACES)
    close[1, 0] = 0.005
    found = []
    for floored in (True, False):
        moving = close.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(distances(moving, scaled=False, floored=floored)[0, 1], moving)
        found.append(float(gradient[1].norm()))
    yield RELEASED, "distances below 0.01 are lifted to it", "length of the gradient of a distance of 0.005", *found
    found = []
    for scaled in (False, True):
        logs = [log_similarities(distances(one, scaled=scaled), 1.0) for one in (features, 2 * features)]
        found.append(abs(float(matching_loss(*logs))))
    yield FIRST, "features keep their length", "L_MM of features and the same twice as long", *found


def _of_texts(source, class_names, seed):
    encoder = text_encoders.load(source)
    prompts = Prompts(encoder, class_names, stop=stop_of(source), seed=seed)
    count = prompts.contexts.shape[1]
    with torch.no_grad():
        found = [len(torch.unique(prompts.rolled(shifts)[0].round(decimals=4), dim=0)) for shifts in ([1] * count, range(count))]
    yield RELEASED, "all rolls of the context turn it by one", "different rows among 12", *found
    moved = []
    for frozen in (False, True):
        trained = copy.deepcopy(encoder).requires_grad_(not frozen)
        texts = Prompts(trained, class_names, stop=stop_of(source), seed=seed)
        before = torch.cat([one.detach().flatten() for one in trained.parameters()]).clone()
        optimizer = torch.optim.SGD([one for one in texts.parameters() if one.requires_grad], lr=0.1)
        labels = torch.arange(BATCH) % len(class_names)
        logs = [log_similarities(distances(one), 1.0) for one in (_drawn(seed, 7, BATCH, PLACES), texts().summary[labels])]
        (10 * matching_loss(*logs)).backward()
        optimizer.step()
        moved.append(float((torch.cat([one.detach().flatten() for one in trained.parameters()]) - before).norm()))
    yield RELEASED, "the text encoder is trained too", "length by which its weights move in a step", *moved
    wrong = sum(one != other for one, other in zip(sorted(SHORT_NAMES), SHORT_NAMES, strict=True))
    yield FIRST, "class names are sorted", "classes of CIFAR-10 with another's name", wrong, 0
    listed = ("plane", "car", "automobile", "cat")  # how the released list begins, for every data set
    agree = [cifar10.CLASSES[2] == listed[2], cifar10.CLASSES[2] == "bird"]
    yield RELEASED, "a list of names is written into the code", "is class 2 of CIFAR-10 a bird (1: yes)", *map(int, agree)


def _of_training(seed):
    rng = generator(seed, 139)
    best = rng.binomial(10_000, 0.94, (2000, 200)).max(1) / 10_000
    yield RELEASED, "the epoch is chosen by test accuracy (of 200, all 94 %)", "accuracy that is reported, mean", float(best.mean()), 0.94
    kept = []
    for momentum in (0.001, 0.1):
        layer = nn.BatchNorm1d(1, momentum=momentum)
        for _ in range(200):
            layer(3 + torch.from_numpy(rng.standard_normal((BATCH, 1)).astype(np.float32)))
        kept.append(float(layer.running_mean))
    yield RELEASED, "batch norm has a momentum of 0.001", "its mean after 200 steps of pictures whose mean is 3", *kept
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.ReLU())
    batch = _drawn(seed, 8, 16, 8)
    others = torch.cat([batch[:1], 3 + _drawn(seed, 9, 15, 8)])
    changes = []
    for training in (True, False):
        one = copy.deepcopy(module).train(training)
        with torch.no_grad():
            changes.append(float((one(batch)[0] - one(others)[0]).abs().max()))
    yield SECOND, "maps are taken in training mode", "change of a picture's activation when others of its batch change", *changes


def _of_measures(seed):
    shown = float((random_masks(4000, (14, 14), cells=7, shown=norm.cdf(0.1), seed=seed)).mean())
    right = float(random_masks(4000, (14, 14), cells=7, shown=0.1, seed=seed).mean())
    yield FIRST, "RISE's cells are shown where a normal number is below 0.1", "share of a picture that is shown", shown, right
    for points, where in ((103, "CIFAR"), (28, "Imagenette")):
        ones = np.ones(points)
        exact = PerturbationCurves(np.arange(points), ones[None]).areas[0]
        counted = np.trapezoid(ones, dx=1 / points)
        yield FIRST, f"steps of 1 / K for K points ({where}: {points})", "area under a curve that is 1", counted, exact
    maps, masks = np.zeros((1, 4, 4)), np.zeros((1, 2, 4, 4), bool)
    masks[0, 0, 0, :1], masks[0, 1, 1:] = True, True
    maps[0, 0, 0], maps[0, 1:] = 6.0, 0.5
    values = [float(share_of_objects(maps, masks, target=target)[0]) for target in ("area", "map")]
    yield SECOND, "MOSU turns the divergence of its text round", "MOSU of half of a map on the smaller of two objects", *values
