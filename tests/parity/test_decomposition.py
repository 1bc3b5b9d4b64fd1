"""Projections against scikit-learn, SciPy and NumPy, and the laws of each."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets, decomposition
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators.decomposition import PCA, ZCA, TruncatedSVD
from chainrule.estimators.fisher import FisherDiscriminant
from chainrule.estimators.kernel_pca import KernelPCA
from chainrule.estimators.kernels import RBF
from chainrule.estimators.spectra import leading, signed, worthwhile

LEARNED = ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_")
SOLVERS = ("auto", "covariance_eigh", "full")


def table(n: int = 200, d: int = 6, *, falling: float = 2.0) -> np.ndarray:
    """Correlated samples far from the origin; each direction has a deviation of its own."""
    rng = np.random.default_rng(n + d)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return 5 + rng.normal(size=(n, d)) * falling ** -np.arange(d) @ turn


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(200, 6), (6, 20), (20, 20)])
@pytest.mark.parametrize("count", [None, 3, 0.9])
@pytest.mark.parametrize("whiten", [False, True])
def test_pca_equals_scikit_learn(solver: str, shape: tuple[int, int], count: Any, whiten: bool) -> None:
    X = table(*shape, falling=1.2)
    if whiten and count is None and shape != (200, 6):
        count = 3  # one direction has no variance; scikit-learn gives noise there
    ours = PCA(n_components=count, svd_solver=solver, whiten=whiten).fit(X)
    peer = decomposition.PCA(n_components=count, svd_solver="full", whiten=whiten).fit(X)
    # The last direction of n <= d centred samples has no variance, and is arbitrary.
    most = min(peer.n_components_, min(shape) - (shape[0] <= shape[1]))
    assert ours.n_components_ == peer.n_components_
    for name in LEARNED:
        np.testing.assert_allclose(getattr(ours, name)[:most], getattr(peer, name)[:most], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.noise_variance_, peer.noise_variance_, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(ours.transform(X)[:, :most], peer.transform(X)[:, :most], rtol=1e-6, atol=1e-6)
    back = ours.inverse_transform(ours.transform(X))
    np.testing.assert_allclose(back, peer.inverse_transform(peer.transform(X)), rtol=1e-7, atol=1e-7)


def test_pca_keeps_the_digits_of_weak_directions() -> None:
    """A deviation of 1e-10 beside one of 1 is lost in the covariance, and kept by the default."""
    X = table(500, 4, falling=1e-3)
    X -= 5
    wanted = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(PCA().fit(X).singular_values_, wanted, rtol=1e-5)
    lost = PCA(svd_solver="covariance_eigh").fit(X).singular_values_[-1]
    assert abs(lost - wanted[-1]) > 0.1 * wanted[-1]


def test_pca_of_few_directions_among_many() -> None:
    """Found from products with blocks, equal to the exact ones; said so where they do not converge."""
    X = table(700, 600, falling=1.1)
    assert worthwhile(4, 600)
    for solver in ("auto", "randomized"):
        ours = PCA(n_components=4, svd_solver=solver, random_state=3).fit(X)
        peer = decomposition.PCA(n_components=4, svd_solver="full").fit(X)
        for name in LEARNED:
            np.testing.assert_allclose(getattr(ours, name), getattr(peer, name), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(ours.noise_variance_, peer.noise_variance_, rtol=1e-8)
    flat = np.random.default_rng(0).normal(size=(700, 600))
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        PCA(n_components=4, svd_solver="randomized", random_state=0).fit(flat)
    peer = decomposition.PCA(n_components=4, svd_solver="full").fit(flat)
    np.testing.assert_allclose(PCA(n_components=4).fit(flat).components_, peer.components_, atol=1e-8)


def test_leading_eigenvectors_of_a_small_rank() -> None:
    """A block that has nothing new to bring does no harm."""
    rng = np.random.default_rng(0)
    root = torch.from_numpy(rng.normal(size=(600, 3)))
    matrix = root @ root.T
    values, vectors, done = leading(lambda block: matrix @ block, 5, matrix, 600, 0)
    assert done
    torch.testing.assert_close(values[:3], torch.linalg.eigvalsh(root.T @ root).flip(0))
    assert float(values[3:].abs().max()) < 1e-9
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(5).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(matrix @ vectors[:3].T, vectors[:3].T * values[:3])


def test_signs_are_those_of_the_greatest_entries() -> None:
    rows = torch.tensor([[1.0, -3.0, 2.0], [0.0, 0.0, 0.0], [4.0, -1.0, 0.0]])
    assert signed(rows).tolist() == [[-1.0, 3.0, -2.0], [0.0, 0.0, 0.0], [4.0, -1.0, 0.0]]


@pytest.mark.parametrize("build", [lambda: PCA(whiten=True), ZCA])
def test_whitening_gives_unit_covariance_and_comes_back(build: Any) -> None:
    X = table()
    model = build().fit(X)
    white = model.transform(X)
    np.testing.assert_allclose(np.cov(white.T), np.eye(6), atol=1e-10)
    np.testing.assert_allclose(model.inverse_transform(white), X, rtol=1e-10)


def test_zca_is_the_inverse_root_of_the_covariance() -> None:
    X = table()
    values, vectors = np.linalg.eigh(np.cov(X.T))
    root = vectors / np.sqrt(values) @ vectors.T
    np.testing.assert_allclose(ZCA().fit(X).transform(X), (X - X.mean(axis=0)) @ root, rtol=1e-8, atol=1e-9)
    damped = vectors / np.sqrt(values + 0.1 * values[-1]) @ vectors.T
    model = ZCA(epsilon=0.1).fit(X)
    np.testing.assert_allclose(model.transform(X), (X - X.mean(axis=0)) @ damped, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), X, rtol=1e-9)


@pytest.mark.parametrize("build", [lambda: PCA(whiten=True), ZCA])
def test_directions_without_variance_become_zero(build: Any) -> None:
    X = np.column_stack((table(), np.full(200, 7.0), table()[:, 0]))
    model = build().fit(X)
    white = model.transform(X)
    variances = np.sort(np.linalg.eigvalsh(np.cov(white.T)))
    np.testing.assert_allclose(variances, [0, 0, 1, 1, 1, 1, 1, 1], atol=1e-9)
    np.testing.assert_allclose(model.inverse_transform(white), X, rtol=1e-9)


@pytest.mark.parametrize("algorithm", SOLVERS)
@pytest.mark.parametrize("shape", [(200, 6), (6, 20)])
def test_truncated_svd_equals_scikit_learn(algorithm: str, shape: tuple[int, int]) -> None:
    X = table(*shape)
    ours = TruncatedSVD(n_components=3, algorithm=algorithm).fit(X)
    peer = decomposition.TruncatedSVD(n_components=3, algorithm="arpack").fit(X)
    for name in LEARNED:
        np.testing.assert_allclose(getattr(ours, name), getattr(peer, name), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(ours.transform(X), peer.transform(X), rtol=1e-6, atol=1e-7)
    u, s, v = np.linalg.svd(X, full_matrices=False)
    best = u[:, :3] * s[:3] @ v[:3]
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), best, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ("linear", {"kernel": "linear"}),
        ("rbf", {"kernel": "rbf"}),
        (RBF(gamma=0.2), {"kernel": "rbf", "gamma": 0.2}),
        ("poly(degree=2, coef0=1)", {"kernel": "poly", "degree": 2}),
    ],
)
@pytest.mark.parametrize("n", [60, 500])
def test_kernel_pca_equals_scikit_learn(kernel: Any, options: dict[str, Any], n: int) -> None:
    """For 500 samples two components are found from products with blocks."""
    X = table(n, falling=1.3) - 5
    new = table(30, falling=1.3) - 5
    ours = KernelPCA(n_components=2, kernel=kernel).fit(X)
    peer = decomposition.KernelPCA(n_components=2, eigen_solver="dense", **options).fit(X)
    np.testing.assert_allclose(ours.eigenvalues_, peer.eigenvalues_, rtol=1e-9)
    for samples in (X, new):
        scores, wanted = ours.transform(samples), peer.transform(samples)
        np.testing.assert_allclose(scores * np.sign((scores * wanted).sum(axis=0)), wanted, rtol=1e-6, atol=1e-8)


def test_kernel_pca_takes_gram_matrices_and_few_components() -> None:
    X = table(50) - 5
    gram = X @ X.T
    given = KernelPCA(kernel="precomputed").fit(gram)
    named = KernelPCA().fit(X)
    assert len(named.eigenvalues_) == 6, "a linear kernel has as many directions as there are features"
    np.testing.assert_allclose(given.transform(gram), named.transform(X), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(np.abs(named.transform(X)), np.abs(PCA().fit(X).transform(X)), atol=1e-8)
    np.testing.assert_allclose(gram, X @ X.T)  # what was given is left alone
    padded = KernelPCA(n_components=9).fit(X)
    np.testing.assert_array_equal(padded.transform(X)[:, 6:], 0)
    with pytest.raises(InputError, match="write memory=1 "):
        KernelPCA(memory=0.01).fit(X)
    with pytest.raises(InputError, match="Gram matrices"):
        KernelPCA(kernel="precomputed").fit(X)
    with pytest.raises(InputError, match="NaN or infinity"):
        KernelPCA(kernel="poly(degree=400)", gamma=10.0).fit(X)


def test_fisher_equals_scikit_learn() -> None:
    X, y = datasets.load_wine(return_X_y=True)
    for shrinkage, scaled in ((0.0, X), (0.3, X / X.std(axis=0))):
        ours = FisherDiscriminant(shrinkage=shrinkage).fit(scaled, y)
        if not shrinkage:
            peer = LinearDiscriminantAnalysis(solver="eigen").fit(scaled, y)
            scores, wanted = ours.transform(scaled), peer.transform(scaled)
            wanted = wanted - wanted.mean(axis=0)
            np.testing.assert_allclose(scores * np.sign((scores * wanted).sum(axis=0)), wanted, rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(ours.explained_variance_ratio_, peer.explained_variance_ratio_, rtol=1e-6)
        within = ours.components_ @ ours.covariance_ @ ours.components_.T
        np.testing.assert_allclose(within, np.eye(2), atol=1e-8)


def test_fisher_maximises_its_ratio() -> None:
    X, y = datasets.load_iris(return_X_y=True)
    model = FisherDiscriminant(n_components=1).fit(X, y)
    scores = model.transform(X)[:, 0]

    def ratio(values: np.ndarray) -> float:
        means = np.array([values[y == c].mean() for c in range(3)])
        return means.var() / np.mean([values[y == c].var() for c in range(3)])

    best = ratio(scores)
    rng = np.random.default_rng(0)
    near = model.components_.numpy() + 0.05 * rng.normal(size=(50, 4))
    assert all(ratio(X @ w) < best for w in near)
    between = FisherDiscriminant().fit(X, y)
    np.testing.assert_allclose(between.explained_variance_ratio_[0], 0.9912, atol=1e-4)  # Fisher's iris


def test_fisher_where_the_scatter_is_singular() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 3)) + 3 * np.eye(3)[y]
    plain = FisherDiscriminant().fit(X, y)
    doubled = FisherDiscriminant().fit(np.column_stack((X, X[:, 0], np.ones(60))), y)
    scores, wanted = doubled.transform(np.column_stack((X, X[:, 0], np.ones(60)))), plain.transform(X)
    np.testing.assert_allclose(scores * np.sign((scores * wanted).sum(axis=0)), wanted, rtol=1e-7, atol=1e-8)
    told = np.column_stack((X, y))
    with pytest.warns(UserWarning, match="leaves these directions out"):
        FisherDiscriminant().fit(told, y)
    kept = FisherDiscriminant(shrinkage=0.1).fit(told, y)
    assert abs(float(kept.components_[0, 3])) > abs(float(kept.components_[0, :3].max()))
    with pytest.raises(InputError, match="no spread"):
        FisherDiscriminant().fit(y[:, None].astype(float), y)
    with pytest.raises(InputError, match="from 1 to 2"):
        FisherDiscriminant(n_components=3).fit(X, y)


@pytest.mark.parametrize("build", [PCA, TruncatedSVD])
def test_wrong_options_are_sentences(build: Any) -> None:
    X = table(20)
    for wrong in (0, 7, 1.5, True, "all"):
        with pytest.raises(InputError, match="whole number from 1 to 6"):
            build(n_components=wrong).fit(X)
    option = "svd_solver" if build is PCA else "algorithm"
    with pytest.raises(InputError, match="no solver named"):
        build(**{option: "lapack"}).fit(X)
    with pytest.raises(InputError, match="takes \\[n, 2\\] back"):
        build(n_components=2).fit(X).inverse_transform(X)


def test_constant_samples_have_no_variance() -> None:
    model = PCA().fit(np.full((10, 3), 0.1))
    assert model.explained_variance_.tolist() == [0, 0, 0]
    assert model.explained_variance_ratio_.tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="1 sample"):
        PCA().fit(np.ones((1, 3)))


def test_tables_get_names() -> None:
    table_of = datasets.load_iris(as_frame=True).data
    named = PCA(n_components=2).set_output(transform="pandas").fit_transform(table_of)
    assert named.columns.tolist() == ["pca0", "pca1"]
    assert ZCA().set_output(transform="pandas").fit_transform(table_of).columns.tolist() == table_of.columns.tolist()
