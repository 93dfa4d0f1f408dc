"""Classifiers of every arm and seed, trained once and kept; and the settings of those that are tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib import store
from lib.datasets.scenes import FACTORS, assigned_background
from lib.experiments.lico.arms import CONTROLS, GRID, NAMES, SHAM, TUNED, Arm, side_of, stop_of
from lib.experiments.lico.data import Task, loader
from lib.experiments.remembered import remembered
from lib.keyed_random import generator
from lib.lico import text_encoders, training
from lib.lico.backbones import Backbone, backbone
from lib.lico.export import export, restore
from lib.lico.objective import Consistency
from lib.lico.readings import PAPER, Reading
from lib.lico.sham import Sham
from lib.lico.training import Plan, Trained, accuracy, gradient_norms, train
from lib.statistics import Estimate, student_mean

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


def all_trained(setting: Setting, arms: Sequence[Arm], seeds: Sequence[int]) -> dict[tuple[str, int], Trained]:
    """(name of the arm, seed) -> its classifier."""
    return {(arm.name, seed): trained(setting, arm, seed) for seed in seeds for arm in arms}


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


def paired(table: pd.DataFrame, number: str, arm: str, over: str) -> Estimate | None:
    """Mean difference between two arms over the seeds that both have, with Student's interval; None where one is not there.

    Args:
        table: with the columns arm, seed and the number.
        number: name of a column.
        arm, over: names; arm - over.
    """
    wide = table.pivot_table(index="seed", columns="arm", values=number)
    if arm not in wide or over not in wide:
        return None
    return student_mean((wide[arm] - wide[over]).dropna().to_numpy())


def gains(table: pd.DataFrame, number: str, *, over: str) -> pd.DataFrame:
    """`paired` of every arm: arm, number, difference, low, high, seeds."""
    found = {arm: paired(table, number, arm, over) for arm in dict.fromkeys(table["arm"]) if arm != over}
    return pd.DataFrame([
        {"arm": arm, "number": number, "difference": one.value, "low": one.low, "high": one.high, "seeds": one.count}
        for arm, one in found.items()
    ])  # fmt: skip


def what_is_left(setting: Setting, networks: Mapping[tuple[str, int], Trained], arms: Sequence[str]) -> pd.DataFrame:
    """What remains of each arm: its classifier written, and read into a plain network of the same architecture.

    Args:
        setting: of the networks.
        networks: `all_trained`.
        arms: which; of each the first seed.

    Returns:
        arm, parameters, operations (multiplications and additions for one picture), bytes (of the file), same (whether the plain network
        has the same logits, to the last bit).
    """
    pictures = loader(setting.task.test)(np.arange(min(8, len(setting.task.test))), None)
    rows = []
    for arm in arms:
        seed = next(seed for name, seed in networks if name == arm)
        module = networks[arm, seed].backbone.module
        with TemporaryDirectory() as folder, torch.no_grad():
            path = export(networks[arm, seed].backbone, Path(folder) / "plain.safetensors")
            plain = restore(setting.start(seed).module, path)
            size = path.stat().st_size
            with FlopCounterMode(display=False) as counter:
                again = plain(pictures)
            rows.append({
                "arm": arm, "parameters": sum(one.numel() for one in plain.parameters()),
                "operations": counter.get_total_flops() // len(pictures), "bytes": size, "same": torch.equal(again, module(pictures)),
            })  # fmt: skip
    return pd.DataFrame(rows)


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
