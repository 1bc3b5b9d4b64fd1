"""What every registered metric keeps to: torchmetrics' protocol, sums that are exact however the samples are cut."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from chainrule import metrics
from chainrule.registry import Entry
from tests.contracts.cases import cases

each_metric = pytest.mark.parametrize("entry", cases("metric", "", {}))

# What the metrics of a family take, from the row's sample with more rows.
INPUTS: dict[str, Callable[[int, int], tuple[Tensor, Tensor]]] = {
    "ranking": lambda n, k: (torch.randn(n, k), torch.randint(2, (n, k))),
    "diversity": lambda n, c: (torch.randint(2, (n, c)), torch.randint(2, (n,))),
}


def build(entry: Entry) -> Any:
    return metrics.metric(entry.name, **entry.tiny)


def inputs_of(entry: Entry, n: int = 50) -> tuple[Tensor, Tensor]:
    return INPUTS[entry.family](n, entry.sample[1])


def value_of(entry: Entry, *batches: tuple[Tensor, Tensor]) -> Tensor:
    metric = build(entry)
    for batch in batches:
        metric.update(*batch)
    return metric.compute()


@each_metric
def test_row_is_complete(entry: Entry) -> None:
    assert entry.family in INPUTS
    assert str(entry.year) in entry.paper
    assert entry.targets
    assert metrics.explain(entry.name) == entry.summary


@each_metric
def test_is_a_metric_that_shares_sums(entry: Entry) -> None:
    metric = build(entry)
    assert isinstance(metric, Metric)
    assert {reduce.__name__ for reduce in metric._reductions.values()} == {"dim_zero_sum"}
    assert all(state.dtype == torch.int64 for state in metric._defaults.values())


@each_metric
def test_batches_do_not_matter(entry: Entry) -> None:
    preds, target = inputs_of(entry)
    cuts = list(zip(preds.split([1, 30, 0, 19]), target.split([1, 30, 0, 19]), strict=True))
    assert torch.equal(value_of(entry, *cuts), value_of(entry, (preds, target)))


@each_metric
def test_order_does_not_matter(entry: Entry) -> None:
    preds, target = inputs_of(entry)
    order = torch.randperm(len(target))
    assert torch.equal(value_of(entry, (preds[order], target[order])), value_of(entry, (preds, target)))


@each_metric
def test_states_of_two_processes_add_up(entry: Entry) -> None:
    preds, target = inputs_of(entry)
    first, second = build(entry), build(entry)
    first.update(preds[:46], target[:46])
    second.update(preds[46:], target[46:])
    first.merge_state(second)
    assert torch.equal(first.compute(), value_of(entry, (preds, target)))


@each_metric
def test_called_it_gives_the_batch_and_keeps_the_whole(entry: Entry) -> None:
    one, two = inputs_of(entry), inputs_of(entry)
    metric = build(entry)
    assert torch.equal(metric(*one), value_of(entry, one))
    assert torch.equal(metric(*two), value_of(entry, two))
    assert torch.equal(metric.compute(), value_of(entry, one, two))


@each_metric
def test_starts_again_after_reset(entry: Entry) -> None:
    one, two = inputs_of(entry), inputs_of(entry)
    metric = build(entry)
    metric.update(*one)
    metric.reset()
    metric.update(*two)
    assert torch.equal(metric.compute(), value_of(entry, two))


@each_metric
def test_is_finite_from_the_first_sample(entry: Entry) -> None:
    preds, target = inputs_of(entry)
    assert value_of(entry, (preds[:0], target[:0])).isfinite().all()
    for n in range(1, 6):
        assert value_of(entry, (preds[:n], target[:n])).isfinite().all()


@each_metric
def test_works_in_a_collection(entry: Entry) -> None:
    inputs = inputs_of(entry)
    collection = MetricCollection({"one": build(entry), "two": build(entry)})
    collection.update(*inputs)
    assert torch.equal(collection.clone().compute()["two"], value_of(entry, inputs))
