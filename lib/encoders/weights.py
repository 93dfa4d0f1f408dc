"""Weights of networks: read without running code, loaded only if every key fits, named by their content."""

import hashlib
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a `.safetensors` file or from a file of torch.save, of which only tensors are accepted.

    A dict that holds the state dict under "state_dict" or "model" is unwrapped; the prefix "module." of data-parallel training is removed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything but named tensors.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"weights: found no file {path}; expected a state dict (.safetensors, or a file of torch.save)")
    try:
        safe = Path(path).suffix == ".safetensors"
        content = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"weights: {path} cannot be read as tensors only ({str(error).splitlines()[0]}); expected a state dict") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(value, torch.Tensor) for value in content.values()):
        found = f"a dict with {', '.join(map(str, list(content)[:5]))}" if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"weights: {path}: found {found}; expected a dict of named tensors")
    if all(key.startswith("module.") for key in content):
        content = {key.removeprefix("module."): value for key, value in content.items()}
    return content


def load_strictly(module: torch.nn.Module, weights: dict[str, torch.Tensor], source: str) -> None:
    """Copy weights into a module of exactly these keys and shapes (counters of batch norm may be absent).

    Raises:
        ValueError: listing what is missing, what is unexpected, and what has another shape.
    """
    own = {key: value for key, value in module.state_dict().items() if not _counter(key)}
    given = {key: value for key, value in weights.items() if not _counter(key)}
    problems = {
        "missing": [key for key in own if key not in given],
        "unexpected": [key for key in given if key not in own],
        "of another shape": [f"{key} {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
                             for key in own if key in given and given[key].shape != own[key].shape],
    }
    if any(problems.values()):
        listed = "; ".join(f"{len(keys)} {what}: {', '.join(keys[:8])}{', ...' if len(keys) > 8 else ''}"
                           for what, keys in problems.items() if keys)
        raise ValueError(f"weights: {source} does not fit the architecture: {listed}")
    module.load_state_dict(given, strict=False)


def weights_sha256(module: torch.nn.Module) -> str:
    """SHA-256 of all weights and buffers, names and types included (counters of batch norm excepted): whatever file they came from."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        if not _counter(key):
            value = value.detach().cpu().contiguous()
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")
