"""What simple models find in the samples: their out-of-fold predictions, and their predictions of the validation part.

Beside nearest neighbours, a linear model and a random forest (Breiman 2001) on the numbers as they are, images,
sequences and tokens get a linear model on random convolutions (ROCKET; Dempster, Petitjean & Webb 2020), which sees
patterns wherever they stand.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule.doctor.measures.samples import Floats, Samples, Whole, fingerprints, samples
from chainrule.doctor.probe import Probe

#: Parts of the cross-validation; fewer samples than FEWEST are not divided.
FOLDS, FEWEST = 5, 40
#: Targets of a sample, and classes, above which the slower ones are not asked.
MANY = 64
#: Columns above which simple models get principal components, and how many.
WIDE, COMPONENTS = 256, 64
#: Trees of the forest, random convolutions, and the dimensions in which tokens are random vectors.
TREES, KERNELS, TOKEN = 30, 128, 8


@dataclass(frozen=True, eq=False)
class Simple:
    """Predictions of simple models.

    Attributes:
        samples: The samples.
        folds: Part that each sample is in, ``[n]``; a sample is predicted by models that have not seen its part.
        predictions: By model, ``[n, k]``: shares of classes, or numbers.
    """

    samples: Samples
    folds: Whole
    predictions: dict[str, Floats] = field(default_factory=dict)


def simple(probe: Probe) -> Simple:
    """Out-of-fold predictions of simple models; none where the samples are too few or have one target only."""
    found, folds = probe.measure(samples), probe.measure(parts)
    if len(found) < FEWEST or not found.targets.std(axis=0).any() or not np.isfinite(found.targets).all():
        return Simple(found, folds)
    if found.classes is None and found.targets.shape[1] > MANY:
        return Simple(found, folds)  # a target of many numbers, such as an image, is nothing for simple models
    predictions = {}
    views = features(found, probe.program.model[0] if probe.program.plan else None)  # type: ignore[index]
    for name, (view, build) in models(views, found.classes is not None, found.targets.shape[1]).items():
        out = np.zeros_like(found.targets)
        for fold in range(FOLDS):
            seen, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            if len(seen) and len(held):
                out[held] = predicted(build(), views[view], found, seen, held)
        predictions[name] = out
    return Simple(found, folds, predictions)


def models(views: dict[str, Floats], classes: bool, targets: int) -> dict[str, tuple[str, Callable[[], Any]]]:
    """The simple models: for each the view of the samples that it takes, and what builds it.

    Args:
        views: What there is of the samples.
        classes: Whether each sample has one class.
        targets: How many classes, labels or numbers there are.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    near, forest = (
        (KNeighborsClassifier, RandomForestClassifier) if classes else (KNeighborsRegressor, RandomForestRegressor)
    )

    def ridge() -> Any:
        return RidgeCV(alphas=np.logspace(-2, 4, 7))

    found: dict[str, tuple[str, Callable[[], Any]]] = {"nearest neighbours": ("scaled", lambda: near(5))}
    if classes and targets <= MANY:
        found["logistic regression"] = ("scaled", lambda: LogisticRegression(max_iter=300))
    else:
        found["ridge regression"] = ("scaled", ridge)
    if targets <= MANY:
        share = "sqrt" if classes else 0.5
        found["random forest"] = ("scaled", lambda: forest(TREES, max_features=share, random_state=0, n_jobs=1))
    if "convolved" in views:
        found["random convolutions"] = ("convolved", ridge)
    return found


def predicted(model: Any, view: Floats, found: Samples, seen: Whole, held: Whole) -> Floats:
    """What a model that has learned from some samples says of others, ``[held, k]``.

    Args:
        model: An estimator of scikit-learn.
        view: Features of all samples.
        found: Their targets.
        seen: Positions to learn from.
        held: Positions to predict.
    """
    one = found.targets[seen].shape[1] == 1
    classifier = hasattr(model, "predict_proba") and found.classes is not None
    targets = found.classes[seen] if classifier and found.classes is not None else found.targets[seen]
    if classifier and len(np.unique(targets)) < 2:
        return np.repeat(found.targets[seen].mean(axis=0, keepdims=True), len(held), axis=0)
    if hasattr(model, "n_neighbors"):
        model.n_neighbors = min(model.n_neighbors, len(seen))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a solver has not converged does not matter here
        model.fit(view[seen], targets[:, 0] if one and not classifier else targets)
    if not classifier:
        return np.asarray(model.predict(view[held]), dtype=np.float64).reshape(len(held), -1)
    out = np.zeros((len(held), found.targets.shape[1]))
    out[:, model.classes_] = model.predict_proba(view[held])
    return out


