"""From features to clusters: the quantiser of Quantized Reversed Probing.

The score of a representation is a score of its clusters, so everything here belongs to its definition. Two presets: `robust` (all data, 100
iterations, the best of several starts from greedy k-means++) and `paper` (the defaults of faiss, which the paper names
without settings: 25 iterations from random points and, where there are more than 256 points a cluster, on a random subset of so many, of
which faiss says nothing).
"""

from dataclasses import dataclass

import faiss
import numpy as np
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from lib.greedy_starts import greedy_starts
from lib.keyed_random import keys

PRESETS = {
    "robust": {"iterations": 100, "starts": 5, "points_per_cluster": None},
    "paper": {"iterations": 25, "starts": 1, "points_per_cluster": 256},
}
DEFAULT_COMPONENTS = 64
PREPROCESSING = ("none", "l2", "standardize", "pca", "pca-whiten")


@dataclass(frozen=True)
class Clusters:
    """Which cluster every picture is in."""

    labels: np.ndarray  # (pictures,) int64 from 0 without gaps
    requested: int  # clusters asked for
    objective: float  # mean squared distance to the own centroid, after preprocessing; NaN for given clusters
    start_objective: float  # the same to the centroids of the start, of the points trained on
    settings: dict[str, float | int | str]

    @property
    def count(self) -> int:
        """Clusters with at least one picture."""
        return int(self.labels.max()) + 1

    @property
    def empty(self) -> int:
        """Clusters asked for that no picture is in."""
        return self.requested - self.count

    @property
    def sizes(self) -> np.ndarray:
        """(count,) pictures in each cluster."""
        return np.bincount(self.labels)


