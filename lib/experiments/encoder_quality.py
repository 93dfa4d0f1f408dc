"""Did training teach an encoder what it was trained for? Each one against its own untrained self, on the same new pictures."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lib import statistics
from lib.activations import embeddings
from lib.datasets.pictures import Pictures
from lib.encoders import local, networks, parse
from lib.encoders.recipe import nuisance_labels, tokenizer_of
from lib.linear_probe import linear_probe
from lib.statistics import Estimate

# What training must add to the untrained network's quality, lower end of the 95 % interval, for it to count. The numbers were chosen before
# any encoder was measured; what the linear probe is asked for (every factor, first the class alone) and its classifier were changed after.
MARGIN = {
    "class accuracy": 0.3,
    "background accuracy": 0.3,
    "linear probe accuracy": 0.05,
    "caption retrieval": 0.3,
    "explained picture variance": 0.3,
}
CAPTIONS_AT_ONCE = 100


@dataclass(frozen=True)
class Improvement:
    """Quality of a trained encoder and of its untrained self; higher is better for every task."""

    name: str
    task: str
    trained: float
    untrained: float
    gain: Estimate
    margin: float

    @property
    def passed(self) -> bool:
        """Whether the whole interval of the gain lies above the margin."""
        return self.gain.low > self.margin


def improvement(name: str, pictures: Pictures, *, probe_share: float = 0.6, seed: int = 0) -> Improvement:
    """Compare a local encoder with its own random initialisation, picture by picture.

    Args:
        name: of a trained local encoder, without a checkpoint.
        pictures: new ones, of the data set it was trained on; scenes for nuisance and clip.
        probe_share: share of the pictures that a linear probe is fitted on; it is judged on the rest.
        seed: of the bootstrap over pictures.

    Raises:
        ValueError: if the encoder is not a trained local one.
    """
    scheme, method, _ = parse(name)
    if scheme != "local" or method not in _QUALITY:
        raise ValueError(f"name: found {name!r}; expected a trained local encoder: {', '.join(_QUALITY)}")
    task, quality = _QUALITY[method]
    trained, untrained = (quality(one, pictures, probe_share) for one in (name, f"{name},checkpoint=0"))
    return Improvement(
        name,
        task,
        float(trained.mean()),
        float(untrained.mean()),
        statistics.paired_difference(trained, untrained, seed=seed),
        MARGIN[task],
    )


def _accuracy(labels_of: Callable[[Pictures], np.ndarray]):
    def quality(name, pictures, _share):
        encoder = local.load_local(name, *parse(name)[1:])
        with torch.no_grad():
            predicted = np.concatenate([encoder.classify(encoder.preprocess(batch)).argmax(1).numpy() for _, batch in pictures.batches()])
        return (predicted == labels_of(pictures)).astype(float)

    return quality


def _probe(name, pictures, share):
    x = embeddings(local.load_local(name, *parse(name)[1:]), pictures)
    return np.mean([linear_probe(x, target, share=share) for target in _targets(pictures)], axis=0)


def _targets(pictures):
    """What a probe is asked for: every factor of a scene, or the class where nothing else is known."""
    if pictures.concepts is None:
        return [pictures.labels]
    factors = dict.fromkeys(name.partition(":")[0] for name in pictures.concepts)
    return [pictures.concepts.filter(regex=f"^{factor}: ").to_numpy().argmax(1) for factor in factors]


def _reconstruction(name, pictures, _share):
    objective = local.objective_of(name)
    with torch.no_grad():
        x = torch.cat([networks.normalised(batch) for _, batch in pictures.batches()])
        error = torch.cat([((objective(batch) - batch) ** 2).mean((1, 2, 3)) for batch in x.split(256)])
    return (1 - error / x.var(0, correction=0).mean()).numpy().astype(float)


def _retrieval(name, pictures, _share):
    if len(pictures) < CAPTIONS_AT_ONCE:
        raise ValueError(f"pictures: found {len(pictures)}; expected at least {CAPTIONS_AT_ONCE}, for captions to choose from")
    objective = local.objective_of(name)
    tokens = tokenizer_of(local.training_pictures(local.recipe_named(name)))(pictures.captions)
    with torch.no_grad():
        found = torch.cat([objective.clip.encode_image(networks.normalised(batch), normalize=True) for _, batch in pictures.batches()])
        said = torch.cat([objective.clip.encode_text(batch, normalize=True) for batch in tokens.split(256)])
    groups = [slice(start, start + CAPTIONS_AT_ONCE) for start in range(0, len(pictures) - CAPTIONS_AT_ONCE + 1, CAPTIONS_AT_ONCE)]
    return np.concatenate(
        [((found[group] @ said[group].T).argmax(1) == torch.arange(CAPTIONS_AT_ONCE)).numpy() for group in groups]
    ).astype(float)


_QUALITY = {
    "supervised": ("class accuracy", _accuracy(lambda pictures: pictures.labels)),
    "nuisance": ("background accuracy", _accuracy(nuisance_labels)),
    "simclr": ("linear probe accuracy", _probe),
    "rotation": ("linear probe accuracy", _probe),
    "autoencoder": ("explained picture variance", _reconstruction),
    "clip": ("caption retrieval", _retrieval),
}
