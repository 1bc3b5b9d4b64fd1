"""Write the pictures of ``docs/structure.md``: clusters, ellipses of mixtures, embeddings, maps of binary patterns.

Run it with ``python docs/draw_structure.py``. Embeddings amplify what one processor rounds otherwise than another, so
the pictures of two machines may differ.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from skimage import data
from sklearn.datasets import load_digits, make_blobs

from chainrule.estimators import (
    MDS,
    PCA,
    TSNE,
    GaussianMixture,
    Isomap,
    KernelPCA,
    KMeans,
    KMedoids,
    MiniBatchKMeans,
    local_binary_patterns,
)
from chainrule.estimators.regions import grow

PICTURES = Path(__file__).parent / "pictures"
COLOURS = np.array([f"C{n}" for n in range(10)])


def stretched() -> tuple[np.ndarray, np.ndarray]:
    """Four clouds, stretched and turned."""
    x, y = make_blobs(600, centers=4, cluster_std=0.7, random_state=3)
    return x @ np.array([[0.6, -0.6], [-0.4, 0.8]]), y


def clusters() -> Figure:
    """Three ways to cluster the same clouds, and their centres."""
    x, _ = stretched()
    parts = {
        "k-means": KMeans(4, n_init=10, random_state=0),
        "mini-batch k-means": MiniBatchKMeans(4, random_state=0),
        "k-medoids": KMedoids(4, random_state=0),
    }
    figure, axes = panels(3)
    for ax, (name, estimator) in zip(axes, parts.items(), strict=True):
        labels = np.asarray(estimator.fit_predict(x))
        ax.scatter(*x.T, s=6, c=COLOURS[labels], linewidths=0)
        ax.scatter(*np.asarray(estimator.cluster_centers_).T, s=90, c="black", marker="+")
        ax.set_title(name)
    return figure


def ellipses() -> Figure:
    """The four kinds of covariance; ellipses of one and two standard deviations."""
    x, _ = stretched()
    figure, axes = panels(4)
    for ax, kind in zip(axes, ("full", "tied", "diag", "spherical"), strict=True):
        mixture = GaussianMixture(4, covariance_type=kind, random_state=0).fit(x)
        labels = np.asarray(mixture.predict(x))
        ax.scatter(*x.T, s=4, c=COLOURS[labels], linewidths=0, alpha=0.6)
        for number, (mean, covariance) in enumerate(zip(mixture.means_, covariances(mixture), strict=True)):
            values, vectors = np.linalg.eigh(covariance)
            angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
            for width in (1, 2):
                size = 2 * width * np.sqrt(values)
                ax.add_patch(
                    Ellipse(np.asarray(mean), size[1], size[0], angle=angle, fill=False, edgecolor=f"C{number}", lw=1.5)
                )
        ax.set_title(f"{kind}, BIC {float(mixture.bic(x)):.0f}")
    return figure


def covariances(mixture: GaussianMixture) -> np.ndarray:
    """A covariance matrix for each component, whatever kind they are of."""
    found, count = np.asarray(mixture.covariances_), len(np.asarray(mixture.means_))
    if mixture.covariance_type == "full":
        return found
    if mixture.covariance_type == "tied":
        return np.repeat(found[None], count, axis=0)
    return np.stack([np.eye(2) * row for row in found])


def embeddings() -> Figure:
    """600 handwritten digits in the plane."""
    digits = load_digits()
    x, y = digits.data[:600] / 16, digits.target[:600]
    ways: dict[str, Any] = {
        "PCA": PCA(n_components=2),
        "kernel PCA": KernelPCA(n_components=2, kernel="rbf", gamma=0.05),
        "MDS": MDS(random_state=0),
        "Isomap": Isomap(n_neighbors=10),
        "t-SNE": TSNE(random_state=0),
    }
    figure, axes = panels(5)
    for ax, (name, way) in zip(axes, ways.items(), strict=True):
        ax.scatter(*np.asarray(way.fit_transform(x)).T, s=5, c=COLOURS[y], linewidths=0)
        ax.set_title(name)
    return figure


def patterns() -> Figure:
    """A brick wall, its binary patterns at two radii, and its variance."""
    image = torch.from_numpy(np.ascontiguousarray(data.brick()[:256, :256]))[None]
    maps = {
        "image": image[0],
        "P=8, R=1": local_binary_patterns(image, 8, 1.0, "uniform")[0],
        "P=24, R=3": local_binary_patterns(image, 24, 3.0, "uniform")[0],
        "VAR, P=8, R=1": local_binary_patterns(image, 8, 1.0, "var")[0].sqrt(),
    }
    return shown(maps)


def regions() -> Figure:
    """Coins, and what grows from one pixel of each, by the two criteria."""
    image = torch.from_numpy(np.ascontiguousarray(data.coins()[155:230, 20:300]))
    seeds = torch.tensor([[36, 24], [36, 80], [36, 133], [36, 193], [36, 252]])
    maps = {
        "image": image,
        "fixed": grow(image, seeds, 60).labels,
        "mean": grow(image, seeds, 60, criterion="mean").labels,
    }
    return shown(maps)


def panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """Empty axes beside one another."""
    figure = Figure(figsize=(2.3 * count, 2.5), layout="constrained")
    axes = list(figure.subplots(1, count, squeeze=False)[0])
    for ax in axes:
        ax.set_xticks([])
        ax.set_yticks([])
    return figure, axes


def shown(maps: dict[str, torch.Tensor]) -> Figure:
    """Maps beside one another, in grey."""
    figure, axes = panels(len(maps))
    for ax, (name, values) in zip(axes, maps.items(), strict=True):
        ax.imshow(values.numpy(), cmap="gray", interpolation="nearest")
        ax.set_title(name)
    return figure


#: The pictures, by their names in ``docs/pictures``.
DRAWN = {
    "clusters.png": clusters,
    "ellipses.png": ellipses,
    "embeddings.png": embeddings,
    "patterns.png": patterns,
    "regions.png": regions,
}


def drawn(name: str) -> bytes:
    """One picture as a PNG file."""
    file = io.BytesIO()
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 9}):
        DRAWN[name]().savefig(file, format="png", dpi=110, bbox_inches="tight")
    return file.getvalue()


if __name__ == "__main__":
    for name in DRAWN:
        (PICTURES / name).write_bytes(drawn(name))
