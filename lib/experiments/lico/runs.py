"""Classifiers of every arm and seed, trained once and kept; and the settings of those that are tuned."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib import fingerprint, store
from lib.datasets.pictures import Pictures
from lib.encoders.networks import normalised
from lib.experiments.evidence import over_seeds
from lib.experiments.lico.arms import CONTROLS, GRID, NAMES, SHAM, TUNED, Arm, side_of
from lib.experiments.lico.data import Task
from lib.experiments.lico.side_by_side import work_beside
from lib.keyed_random import generator
from lib.lico import text_sources, training
from lib.lico.backbones import BACKBONES, Backbone, backbone
from lib.lico.export import export, restore
from lib.lico.loading import Loader, loader
from lib.lico.objective import Consistency
from lib.lico.plan import Plan
from lib.lico.readings import PAPER, Reading
from lib.lico.sham import Sham
from lib.lico.temperature import LOG_SCALE
from lib.lico.training import Trained, accuracy, gradient_norms, train
from lib.paths import CACHE
from lib.statistics import Estimate, paired_difference, student_mean

MATCHED_STEPS = 100  # over which a sham's push is made as long as LICO's
CHECKPOINTS = CACHE / "lico" / "checkpoints"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # where classifiers answer and are explained
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

    def augmented(self) -> Loader:
        """Of the training pictures."""
        return loader(self.task.train, self.task.augmentation, side=BACKBONES[self.network][2])

    def plain(self, pictures: Pictures) -> Loader:
        """Of pictures as they are, brought to the side of the network where their sizes vary."""
        return loader(pictures, side=BACKBONES[self.network][2])

    def seen(self, pictures: Pictures) -> np.ndarray:
        """(n, side, side, 3) uint8, what the network has of pictures: of photographs, the middle."""
        dark, light = (float(normalised(np.full((1, 1, 1, 1), value))) for value in (0, 255))
        x = self.plain(pictures)(np.arange(len(pictures)), None)
        return ((x - dark) / (light - dark) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

    @property
    def inputs(self) -> dict:
        """Plain values that determine a run, together with arm and seed."""
        return {
            "task": self.task.name, "train": self.task.train.identity, "augmentation": self.task.augmentation, "network": self.network,
            "text": text_identity(self.source), "class names": list(self.task.class_names), "stop": text_sources.stop_of(self.source),
            "plan": asdict(self.plan), "matched steps": MATCHED_STEPS,
        }  # fmt: skip


@lru_cache(maxsize=4)
def text_identity(source: str) -> dict[str, str]:
    """What determines the outputs of a text encoder; its weights are hashed once."""
    return text_sources.load(source).identity


def trained(setting: Setting, arm: Arm, seed: int) -> Trained:
    """The classifier of an arm and a seed, from the cache or trained; on an accelerator, where there is one."""
    network = setting.start(seed)
    inputs = setting.inputs | {"arm": arm_identity(arm), "seed": seed}

    def make():
        side = None
        try:
            side = _side(setting, arm, network, seed)
            found = train(
                network, setting.augmented(), setting.task.train.labels, setting.plan, consistency=side, seed=seed,
                name=f"training {arm.name}, seed {seed}", checkpoint=_checkpoint(inputs),
            )  # fmt: skip
        except FloatingPointError as error:  # nothing good was there to be kept: the untrained network stands for it
            none = {"step": 0.0, "loss": float("nan"), "cross entropy": float("nan")}
            found = Trained(setting.start(seed), pd.DataFrame([none]), str(error))
        columns = {f"history/{name}": torch.tensor(found.history[name].to_numpy(float)) for name in found.history}
        return {f"state/{key}": value for key, value in found.backbone.module.state_dict().items()} | columns | {
            "stopped": torch.tensor(list(found.stopped.encode()), dtype=torch.uint8),
            "weight": torch.tensor([side.weight if isinstance(side, Sham) else 1.0], dtype=torch.float64),
        }  # fmt: skip

    stored = store.fetch("lico/networks", inputs, make, code=CODE)
    _checkpoint(inputs).unlink(missing_ok=True)
    parts = {"state": {}, "history": {}, "stopped": {}, "weight": {}}
    for key, value in stored.items():
        kind, _, rest = key.partition("/")
        parts[kind][rest] = value
    network.module.load_state_dict(parts["state"])
    network.module.eval().requires_grad_(False).to(DEVICE)
    history = pd.DataFrame({name: value.numpy() for name, value in parts["history"].items()})
    return Trained(network, history.assign(weight=float(stored["weight"])), bytes(stored["stopped"].tolist()).decode())


def _checkpoint(inputs):
    """A file for a training under way, which no other training has."""
    name = fingerprint.values_sha256({"inputs": inputs, "code": store.code_fingerprint(*CODE)})
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    return CHECKPOINTS / f"{name[:32]}.safetensors"


def all_trained(setting: Setting, arms: Sequence[Arm], seeds: Sequence[int]) -> dict[tuple[str, int], Trained]:
    """(name of the arm, seed) -> its classifier; without an accelerator two are trained beside each other."""
    pieces = {(arm.name, seed): (setting, arm, seed) for seed in seeds for arm in arms}
    work_beside(_keep, pieces, description="training")
    return {key: trained(*piece) for key, piece in pieces.items()}


def _keep(setting, arm, seed):
    trained(setting, arm, seed)


def arm_identity(arm: Arm) -> dict:
    """An arm without its names, under which the same training is the same."""
    if arm.reading is None:
        return {"text": "", "reading": {}}
    return {"text": arm.text, "reading": {key: value for key, value in asdict(arm.reading).items() if key != "name"}}


def _side(setting, arm, network, seed):
    def side_for(one):
        encoder, stop = text_sources.load(setting.source), text_sources.stop_of(setting.source)
        return side_of(one, encoder, setting.task.class_names, network.shape(), stop=stop, seed=seed)

    if arm.reading is None:
        return None
    if arm.text != SHAM:
        return side_for(arm)
    def there(module):  # a copy: the encoder is behind other texts too
        return copy.deepcopy(module).to(DEVICE)

    side = side_for(arm)
    norms = gradient_norms(
        replace(network, module=there(network.module)), setting.augmented(), setting.task.train.labels, setting.plan,
        {NAMES: there(side_for(replace(arm, text=NAMES))), SHAM: there(side)}, trained=NAMES, steps=MATCHED_STEPS, seed=seed,
    )  # fmt: skip
    side.weight = norms[NAMES] / norms[SHAM] if norms[SHAM] else 0.0
    return side


def tried(setting: Setting, texts: Sequence[str], trials: int, seeds: Sequence[int], *, seed: int = 0) -> pd.DataFrame:
    """Every trial of the grid with every text: text, seed, trial, the settings of the grid, validation accuracy, stopped.

    Each text gets the same trials, the first of a random order of the grid, and trains from the same weights.

    Args:
        setting: with the plan of a trial, which may be shorter than that of what follows.
        texts: "names" and controls.
        trials: how many, 0: the whole grid.
        seeds: of the networks.
        seed: of the order.
    """
    chosen = sorted(generator(seed, 136).permutation(len(GRID))[: trials or len(GRID)].tolist())
    arms = {Arm(f"{text}, trial {number}", _of_grid(number), text): number for text, number in product(texts, chosen)}
    networks = all_trained(setting, list(arms), seeds)
    load, labels = setting.plain(setting.task.validation), setting.task.validation.labels
    return pd.DataFrame([
        {"text": arm.text, "seed": of_network, "trial": number, **GRID[number],
         "validation accuracy": accuracy(networks[arm.name, of_network].backbone, load, labels),
         "stopped": networks[arm.name, of_network].stopped}
        for (arm, number), of_network in product(arms.items(), seeds)
    ])  # fmt: skip


def ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials of every text by their mean validation accuracy over seeds, the best first and of several the first: text, trial, settings.

    Besides, as "better by", how much the mean is above that of the next; NaN for the last.
    """
    means = trials.drop(columns=["seed", "stopped"]).groupby(["text", "trial"], sort=False).agg(
        {name: "mean" if name == "validation accuracy" else "first" for name in trials if name not in ("text", "trial", "seed", "stopped")}
    ).reset_index()  # fmt: skip
    order = {text: place for place, text in enumerate(dict.fromkeys(trials["text"]))}
    means = means.sort_values("validation accuracy", ascending=False, kind="stable")
    means = means.sort_values("text", key=lambda column: column.map(order), kind="stable").reset_index(drop=True)
    return means.assign(**{"better by": means.groupby("text")["validation accuracy"].diff(-1)})


