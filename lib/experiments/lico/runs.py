"""Classifiers of every arm and seed, trained once and kept; and the settings of those that are tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from lib import store
from lib.datasets.scenes import FACTORS, assigned_background
from lib.experiments.lico.arms import CONTROLS, GRID, NAMES, SHAM, TUNED, Arm, side_of, stop_of
from lib.experiments.lico.data import Task, loader
from lib.experiments.remembered import remembered
from lib.keyed_random import generator
from lib.lico import text_encoders, training
from lib.lico.backbones import Backbone, backbone
from lib.lico.objective import Consistency
from lib.lico.readings import PAPER, Reading
from lib.lico.sham import Sham
from lib.lico.training import Plan, Trained, accuracy, gradient_norms, train

MATCHED_STEPS = 100  # over which a sham's push is made as long as LICO's
CODE = (training, Consistency, Sham, side_of, backbone, loader)  # what a trained network depends on, beside its settings


@dataclass(frozen=True)
class Setting:
    """What all arms of a comparison share.

    Args:
        task: pictures.
        network: name of a backbone.
        source: name of the text encoder.
        plan: of training.
    """

    task: Task
    network: str
    source: str
    plan: Plan

    def start(self, seed: int) -> Backbone:
        """The untrained network of a seed, the same for all arms."""
        return backbone(self.network, len(self.task.class_names), seed=seed)

    def with_labels(self, task: Task) -> "Setting":
        """The same with other training pictures; where they are fewer than a batch, all of them are the batch."""
        return replace(self, task=task, plan=replace(self.plan, batch_size=min(self.plan.batch_size, len(task.train))))

    @property
    def inputs(self) -> dict:
        """Plain values that determine a run, together with arm and seed."""
        return {
            "task": self.task.name, "train": self.task.train.identity, "augmentation": self.task.augmentation, "network": self.network,
            "text": text_identity(self.source), "class names": list(self.task.class_names), "stop": stop_of(self.source),
            "plan": asdict(self.plan), "matched steps": MATCHED_STEPS,
        }  # fmt: skip


@lru_cache(maxsize=4)
def text_identity(source: str) -> dict[str, str]:
    """What determines the outputs of a text encoder; its weights are hashed once."""
    return text_encoders.load(source).identity


def trained(setting: Setting, arm: Arm, seed: int) -> Trained:
    """The classifier of an arm and a seed, from the cache or trained."""
    network = setting.start(seed)

    def make():
        side = _side(setting, arm, network, seed)
        found = train(
            network, loader(setting.task.train, setting.task.augmentation), setting.task.train.labels, setting.plan, consistency=side,
            seed=seed, name=f"training {arm.name}, seed {seed}",
        )  # fmt: skip
        columns = {f"history/{name}": torch.tensor(found.history[name].to_numpy(float)) for name in found.history}
        return {f"state/{key}": value for key, value in found.backbone.module.state_dict().items()} | columns | {
            "stopped": torch.tensor(list(found.stopped.encode()), dtype=torch.uint8),
            "weight": torch.tensor([side.weight if isinstance(side, Sham) else 1.0], dtype=torch.float64),
        }  # fmt: skip

    inputs = setting.inputs | {"arm": arm_identity(arm), "seed": seed}
    stored = store.fetch("lico/networks", inputs, make, code=CODE)
    parts = {"state": {}, "history": {}, "stopped": {}, "weight": {}}
    for key, value in stored.items():
        kind, _, rest = key.partition("/")
        parts[kind][rest] = value
    network.module.load_state_dict(parts["state"])
    network.module.eval().requires_grad_(False)
    history = pd.DataFrame({name: value.numpy() for name, value in parts["history"].items()})
    return Trained(network, history.assign(weight=float(stored["weight"])), bytes(stored["stopped"].tolist()).decode())


def arm_identity(arm: Arm) -> dict:
    """An arm without its names, under which the same training is the same."""
    if arm.reading is None:
        return {"text": "", "reading": {}}
    return {"text": arm.text, "reading": {key: value for key, value in asdict(arm.reading).items() if key != "name"}}


def _side(setting, arm, network, seed):
    side = side_of(arm, setting.source, setting.task.class_names, network.shape(), seed=seed)
    if arm.text != SHAM or arm.reading is None:
        return side
    norms = gradient_norms(
        network, loader(setting.task.train, setting.task.augmentation), setting.task.train.labels, setting.plan,
        {NAMES: side_of(replace(arm, text=NAMES), setting.source, setting.task.class_names, network.shape(), seed=seed), SHAM: side},
        trained=NAMES, steps=MATCHED_STEPS, seed=seed,
    )  # fmt: skip
    side.weight = norms[NAMES] / norms[SHAM] if norms[SHAM] else 0.0
    return side


def tried(setting: Setting, texts: Sequence[str], trials: int, *, seed: int = 0) -> pd.DataFrame:
    """Every trial of the grid with every text: text, trial, the settings of the grid, validation accuracy.

    Each text gets the same trials, the first of a random order of the grid, and trains from the same weights.

    Args:
        setting: with the plan of a trial, which may be shorter than that of what follows.
        texts: "names" and controls.
        trials: how many, 0: the whole grid.
        seed: of the order, and of the networks.
    """
    chosen = generator(seed, 136).permutation(len(GRID))[: trials or len(GRID)]
    load, labels = loader(setting.task.validation), setting.task.validation.labels
    tables = []
    for text in texts:
        for number in sorted(chosen.tolist()):
            arm = Arm(f"{text}, trial {number}", _of_grid(number), text)

            def make(arm=arm, number=number):
                found = trained(setting, arm, seed)
                reached = accuracy(found.backbone, load, labels)
                return [{"trial": number, **GRID[number], "validation accuracy": reached, "stopped": found.stopped}]

            inputs = setting.inputs | {"arm": arm_identity(arm), "seed": seed, "validation": setting.task.validation.identity}
            rows = remembered("lico/trials", inputs, make, code=CODE)
            tables.append(rows.assign(text=text))
    return pd.concat(tables, ignore_index=True)


def chosen_of(trials: pd.DataFrame) -> dict[str, Reading]:
    """The best trial of every text by validation accuracy, the first of several: "tuned" or the control's name -> reading."""
    found = {}
    for text, some in trials.groupby("text", sort=False):
        best = some.loc[some["validation accuracy"].idxmax(), "trial"]
        found[TUNED if text == NAMES else text] = _of_grid(int(best)).but(name=TUNED if text == NAMES else text)
    return found


