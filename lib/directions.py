"""Directions other than single units: functions from a layer's activations to new activations, fitted on the layer without labels.

Principal components are linear; non-negative factors and sparse codes are not (each code is found by an encoder), so a direction is a
function of the activations and not a matrix (specs/mis.md section 9).
All are fitted on single places of the feature maps and applied to every place; the mean over places is taken afterwards, as for units.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import NMF, PCA
from torch import nn
from tqdm.auto import tqdm

from lib.devices import training_threads
from lib.keyed_random import generator, keys, permutations

_NMF_ROWS = 5000


@dataclass(frozen=True)
class Directions:
    """A fitted dictionary of a layer."""

    name: str
    encode: Callable[[torch.Tensor], torch.Tensor]  # (rows, channels) -> (rows, directions)
    count: int
    explained: float  # share of the variance of the rows it was fitted on that it reconstructs (NMF: of the rectified rows)
    active: float  # mean number of directions that are not zero at a place

    def __call__(self, output: torch.Tensor) -> torch.Tensor:
        """Raw output of the layer -> activations of the directions.

        (n, C, H, W) -> (n, directions, H, W), (n, T, C) -> (n, T, directions), (n, C) -> (n, directions).
        """
        channels_last = _channels_last(output)
        codes = self.encode(channels_last.reshape(-1, channels_last.shape[-1])).view(*channels_last.shape[:-1], -1)
        return codes.movedim(-1, 1) if output.ndim == 4 else codes


def places(outputs, *, per_picture: int = 4, seed: int = 0) -> np.ndarray:
    """Rows to fit a dictionary on: a few random places of every picture's map.

    Args:
        outputs: an iterable of raw layer outputs, batch by batch (`lib.activations.maps`).
        per_picture: different places taken from each picture, all of them where there are fewer.
        seed: of the choice, which is keyed by (seed, picture, place), so that batches of another size give the same rows.

    Returns:
        (pictures x per_picture, channels) float32.
    """
    rows, seen = [], 0
    for output in outputs:
        channels_last = _channels_last(output)
        flat = channels_last.reshape(len(output), -1, channels_last.shape[-1]).cpu().numpy()
        order = permutations(keys(seed, np.arange(seen, seen + len(flat))[:, None], np.arange(flat.shape[1])))
        rows.append(np.take_along_axis(flat, order[:, :per_picture, None], 1).reshape(-1, flat.shape[-1]))
        seen += len(flat)
    return np.concatenate(rows).astype(np.float32)


def principal_components(rows: np.ndarray, count: int) -> Directions:
    """The leading principal components; the sign of a component is arbitrary, which MIS does not see."""
    _check(rows, count)
    fitted = PCA(count, svd_solver="full").fit(rows)
    mean, components = torch.from_numpy(fitted.mean_), torch.from_numpy(fitted.components_)
    return Directions("PCA", lambda x: (x - mean) @ components.T, count, float(fitted.explained_variance_ratio_.sum()), float(count))


def non_negative_factors(rows: np.ndarray, count: int, *, seed: int = 0) -> Directions:
    """Non-negative matrix factorisation of the rectified activations; codes come from the multiplicative updates with the factors fixed."""
    _check(rows, count)
    rectified = np.maximum(rows, 0)
    # The factors level off after some thousand rows, the time does not.
    sample = rectified[generator(seed, 5).permutation(len(rectified))[:_NMF_ROWS]]
    fitted = NMF(count, init="nndsvda", random_state=seed, max_iter=300, tol=1e-3).fit(sample)
    factors = torch.from_numpy(fitted.components_.astype(np.float32))

    def encode(x: torch.Tensor) -> torch.Tensor:
        numerator, gram = x.clamp(min=0) @ factors.T, factors @ factors.T
        codes = numerator / gram.diagonal().clamp(min=1e-9)
        for _ in range(60):
            codes = codes * numerator / (codes @ gram).clamp(min=1e-9)
        return codes

    codes = encode(torch.from_numpy(rectified))
    return Directions(
        "NMF", encode, count, _explained(rectified, (codes @ factors).numpy()), float((codes > 1e-4 * codes.max()).float().sum(1).mean())
    )


def sparse_autoencoder(
    rows: np.ndarray, expansion: int, *, sparsity: float = 0.1, presentations: int = 400_000, batch_size: int = 1024, seed: int = 0
) -> Directions:
    """A sparse auto-encoder: ReLU codes in a dictionary wider than the layer, with atoms of unit length.

    The loss is the squared error plus `sparsity` times the L1 norm of the codes (Bricken et al., "Towards Monosemanticity", 2023, the form
    that the MIS paper's appendix I calls vanilla). Rows are centred and scaled so that their mean squared norm equals the number of
    channels.

    Args:
        rows: (rows, channels), e.g. from `places`.
        expansion: dictionary size over channels.
        sparsity: weight of the L1 term.
        presentations: rows shown in training.
        batch_size: rows a step.
        seed: of weights and order.
    """
    _check(rows, 1)
    if expansion < 1:
        raise ValueError(f"expansion: found {expansion}; expected at least 1")
    channels = rows.shape[1]
    centre = torch.from_numpy(rows.mean(0))
    scale = float(np.sqrt(np.square(rows - rows.mean(0)).sum(1).mean() / channels))
    scaled = (torch.from_numpy(rows) - centre) / scale
    with training_threads(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(keys(seed, 3) >> np.uint64(1)))
        decoder = nn.Parameter(nn.functional.normalize(torch.randn(expansion * channels, channels), dim=1))
        encoder, bias = nn.Parameter(decoder.detach().clone()), nn.Parameter(torch.zeros(expansion * channels))
        optimizer = torch.optim.Adam([encoder, decoder, bias], lr=2e-3)
        steps = max(1, presentations // batch_size)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
        for step in tqdm(range(steps), desc=f"sparse auto-encoder, {expansion} times as wide", mininterval=1, leave=False):
            batch = scaled[torch.from_numpy(generator(seed, 4, step).integers(0, len(scaled), batch_size))]
            codes = torch.relu(batch @ encoder.T + bias)
            loss = ((codes @ decoder - batch) ** 2).sum(1).mean() + sparsity * codes.sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                decoder.copy_(nn.functional.normalize(decoder, dim=1))
    encoder, bias, decoder = encoder.detach(), bias.detach(), decoder.detach()

    def encode(x: torch.Tensor) -> torch.Tensor:
        return torch.relu((x - centre) / scale @ encoder.T + bias)

    codes = encode(torch.from_numpy(rows))
    return Directions(
        f"SAE x{expansion}",
        encode,
        expansion * channels,
        _explained(scaled.numpy(), (codes @ decoder).numpy()),
        float((codes > 0).float().sum(1).mean()),
    )


def _channels_last(output):
    return output.movedim(1, -1) if output.ndim == 4 else output


def _explained(rows, reconstruction):
    return float(1 - np.square(rows - reconstruction).sum() / np.square(rows - rows.mean(0)).sum())


def _check(rows, count):
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(f"rows: found shape {rows.shape}; expected (rows, channels), finite")
    if not 1 <= count <= min(rows.shape):
        raise ValueError(f"count: found {count} directions; expected 1 to {min(rows.shape)}, the smaller side of the {rows.shape} rows")
