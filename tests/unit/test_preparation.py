"""Preparation: equal to scikit-learn's pipeline, learned from the given rows only, rebuilt from options and weights."""

import json

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from chainrule.data.spec import Column
from chainrule.errors import InputError
from chainrule.nn.preparation import Standardize, TableEncoder
from chainrule.registry import lookup

NAN = float("nan")


def test_standardize_equals_scikit_learn():
    rows = torch.randn(500, 4, dtype=torch.float64) * torch.tensor([1.0, 1e-3, 50.0, 7.0]) + 3
    module = Standardize(4).learn([rows])
    np.testing.assert_allclose(module(rows), StandardScaler().fit_transform(rows), rtol=1e-5, atol=1e-6)
    assert module(rows).dtype == torch.float32


def test_a_mean_far_from_zero_is_exact_and_chunks_do_not_matter():
    values = torch.randn(10_000, 1, dtype=torch.float64)
    rows = 1e6 + (values - values.mean()) / values.std(correction=0)
    whole = Standardize(1).learn([rows])
    assert whole.mean.item() == pytest.approx(1e6, abs=1e-9)
    assert whole.std.item() == pytest.approx(1.0, abs=1e-9)
    chunks = Standardize(1).learn(rows.split([1, 2, 997, 4000, 5000]))
    torch.testing.assert_close(chunks.mean, whole.mean, rtol=1e-14, atol=0)
    torch.testing.assert_close(chunks.std, whole.std, rtol=1e-10, atol=0)


def test_time_stamps_stay_distinct():
    stamps = torch.arange(1000, dtype=torch.float64)[:, None] + 1_700_000_000
    out = Standardize(1).learn([stamps])(stamps)
    assert len(out.unique()) == 1000
    assert len(stamps.float().unique()) < 20  # what float32 would have left of them


def test_images_are_standardised_by_channel():
    images = torch.randint(0, 256, (30, 3, 5, 7), dtype=torch.uint8)
    module = Standardize(3).learn(images.split(7))
    out = module(images)
    assert out.shape == images.shape
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3), correction=0), torch.ones(3))
    torch.testing.assert_close(module.mean, images.double().mean((0, 2, 3)))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.1, -3.3e-8])
def test_a_constant_feature_becomes_zero(value):
    module = Standardize(1).learn([torch.full((1000, 1), value, dtype=torch.float64)] * 3)
    assert module.std.item() == 1.0
    assert module(torch.full((2, 1), value, dtype=torch.float64)).abs().max() < 1e-6


@pytest.mark.parametrize(("rows", "sentence"), [(torch.empty(0, 2), "no sample"), (torch.tensor([[1, NAN]]), "NaN")])
def test_standardize_refuses_what_cannot_be_learned(rows, sentence):
    with pytest.raises(InputError, match=sentence):
        Standardize(2).learn([rows])


COLUMNS = (
    Column("age", "number"),
    Column("member", "boolean"),
    Column("color", "category", ("blue", "green", "red")),
    Column("born", "date"),
)
# Day 0 is a Thursday, the first of January 1970.
RAW = torch.tensor(
    [
        [10.0, 1.0, 0.0, 0.0],
        [NAN, 0.0, 2.0, 7.0],
        [30.0, 1.0, NAN, 14.0],
        [20.0, 1.0, 2.0, 21.25],
        [50.0, NAN, -1.0, 28.0],
    ],
    dtype=torch.float64,
)


def test_the_table_encoder_by_hand():
    module = TableEncoder.learn(COLUMNS, RAW)
    assert module.fill.tolist() == [25.0, 1.0, 2.0, 14.0]  # medians of 10 20 30 50 and of the days; most frequent
    assert module.indicators == (0, 1, 2)
    assert module.times == (3,)
    out = module(RAW)
    assert out.dtype == torch.float32
    assert out.shape == (5, module.width)
    numbers = StandardScaler().fit_transform(SimpleImputer(strategy="median").fit_transform(RAW[:, [0, 3]]))
    np.testing.assert_allclose(out[:, :2], numbers, atol=1e-6)
    assert out[:, 2].tolist() == [1, 0, 1, 1, 1]
    assert out[:, 3:6].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]]
    days = RAW[:, 3]
    angles = torch.stack([days / 365.2425, days / 7, days], dim=1) * 2 * torch.pi
    torch.testing.assert_close(out[:, 6:9], angles.sin().float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(out[:, 9:12], angles.cos().float(), atol=1e-6, rtol=0)
    assert out[:, 12:].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_the_median_equals_numpy():
    raw = torch.randn(301, 40, dtype=torch.float64)
    raw[torch.rand_like(raw) < torch.linspace(0, 0.9, 40)] = NAN
    module = TableEncoder.learn([Column(f"x{i}") for i in range(40)], raw)
    np.testing.assert_array_equal(module.fill, np.nanmedian(raw.numpy(), axis=0))


def test_a_value_missing_only_at_prediction_is_imputed():
    module = TableEncoder.learn(COLUMNS[:1], RAW[[0, 2, 3], :1])
    assert module.indicators == ()
    assert torch.equal(module(torch.tensor([[NAN]]).double()), module(torch.tensor([[20.0]]).double()))


def test_a_column_without_any_value_is_harmless():
    raw = torch.tensor([[NAN, NAN], [NAN, NAN]], dtype=torch.float64)
    module = TableEncoder.learn([Column("x"), Column("c", "category", ("a",))], raw)
    assert module(raw).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("learned", [lambda: TableEncoder.learn(COLUMNS, RAW), lambda: Standardize(4).learn([RAW[:1]])])
def test_rebuilt_from_options_and_state(learned):
    module = learned()
    options = json.loads(json.dumps(module.options()))
    again = type(module)(**options)
    assert again.options() == module.options()
    again.load_state_dict(module.state_dict())
    torch.testing.assert_close(again(RAW), module(RAW), rtol=0, atol=0, equal_nan=True)
    assert all(torch.equal(again.state_dict()[key], value) for key, value in module.state_dict().items())


def test_it_exports():
    module = TableEncoder.learn(COLUMNS, RAW)
    exported = torch.export.export(module, (RAW,), dynamic_shapes=({0: torch.export.Dim("b")},)).module()
    torch.testing.assert_close(exported(RAW[:3]), module(RAW[:3]))


def test_it_says_what_it_does():
    text = " ".join(TableEncoder.learn(COLUMNS, RAW).describe())
    for name in ("age", "member", "color", "born"):
        assert repr(name) in text
    assert "time of day" in text
    assert "an indicator says so: 'age', 'member' and 'color'" in text
    assert Standardize(7).describe()[0].startswith("Each of 7 features")


@pytest.mark.parametrize("name", ["standardize", "table"])
def test_registered_with_arguments_that_build_it(name):
    entry = lookup("preparation", name)
    module = entry.build(**entry.tiny)
    out = module(torch.zeros(entry.sample, dtype=torch.float64))
    assert out.shape[0] == entry.sample[0]
    assert out.isfinite().all()
