"""k-means as the quantiser of QRP: presets, preprocessing, and what faiss does not say."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from lib import quantisation
from lib.keyed_random import keys
from lib.quantisation import PRESETS, given_clusters, preprocessed, quantise, randomly_merged


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    names = rng.integers(0, 20, 6000)
    return (6 * rng.standard_normal((20, 8)))[names] + rng.standard_normal((6000, 8)), names


def squares(points, labels):
    """Mean squared distance to the mean of the own cluster."""
    return sum(np.square(points[labels == one] - points[labels == one].mean(0)).sum() for one in np.unique(labels)) / len(points)


def test_blobs_are_found_as_well_as_by_scikit_learn(blobs):
    points, names = blobs
    found = quantise(points, 20, starts=10)
    assert adjusted_mutual_info_score(names, found.labels) > 0.95
    reference = KMeans(20, n_init=10, random_state=0).fit(points)
    assert found.objective < 1.02 * reference.inertia_ / len(points)
    assert found.objective == pytest.approx(squares(points, found.labels), rel=1e-3)
    assert found.start_objective > found.objective


def test_more_starts_are_no_worse_and_the_paper_preset_has_one(blobs):
    one, many = (quantise(blobs[0], 20, preset=preset) for preset in ("paper", "robust"))
    assert one.objective >= many.objective
    assert (one.settings["starts"], one.settings["iterations"], one.settings["points_per_cluster"]) == (1, 25, 256)
    assert (many.settings["starts"], many.settings["iterations"], many.settings["points_per_cluster"]) == (5, 100, None)


def test_all_points_train_the_robust_preset_and_a_subset_the_paper_one():
    # 3,000 points to the left, 20 to the right: a subset of 2 x 256 would move the left centroid visibly
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.standard_normal((30_000, 1)), 100 + rng.standard_normal((20, 1))])
    robust, paper = (quantise(points, 2, preset=preset, seed=3) for preset in ("robust", "paper"))
    assert robust.sizes.tolist() in ([30_000, 20], [20, 30_000])
    assert robust.objective <= paper.objective


def test_the_same_seed_gives_the_same_clusters(blobs):
    one, again, other = (quantise(blobs[0], 50, starts=1, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.labels, again.labels)
    assert adjusted_mutual_info_score(one.labels, other.labels) < 0.999


def test_coinciding_points_make_fewer_clusters_without_gaps():
    found = quantise(np.repeat(np.arange(30.0)[:, None], 10, 0), 100)
    assert (found.count, found.requested, found.empty) == (30, 100, 70)
    assert found.sizes.tolist() == [10] * 30


def test_preprocessing_is_what_it_says(blobs):
    points = blobs[0] * np.geomspace(1, 1000, 8) + 5
    points[:, 3] = 7
    np.testing.assert_allclose(np.linalg.norm(preprocessed(points, "l2"), axis=1), 1, rtol=1e-5)
    standard = preprocessed(points, "standardize")
    np.testing.assert_allclose(standard.std(0), [1, 1, 1, 0, 1, 1, 1, 1], atol=1e-4)
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-3)
    components = preprocessed(points, "pca", 3)
    centred = points - points.mean(0)
    np.testing.assert_allclose(components.var(0), np.linalg.svd(centred, compute_uv=False)[:3] ** 2 / len(points), rtol=1e-3)
    np.testing.assert_allclose(preprocessed(points, "none"), points, rtol=1e-6)
    scaled = [quantise(points, 20, preprocessing=how, starts=3) for how in ("none", "standardize")]
    assert adjusted_mutual_info_score(blobs[1], scaled[0].labels) < adjusted_mutual_info_score(blobs[1], scaled[1].labels)


def test_whitened_components_have_one_spread(blobs):
    plain, white = (preprocessed(blobs[0], how, 3) for how in ("pca", "pca-whiten"))
    np.testing.assert_allclose(white.std(0), 1, rtol=1e-4)
    np.testing.assert_allclose(white, plain / plain.std(0), rtol=1e-3, atol=1e-4)


def test_spherical_clusters_keep_the_best_start_and_are_measured_in_distances(blobs):
    points = preprocessed(blobs[0], "l2")
    starts = [quantise(points, 20, spherical=True, starts=1, seed=seed) for seed in range(4)]

    def distance(labels):
        """From the directions of the cluster sums."""
        sums = np.stack([points[labels == one].sum(0) for one in range(labels.max() + 1)])
        centroids = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return np.square(points - centroids[labels]).sum(1).mean()

    for one in starts:
        assert one.objective == pytest.approx(distance(one.labels), rel=1e-3)
        assert one.start_objective > one.objective
    many = quantise(points, 20, spherical=True, starts=4)
    seeds = [int(keys(0, start) >> np.uint64(33)) for start in range(4)]
    reached = [quantisation._trained(points, 20, "robust", PRESETS["robust"], True, seed).obj[-1] for seed in seeds]
    assert min(reached) < max(reached)
    assert many.objective == pytest.approx(2 - 2 * max(reached) / len(points), rel=1e-4)


def test_given_clusters_are_relabelled():
    found = given_clusters(np.array([7, -2, 7, 30]))
    assert found.labels.tolist() == [1, 0, 1, 2]
    assert (found.count, found.empty) == (3, 0)
    for wrong in (np.zeros(3), np.zeros((2, 2), int), np.zeros(0, int)):
        with pytest.raises(ValueError, match="labels: found"):
            given_clusters(wrong)


@pytest.mark.parametrize(("features", "settings", "message"), [
    (np.zeros(5), {}, r"features: found shape \(5,\)"),
    (np.zeros((5, 0)), {}, r"features: found shape \(5, 0\); expected \(pictures, dims\), at least one dimension"),
    (np.array([[np.nan, 1], [0, np.inf]]), {}, "features: found 2 values that are not finite"),
    (np.zeros((5, 2)), {"clusters": 6}, "clusters: found 6 for 5 pictures; expected 1 to 5"),
    (np.zeros((5, 2)), {"clusters": 0}, "clusters: found 0"),
    (np.zeros((5, 2)), {"preset": "fast"}, "preset: found 'fast'; expected one of robust, paper"),
    (np.zeros((5, 2)), {"preprocessing": "whiten"}, "preprocessing: found 'whiten'; expected one of none, l2, standardize, pca"),
    (np.zeros((5, 2)), {"preprocessing": "pca", "components": 64}, "components: found 64; expected 1 to 2"),
    (np.zeros((5, 2)), {"starts": 0}, "starts: found 0"),
])  # fmt: skip
def test_bad_input_is_named(features, settings, message):
    with pytest.raises(ValueError, match=message):
        quantise(features, **{"clusters": 2} | settings)


# Random merging


@pytest.fixture(scope="module")
def fine():
    """23 clusters of very different sizes."""
    rng = np.random.default_rng(0)
    return given_clusters(rng.permutation(np.repeat(np.arange(23), rng.integers(1, 200, 23))))


def entropy(clusters):
    shares = clusters.sizes / clusters.sizes.sum()
    return -(shares * np.log2(shares)).sum()


@pytest.mark.parametrize("count", [1, 2, 5, 11, 22, 23])
def test_every_cluster_goes_whole_into_one_and_each_gets_equally_many(fine, count):
    found = randomly_merged(fine, count, seed=4)
    pairs = np.unique(np.stack([fine.labels, found.labels]), axis=1)
    assert pairs.shape[1] == 23
    members = np.bincount(pairs[1], minlength=count)
    assert len(members) == found.count == found.requested == count
    assert members.max() - members.min() <= 1
    assert found.labels.dtype == np.int64
    assert entropy(found) <= entropy(fine) + 1e-12
    assert (entropy(found) == pytest.approx(entropy(fine), abs=1e-9)) == (count == 23)
    assert found.settings == {"preset": "given", "merged": count}
    assert np.isnan([found.objective, found.start_objective]).all()


def test_entropy_never_rises_with_further_merging(fine):
    merged = fine
    for count in range(22, 0, -1):
        coarser = randomly_merged(merged, count)
        assert entropy(coarser) <= entropy(merged) + 1e-12
        merged = coarser
    assert entropy(merged) == 0


def test_any_two_clusters_are_as_likely_to_be_joined():
    # four clusters into two: the partner of each is any of the other three, with 1200 seeds 400 +- 4 sd of 16
    four = given_clusters(np.arange(4))
    joined = np.zeros((4, 4))
    for seed in range(1200):
        labels = randomly_merged(four, 2, seed=seed).labels
        joined += labels[:, None] == labels
    np.testing.assert_allclose(joined[~np.eye(4, dtype=bool)], 400, atol=4 * np.sqrt(1200 * 2 / 9))


def test_merging_depends_on_the_seed_and_on_nothing_but_the_clusters(fine):
    one, again, other = (randomly_merged(fine, 5, seed=seed).labels for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert adjusted_mutual_info_score(one, other) < 0.9
    order = np.random.default_rng(0).permutation(len(fine.labels))
    np.testing.assert_array_equal(randomly_merged(given_clusters(fine.labels[order]), 5, seed=1).labels, one[order])
    np.testing.assert_array_equal(randomly_merged(fine, 5, seed=0).labels, randomly_merged(fine, 5).labels)


def test_merged_clusters_keep_the_settings_of_their_quantiser(blobs):
    found = quantise(blobs[0][:200], 20, starts=1)
    merged = randomly_merged(found, 4)
    assert merged.settings == found.settings | {"merged": 4}
    assert "merged" not in found.settings
    assert found.count == 20


@pytest.mark.parametrize("count", [0, -1, 24])
def test_numbers_of_merged_clusters_out_of_range_are_named(fine, count):
    with pytest.raises(ValueError, match=rf"^count: found {count}; expected 1 to 23, the clusters there are$"):
        randomly_merged(fine, count)
