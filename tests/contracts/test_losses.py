"""What every registered loss keeps to: finite everywhere, right gradients, one convention."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chainrule import losses, registry
from chainrule.registry import Entry
from tests.contracts.cases import cases
from tests.unchecked import unchecked

each_loss = pytest.mark.parametrize("entry", cases("loss", "", {}))

SURE = 1e4  # a logit beyond which nothing changes in any precision


def classes(shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    batch, k, *rest = shape
    return torch.randn(shape), torch.randint(k, (batch, *rest))


# What the losses of a family take, from the row's sample.
INPUTS: dict[str, Callable[[tuple[int, ...]], tuple[Tensor, ...]]] = {
    "overlap": classes,
    "focal": classes,
    "margin": classes,
    "capsule": lambda shape: (torch.rand(shape), torch.randint(shape[1], shape[:1])),
    "pairs": lambda shape: (torch.randn(shape), torch.randn(shape), torch.arange(shape[0]) % 2),
    "triplets": lambda shape: (torch.randn(shape), torch.randn(shape), torch.randn(shape)),
    "distributions": lambda shape: (torch.randn(shape), torch.randn(shape[0] + 2, shape[1])),
    "adversarial": lambda shape: (torch.randn(shape), torch.randn(shape)),
    "features": lambda shape: (torch.randn(shape), torch.randn(shape)),
    "image": lambda shape: (torch.randn(shape),),
}


def sure(targets: Tensor, k: int) -> Tensor:
    """Logits that are as sure as can be of these classes."""
    return SURE * (2 * torch.eye(k)[targets].movedim(-1, 1) - 1)


def segmented() -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    """Images of 2 by 4 by 4 pixels on which ratios of areas break down."""
    empty, full = torch.zeros(2, 4, 4, dtype=torch.long), torch.ones(2, 4, 4, dtype=torch.long)
    pixel = empty.clone()
    pixel[0, 1, 2] = 1
    for name, targets in {"background": empty, "one pixel": pixel, "full": full, "ignored": full * -100}.items():
        there = targets.clamp_min(0)
        for k in (1, 3):
            right = sure(there, 3) if k == 3 else SURE * (2.0 * there.unsqueeze(1) - 1)
            yield f"{name}, {k} logits, right", (right, targets)
            yield f"{name}, {k} logits, wrong", (-right, targets)
            yield f"{name}, {k} logits, undecided", (torch.zeros(2, k, 4, 4), targets)


def samples() -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    targets = torch.tensor([0, 2, 1])
    yield "right", (sure(targets, 3), targets)
    yield "wrong", (-sure(targets, 3), targets)
    yield "equal scores", (torch.zeros(3, 3), targets)
    yield "all ignored", (torch.randn(3, 3), torch.full((3,), -100))
    yield "one score", (torch.tensor([[SURE], [0.0], [-SURE]]), torch.tensor([0, 1, 1]))


ZERO, HUGE = torch.zeros(4, 3), torch.full((4, 3), SURE)
STEPS = torch.arange(12.0).reshape(4, 3)
SAME = torch.tensor([0, 1, 0, 1])

HARD: dict[str, list[tuple[str, tuple[Tensor, ...]]]] = {
    "overlap": [*segmented()],
    "focal": [*segmented(), *samples()],
    "margin": [*segmented(), *samples()],
    "capsule": [
        ("no length", (ZERO, torch.tensor([0, 1, 2, 0]))),
        ("full length", (torch.ones(4, 3), torch.tensor([0, 1, 2, 0]))),
        ("no class", (torch.rand(4, 3), torch.zeros(4, 3))),
        ("all ignored", (torch.rand(4, 3), torch.full((4,), -100))),
    ],
    "pairs": [("equal", (ZERO, ZERO, SAME)), ("far", (HUGE, -HUGE, SAME))],
    "triplets": [("equal", (ZERO, ZERO, ZERO)), ("far", (HUGE, ZERO, -HUGE)), ("positive equal", (HUGE, HUGE, ZERO))],
    "distributions": [
        ("all points equal", (ZERO, ZERO)),
        ("same sample", (HUGE.normal_(), HUGE)),
        ("far", (ZERO, HUGE)),
    ],
    "adversarial": [("undecided", (ZERO, ZERO)), ("right", (HUGE, -HUGE)), ("wrong", (-HUGE, HUGE))],
    "features": [
        ("equal", (torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4))),
        ("nothing", (torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4))),
        ("one pixel", (torch.ones(2, 3, 1, 1), torch.zeros(2, 3, 1, 1))),
    ],
    "image": [("flat", (torch.ones(2, 3, 4, 4),)), ("one pixel", (torch.ones(2, 3, 1, 1),))],
}


def build(entry: Entry, **options: Any) -> nn.Module:
    module: nn.Module = entry.build(**{**entry.tiny, **options})
    return module


def inputs_of(entry: Entry, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    drawn = INPUTS[entry.family](entry.sample)
    return tuple(x.to(dtype).requires_grad_() if x.is_floating_point() else x for x in drawn)


def has_reduction(entry: Entry) -> bool:
    return "reduction" in registry.keywords(entry.build)


def sides(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """The loss, and for a game the generator's, too."""
    return (
        [module(*inputs), module.generator(inputs[-1])]
        if isinstance(module, losses.AbstractGame)
        else [module(*inputs)]
    )


