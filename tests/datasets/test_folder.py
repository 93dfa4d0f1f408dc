"""Folders of the reader's pictures: layout, order, identity, and every kind of file that cannot be read."""

import shutil

import numpy as np
import pytest
from PIL import Image
from timm.data import ImageNetInfo

from lib import datasets
from lib.datasets.folder import folder
from lib.datasets.pictures import random_subset


def save(path, colour=(10, 20, 30), size=(12, 8), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)


@pytest.fixture
def classes(tmp_path):
    """Three classes, written in no order: zebra 1, ant 2 (one deeper), cow 1."""
    root = tmp_path / "pictures"
    save(root / "zebra" / "a.png", (1, 0, 0))
    save(root / "ant" / "more" / "z.png", (2, 0, 0))
    save(root / "ant" / "b.png", (3, 0, 0))
    save(root / "cow" / "c.png", (4, 0, 0), size=(5, 9))
    (root / "ant" / ".hidden").write_text("not a picture")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("not a picture")
    return root


def reds(pictures):
    return [int(picture[0, 0, 0]) for picture in pictures.read(np.arange(len(pictures)))]


def test_classes_are_sorted_and_hidden_files_ignored(classes):
    pictures = datasets.load(f"folder:{classes}")
    assert pictures.class_names == ("ant", "cow", "zebra")
    assert pictures.labels.tolist() == [0, 0, 1, 2]
    assert reds(pictures) == [3, 2, 4, 1]
    assert [picture.shape for picture in pictures.read(np.arange(4))] == [(8, 12, 3), (8, 12, 3), (9, 5, 3), (8, 12, 3)]
    assert pictures.name == "folder:pictures"


def test_a_flat_folder_has_no_labels(tmp_path):
    for number in (2, 1, 3):
        save(tmp_path / f"{number}.png", (number, 0, 0))
    pictures = datasets.load(f"folder:{tmp_path}")
    assert pictures.labels is None
    assert pictures.class_names == ()
    assert reds(pictures) == [1, 2, 3]


def test_count_takes_a_subset(classes):
    pictures = datasets.load(f"folder:{classes}", count=3, seed=1)
    whole = datasets.load(f"folder:{classes}")
    by_red = dict(zip(reds(whole), whole.labels.tolist(), strict=True))
    assert len(set(reds(pictures))) == 3
    assert pictures.labels.tolist() == [by_red[red] for red in reds(pictures)]
    assert pictures.class_names == whole.class_names


def test_only_the_chosen_files_are_opened(classes):
    (classes / "zebra" / "broken.png").write_bytes(b"x")
    seed = next(seed for seed in range(100) if 4 not in random_subset(5, 2, seed))        # the broken file is the fifth
    assert len(datasets.load(f"folder:{classes}", count=2, seed=seed)) == 2


def test_identity_is_the_content_and_not_the_place(classes, tmp_path):
    before = datasets.load(f"folder:{classes}").identity
    moved = classes.rename(tmp_path / "elsewhere")
    assert datasets.load(f"folder:{moved}").identity == before
    save(moved / "cow" / "c.png", (5, 0, 0), size=(5, 9))
    changed = datasets.load(f"folder:{moved}").identity
    assert changed != before
    (moved / "cow" / "c.png").rename(moved / "cow" / "d.png")
    assert datasets.load(f"folder:{moved}").identity not in (before, changed)


@pytest.mark.parametrize(("mode", "colour"), [("L", 7), ("RGBA", (7, 7, 7, 128)), ("P", 7), ("1", 1), ("LA", (7, 0))])
def test_every_8_bit_picture_becomes_rgb(tmp_path, mode, colour):
    save(tmp_path / "a.png", colour, mode=mode)
    [picture] = datasets.load(f"folder:{tmp_path}").read(np.arange(1))
    assert picture.shape == (8, 12, 3)
    assert picture.dtype == np.uint8
    if mode != "P":                                                         # the palette of a made picture is Pillow's business
        assert picture[0, 0].tolist() == ([255] * 3 if mode == "1" else [7, 7, 7])