def chosen_of(trials: pd.DataFrame) -> dict[str, Reading]:
    """The best trial of every text, see `ranked`: "tuned" or the control's name -> reading."""
    found = {}
    for text, best in ranked(trials).groupby("text", sort=False).first()["trial"].items():
        name = TUNED if text == NAMES else text
        found[name] = _of_grid(int(best)).but(name=name)
    return found


def names_against(trials: pd.DataFrame) -> pd.DataFrame:
    """Names less each control over all settings tried, not only the best: control, difference in validation accuracy, low, high, trials.

    Paired by trial and seed; the interval is Student's over trials, each the mean of its seeds.
    """
    wide = trials.pivot_table(index=["trial", "seed"], columns="text", values="validation accuracy")
    rows = []
    for control in [one for one in dict.fromkeys(trials["text"]) if one != NAMES and NAMES in wide]:
        found = student_mean((wide[NAMES] - wide[control]).groupby("trial").mean())
        rows.append({"control": control, "difference": found.value, "low": found.low, "high": found.high, "trials": found.count})
    return pd.DataFrame(rows, columns=["control", "difference", "low", "high", "trials"])


def texts_to_tune(arms: Sequence[str]) -> list[str]:
    """What has to be tuned for these arms."""
    return [NAMES if name == TUNED else name for name in arms if name == TUNED or name in CONTROLS]


