"""A watched loop does to the last bit what it does unwatched, and afterwards nothing is left of the watch."""

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers
from torch.utils.data import DataLoader

from chainrule.doctor.watching import watch
from tests.training_loops import SICK, SOUND, Loop, adam, momentum, network, table, usual

LOOPS = {**SOUND, **{loop.__name__: loop for _, _, loop in SICK}}


def outer() -> dict[str, Any]:
    """All of torch that a watch touches."""
    return {
        "backward": torch.autograd.backward,
        "method": torch.Tensor.backward,
        "iter": DataLoader.__iter__,
        "forward": dict(modules._global_forward_hooks),
        "forward with keywords": dict(modules._global_forward_hooks_with_kwargs),
        "pre": dict(modules._global_forward_pre_hooks),
        "before step": dict(optimizers._global_optimizer_pre_hooks),
        "after step": dict(optimizers._global_optimizer_post_hooks),
        "call": nn.Module.__call__,
        "zero": torch.optim.Optimizer.zero_grad,
    }


def inner(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    """What a model and an optimizer hold besides their values: attributes, hooks."""
    parts = [
        (name, sorted(vars(part)), len(part._forward_hooks), len(part._forward_pre_hooks), len(part._backward_hooks))
        for name, part in model.named_modules()
    ]
    hooks = (len(optimizer._optimizer_step_pre_hooks), len(optimizer._optimizer_step_post_hooks))
    return [parts, hooks, [len(weight._backward_hooks or {}) for weight in model.parameters()]]


def trained(loop: Loop, *, watched: bool) -> dict[str, Any]:
    """State of everything after two passes."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator is what may be drawn from
    model, loss, loader = network(dropout=True), nn.CrossEntropyLoss(), table()
    optimizer = momentum(model)
    torch.manual_seed(5)

    def passes() -> None:
        for _ in range(2):
            loop(model, loss, optimizer, loader)

    if watched:
        with watch(model, optimizer):
            passes()
    else:
        passes()
    return {
        "model": model.state_dict(),
        "state": optimizer.state_dict(),
        "gradients": [weight.grad for weight in model.parameters()],
        "held": inner(model, optimizer)[1:],
        "modes": [part.training for part in model.modules()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1],  # noqa: NPY002
        "random": random.getstate(),
    }


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return bool(np.array_equal(one, other))


@pytest.mark.parametrize("name", LOOPS)
def test_watched_loop_gives_the_same_bits(name: str) -> None:
    before = outer()
    plain, seen = trained(LOOPS[name], watched=False), trained(LOOPS[name], watched=True)
    assert [key for key in plain if not same(plain[key], seen[key])] == []
    assert outer() == before


def test_states_are_told_apart() -> None:
    plain, other = trained(usual, watched=False), trained(usual, watched=False)
    next(iter(other["model"].values())).view(-1)[0] += 1e-7
    assert not same(plain["model"], other["model"])
    assert same(plain["state"], other["state"])


def test_nothing_stays_behind() -> None:
    model = network(dropout=True)
    optimizer = adam(model)
    before, held = outer(), inner(model, optimizer)
    with watch(model, optimizer):
        assert outer() != before
        assert inner(model, optimizer) == held
    assert outer() == before
    assert inner(model, optimizer) == held


def test_nothing_stays_behind_after_an_exception() -> None:
    model = network()
    optimizer = adam(model)
    before, held = outer(), inner(model, optimizer)
    seen = watch(model, optimizer)

    def broken() -> None:
        with seen:
            usual(model, nn.CrossEntropyLoss(), optimizer, table())
            1 / 0  # noqa: B018

    with pytest.raises(ZeroDivisionError):
        broken()
    assert outer() == before
    assert inner(model, optimizer) == held
    assert seen.watched.count == 6
    assert seen.watched.error.startswith("ZeroDivisionError")


def test_backward_that_fails_is_over() -> None:
    """After a backward pass that raised, the next one is heard."""
    model = network()
    optimizer = adam(model)
    with watch(model, optimizer) as seen:
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.zeros(()).backward()
        usual(model, nn.CrossEntropyLoss(), optimizer, table())
    assert seen.watched.backwards == 6
    assert not seen.watched.fused


@pytest.mark.parametrize("crossed", [False, True])
def test_two_watches(crossed: bool) -> None:
    """Several may be open at once, and be closed in any order."""
    before, models = outer(), [network(), network()]
    opened = [watch(model, adam(model)) for model in models]
    for one in opened:
        one.__enter__()
    for model, one in zip(models, opened, strict=True):
        usual(model, nn.CrossEntropyLoss(), one.optimizer or adam(model), table())
    for one in opened if crossed else reversed(opened):
        one.__exit__(None, None, None)
    assert outer() == before
    assert [one.watched.count for one in opened] == [6, 6]
    assert [one.watched.foreign for one in opened] == [6, 6]


def test_copies_of_the_model_are_free_of_the_watch() -> None:
    """Loops keep their best model; such a copy runs unseen, and is as any other."""
    model = network()
    with watch(model, adam(model)) as seen:
        kept = copy.deepcopy(model)
        kept(torch.zeros(2, 5))
    assert seen.watched.forwards == 0
    assert inner(kept, adam(kept)) == inner(model, adam(model))


def test_copies_of_the_weights_are_given_back() -> None:
    model = network()
    with watch(model, adam(model)) as seen:
        usual(model, nn.CrossEntropyLoss(), seen.optimizer or adam(model), table())
    held = [value for value in vars(seen).values() if isinstance(value, list) and value]
    assert not any(isinstance(part, torch.Tensor) for value in held for part in value)


def test_loader_draws_what_it_would_draw() -> None:
    own = torch.Generator().manual_seed(2)
    model, data = network(), table().dataset
    drawn = [targets for _, targets in DataLoader(data, batch_size=8, shuffle=True, generator=own.manual_seed(2))]
    with watch(model, adam(model)):
        seen = [targets for _, targets in DataLoader(data, batch_size=8, shuffle=True, generator=own.manual_seed(2))]
    assert all(torch.equal(*pair) for pair in zip(drawn, seen, strict=True))
