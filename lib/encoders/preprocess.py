"""From uint8 pictures to the batch a network expects."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from PIL import Image

from lib.datasets.pictures import in_threads

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocess:
    """Shorter side to `resize` pixels (bilinear, anti-aliased), centre crop of `size`, then (value / 255 - mean) / std per channel.

    Pictures that already have both sizes are not touched before the last step. Batches are laid out channels last, as pictures are:
    convolutions on a CPU run up to twice as fast on them.
    """

    resize: int
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def identity(self) -> dict:
        """Plain values that determine the function."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    def __call__(self, pictures: np.ndarray | Sequence[np.ndarray], *, device: str | torch.device = "cpu") -> torch.Tensor:
        """Uint8 pictures, (n, height, width, 3) or a list of (height, width, 3), -> float32 tensor (n, 3, size, size).

        Raises:
            ValueError: if a picture is not uint8 with three channels.
        """
        check_pictures(pictures)
        ready = isinstance(pictures, np.ndarray) and pictures.shape[1:3] == (self.size, self.size) and self.resize == self.size
        pixels = pictures if ready else np.stack(in_threads(self._fit, pictures))
        batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2).to(torch.float32) / 255
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (self.mean, self.std))
        return (batch - mean) / std

    def _fit(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        if width < height:
            target = self.resize, round(height * self.resize / width)
        else:
            target = round(width * self.resize / height), self.resize
        resized = Image.fromarray(picture).resize(target, Image.Resampling.BILINEAR)
        left, top = (target[0] - self.size) // 2, (target[1] - self.size) // 2
        return np.asarray(resized.crop((left, top, left + self.size, top + self.size)))


def with_transform(transform: Callable[[Image.Image], torch.Tensor], device: str | torch.device) -> Callable:
    """Preprocessing by a library's own transform of one PIL picture."""
    def preprocess(pictures):
        check_pictures(pictures)
        batch = torch.stack(in_threads(lambda picture: transform(Image.fromarray(picture)), pictures))
        return batch.to(device, memory_format=torch.channels_last)
    return preprocess


def check_pictures(pictures: np.ndarray | Sequence[np.ndarray]) -> None:
    """Raise a ValueError unless every picture is uint8 of shape (height, width, 3) and there is at least one."""
    if len(pictures) == 0:
        raise ValueError("pictures: found none; expected at least one")
    for picture in pictures[:1] if isinstance(pictures, np.ndarray) else pictures:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(f"pictures: found {picture.dtype} of shape {picture.shape}; expected uint8 of shape (height, width, 3) each")