def test_the_orientation_of_the_camera_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6                                                        # "turn by 90 degrees"
    save(tmp_path / "a.jpg", exif=exif)
    assert datasets.load(f"folder:{tmp_path}").read(np.arange(1))[0].shape == (8, 12, 3)


def broken_text(root):
    (root / "notes.txt").write_text("not a picture")


def broken_empty(root):
    (root / "notes.jpg").write_bytes(b"")


def broken_truncated(suffix):
    def write(root):
        rng = np.random.default_rng(0)
        path = root / f"notes.{suffix}"
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:-500])
    return write


def broken_deep(root):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(root / "notes.png")


@pytest.mark.parametrize("spoil", [broken_text, broken_empty, broken_truncated("jpg"), broken_truncated("png"), broken_truncated("webp"),
                                   broken_truncated("bmp"), broken_deep])
def test_an_unreadable_file_is_named_before_any_work(tmp_path, spoil):
    save(tmp_path / "fine.png")
    spoil(tmp_path)
    with pytest.raises(ValueError, match=r"notes\.\w+: not a picture that can be read"):
        datasets.load(f"folder:{tmp_path}")


def test_missing_empty_and_mixed_folders_are_named(tmp_path, classes):
    with pytest.raises(FileNotFoundError, match=r"found no folder .*nowhere"):
        datasets.load(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: found nothing in it"):
        datasets.load(f"folder:{tmp_path / 'empty'}")
    (classes / "bee").mkdir()
    with pytest.raises(ValueError, match="bee: found no pictures"):
        datasets.load(f"folder:{classes}")
    (classes / "bee").rmdir()
    save(classes / "stray.png")
    with pytest.raises(ValueError, match=r"found the file stray\.png beside sub-folders"):
        datasets.load(f"folder:{classes}")


def test_imagenet_of_the_reader(tmp_path, monkeypatch):
    ids = ImageNetInfo().label_names()
    for part, size in (("val", (4, 4)), ("train", (6, 6))):
        for one in ids:
            save(tmp_path / part / one / "a.jpg", size=size)
    monkeypatch.setenv("IMAGENET_ROOT", str(tmp_path))
    for split, name, side in (("test", "imagenet/test", 4), ("train", "imagenet/train", 6)):
        pictures = datasets.load("imagenet", split=split, count=2)
        assert pictures.name == name
        assert pictures.identity["dataset"] == "imagenet"
        assert pictures.read(np.arange(1))[0].shape == (side, side, 3)
    (tmp_path / "train" / ids[3] / "a.jpg").write_bytes(b"broken")
    assert len(datasets.load("imagenet", split="train")) == 1000  # a million are not read beforehand
    (tmp_path / "val" / ids[3] / "a.jpg").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"a\.jpg: not a picture that can be read"):
        datasets.load("imagenet")
    (tmp_path / "val" / ids[3]).rename(tmp_path / "val" / "n99999999")
    with pytest.raises(ValueError, match=f"found the class folder {ids[4]}; expected {ids[3]}, the WordNet id"):
        datasets.load("imagenet", count=2)
    shutil.rmtree(tmp_path / "val" / "n99999999")
    with pytest.raises(ValueError, match="found 999 class folders; expected 1000"):
        datasets.load("imagenet", count=2)
    shutil.rmtree(tmp_path / "val")
    with pytest.raises(FileNotFoundError, match="found train alone; expected val and train"):
        datasets.load("imagenet", split="train")


def test_unchecked_pictures_are_told_apart_by_names_and_sizes(classes):
    whole = folder(classes, checked=False)
    assert whole.identity == folder(classes, checked=False).identity
    assert "content" not in whole.identity
    (classes / "cow" / "c.png").write_bytes(b"no picture")
    assert folder(classes, checked=False).identity != whole.identity
    with pytest.raises(ValueError, match=r"c\.png: not a picture"):
        reds(folder(classes, checked=False))
    with pytest.raises(ValueError, match=r"c\.png: not a picture"):
        folder(classes)
