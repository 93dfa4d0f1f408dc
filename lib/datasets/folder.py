"""Pictures of the reader: a folder of files, one sub-folder per class or none; and ImageNet, which is such a folder."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from timm.data import ImageNetInfo

from lib import paths
from lib.datasets.pictures import Pictures, in_threads, random_subset


def folder(path: str | Path, *, count: int | None = None, seed: int = 0, checked: bool = True) -> Pictures:
    """The pictures of a folder, sorted by class and name.

    Sub-folders are classes, sorted by name, with all pictures below them; a folder of files only has no labels. Files whose name begins
    with a dot are ignored. Colours are converted to RGB; the orientation that a camera may have noted is ignored.

    Args:
        path: the folder.
        count: size of a random subset in random order; None takes everything in order.
        seed: of the subset.
        checked: read and decode every chosen file once (coarsely, so it is quick) before anything else happens. Else a broken one shows
            only when it is read, and pictures are told apart by their names and sizes: for a million of them.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if the folder or a class is empty, files and sub-folders are mixed, or a file is not a picture that can be read.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"folder: found no folder {root}; expected pictures in it, or one sub-folder of pictures per class")
    files, labels, class_names = _listing(root)
    chosen = random_subset(len(files), count, seed)
    files, labels = [files[index] for index in chosen], None if labels is None else labels[chosen]

    digests = in_threads(_check if checked else _size, files)
    content = hashlib.sha256()
    for file, digest in zip(files, digests, strict=True):
        content.update(f"{file.relative_to(root).as_posix()}\0{digest}\n".encode())
    return Pictures(
        name=f"folder:{root.name}",
        read=lambda indices: in_threads(_decode, [files[index] for index in indices]),
        count=len(files),
        labels=labels,
        class_names=class_names,
        concepts=None,
        identity={"dataset": "folder", "content" if checked else "names and sizes": content.hexdigest()},
    )


def imagenet(split: str, *, count: int | None = None, seed: int = 0) -> Pictures:
    """ImageNet-1k: the folder named by the environment variable IMAGENET_ROOT, else the mirror's sample of one picture per class.

    The folder holds 1,000 sub-folders named by WordNet id (n01440764 ...), whose sorted order is the class index; or `val` and `train` with
    these. Training pictures are not read beforehand: a broken one ends a training, and a folder without it is another data set.

    Raises:
        FileNotFoundError: if neither is there, or one of `val` and `train` without the other.
        ValueError: if the folder does not have the 1,000 classes: the labels would not be those of the networks. Else as in `folder`.
    """
    given, mirror = os.environ.get("IMAGENET_ROOT", ""), paths.mirror()
    if given:
        root = Path(given).expanduser()
        there = [part for part in ("val", "train") if (root / part).is_dir()]
        if len(there) == 1:
            raise FileNotFoundError(f"imagenet: {root}: found {there[0]} alone; expected val and train, or 1,000 folders of pictures")
        name = f"imagenet/{split}" if there else "imagenet"
        root = root / ("val" if split == "test" else "train") if there else root
    elif mirror and (mirror / "imagenet_sample/images").is_dir():
        root, name = mirror / "imagenet_sample/images", "imagenet sample"
    else:
        raise FileNotFoundError("imagenet: found neither IMAGENET_ROOT nor imagenet_sample/images in DATA_MIRROR; expected the environment "
                                "variable IMAGENET_ROOT to name a folder of ImageNet-1k: 1,000 sub-folders, or val and train with these")
    _check_ids(root)
    pictures = folder(root, count=count, seed=seed, checked=split == "test")
    return replace(pictures, name=name, identity={**pictures.identity, "dataset": "imagenet"})


def _check_ids(root: Path) -> None:
    if not root.is_dir():
        return  # `folder` says so
    found = sorted(one.name for one in root.iterdir() if one.is_dir() and not one.name.startswith("."))
    expected = ImageNetInfo().label_names()
    if len(found) != len(expected):
        raise ValueError(f"imagenet: {root}: found {len(found)} class folders; expected 1000, named by WordNet id")
    if wrong := [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]]:
        raise ValueError(f"imagenet: {root}: found the class folder {wrong[0][0]}; expected {wrong[0][1]}, the WordNet id of that class")


def _listing(root: Path) -> tuple[list[Path], np.ndarray | None, tuple[str, ...]]:
    """Files in order, their labels (None without classes) and the names of the classes."""
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    if not entries:
        raise ValueError(f"folder: {root}: found nothing in it; expected pictures, or one sub-folder of pictures per class")
    classes = [entry for entry in entries if entry.is_dir()]
    if not classes:
        return entries, None, ()
    if len(classes) < len(entries):
        stray = next(entry for entry in entries if not entry.is_dir())
        raise ValueError(f"folder: {root}: found the file {stray.name} beside sub-folders; "
                         "expected either only files or one sub-folder per class")
    files, labels = [], []
    for label, directory in enumerate(classes):
        members = sorted(file for file in directory.rglob("*") if file.is_file() and not _hidden(file.relative_to(root)))
        if not members:
            raise ValueError(f"folder: {directory}: found no pictures; expected at least one in each class")
        files += members
        labels += [label] * len(members)
    return files, np.array(labels, dtype=np.int64), tuple(directory.name for directory in classes)


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _check(file: Path) -> str:
    """SHA-256 of a file that can be decoded to its end."""
    content = file.read_bytes()
    # A JPEG decoded at an eighth of its size is read to its last byte all the same, and in a fraction of the time.
    _picture(file, content, lambda image: image.draft("RGB", (1, 1)))
    return hashlib.sha256(content).hexdigest()


def _size(file: Path) -> str:
    return str(file.stat().st_size)


def _decode(file: Path) -> np.ndarray:
    return np.asarray(_picture(file, file.read_bytes()))


def _picture(file: Path, content: bytes, prepare: Callable = lambda image: None) -> Image.Image:
    try:
        image = Image.open(BytesIO(content))
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"found pixels of mode {image.mode}; expected 8 bits a channel")
        prepare(image)
        return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file}: not a picture that can be read ({error}); "
                         "remove it from the folder, or hide it by a name that begins with a dot") from error
