"""Can matching tell one text from another, with the mapping net's dropout?

Dropout leaves out other hidden units for every token of every class. What the texts of two classes then differ by is mostly what was left
out, and not what they say. This is so in `paper` as read here: the second study's matching of mapped tokens, with the released code's
dropout. The released matching takes no mapped tokens, and the second study has no dropout (specs/lico.md, 2.1 and 2.6).
"""

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cosine_similarity

from lib.experiments.lico.arms import CONTROLS, NAMES, SHAM, Arm, side_of
from lib.experiments.lico.runs import Setting
from lib.keyed_random import keys
from lib.lico import text_sources
from lib.lico.manifold import distances
from lib.lico.readings import PAPER


def texts_told_apart(setting: Setting, *, count: int = 64, draws: int = 4, seed: int = 0) -> pd.DataFrame:
    """How alike the push of L_MM is with other texts, in LICO as published and without its dropout, before training.

    Args:
        setting: with task, network and text encoder.
        count: training pictures, one batch.
        draws: of dropout, all different; without dropout one says all.
        seed: of network, texts and draws.

    Returns:
        text ("names": the same ones again, with other draws), dropout, cosine (of the gradient of L_MM on the feature maps with that for
        names), distance and spread (mean and standard deviation, over pairs of classes, of the distance D^G between their texts).
    """
    encoder, stop = text_sources.load(setting.source), text_sources.stop_of(setting.source)
    names, network = setting.task.class_names, setting.start(seed)
    batch = np.arange(min(count, len(setting.task.train)))
    with torch.no_grad():
        maps, _ = network.look(setting.plain(setting.task.train)(batch, None))
    labels = torch.from_numpy(setting.task.train.labels[batch])
    rows, apart = [], ~torch.eye(len(names), dtype=torch.bool)
    for dropout in (PAPER.dropout, 0.0):
        reading = PAPER.but(dropout=dropout)
        for part, text in enumerate((NAMES, NAMES, *(one for one in CONTROLS if one != SHAM))):
            side = side_of(Arm("", reading, text), encoder, names, network.shape(), stop=stop, seed=seed).train()
            found, between = [], []
            for draw in range(draws if dropout else 1):
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(int(keys(seed, 142, part, draw) >> np.uint64(1)))
                    moving = maps.clone().requires_grad_()
                    found.append(torch.autograd.grad(side(moving, labels).manifold, moving)[0].flatten())
                    with torch.no_grad():
                        features = side.text()
                        between.append(distances(side.mapping(features.tokens) * features.mask[:, :, None])[apart])
            if part == 0:
                of_names = found
                continue
            pushes = [float(cosine_similarity(one, other, dim=0)) for one, other in zip(found, of_names, strict=True)]
            rows.append({"text": text, "dropout": dropout, "cosine": np.mean(pushes), "distance": float(torch.stack(between).mean()),
                         "spread": float(torch.stack(between).std(1).mean())})  # fmt: skip
    return pd.DataFrame(rows)