def texts_to_tune(arms: Sequence[str]) -> list[str]:
    """What has to be tuned for these arms."""
    return [NAMES if name == TUNED else name for name in arms if name == TUNED or name in CONTROLS]


def _of_grid(number: int) -> Reading:
    return PAPER.but(name=f"trial {number}", **GRID[number])


def accuracies(setting: Setting, networks: Mapping[tuple[str, int], Trained]) -> pd.DataFrame:
    """Test accuracy of every arm and seed, and how training went: arm, seed, accuracy, loss, stopped."""
    load, labels = loader(setting.task.test), setting.task.test.labels
    return pd.DataFrame([
        {"arm": arm, "seed": seed, "accuracy": accuracy(one.backbone, load, labels), "loss": one.history["loss"].iloc[-1],
         "stopped": one.stopped}
        for (arm, seed), one in networks.items()
    ])  # fmt: skip


def histories(networks: Mapping[tuple[str, int], Trained]) -> pd.DataFrame:
    """Diagnostics of all trainings: arm, seed, step, and their columns; shares of the loss among them."""
    tables = []
    for (arm, seed), one in networks.items():
        table = one.history.assign(arm=arm, seed=seed)
        table["share of LICO"] = 1 - table["cross entropy"] / table["loss"]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def reliance_on_background(setting: Setting, networks: Mapping[tuple[str, int], Trained]) -> pd.DataFrame:
    """How much better classifiers are where the background is the one that the shortcut ties to the class.

    Returns:
        arm, seed, accuracy with that background, without it, and their difference, the reliance.

    Test scenes have no shortcut: their backgrounds are independent of the class.
    """
    test = setting.task.test
    assigned = np.asarray(FACTORS["background"])[assigned_background(test.labels)] == test.factors["background"].to_numpy()
    rows = []
    for (arm, seed), one in networks.items():
        right = training.predictions(one.backbone, loader(test), len(test)).argmax(1) == test.labels
        rows.append({"arm": arm, "seed": seed, "with": right[assigned].mean(), "without": right[~assigned].mean()})
    table = pd.DataFrame(rows)
    return table.assign(reliance=table["with"] - table["without"])