def _of_grid(number: int) -> Reading:
    return PAPER.but(name=f"trial {number}", **GRID[number])


def answers(setting: Setting, networks: Mapping[tuple[str, int], Trained], pictures: Pictures | None = None) -> pd.DataFrame:
    """What every classifier takes every picture for: arm, seed, picture, answer (number of the class), right.

    Args:
        setting: of the networks.
        networks: `all_trained`.
        pictures: which; by default the test pictures.
    """
    pictures = pictures or setting.task.test
    load, labels = setting.plain(pictures), pictures.labels
    tables = []
    for (arm, seed), one in networks.items():
        answer = training.predictions(one.backbone, load, len(labels)).argmax(1)
        rows = {"arm": arm, "seed": seed, "picture": np.arange(len(labels)), "answer": answer, "right": answer == labels}
        tables.append(pd.DataFrame(rows))
    return pd.concat(tables, ignore_index=True)


def accuracies(given: pd.DataFrame, networks: Mapping[tuple[str, int], Trained]) -> pd.DataFrame:
    """Accuracy of every arm and seed, and how training went: arm, seed, accuracy, loss of the last batch, stopped.

    Args:
        given: `answers`.
        networks: the same.
    """
    right = given.groupby(["arm", "seed"])["right"].mean()
    return pd.DataFrame([
        {"arm": arm, "seed": seed, "accuracy": right[arm, seed], "loss of the last batch": one.history["loss"].iloc[-1],
         "stopped": one.stopped}
        for (arm, seed), one in networks.items()
    ])  # fmt: skip


def gain(given: pd.DataFrame, arm: str, over: str) -> Estimate | None:
    """Difference in accuracy between two arms, paired by picture and by seed; count is of seeds. None where one is not there.

    Args:
        given: `answers`.
        arm, over: names; arm - over.
    """
    wide = given[given["arm"].isin([arm, over])].pivot(index=["seed", "picture"], columns="arm", values="right")
    if arm not in wide or over not in wide:
        return None
    both = wide.dropna().astype(float)
    each = [paired_difference(one[arm], one[over]) for _, one in both.groupby(level="seed")]
    return replace(over_seeds(each), count=len(each)) if each else None


def gains(given: pd.DataFrame, *, over: str) -> pd.DataFrame:
    """`gain` of every arm: arm, number ("accuracy"), difference, low, high, seeds."""
    found = {arm: gain(given, arm, over) for arm in dict.fromkeys(given["arm"]) if arm != over}
    return pd.DataFrame([
        {"arm": arm, "number": "accuracy", "difference": one.value, "low": one.low, "high": one.high, "seeds": one.count}
        for arm, one in found.items() if one
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
    pictures = setting.plain(setting.task.test)(np.arange(min(8, len(setting.task.test))), None).to(DEVICE)
    rows = []
    for arm in arms:
        seed = next(seed for name, seed in networks if name == arm)
        module = networks[arm, seed].backbone.module
        with TemporaryDirectory() as folder, torch.no_grad():
            path = export(networks[arm, seed].backbone, Path(folder) / "plain.safetensors")
            plain = restore(setting.start(seed).module, path)
            size = path.stat().st_size
            plain = plain.to(DEVICE)
            with FlopCounterMode(display=False) as counter:
                again = plain(pictures)
            rows.append({
                "arm": arm, "parameters": sum(one.numel() for one in plain.parameters()),
                "operations": counter.get_total_flops() // len(pictures), "bytes": size, "same": torch.equal(again, module(pictures)),
            })  # fmt: skip
    return pd.DataFrame(rows)


def histories(networks: Mapping[tuple[str, int], Trained], arms: Sequence[Arm]) -> pd.DataFrame:
    """Diagnostics of all trainings.

    Args:
        networks: `all_trained`.
        arms: of these.

    Returns:
        arm, seed, step, the columns of `Trained.history`, share of LICO (of the loss), push (length of LICO's gradient on the classifier
        over that of the cross-entropy) and scale (what distances are multiplied by, 1 / tau).
    """
    conventions = {arm.name: arm.reading.temperature for arm in arms if arm.reading}
    tables = []
    for (arm, seed), one in networks.items():
        table = one.history.assign(arm=arm, seed=seed)
        table["share of LICO"] = 1 - table["cross entropy"] / table["loss"]
        if "t" in table:
            table["scale"] = np.exp(table["t"]) if conventions[arm] == LOG_SCALE else 1 / table["t"]
        if "added gradient" in table:
            table["push"] = table["added gradient"] / table["task gradient"]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
