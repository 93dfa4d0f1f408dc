"""MS COCO with its objects outlined (Lin et al., ECCV 2014): for the pointing game, one question a picture and kind of object in it.

A folder as the publisher lays it out: `annotations/instances_<split>.json` and `<split>/` with the pictures.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lib.datasets.pictures import in_threads, random_subset


@dataclass(frozen=True)
class Questions:
    """Pairs of a picture and a kind of object that is in it.

    Args:
        files: of the pictures.
        pictures: (questions,) number of the picture of each.
        categories: (questions,) name of the kind of object.
        outlines: (questions) all objects of the kind in the picture, as COCO has them: lists of polygons, or run lengths.
        sizes: (pictures,) height and width.
    """

    files: tuple[Path, ...]
    pictures: np.ndarray
    categories: tuple[str, ...]
    outlines: tuple[tuple, ...]
    sizes: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, questions) -> list[np.ndarray]:
        """The picture of each question, uint8 (height, width, 3), in its own size."""
        return in_threads(_decoded, [self.files[self.pictures[one]] for one in questions])

    def mask(self, question: int) -> np.ndarray:
        """Where the objects of a question are, (height, width) bool."""
        size = self.sizes[self.pictures[question]]
        found = np.zeros(size, dtype=bool)
        for outline in self.outlines[question]:
            found |= outlined(outline, size)
        return found

    def difficult(self, question: int) -> bool:
        """Do the boxes of its objects cover less than a quarter of a picture that has other objects too? (Zhang et al., ECCV 2016)"""
        picture = self.pictures[question]
        size = self.sizes[picture]
        covered = sum(_box(outlined(outline, size)) for outline in self.outlines[question])
        return bool(covered < size[0] * size[1] / 4 and (self.pictures == picture).sum() > 1)


def coco(
    root: str | Path, split: str = "val2014", *, kinds: Collection[str] | None = None, count: int | None = None, seed: int = 0
) -> Questions:
    """The questions of a folder of COCO, about all objects of the chosen pictures. Crowds count as objects.

    Args:
        root: with `annotations` and the pictures.
        split: name of the part.
        kinds: of objects, of which a picture must have one to be chosen; None is any.
        count: of a random subset of these pictures; None takes all.
        seed: of the subset.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if there is no such object, or fewer pictures than asked for.
    """
    root = Path(root).expanduser()
    listed = root / "annotations" / f"instances_{split}.json"
    if not listed.is_file():
        raise FileNotFoundError(f"coco: found no {listed}; expected annotations/instances_{split}.json and the pictures in {split}/")
    content = json.loads(listed.read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in content["categories"]}
    objects: dict[int, dict[str, list]] = {}
    for one in content["annotations"]:
        objects.setdefault(one["image_id"], {}).setdefault(names[one["category_id"]], []).append(one["segmentation"])
    wanted = {names[one] for one in names} if kinds is None else set(kinds)
    images = sorted((one for one in content["images"] if wanted & set(objects.get(one["id"], {}))), key=lambda one: one["id"])
    if not images:
        raise ValueError(f"coco: {listed}: found no picture with an object{' of the kinds wanted' if kinds else ''}; expected some")
    chosen = [images[index] for index in random_subset(len(images), count, seed)]
    files = tuple(root / split / one["file_name"] for one in chosen)
    if missing := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(f"coco: found no {missing[0]} ({len(missing)} of {len(files)} are missing); expected all of {split}")
    pairs = [(number, name, tuple(found)) for number, one in enumerate(chosen) for name, found in sorted(objects[one["id"]].items())]
    numbers, categories, outlines = zip(*pairs, strict=True)
    return Questions(files, np.array(numbers), categories, outlines, tuple((one["height"], one["width"]) for one in chosen))


def outlined(outline, size: tuple[int, int]) -> np.ndarray:
    """(height, width) bool from COCO's two forms.

    Args:
        outline: a list of polygons [x0, y0, x1, y1, ...], or a dict of `counts`, run lengths column by column that begin with background.
        size: height and width.

    Raises:
        ValueError: if run lengths are packed, or do not add up to the picture.
    """
    if isinstance(outline, dict):
        counts = outline["counts"]
        if isinstance(counts, str) or sum(counts) != size[0] * size[1]:
            raise ValueError(f"outline: found run lengths {str(counts)[:40]!r}; expected whole numbers that add up to {size[0] * size[1]}")
        flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        return flat.reshape(size[1], size[0]).T
    image = Image.new("1", (size[1], size[0]))
    for polygon in outline:
        ImageDraw.Draw(image).polygon([tuple(point) for point in np.reshape(polygon, (-1, 2))], fill=1, outline=1)
    return np.asarray(image)


def _box(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) if len(rows) else 0


def _decoded(file):
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