def features(found: Samples, preparation: nn.Module | None) -> dict[str, Floats]:
    """The samples as simple models take them: scaled columns, and random convolutions of what has places.

    Args:
        found: The samples.
        preparation: What encodes the raw rows of a table, or None.
    """
    numbers = found.flat
    if found.form == "table" and preparation is not None:
        with torch.no_grad():
            numbers = preparation(torch.from_numpy(numbers)).flatten(1).double().numpy()
    views = {}
    if found.form == "tokens":
        numbers = _counted(found.maps)
    elif found.form in ("images", "sequences"):
        views["convolved"] = _convolved(_scaled(found.maps.flatten(2).double().numpy(), axis=(0, 2)), found.maps)
    scaled = _scaled(numbers, axis=None if found.form == "images" or found.pictured else (0,))
    if found.form == "tokens":
        views["convolved"] = _convolved(None, _vectors(found.maps))
    if scaled.shape[1] > WIDE:
        from sklearn.decomposition import PCA

        size = min(COMPONENTS, len(scaled) - 1)
        scaled = PCA(size, svd_solver="randomized", random_state=0).fit_transform(scaled)
    return {"scaled": scaled, **views}


def _scaled(numbers: Floats, axis: tuple[int, ...] | None) -> Floats:
    """Mean 0 and spread 1, by column or over all; a missing value becomes the column's median."""
    rows = np.where(np.isfinite(numbers), numbers, np.nan)
    if np.isnan(rows).any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column without any value
            rows = np.where(np.isnan(rows), np.nan_to_num(np.nanmedian(rows, axis=0)), rows)
    spread = rows.std(axis=axis, keepdims=True)
    return np.asarray((rows - rows.mean(axis=axis, keepdims=True)) / np.where(spread > 0, spread, 1.0))


def _counted(tokens: Tensor) -> Floats:
    """How often each token occurs, and which stands at each place; rare tokens share their columns."""
    flat = tokens.flatten(1).long().clamp_min(0) % WIDE
    size = int(flat.max()) + 1
    counts = F.one_hot(flat, size).sum(1)
    places = F.one_hot(flat, size).flatten(1) if size * flat.shape[1] <= WIDE else flat
    return torch.cat([counts, places], dim=1).double().numpy()


def _vectors(tokens: Tensor) -> Tensor:
    """Tokens as random vectors, ``[n, c, t]``."""
    flat = tokens.flatten(1).long().clamp_min(0)
    table = torch.randn(int(flat.max()) + 1, TOKEN, generator=torch.Generator().manual_seed(0))
    return table[flat].transpose(1, 2)


@torch.no_grad()
def _convolved(scaled: Floats | None, maps: Tensor) -> Floats:
    """Greatest value, and share of positive ones, of random convolutions, ``[n, 2 * kernels]``."""
    values = maps.float() if scaled is None else torch.from_numpy(scaled).float().reshape(maps.shape)
    generator = torch.Generator().manual_seed(0)
    places = values.ndim - 2
    if places > 2:
        values, places = values.flatten(3), 2
    convolve = F.conv1d if places == 1 else F.conv2d
    shortest = min(values.shape[2:])
    found = []
    for size, dilation in ((3, 1), (5, 1), (3, max(1, shortest // 6))):
        size = min(size, shortest)
        weight = torch.randn(KERNELS // 3, values.shape[1], *[size] * places, generator=generator)
        weight -= weight.mean(tuple(range(1, weight.ndim)), keepdim=True)
        weight /= math.sqrt(weight[0].numel())
        for part in values.split(256):
            out = convolve(part, weight, padding=(size - 1) // 2 * dilation, dilation=dilation).flatten(2)
            bias = torch.linspace(-1, 1, out.shape[1])[:, None]
            found.append(torch.cat([out.amax(2), (out > bias).float().mean(2)], dim=1))
    steps = len(values.split(256))
    views = [torch.cat(found[start : start + steps]) for start in range(0, len(found), steps)]
    return _scaled(torch.cat(views, dim=1).double().numpy(), axis=(0,))


def parts(probe: Probe) -> Whole:
    """Part of each sample; classes are spread evenly, and equal samples stay together where that is no coincidence."""
    found = probe.measure(samples)
    if found.natural:
        groups = np.arange(len(found))
    else:
        seen: dict[bytes, int] = {}
        rows = fingerprints(probe.sample.inputs[: len(found)])
        groups = np.array([seen.setdefault(row, len(seen)) for row in rows])
    _, first, where = np.unique(groups, return_index=True, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(first))
    if found.classes is not None:
        order = order[np.argsort(found.classes[first][order], kind="stable")]
    dealt = np.empty(len(first), dtype=np.int64)
    dealt[order] = np.arange(len(first)) % FOLDS
    return np.asarray(dealt[where], dtype=np.int64)
