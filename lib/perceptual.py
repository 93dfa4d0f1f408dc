"""Perceptual similarities that were fitted to human judgements: DreamSim (embeddings), LPIPS and DISTS (distances of pairs).

DreamSim (Fu et al., NeurIPS 2023) is what the MIS paper uses; LPIPS (Zhang et al., CVPR 2018) and DISTS (Ding et al., TPAMI 2020) are its
alternatives. All three need weights from elsewhere. Nothing is fetched behind the reader's back: every file is checked by its sha256, and
the libraries are kept from downloading anything themselves.
"""

import contextlib
import importlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from unittest import mock

import numpy as np
import pooch
import requests
import torch
from PIL import Image

from lib import downloads, paths
from lib.fingerprint import file_sha256

SIDE = 224
# name -> (file, sha256); the names carry the first digits of the hash, as torchvision publishes them.
BACKBONES = {
    "lpips": ("alexnet-owt-7be5be79.pth", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"),
    "dists": ("vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
}
TORCHVISION = "https://download.pytorch.org/models/"
# DreamSim's authors publish no hashes, and none could be computed where this was written (no network): the hash of the first file that
# arrives is written down, and every later one must have it.
DREAMSIM_FILES = {
    "dreamsim_ensemble_checkpoint.zip":
        "https://github.com/ssundaram21/dreamsim/releases/download/v0.2.0-checkpoints/dreamsim_ensemble_checkpoint.zip",
    "dino_vitbase16_pretrain.pth":
        "https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
}
NAMES = ("dreamsim", *BACKBONES)
DREAMSIM_CONTENT = (
    "dino_vitb16_pretrain.pth", "clip_vitb16_pretrain.pth.tar", "open_clip_vitb16_pretrain.pth.tar", "ensemble_lora/adapter_config.json")


def as_shown(picture: np.ndarray) -> Image.Image:
    """A picture as people saw it in the human study: shorter side to 256, then the middle 224 x 224.

    Pictures with a side below 224 are not cropped to less than their middle square: it is enlarged to 224 x 224 (the study had no such
    pictures).

    Args:
        picture: (height, width, 3) uint8.
    """
    height, width = picture.shape[:2]
    kept = min(height, width) if min(height, width) < SIDE else min(height, width) * SIDE / 256
    left, top = (width - kept) / 2, (height - kept) / 2
    return Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + kept, top + kept))


def files(name: str) -> dict[str, Path]:
    """The files that a similarity needs, by name: from data/weights, from the mirror, or downloaded.

    DreamSim's (1.3 GB and 0.3 GB) are looked for in weights/dreamsim of the mirror; their hashes are written to hashes.json in
    data/weights/dreamsim when they are first seen and verified ever after. The backbones of LPIPS and DISTS are looked for in
    weights/torchvision of the mirror.

    Args:
        name: "dreamsim", "lpips" or "dists".

    Raises:
        FileNotFoundError: if a file is nowhere and cannot be downloaded.
        ValueError: if the name is not known, or a file of the mirror does not have its hash.
    """
    if name == "dreamsim":
        return {file: _trusted_on_first_use(file, url, paths.WEIGHTS / "dreamsim") for file, url in DREAMSIM_FILES.items()}
    if name not in BACKBONES:
        raise ValueError(f"name: found {name!r}; expected one of {', '.join(NAMES)}")
    file, sha256 = BACKBONES[name]
    path = downloads.fetch(file, url=TORCHVISION + file, sha256=sha256, mirror_path=f"weights/torchvision/{file}", folder=paths.WEIGHTS)
    return {file: path}


def dreamsim_identity() -> dict:
    """Plain values that determine DreamSim's embeddings: the library's version and the hashes of its files."""
    _import_dreamsim()
    hashes = {name: file_sha256(path) for name, path in files("dreamsim").items()}
    return {"encoder": "dreamsim", "version": metadata.version("dreamsim"), "files": hashes}


