"""Splits: which sample is learned from, which one chooses, which one judges.

Pure functions on indices. The same seed gives the same split on every machine.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chainrule.data.dataset import Data, Split
from chainrule.errors import InputError

Indices = NDArray[np.int64]


def split(
    n: int,
    *,
    fractions: Sequence[float],
    seed: int,
    strata: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
    order: NDArray[np.float64] | None = None,
    fold: tuple[int, int] | None = None,
) -> tuple[Indices, ...]:
    """Divide ``n`` samples into as many parts as there are fractions.

    * With ``strata`` each class is divided by itself: a class with as many members as parts is in every part, a class
      with fewer is in the first part and, if it has two members, in the last.
    * With ``groups`` a group is never on two sides; strata are kept as well as the groups allow
      (scikit-learn's ``StratifiedGroupKFold``).
    * With ``order`` the first part gets the least values and the last part the greatest; equal values stay together.
    * With both, a group counts as a whole at the time of its last sample.
    * With ``fold`` the last of three parts is the same as without. The first two are divided anew, into folds of like
      size; one of them becomes the second part. A class that would be there alone is left in the first part.

    Args:
        n: Number of samples.
        fractions: Share of each part, in the order train, validation, test; they add up to 1.
        seed: Seed of the draw; ``order`` leaves nothing to draw.
        strata: ``[n]``, class of each sample.
        groups: ``[n]``, group of each sample.
        order: ``[n]``, time of each sample; finite.
        fold: Number of the fold that validates, and the number of folds.

    Returns:
        One ascending array of indices a part; together they hold each index once.

    Raises:
        InputError: When the fractions are no shares, or the samples, groups or times are too few for the parts.
    """
    shares = _shares(fractions)
    if order is not None:
        parts = _ordered(order if groups is None else _last(order, groups), shares)
    elif groups is not None:
        parts = _grouped(np.zeros(n, dtype=np.int64) if strata is None else strata, groups, shares, seed)
    else:
        parts = _stratified(np.zeros(n, dtype=np.int64) if strata is None else strata, shares, seed)
    if any(len(part) == 0 for part in parts):
        sizes = ", ".join(str(len(part)) for part in parts)
        raise InputError(
            f"{n} samples are too few for {len(parts)} splits with the shares {_listed(fractions)}: they would get "
            f"{sizes} samples; bring more samples, or divide them yourself."
        )
    if fold is not None:
        if order is not None:
            raise InputError("Rows in the order of time have no folds; leave out the order, or the fold.")
        parts = [*_folded(np.concatenate(parts[:2]), fold, seed, strata, groups), *parts[2:]]
    return tuple(np.sort(part) for part in parts)


def _folded(
    rest: Indices,
    fold: tuple[int, int],
    seed: int,
    strata: NDArray[np.int64] | None,
    groups: NDArray[np.int64] | None,
) -> tuple[Indices, Indices]:
    """Training and validation part of one fold of these samples."""
    which, many = fold
    rest = np.sort(rest)
    parts = split(
        len(rest),
        fractions=[1 / many] * many,
        seed=seed,
        strata=None if strata is None else strata[rest],
        groups=None if groups is None else groups[rest],
    )
    valid = rest[parts[which - 1]]
    train = np.setdiff1d(rest, valid)
    if strata is not None:
        alone = ~np.isin(strata[valid], strata[train])
        train, valid = np.concatenate([train, valid[alone]]), valid[~alone]
    return train, valid


def duplicates(data: Data) -> dict[str, int]:
    """Count the samples of a later split whose input stands in an earlier split as well, compared by hash.

    Returns:
        Counts above zero, as ``{"train/test": 3}``. Splits that can only be streamed are not looked at, unless they
        have a method ``fingerprints() -> uint64 [n]``.
    """
    hashes = {name: _fingerprints(part) for name, part in data.splits.items()}
    found = {}
    for earlier, later in (("train", "valid"), ("train", "test"), ("valid", "test")):
        first, second = hashes[earlier], hashes[later]
        if first is not None and second is not None:
            found[f"{earlier}/{later}"] = int(np.isin(second, first).sum())
    return {pair: count for pair, count in found.items() if count}


def _fingerprints(part: Split) -> NDArray[np.uint64] | None:
    own = getattr(part, "fingerprints", None)
    if own is not None:
        return np.asarray(own(), dtype=np.uint64)
    inputs = getattr(part, "inputs", None)
    if inputs is None:
        return None
    import pandas as pd

    rows = inputs.detach().cpu().flatten(1).contiguous().numpy()
    if np.issubdtype(rows.dtype, np.floating):
        rows = rows + np.zeros(1, dtype=rows.dtype)  # -0.0 becomes 0.0
    octets = rows.view(np.uint8)
    words = np.pad(octets, ((0, 0), (0, -octets.shape[1] % 8))).view(np.uint64)
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(words), index=False), dtype=np.uint64)


def _shares(fractions: Sequence[float]) -> NDArray[np.float64]:
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.ndim != 1 or len(shares) < 2 or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise InputError(
            f"The fractions of the splits have to be positive and add up to 1, but {_listed(fractions)} came; "
            "write for instance 0.6, 0.2, 0.2."
        )
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _listed(fractions: Sequence[float]) -> str:
    return ", ".join(f"{fraction:g}" for fraction in fractions)


def _stratified(strata: NDArray[np.int64], shares: NDArray[np.float64], seed: int) -> list[Indices]:
    drawn = np.random.default_rng(seed).permutation(len(strata))
    drawn = drawn[np.argsort(strata[drawn], kind="stable")]
    _, sizes = np.unique(strata, return_counts=True)
    filled = np.zeros(len(shares), dtype=np.int64)
    parts: list[list[Indices]] = [[] for _ in shares]
    for members in np.split(drawn, np.cumsum(sizes)[:-1]):
        counts = _counts(len(members), shares, behind=shares * filled.sum() - filled)
        filled += counts
        for part, piece in zip(parts, np.split(members, np.cumsum(counts)[:-1]), strict=True):
            part.append(piece)
    return [np.concatenate(part) for part in parts]


def _counts(members: int, shares: NDArray[np.float64], behind: NDArray[np.float64]) -> NDArray[np.int64]:
    """Largest remainders; among equal ones the part that is most behind its share so far goes first."""
    if members < len(shares):
        counts = np.zeros(len(shares), dtype=np.int64)
        counts[[0, -1][:members]] = 1
        return counts
    exact = shares * members
    counts = np.floor(exact + 1e-9).astype(np.int64)
    ranking = np.lexsort((-behind, -np.round(exact - counts, 9)))
    counts[ranking[: members - counts.sum()]] += 1
    while (counts == 0).any():
        counts[np.argmax(counts)] -= 1
        counts[np.argmin(counts)] += 1
    return counts


def _grouped(
    strata: NDArray[np.int64], groups: NDArray[np.int64], shares: NDArray[np.float64], seed: int
) -> list[Indices]:
    from sklearn.model_selection import StratifiedGroupKFold

    number = len(np.unique(groups))
    if number < len(shares):
        raise InputError(
            f"{number} group{'s are' if number != 1 else ' is'} too few for {len(shares)} splits, because a group is "
            "never on two sides; choose another group column, or leave it out."
        )
    # As many folds as the smallest share asks for; scikit-learn wants a class with at least as many members.
    largest = int(np.unique(strata, return_counts=True)[1].max())
    folds = max(len(shares), min(int(np.ceil(1 / shares.min() - 1e-9)), number, largest))
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        pieces = [fold for _, fold in splitter.split(strata, strata, groups) if len(fold)]
    parts: list[list[Indices]] = [[] for _ in shares]
    for left, piece in zip(range(len(pieces), 0, -1), sorted(pieces, key=len, reverse=True), strict=True):
        filled = np.array([sum(map(len, part)) for part in parts])
        behind = shares * len(strata) - filled
        if left <= (filled == 0).sum():
            behind[filled > 0] = -np.inf
        parts[int(np.argmax(behind))].append(piece)
    return [np.concatenate(part) if part else np.empty(0, dtype=np.int64) for part in parts]


def _last(order: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    names, codes = np.unique(groups, return_inverse=True)
    last = np.full(len(names), -np.inf)
    np.maximum.at(last, codes, order)
    return last[codes]


def _ordered(order: NDArray[np.float64], shares: NDArray[np.float64]) -> list[Indices]:
    ranking = np.argsort(order, kind="stable")
    edges = np.flatnonzero(np.diff(order[ranking])) + 1
    if len(edges) < len(shares) - 1:
        raise InputError(
            f"{len(edges) + 1} different times are too few for {len(shares)} splits, because equal times stay "
            "together; choose another column for the order, or leave it out."
        )
    cuts: list[int] = []
    start = 0
    for done, wanted in enumerate(np.cumsum(shares)[:-1] * len(order)):
        open_edges = edges[start : len(edges) - (len(shares) - 2 - done)]
        nearest = int(np.argmin(np.abs(open_edges - wanted)))
        cuts.append(int(open_edges[nearest]))
        start += nearest + 1
    return np.split(ranking, cuts)
