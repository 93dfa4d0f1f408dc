"""What one Inherent Interpretability Score costs: `python benchmarks/inherent_interpretability.py [--quick] [--folder FOLDER]`.

One score is a library's activations, and for each of eight sparsities a head on the training pictures and its accuracy on the test
pictures. Ours chooses the penalty of each head among five and starts each from the one before; the other sides are given the penalties that
ours has chosen and need not search:

1. scikit-learn's LogisticRegression (lbfgs, float32), one fit a sparsity;
2. 30 epochs of Adam, as the authors train their heads, one learning rate and the accuracy of the last epoch.

All see the same activations. The floor is one pass over the activations for each sparsity: the product of pictures and weights.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression

from lib.concept_heads import correct_through
from lib.concept_libraries.library import random_directions
from lib.linear_head import tuning_rows
from lib.machine import describe
from lib.measures.inherent_interpretability import GRID
from lib.paths import ROOT
from lib.sparse_concepts import concept_activations, kept, normalised, ranks, sparsified
from lib.tables import write_csv

SKLEARN_GOAL, ADAM_GOAL = 2.0, 3.0
CLOSE = 0.002  # accuracies nearer than this, on average over sparsities, count as equal
EPOCHS, RATE, DECAY, BATCH_SIZE = 30, 1e-2, 0.99, 1024
SEED = 0


def classes_of(pictures: int, dims: int, classes: int):
    """Gaussian classes that overlap a little: training and test features and labels."""
    rng = np.random.default_rng(SEED)
    means = 3.6 * rng.standard_normal((classes, dims)) / np.sqrt(dims)
    labels = np.arange(2 * pictures) % classes
    features = (means[labels] + rng.standard_normal((len(labels), dims))).astype(np.float32)
    return features[:pictures], labels[:pictures], features[pictures:], labels[pictures:]


def ours(world, library, tuned, classes):
    """Seconds, mean accuracy, and the chosen penalties."""
    start = time.perf_counter()
    found = correct_through(library.vectors, *world, tuned, classes, np.array(GRID))
    return time.perf_counter() - start, found["correct"].mean(), found["penalty"]


def theirs(world, library, tuned, fit):
    """Seconds and mean accuracy of heads that `fit` trains: (inputs, labels, number of the sparsity) -> function of inputs."""
    features, labels, test_features, test_labels = world
    start, accuracies = time.perf_counter(), []
    shown, tested = (concept_activations(one, library.vectors) for one in (features, test_features))
    shown, tested = normalised(shown), normalised(tested, shown)
    places, test_places = ranks(shown), ranks(tested)
    for number, sparsity in enumerate(GRID):
        keep = kept(library.count, sparsity)
        head = fit(sparsified(shown, keep, places)[~tuned], labels[~tuned], number)
        accuracies.append((head(sparsified(tested, keep, test_places)) == test_labels).mean())
    return time.perf_counter() - start, np.mean(accuracies)


def scikit_learn(chosen):
    def fit(inputs, labels, number):
        scale = np.sqrt(np.square(inputs, dtype=np.float64).mean())  # as ours does, for the penalty to mean the same
        model = LogisticRegression(C=1 / (chosen[number] * len(labels)), tol=1e-4, max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(inputs / np.float32(scale), labels)
        return lambda tested: model.predict(tested / np.float32(scale))

    return fit


def adam(classes):
    def fit(inputs, labels, number):
        torch.manual_seed(SEED)
        inputs, labels = torch.from_numpy(inputs), torch.from_numpy(labels)
        head = torch.nn.Linear(inputs.shape[1], classes)
        optimiser = torch.optim.Adam(head.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, DECAY)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(inputs)).split(BATCH_SIZE):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(head(inputs[rows]), labels[rows]).backward()
                optimiser.step()
            schedule.step()
        return lambda tested: head(torch.from_numpy(tested)).argmax(1).numpy()

    return fit


def floor(world, library, classes):
    """Seconds of the products of activations and weights, once for each sparsity."""
    shown = torch.from_numpy(concept_activations(world[0], library.vectors))
    weights = torch.randn(shown.shape[1], classes)
    start = time.perf_counter()
    for _ in GRID:
        shown @ weights
    return time.perf_counter() - start


def compared(size: dict, repeats: int) -> list[dict]:
    """One row a side: medians of seconds, mean accuracies over sparsities, ratio, goal, reached."""
    world = classes_of(size["pictures"], size["dims"], size["classes"])
    library = random_directions(size["concepts"], size["dims"], seed=SEED)
    tuned = tuning_rows(world[1], seed=SEED)
    runs = {"ours": [], "scikit-learn": [], "Adam": [], "floor": []}
    for _ in range(repeats):
        seconds, accuracy, chosen = ours(world, library, tuned, size["classes"])
        runs["ours"].append((seconds, accuracy))
        runs["scikit-learn"].append(theirs(world, library, tuned, scikit_learn(chosen)))
        runs["Adam"].append(theirs(world, library, tuned, adam(size["classes"])))
        runs["floor"].append((floor(world, library, size["classes"]), np.nan))
    seconds = {side: float(np.median([one[0] for one in found])) for side, found in runs.items()}
    accuracy = {side: float(found[0][1]) for side, found in runs.items()}
    return [
        {
            **size, "against": side, "seconds": seconds["ours"], "their_seconds": seconds[side], "accuracy": accuracy["ours"],
            "their_accuracy": accuracy[side], "ratio": seconds[side] / seconds["ours"], "goal": goal, "floor_seconds": seconds["floor"],
            "reached": bool(seconds[side] >= goal * seconds["ours"] and accuracy["ours"] >= accuracy[side] - CLOSE), "repeats": repeats,
        }
        for side, goal in (("scikit-learn", SKLEARN_GOAL), ("Adam", ADAM_GOAL))
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; the numbers mean nothing")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where data/results/benchmarks is written")
    arguments = parser.parse_args()
    sizes = [
        {"pictures": 10_000, "dims": 64, "concepts": 200, "classes": 10},
        {"pictures": 50_000, "dims": 512, "concepts": 200, "classes": 100},
    ]
    if arguments.quick:
        sizes = [{"pictures": 400, "dims": 16, "concepts": 60, "classes": 4}]
    table = pd.DataFrame([row for size in sizes for row in compared(size, 1 if arguments.quick or size["pictures"] > 20_000 else 3)])
    write_csv(arguments.folder / "data" / "results" / "benchmarks" / "inherent_interpretability.csv", table.assign(**describe()))
    print(table.to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
