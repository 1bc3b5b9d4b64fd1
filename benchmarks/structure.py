"""Contests of the estimators that learn without targets: clusters, mixtures, projections, embeddings, textures.

What is found step by step begins at the same place for both, so that both take the same way.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from benchmarks.contest import Arrays, Contest
from sklearn import cluster, datasets, decomposition, manifold, mixture

from chainrule import estimators


def clouds(rows: int, features: int, centres: int, begin: int) -> Arrays:
    """Gaussian clouds that overlap, and samples to begin from."""
    draw = np.random.default_rng(0)
    middle = draw.normal(scale=2.0, size=(centres, features))
    x = middle[draw.integers(centres, size=rows)] + draw.normal(scale=2.0, size=(rows, features))
    return x, x[draw.choice(rows, begin, replace=False)]


def kmeans(module: Any, rounds: int) -> Callable[..., Any]:
    """Lloyd's k-means from given centres."""
    return lambda x, start: module.KMeans(len(start), init=start, n_init=1, max_iter=rounds).fit(x)


def gaussians(module: Any) -> Callable[..., Any]:
    """Thirty rounds of EM with full covariances from given means."""
    return lambda x, start: module.GaussianMixture(
        len(start),
        weights_init=np.full(len(start), 1 / len(start)),
        means_init=np.asarray(start),
        precisions_init=np.repeat(np.eye(start.shape[1])[None] / 8, len(start), axis=0),
        init_params="random_from_data",
        tol=0,
        max_iter=30,
    ).fit(x)


def correlated(rows: int, features: int) -> Arrays:
    """Samples with a falling spectrum."""
    draw = np.random.default_rng(0)
    mix = draw.normal(size=(features, features)) * np.linspace(2.0, 0.1, features)
    return (draw.normal(size=(rows, features)) @ mix,)


def digits(rows: int) -> Arrays:
    """Handwritten digits."""
    kept = np.random.default_rng(0).permutation(1797)[:rows]
    return (datasets.load_digits().data[kept] / 16,)


def extended_digits(rows: int) -> Arrays:
    """Handwritten digits, and noisy copies up to the number asked for."""
    draw = np.random.default_rng(0)
    x = datasets.load_digits().data / 16
    return (np.concatenate((x, x[: rows - len(x)] + draw.normal(scale=0.05, size=(rows - len(x), x.shape[1])))),)


def texture(size: int) -> Arrays:
    """An image of noise with eight bits."""
    return (np.random.default_rng(0).integers(0, 256, size=(1, size, size)).astype(np.uint8),)


def codes_of_peer(images: np.ndarray) -> np.ndarray:
    """Codes of scikit-image."""
    from skimage.feature import local_binary_pattern

    return np.stack([local_binary_pattern(image, 24, 3, "uniform") for image in images])


CONTESTS = {
    "kmeans-64": Contest(
        lambda: clouds(100_000, 64, 100, 100),
        kmeans(estimators, 100),
        kmeans(cluster, 100),
        lambda made, *_: float(made.inertia_),
    ),
    "kmeans-784": Contest(
        lambda: clouds(10_000, 784, 10, 10),
        kmeans(estimators, 300),
        kmeans(cluster, 300),
        lambda made, *_: float(made.inertia_),
        rounds=7,
    ),
    "mixture": Contest(
        lambda: clouds(50_000, 16, 20, 20),
        gaussians(estimators),
        gaussians(mixture),
        lambda made, *_: float(made.lower_bound_),
        goal=4.0,
    ),
    "pca": Contest(
        lambda: correlated(50_000, 256),
        lambda x: estimators.PCA().fit(x),
        lambda x: decomposition.PCA().fit(x),
        lambda made, *_: float(made.explained_variance_.sum()),
        rounds=7,
    ),
    "tsne": Contest(
        lambda: extended_digits(2_000),
        lambda x: estimators.TSNE(random_state=0).fit(x),
        lambda x: manifold.TSNE(method="exact", random_state=0).fit(x),
        lambda made, *_: float(made.kl_divergence_),
        goal=5.0,
        rounds=1,
    ),
    "lbp": Contest(
        lambda: texture(512),
        lambda images: estimators.local_binary_patterns(images, 24, 3.0, "uniform"),
        codes_of_peer,
        lambda codes, *_: float(np.asarray(codes).sum()),
        goal=5.0,
        rounds=15,
    ),
}