def quantise(
    features, clusters: int, *, preset: str = "robust", preprocessing: str = "none", components: int | None = None, spherical: bool = False,
    starts: int | None = None, seed: int = 0,
) -> Clusters:  # fmt: skip
    """k-means clusters of features (faiss).

    Args:
        features: (pictures, dims), finite; at least `clusters` pictures.
        clusters: K.
        preset: of `PRESETS`.
        preprocessing: "none" (the default reading: Euclidean distance of the raw features), "l2" (rows of length 1), "standardize" (each
            dimension to mean 0 and sd 1; constant ones become 0), "pca" (the first principal components, as many as `components`) or
            "pca-whiten" (these, each scaled to sd 1).
        components: kept by "pca" and "pca-whiten"; by default 64, or all where there are fewer.
        spherical: centroids of length 1, to which points belong by the inner product.
        starts: how often k-means starts anew, the best being kept; by default that of the preset.
        seed: of the starts.

    Returns:
        Clusters, relabelled so that every one has a picture: where pictures coincide there are fewer than asked for.

    Raises:
        ValueError: if the features are not a finite matrix, there are fewer pictures than clusters, or a setting is unknown.
    """
    features = np.asarray(features)
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(f"features: found shape {features.shape}; expected (pictures, dims), at least one dimension")
    if features.dtype.kind not in "biuf":
        raise ValueError(f"features: found {features.dtype} values; expected numbers")
    if not np.isfinite(features).all():
        raise ValueError(f"features: found {np.count_nonzero(~np.isfinite(features))} values that are not finite; expected none")
    if not isinstance(clusters, int | np.integer):
        raise ValueError(f"clusters: found {clusters!r}; expected a whole number")
    if not 1 <= clusters <= len(features):
        raise ValueError(f"clusters: found {clusters} for {len(features)} pictures; expected 1 to {len(features)}")
    if preset not in PRESETS:
        raise ValueError(f"preset: found {preset!r}; expected one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset] | ({} if starts is None else {"starts": starts})
    if chosen["starts"] < 1:
        raise ValueError(f"starts: found {starts}; expected at least 1")
    points = preprocessed(features, preprocessing, components)
    if not np.isfinite(np.square(points).sum(1)).all():
        raise ValueError(f"features: found values up to {np.abs(features).max():.3g}; expected squared lengths that float32 can hold")
    kmeans = min(
        (
            _trained(points, clusters, preset, chosen, spherical, int(keys(seed, start) >> np.uint64(33)))
            for start in range(chosen["starts"])
        ),
        key=lambda one: -one.obj[-1] if spherical else one.obj[-1],  # of spherical clusters faiss reports inner products
    )
    found, nearest = kmeans.index.search(points, 1)
    _, labels = np.unique(nearest[:, 0], return_inverse=True)
    trained_on = min(len(points), (chosen["points_per_cluster"] or len(points)) * clusters)
    ends = np.array([found.astype(np.float64).mean(), float(kmeans.obj[0]) / trained_on])
    if spherical:  # |x - c|^2 with |c| = 1
        ends = 1 + np.square(points, dtype=np.float64).sum(1).mean() - 2 * ends
    return Clusters(
        labels.astype(np.int64), clusters, *map(float, ends),
        {
            "preset": preset, "preprocessing": preprocessing, "components": components or DEFAULT_COMPONENTS, "spherical": spherical,
            "seed": seed, **chosen,
        },
    )  # fmt: skip


def _trained(points, clusters, preset, chosen, spherical, seed):
    """One start of k-means: niter and nredo are faiss's names, and its warnings about few points a cluster say nothing to heed."""
    kmeans = faiss.Kmeans(
        points.shape[1], clusters, niter=chosen["iterations"], nredo=1, seed=seed, spherical=spherical, min_points_per_centroid=1,
        max_points_per_centroid=chosen["points_per_cluster"] or len(points),
    )  # fmt: skip
    first = None if preset == "paper" else greedy_starts(points, clusters, seed=seed)
    kmeans.train(points, init_centroids=first)
    return kmeans


def given_clusters(labels) -> Clusters:
    """Clusters that a method brings along (prototypes, heads, classes): any integers, relabelled from 0.

    Raises:
        ValueError: if the labels are not a vector of integers with at least one entry.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise ValueError(f"labels: found {labels.dtype} of shape {labels.shape}; expected integers of shape (pictures,)")
    names, labels = np.unique(labels, return_inverse=True)
    return Clusters(labels.astype(np.int64), len(names), float("nan"), float("nan"), {"preset": "given"})


def randomly_merged(clusters: Clusters, count: int, *, seed: int = 0) -> Clusters:
    """The same clusters joined at random until `count` are left, for a fair comparison of clusterings of different sizes.

    Scores at different K cannot be compared; merging finer clusters without looking at them takes away what only their number gave.

    Args:
        clusters: at least `count` of them.
        count: wanted.
        seed: of the merging.

    Raises:
        ValueError: if there are fewer than `count`, or count is below 1.
    """
    if not 1 <= count <= clusters.count:
        raise ValueError(f"count: found {count}; expected 1 to {clusters.count}, the clusters there are")
    into = np.argsort(keys(seed, 7, np.arange(clusters.count)), kind="stable").argsort(kind="stable") % count
    return Clusters(into[clusters.labels].astype(np.int64), count, float("nan"), float("nan"), clusters.settings | {"merged": count})


def preprocessed(features: np.ndarray, how: str, components: int | None = None) -> np.ndarray:
    """Features as k-means sees them, float32; see `quantise`."""
    with np.errstate(over="ignore"):  # `quantise` says what is wrong then
        points = np.ascontiguousarray(features, np.float32)
    if how == "none":
        return points
    if how == "l2":
        return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    if how not in PREPROCESSING:
        raise ValueError(f"preprocessing: found {how!r}; expected one of {', '.join(PREPROCESSING)}")
    centred = points - points.mean(0, dtype=np.float64).astype(np.float32)
    if how == "standardize":
        spread = centred.std(0)
        return centred / np.where(spread > 1e-6 * max(float(spread.max()), 1e-30), spread, np.inf).astype(np.float32)
    components = min(DEFAULT_COMPONENTS, *points.shape) if components is None else components
    if not 1 <= components <= min(points.shape):
        raise ValueError(f"components: found {components}; expected 1 to {min(points.shape)}")
    # Both solvers are exact; the second needs no matrix of dims x dims. Sums, and so the last digits, depend on the number of threads.
    solver = "covariance_eigh" if centred.shape[1] <= 1024 or components >= min(centred.shape) else "arpack"
    with threadpool_limits(1):
        scores = PCA(components, svd_solver=solver, random_state=0).fit_transform(centred)
    return preprocessed(scores, "standardize") if how == "pca-whiten" else np.ascontiguousarray(scores, np.float32)