@each_loss
def test_row_is_complete(entry: Entry) -> None:
    assert entry.family in INPUTS
    assert entry.paper
    assert str(entry.year) in entry.paper
    if entry.peer:
        module, _, name = entry.peer.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


@each_loss
def test_is_found_by_name(entry: Entry) -> None:
    assert type(losses.loss(entry.name, **entry.tiny)) is entry.build
    assert type(losses.loss(entry.name.upper().replace("-", "_"))) is entry.build


@each_loss
def test_is_public_with_its_function(entry: Entry) -> None:
    assert entry.build.__name__ in losses.__all__
    assert getattr(losses, entry.build.__name__) is entry.build


@each_loss
def test_shows_its_options(entry: Entry) -> None:
    module = build(entry)
    names = set(registry.keywords(entry.build)) - {"weight"}
    assert set(module.options) == names
    assert all(f"{name}={module.options[name]!r}" in repr(module) for name in names)


@each_loss
def test_reductions_agree(entry: Entry) -> None:
    inputs = inputs_of(entry, torch.float64)
    if not has_reduction(entry):
        assert build(entry)(*inputs).shape == ()
        return
    each, total, mean = (sides(build(entry, reduction=how), inputs) for how in ("none", "sum", "mean"))
    for one, two, three in zip(each, total, mean, strict=True):
        assert one.shape == entry.sample[:1]
        torch.testing.assert_close(one.sum(), two)
        torch.testing.assert_close(one.mean(), three)


@each_loss
def test_samples_do_not_mix(entry: Entry) -> None:
    if not has_reduction(entry):
        pytest.skip("compares samples as wholes")
    module, inputs = build(entry, reduction="none"), inputs_of(entry, torch.float64)
    alone = torch.cat([module(*(x[i : i + 1] for x in inputs)) for i in range(entry.sample[0])])
    torch.testing.assert_close(module(*inputs), alone)


@each_loss
def test_gradient_is_right(entry: Entry) -> None:
    module, inputs = build(entry), inputs_of(entry, torch.float64)
    assert torch.autograd.gradcheck(lambda *x: tuple(sides(module, x)), inputs)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_finite_where_it_is_hard(entry: Entry, dtype: torch.dtype) -> None:
    module, bad = build(entry), []
    for case, inputs in HARD[entry.family]:
        leaves = [x.to(dtype, copy=True).requires_grad_() if x.is_floating_point() else x for x in inputs]
        values = torch.stack(sides(module, tuple(leaves)))
        values.sum().backward()
        if not all(x.isfinite().all() for x in [values, *(leaf.grad for leaf in leaves if leaf.grad is not None)]):
            bad.append(case)
    assert bad == []


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(entry: Entry, dtype: torch.dtype) -> None:
    inputs = inputs_of(entry, dtype)
    module = build(entry)
    value = module(*inputs)
    assert value.dtype == torch.float32
    assert torch.equal(value, module(*(x.float() if x.is_floating_point() else x for x in inputs)))
    value.backward()
    assert all(x.grad.isfinite().all() for x in inputs if x.grad is not None)


@each_loss
def test_compiles_in_one_graph(entry: Entry) -> None:
    module, inputs = build(entry), inputs_of(entry)
    with unchecked():
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(*inputs), module(*inputs))
    torch.compiler.reset()


@each_loss
def test_exports(entry: Entry) -> None:
    module, inputs = build(entry), tuple(x.detach() for x in inputs_of(entry))
    with unchecked():
        program = torch.export.export(module, inputs)
    torch.testing.assert_close(program.module()(*inputs), module(*inputs))


@each_loss
def test_needs_no_memory_to_be_traced(entry: Entry) -> None:
    module, inputs = build(entry), tuple(x.detach().to("meta") for x in inputs_of(entry))
    assert module(*inputs).shape == ()


@each_loss
def test_refuses_options_that_make_no_sense(entry: Entry) -> None:
    for name in registry.keywords(entry.build):
        with pytest.raises(ValueError, match=name):
            build(entry, **{name: [-1.0]} if name in ("weight", "bandwidths") else {name: "nonsense"})
        if name not in ("reduction", "ignore_index", "unbiased", "weight", "bandwidths"):
            for number in (-1.0, float("nan")):
                with pytest.raises(ValueError, match=f"{name} must be .*; received {number}"):
                    build(entry, **{name: number})
