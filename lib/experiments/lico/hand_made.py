"""Both losses at work on a few points, where one can see what they pull at."""

import numpy as np
import ot
import pandas as pd
import torch
from torch.nn.functional import normalize

from lib.keyed_random import generator
from lib.lico.manifold import distances, log_similarities, matching_loss
from lib.lico.transport import cosine_cost, sinkhorn, transport_loss


def moved_by_transport(*, points: int = 12, tokens: int = 3, steps: int = 120, rate: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """Points of a plane under L_OT towards fixed tokens.

    Returns:
        step, point, x, y, kind ("channel" or "token"), token (the one that gets most of a channel's mass).

    Only directions count, so what is shown are points brought to length one.
    """
    rng = generator(seed, 132)
    angles = np.pi * (0.15 + 2 * np.arange(tokens) / tokens)
    fixed = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], 1))[None]
    moving = torch.from_numpy(rng.standard_normal((1, points, 2))).requires_grad_()
    rows = [
        {"step": 0, "point": number, "x": x, "y": y, "kind": "token", "token": number} for number, (x, y) in enumerate(fixed[0].numpy())
    ]
    for step in range(steps + 1):
        found = transport_loss(moving, fixed)
        most = found.transport.plan[0].argmax(1)
        for number, (x, y) in enumerate(normalize(moving.detach()[0], dim=1).numpy()):
            rows.append({"step": step, "point": number, "x": x, "y": y, "kind": "channel", "token": int(most[number])})
        (gradient,) = torch.autograd.grad(found.loss, moving)
        moving = (moving - rate * gradient).detach().requires_grad_()
    return pd.DataFrame(rows)


def moved_by_matching(
    *, classes: int = 3, each: int = 6, steps: int = 1500, rate: float = 1.5, kept: int = 80, scale: float = 5.0, sign: float = -1.0,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Pictures in a plane under L_MM towards the texts of their classes: step, picture, label, x, y, loss.

    Args:
        classes, each: so many classes of so many pictures. The texts of the first two classes are near each other.
        steps, rate: of gradient descent.
        kept: steps that are in the table, at most; more of the early ones, in which most moves.
        scale: of the distances in similarities, 1 / tau.
        sign: +1 as in the released code.
        seed: of where pictures are at first.
    """
    labels = np.repeat(np.arange(classes), each)
    angles = np.concatenate([[0.0, 0.6], 0.3 + np.pi * np.linspace(0.6, 1.4, classes - 2)]) if classes > 2 else np.array([0.0, 0.6])
    texts = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], 1))[labels]
    target = log_similarities(distances(texts), scale, sign=sign)
    moving = torch.from_numpy(generator(seed, 133).standard_normal((len(labels), 2))).requires_grad_()
    shown = {0, *np.geomspace(1, steps, kept - 1).round().astype(int).tolist()}
    rows = []
    for step in range(steps + 1):
        loss = matching_loss(log_similarities(distances(moving), scale, sign=sign), target)
        for number, (x, y) in enumerate(normalize(moving.detach(), dim=1).numpy() if step in shown else ()):
            rows.append({"step": step, "picture": number, "label": int(labels[number]), "x": x, "y": y, "loss": float(loss.detach())})
        (gradient,) = torch.autograd.grad(loss, moving)
        moving = (moving - rate * gradient).detach().requires_grad_()
    return pd.DataFrame(rows)


def costs_by_temperature(scales, *, samples: int = 64, classes: int = 10, dims: int = 32, seed: int = 0) -> pd.DataFrame:
    """L_MM of unrelated pictures and texts at each scale, and how even the rows of similarities are: scale, loss, evenness.

    Evenness is the entropy of a row over its most, 1 where all samples are alike.
    """
    rng = generator(seed, 134)
    pictures = torch.from_numpy(rng.standard_normal((samples, dims)))
    texts = torch.from_numpy(rng.standard_normal((classes, dims)))[torch.arange(samples) % classes]
    rows = []
    for scale in scales:
        of_pictures, of_texts = (log_similarities(distances(one), float(scale)) for one in (pictures, texts))
        entropy = -(of_pictures.exp() * of_pictures).sum(1).mean() / np.log(samples)
        rows.append({"scale": float(scale), "loss": float(matching_loss(of_pictures, of_texts)), "evenness": float(entropy)})
    return pd.DataFrame(rows)


def plans_by_regularisation(regularisations, *, points: int = 128, tokens: int = 12, dims: int = 64, seed: int = 0) -> pd.DataFrame:
    """What the size of eps costs.

    Returns:
        regularisation, iterations (to convergence), excess (of the cost over that of exact transport), error after 100 (iterations).
    """
    rng = generator(seed, 135)
    cost = cosine_cost(*(torch.from_numpy(rng.standard_normal((1, count, dims))) for count in (points, tokens)))
    exact = ot.emd2(np.full(points, 1 / points), np.full(tokens, 1 / tokens), cost[0].numpy())
    rows = []
    for regularisation in regularisations:
        run = sinkhorn(cost, regularisation=float(regularisation), iterations=20_000, tolerance=1e-6)
        short = sinkhorn(cost, regularisation=float(regularisation), iterations=100, tolerance=0.0)
        rows.append({
            "regularisation": float(regularisation), "iterations": run.iterations, "excess": float((run.plan * cost).sum()) / exact - 1,
            "error after 100": float(short.error[0]),
        })  # fmt: skip
    return pd.DataFrame(rows)