def load_dreamsim(*, device: str = "cpu") -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Load DreamSim's ensemble (DINO, CLIP and OpenCLIP ViT-B/16 with LoRA, 1,792 numbers).

    The DINO network is built from DreamSim's own copy of DINO's code instead of the code on a branch of GitHub, which `torch.hub` would
    fetch and run.

    Args:
        device: where the network runs; DreamSim's own default, "cuda", is never used silently.

    Returns:
        A function: uint8 pictures, (n, height, width, 3) or a list -> (n, 1792) float32 embeddings.

    Raises:
        ImportError: if the package is missing.
        FileNotFoundError, ValueError: as in `files`.
    """
    package = _import_dreamsim()
    found = files("dreamsim")
    weights = _unpacked(found["dreamsim_ensemble_checkpoint.zip"], paths.WEIGHTS / "dreamsim")

    def dino(repository, name, *_, **__):
        if (repository, name) != ("facebookresearch/dino:main", "dino_vitb16"):
            raise ValueError(f"dreamsim: asked for {name} of {repository}; expected dino_vitb16 only (another version of the package?)")
        network = importlib.import_module("dreamsim.feature_extraction.vision_transformer").vit_base(patch_size=16)
        network.load_state_dict(torch.load(found["dino_vitbase16_pretrain.pth"], map_location="cpu", weights_only=True))
        return network

    hub = torch.hub.get_dir()
    try:
        with mock.patch.object(torch.hub, "load", dino), contextlib.redirect_stdout(io.StringIO()):
            network, preprocess = package.dreamsim(pretrained=True, device=device, cache_dir=str(weights), dreamsim_type="ensemble")
    finally:
        torch.hub.set_dir(hub)      # DreamSim redirects the hub's folder for the whole process
    network.eval()

    def embed(pictures):
        batch = torch.cat([preprocess(as_shown(picture)) for picture in pictures]).to(device)
        if len(batch) == 1:
            batch = batch.expand(2, -1, -1, -1)     # DreamSim squeezes away the axis of a batch of one
        with torch.no_grad():
            return network.embed(batch)[: len(pictures)].float().cpu().numpy()

    return embed


def load_distance(name: str, *, device: str = "cpu") -> Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], np.ndarray]:
    """Load a perceptual distance of pairs from torchmetrics.

    Args:
        name: "lpips" (AlexNet) or "dists" (VGG16).
        device: where the network runs.

    Returns:
        A function: two equally long sequences of n uint8 pictures -> (n,) float64 distances, 0 for equal pictures.

    Raises:
        FileNotFoundError: if the weights of the backbone are nowhere and cannot be downloaded.
    """
    if name not in BACKBONES:
        raise ValueError(f"name: found {name!r}; expected one of {', '.join(BACKBONES)}")
    [(file, path)] = files(name).items()
    with _torchvision_loads(path, file):
        if name == "lpips":
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

            lpips = LearnedPerceptualImagePatchSimilarity(net_type="alex").net.to(device)

            def network(first, second):
                return lpips(first, second, normalize=True)
        else:
            from torchmetrics.functional.image.dists import DISTSNetwork

            network = DISTSNetwork().eval().to(device)

    def distance(first, second):
        if len(first) != len(second):
            raise ValueError(f"first, second: found {len(first)} and {len(second)} pictures; expected pairs")
        with torch.no_grad():
            values = network(_in_unit_range(first, device), _in_unit_range(second, device))
        return values.reshape(len(first)).double().cpu().numpy()

    return distance


def _in_unit_range(pictures: Sequence[np.ndarray], device: str) -> torch.Tensor:
    batch = np.stack([np.asarray(as_shown(picture)) for picture in pictures])
    return torch.from_numpy(batch).to(device).permute(0, 3, 1, 2).float() / 255


@contextlib.contextmanager
def _torchvision_loads(path: Path, file: str) -> Iterator[None]:
    """Let torchvision read one verified file where it would download it, and nothing else.

    Left to itself it takes whatever file of that name is in the hub's folder, without looking at its hash, and unpickles it freely.
    """
    def load(url, *_, **__):
        if Path(url).name != file:
            raise ValueError(f"torchvision: asked for {url}; expected {file} (another version of torchvision or torchmetrics?)")
        return torch.load(path, map_location="cpu", weights_only=True)

    with mock.patch("torchvision.models._api.load_state_dict_from_url", load):
        yield


def _import_dreamsim():
    try:
        return importlib.import_module("dreamsim")
    except ImportError as error:
        raise ImportError(f"dreamsim: {error}; DreamSim is an optional extra: install it with `pip install -e .[perceptual]`") from error


def _trusted_on_first_use(name: str, url: str, folder: Path) -> Path:
    record, mirror_path = folder / "hashes.json", f"weights/dreamsim/{name}"
    hashes = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    if name in hashes:
        return downloads.fetch(name, url=url, sha256=hashes[name], mirror_path=mirror_path, folder=folder)
    mirror = paths.mirror()
    if mirror and (mirror / mirror_path).is_file():
        path = mirror / mirror_path
    elif (folder / name).is_file():
        path = folder / name
    else:
        try:
            path = Path(pooch.retrieve(url, known_hash=None, fname=name, path=folder))
        except (OSError, ValueError, requests.exceptions.RequestException) as error:
            looked = f"not in the mirror ({mirror / mirror_path})" if mirror else "no mirror folder is set (DATA_MIRROR)"
            raise FileNotFoundError(
                f"{name}: not in {folder}, {looked}, and {url}: {error}\nWhat helps: fetch it on a machine with a network and put it at "
                f"{folder / name}, or set DATA_MIRROR to a folder that holds {mirror_path}") from error
    if path.suffix == ".zip" and not zipfile.is_zipfile(path):
        # A download that broke off, or a web page: seen before its hash is trusted.
        raise ValueError(f"{path}: found a file that is not a zip archive; expected the one of {url}: remove it, and it is fetched again")
    hashes[name] = file_sha256(path)
    with paths.atomically(record) as temporary:
        temporary.write_text(json.dumps(hashes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def _unpacked(archive: Path, folder: Path) -> Path:
    """The folder with the archive's content, named by the archive's hash and there as a whole or not at all."""
    target = folder / f"unpacked-{file_sha256(archive)[:12]}"
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            whole = Path(temporary) / "content"
            with zipfile.ZipFile(archive) as stream:
                stream.extractall(whole)
            missing = [name for name in DREAMSIM_CONTENT if not (whole / name).is_file()]
            if missing:
                raise ValueError(f"{archive}: found no {', '.join(missing)} in it; expected DreamSim's ensemble checkpoint (v0.2.0)")
            whole.replace(target)
    return target
