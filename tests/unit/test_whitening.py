"""Preparations: equal to scikit-learn's, the same in any batches, and what they refuse."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler

from chainrule.errors import InputError
from chainrule.nn import MeanImage, MinMaxScale, PCAWhitening, ZCAWhitening

MIX = torch.tensor([[3.0, 1.0, 0.0, 0.2], [0.0, 2.0, 0.5, 0.0], [0.0, 0.0, 0.7, 0.3], [0.0, 0.0, 0.0, 0.4]])


def rows(count: int = 600) -> torch.Tensor:
    """Correlated features, far from 0."""
    return torch.randn(count, 4, dtype=torch.float64) @ MIX.double() + torch.tensor([100.0, -5.0, 0.0, 3.0]).double()


def covariance(y: torch.Tensor) -> torch.Tensor:
    return torch.cov(y.double().T, correction=0)


def test_minmax_equals_scikit_learn():
    x = rows()
    module = MinMaxScale(4).learn(x.split(97))
    np.testing.assert_allclose(module(x), MinMaxScaler().fit_transform(x), atol=1e-6)
    assert (module(x).amin(0).tolist(), module(x).amax(0).tolist()) == ([0.0] * 4, [1.0] * 4)
    assert module(x.new_full((1, 4), 1e3)).min() > 1


def test_minmax_of_images_and_constants():
    images = torch.randint(0, 200, (30, 2, 5, 7), dtype=torch.uint8)
    images[:, 1] = 9
    out = MinMaxScale(2).learn(images.split(11))(images)
    torch.testing.assert_close(
        out[:, 0], (images[:, 0].float() - images[:, 0].min()) / (images[:, 0].max() - images[:, 0].min())
    )
    assert out[:, 1].eq(0).all()
    assert out.dtype == torch.float32


def test_mean_image():
    images = torch.randint(0, 256, (50, 3, 4, 6), dtype=torch.uint8)
    module = MeanImage(3, 4, 6).learn(images.split(7))
    torch.testing.assert_close(module.mean, images.double().mean(0))
    torch.testing.assert_close(module(images), (images.double() - images.double().mean(0)).float())
    assert module.options() == {"channels": 3, "height": 4, "width": 6}


@pytest.mark.parametrize("sizes", [[600], [1, 2, 97, 250, 250]], ids=str)
def test_pca_equals_scikit_learn(sizes):
    x = rows()
    ours = PCAWhitening(4, components=3, epsilon=0.0).learn(x.split(sizes))(x)
    # scikit-learn divides by n - 1 and has other signs.
    theirs = torch.from_numpy(PCA(3, whiten=True).fit_transform(x)) * (600 / 599) ** 0.5
    signs = torch.sign((ours * theirs).sum(0))
    torch.testing.assert_close(ours.double(), theirs * signs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(covariance(ours), torch.eye(3).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("build", [PCAWhitening, ZCAWhitening])
def test_whitened_covariance_is_the_identity(build):
    x = rows()
    y = build(4, epsilon=0.0).learn(x.split(100))(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(covariance(y), torch.eye(4).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.mean(0), torch.zeros(4), atol=1e-5, rtol=0)


def test_zca_is_the_inverse_root_of_the_covariance():
    x = rows()
    module = ZCAWhitening(4, epsilon=0.0).learn([x])
    torch.testing.assert_close(module.matrix, module.matrix.T)
    torch.testing.assert_close(torch.linalg.inv(module.matrix @ module.matrix), covariance(x))


def test_zca_stays_nearer_than_pca():
    x = rows()
    centred = (x - x.mean(0)).float()
    nearness = [(build(4).learn([x])(x) - centred).norm() for build in (ZCAWhitening, PCAWhitening)]
    assert nearness[0] < nearness[1]


def test_epsilon_is_a_share_of_the_greatest_variance():
    x = rows() * 1e3
    values, vectors = torch.linalg.eigh(covariance(x))
    wanted = vectors @ torch.diag((values + 0.1 * values.max()).rsqrt()) @ vectors.T
    torch.testing.assert_close(ZCAWhitening(4, epsilon=0.1).learn([x]).matrix, wanted)


@pytest.mark.parametrize("build", [PCAWhitening, ZCAWhitening])
def test_directions_without_variance_become_zero(build):
    x = rows()
    x[:, 3] = x[:, 0] - x[:, 1]
    y = build(4, epsilon=0.0).learn([x])(x)
    assert y.isfinite().all()
    values = torch.linalg.eigvalsh(covariance(y))
    torch.testing.assert_close(values, torch.tensor([0.0, 1.0, 1.0, 1.0]).double(), atol=1e-5, rtol=0)
    constant = build(2).learn([torch.ones(9, 2)])
    assert constant(torch.ones(3, 2)).eq(0).all()


def test_images_keep_their_shape_under_zca_only():
    images = torch.randint(0, 256, (80, 3, 2, 2), dtype=torch.uint8)
    whitened = ZCAWhitening(12, epsilon=0.0).learn(images.split(30))(images)
    assert whitened.shape == images.shape
    torch.testing.assert_close(covariance(whitened.flatten(1)), torch.eye(12).double(), atol=1e-4, rtol=0)
    assert PCAWhitening(12, components=5).learn([images])(images).shape == (80, 5)


def test_batches_do_not_matter_far_from_zero():
    x = rows() + 1e7
    whole = ZCAWhitening(4).learn([x])
    parts = ZCAWhitening(4).learn([x[:0], *x.split([1, 2, 597])])
    torch.testing.assert_close(parts.matrix, whole.matrix, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(parts(x), whole(x), atol=1e-4, rtol=0)


BUILDS = {
    "minmax": lambda: MinMaxScale(4),
    "mean-image": lambda: MeanImage(4, 1, 1),
    "pca": lambda: PCAWhitening(4),
    "zca": lambda: ZCAWhitening(4),
}


@pytest.mark.parametrize("name", BUILDS)
def test_what_cannot_be_learned(name):
    shape = (3, 4, 1, 1)
    with pytest.raises(InputError, match="because no sample came"):
        BUILDS[name]().learn([torch.empty(0, *shape[1:])])
    with pytest.raises(InputError, match="NaN or infinite"):
        BUILDS[name]().learn([torch.full(shape, torch.nan)])
    assert BUILDS[name]().describe()[0].endswith(".")


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: PCAWhitening(150_528), "1 to 10000 numbers a sample; received 150528"),
        (
            lambda: PCAWhitening(4, components=5),
            "from 1 to 4 components, or a share of the variance between 0 and 1; received 5",
        ),
        (lambda: ZCAWhitening(4, epsilon=-1.0), "received -1.0"),
        (lambda: ZCAWhitening(4).learn([torch.ones(3, 5)]), "made for 4 features; received 5"),
        (
            lambda: MeanImage(1, 2, 2).learn([torch.ones(3, 1, 2, 3)]),
            r"\(1, 2, 2\) were expected; received \(1, 2, 3\)",
        ),
    ],
)
def test_wrong_options(build, sentence):
    with pytest.raises(InputError, match=sentence):
        build()
