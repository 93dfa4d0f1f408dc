"""Folders of two-alternative tasks in every layout of the human study, and a real similarity that answers obvious ones."""

import numpy as np
import pytest
from PIL import Image

from lib.stimuli import Task, answer, delta, load_task, load_tasks


def mark(side, index):
    """A picture that says which one it is."""
    return np.full((8, 8, 3), (100 if side == "max" else 10, index, 0), np.uint8)


def write(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        side, _, index = name.partition("_")
        Image.fromarray(mark(side, int(index or 99))).save(folder / f"{name}.png")
    return folder


def numbered(side, indices):
    return [f"{side}_{index}" for index in indices]


def who(pictures):
    return [(int(picture[0, 0, 0]), int(picture[0, 0, 1])) for picture in pictures]


def positives(indices):
    return [(100, index) for index in indices]


def negatives(indices):
    return [(10, index) for index in indices]


def assert_roles(task, positive_query, negative_query, negative_references):
    assert who([task.positive_query]) == positives([positive_query])
    assert who([task.negative_query]) == negatives([negative_query])
    assert who(task.positive_references) == positives(range(9))
    assert who(task.negative_references) == negatives(negative_references)


def test_queries_and_references(tmp_path):
    write(tmp_path / "queries", ["max", "min"])
    write(tmp_path / "references", numbered("max", range(9)) + numbered("min", range(9)))
    assert_roles(load_task(tmp_path), 99, 99, range(9))


def test_old_numbering_shows_itself_in_the_references(tmp_path):
    write(tmp_path / "queries", ["max", "min"])
    write(tmp_path / "references", numbered("max", range(9)) + numbered("min", range(1, 10)))
    assert_roles(load_task(tmp_path), 99, 99, range(1, 10))


def test_tenth_references_are_left_over(tmp_path):
    write(tmp_path / "queries", ["max", "min"])
    write(tmp_path / "references", numbered("max", range(10)) + numbered("min", range(10)))
    assert_roles(load_task(tmp_path), 99, 99, range(9))


def test_flat_folder_in_both_numberings(tmp_path):
    write(tmp_path, numbered("max", range(10)) + numbered("min", range(10)))
    assert_roles(load_task(tmp_path), 9, 9, range(9))
    assert_roles(load_task(tmp_path, old_numbering=True), 9, 0, range(1, 10))


def test_queries_from_another_folder(tmp_path):
    flat = write(tmp_path / "optimized", numbered("max", range(9)) + numbered("min", range(9)))
    write(tmp_path / "natural/queries", ["max", "min"])
    assert_roles(load_task(flat, queries=tmp_path / "natural"), 99, 99, range(9))


def test_all_tasks_below_a_folder(tmp_path):
    whole = numbered("max", range(10)) + numbered("min", range(10))
    write(tmp_path / "b/channel_1/natural_images", whole)
    write(tmp_path / "b/channel_1/optimized_images", numbered("max", range(9)) + numbered("min", range(9)))
    write(tmp_path / "a/trials/trial_1/references", whole)
    write(tmp_path / "a/trials/trial_1/queries", ["max", "min"])
    tasks = load_tasks(tmp_path)
    names = ["a/trials/trial_1", "b/channel_1/natural_images", "b/channel_1/optimized_images"]
    assert [task.name for task in tasks] == [str(tmp_path / name) for name in names]
    assert who([tasks[2].positive_query, tasks[2].negative_query]) == [(100, 9), (10, 9)]


def test_pictures_are_queries_then_references(tmp_path):
    write(tmp_path, numbered("max", range(10)) + numbered("min", range(10)))
    task = load_task(tmp_path)
    pictures = task.pictures()
    assert who(pictures.read(np.arange(20))) == positives([9]) + negatives([9]) + positives(range(9)) + negatives(range(9))
    assert who(pictures.read(np.array([11, 1]))) == negatives([0, 9])
    write(tmp_path, ["min_9"])
    assert load_task(tmp_path).identity == task.identity
    Image.fromarray(mark("max", 77)).save(tmp_path / "max_3.png")
    assert load_task(tmp_path).identity != task.identity


def test_delta_is_its_definition():
    similarities = np.random.default_rng(0).standard_normal((20, 20))
    positive, negative = similarities[:2, 2:11].mean(1), similarities[:2, 11:].mean(1)
    expected = (positive[0] - negative[0]) - (positive[1] - negative[1])
    assert delta(lambda first, second: similarities[first, second]) == pytest.approx(expected)


# Obvious tasks (T13): colours, and orientations in random colours, under a similarity that nobody trained.

def disc(rng, colour):
    y, x = np.mgrid[:64, :64]
    centre, radius = rng.uniform(24, 40, 2), rng.uniform(10, 20)
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    noisy = np.where(inside[..., None], colour, 120) + rng.normal(0, 6, (64, 64, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def grating(rng, angle):
    y, x = np.mgrid[:64, :64]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(0.5, 0.7) + rng.uniform(0, 6))
    return np.where(wave[..., None] > 0, rng.integers(0, 256, 3), rng.integers(0, 256, 3)).astype(np.uint8)


def made(rng, positive, negative):
    excite, leave = [positive(rng) for _ in range(10)], [negative(rng) for _ in range(10)]
    return Task("made", excite[9], leave[9], tuple(excite[:9]), tuple(leave[:9]), {})


KINDS = {
    "colour": (lambda rng: disc(rng, (220, 40, 40)), lambda rng: disc(rng, (40, 60, 220))),
    "orientation": (lambda rng: grating(rng, 0.0), lambda rng: grating(rng, np.pi / 2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_similarity_answers_obvious_tasks(kind):
    rng = np.random.default_rng(0)
    tasks = [made(rng, *KINDS[kind]) for _ in range(20)]
    deltas = np.array([answer(task, "descriptor:hog_colour") for task in tasks])
    assert (deltas > 0).all()
    # Exchanging the queries exchanges right and wrong.
    swapped = Task("made", tasks[0].negative_query, tasks[0].positive_query, tasks[0].positive_references, tasks[0].negative_references, {})
    assert answer(swapped, "descriptor:hog_colour") == pytest.approx(-deltas[0], rel=1e-5)


def test_a_task_without_a_difference_is_a_coin_flip():
    rng = np.random.default_rng(1)
    deltas = np.array([answer(made(rng, KINDS["colour"][0], KINDS["colour"][0]), "descriptor:hog_colour") for _ in range(60)])
    assert abs(deltas.mean()) < 4 * deltas.std() / np.sqrt(60)
    assert 12 < (deltas > 0).sum() < 48     # binomial(60, 1/2): four standard deviations of 3.9 around 30, and room


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="found no folder"):
        load_task(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"found no max_0\.png below"):
        load_tasks(tmp_path)
    flat = write(tmp_path / "flat", numbered("max", range(9)) + numbered("min", range(9)))
    with pytest.raises(FileNotFoundError, match=r"flat: found no max_9\.png, min_9\.png; expected two queries and 9 references"):
        load_task(flat)
    write(flat, numbered("max", [9]) + numbered("min", [9]))
    (flat / "min_0.png").rename(flat / "elsewhere.png")     # must not be taken for the old numbering: min_9 is the query
    with pytest.raises(FileNotFoundError, match=r"found no min_0\.png"):
        load_task(flat)
    (flat / "elsewhere.png").rename(flat / "min_0.png")
    (flat / "max_4.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"found no max_4\.png"):
        load_task(flat)
    (flat / "max_4.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"max_4.png: .*; expected a picture"):
        load_task(flat)
