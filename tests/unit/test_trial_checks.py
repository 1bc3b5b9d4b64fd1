"""The checks that let copies of a program learn: silent on a healthy one, and on its sick twin not."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule import registry
from chainrule.doctor import Finding, Probe, Program
from chainrule.doctor.measures.gains import affine, ruler
from chainrule.doctor.measures.rates import Reached, full
from chainrule.doctor.measures.settings import rate_of, suspected
from chainrule.doctor.measures.trial_observer import dead_units
from chainrule.doctor.measures.trials import few, known, memorised, training

Pairs = list[tuple[Tensor, Tensor]]


def blobs(samples: int = 256, *, noise: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three classes in eight dimensions, each a side of a triangle of planes, with some labels drawn anew."""
    g = torch.Generator().manual_seed(seed)
    inputs = torch.randn(samples, 8, generator=g)
    classes = (inputs @ torch.randn(8, 3, generator=torch.Generator().manual_seed(9))).argmax(1)
    drawn = torch.randint(3, (samples,), generator=g)
    return inputs, torch.where(torch.rand(samples, generator=g) < noise, drawn, classes)


def batches(data: tuple[Tensor, Tensor], size: int = 32) -> Pairs:
    return list(zip(data[0].split(size), data[1].split(size), strict=True))


def network(*widths: int, last: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())][:-1]
    return nn.Sequential(*layers, *([last] if last else []))


def program(
    model: nn.Module | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
    *,
    data: tuple[Tensor, Tensor] | None = None,
    size: int = 32,
    **more: Any,
) -> Program:
    """A healthy program, but for what is said."""
    model = model or network(8, 32, 3)
    made = (optimizer or functools.partial(torch.optim.Adam, lr=1e-2))(model.parameters())
    kept = {"epochs": 8, "valid": batches(blobs(128, seed=1)), **more}
    return Program(
        model=model, loss=loss or nn.CrossEntropyLoss(), optimizer=made, batches=batches(data or blobs(), size), **kept
    )


def adam(**options: Any) -> Callable[[Any], torch.optim.Optimizer]:
    return functools.partial(torch.optim.Adam, **{"lr": 1e-2, **options})


def sgd(**options: Any) -> Callable[[Any], torch.optim.Optimizer]:
    return functools.partial(torch.optim.SGD, **options)


def uphill(model: nn.Module, loss: Callable[[Any, Any], Tensor], optimizer: Any, batches: Any) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        (-loss(model(inputs), targets)).backward()
        optimizer.step()


def silenced() -> nn.Module:
    """A network whose outputs are cut off: all are zero, and have no gradient."""
    last = nn.Linear(32, 3)
    nn.init.constant_(last.bias, -99.0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), last, nn.ReLU())


@functools.cache
def healthy() -> Probe:
    return Probe(program())


def found(probe: Probe, check: str) -> Finding | None:
    finding: Finding | None = registry.entries("check")[check].build(probe)
    return finding


def status(probe: Probe, check: str) -> str:
    finding = found(probe, check)
    return finding.status if finding else ""


CIRCLES = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
RINGS = (CIRCLES, (CIRCLES.norm(dim=1) > 1.2).long())
SICK: dict[str, tuple[Callable[[], Program], dict[str, str]]] = {
    "cut off": (lambda: program(silenced()), {"memorises": "FAIL", "stuck-at-chance": "FAIL"}),
    "high": (
        lambda: program(optimizer=sgd(lr=10.0)),
        {"rate-too-high": "FAIL", "update-ratio": "WARN", "dying-relu": "WARN", "diverging": "FAIL"},
    ),
    "swinging": (lambda: program(optimizer=sgd(lr=3.0, momentum=0.9)), {"oscillating": "WARN"}),
    "low": (
        lambda: program(optimizer=sgd(lr=1e-7), epochs=16),
        {
            "rate-too-low": "FAIL",
            "update-ratio": "WARN",
            "stuck-at-chance": "FAIL",
            "plateau": "WARN",
            "worse-than-simple": "WARN",
        },
    ),
    "decay": (lambda: program(optimizer=adam(weight_decay=3.0)), {"optimizer-settings": "FAIL"}),
    "betas": (lambda: program(optimizer=adam(betas=(0.999, 0.9))), {"optimizer-settings": "WARN"}),
    "maximize": (lambda: program(optimizer=adam(maximize=True)), {"maximizes": "FAIL", "diverging": "FAIL"}),
    "negated": (
        lambda: program(loss=lambda out, target: -functional.cross_entropy(out, target)),
        {"maximizes": "FAIL", "wrong-metric": "FAIL", "memorises": "FAIL"},
    ),
    "uphill": (lambda: program(train=uphill), {"maximizes": "FAIL"}),
    "one batch": (lambda: program(optimizer=adam(lr=2e-3), size=256), {"batch-size": "FAIL"}),
    "one pass": (lambda: program(optimizer=adam(lr=3e-3), epochs=1), {"too-few-epochs": "FAIL"}),
    "linear": (lambda: program(nn.Linear(2, 2), data=RINGS, valid=None), {"capacity": "WARN"}),
    "noise": (lambda: program(data=blobs(64, noise=0.6), epochs=60), {"overfitting-live": "WARN"}),
    "level": (lambda: program(optimizer=sgd(lr=1e-2), epochs=4, level=1.0), {"bias-variance": "WARN"}),
}


@functools.cache
def ill(name: str) -> Probe:
    return Probe(SICK[name][0]())


@pytest.mark.parametrize(
    ("name", "check", "status"), [(name, check, status) for name in SICK for check, status in SICK[name][1].items()]
)
def test_a_check_tells_the_healthy_from_the_sick(name: str, check: str, status: str) -> None:
    well, sick = found(healthy(), check), found(ill(name), check)
    assert well is not None
    assert well.status == ("SKIP" if check == "bias-variance" else "PASS"), well.sentence
    assert sick is not None
    assert sick.status == status, sick.sentence
    assert sick.cause
    assert sick.remedy
    assert sick.sentence.endswith(".")


def test_without_a_stated_level_there_is_no_verdict_and_with_it_there_is() -> None:
    probe = Probe(program(level=0.9))
    assert status(probe, "bias-variance") == "PASS"


def test_a_layer_whose_rate_is_lost_in_rounding_is_found() -> None:
    model = network(8, 32, 3)
    groups: list[dict[str, Any]] = [{"params": model[0].parameters(), "lr": 1e-30}, {"params": model[2].parameters()}]
    sick = program(model, optimizer=lambda _: torch.optim.Adam(groups, lr=1e-2))
    finding = found(Probe(sick), "update-ratio")
    assert finding is not None
    assert (finding.status, finding.where) == ("WARN", "0")


def test_a_layer_left_out_of_the_optimizer_is_kept_on_purpose() -> None:
    model = network(8, 32, 3)
    tuned = program(model, optimizer=lambda _: torch.optim.Adam(model[2].parameters(), lr=1e-2))
    assert status(Probe(tuned), "update-ratio") == "PASS"


def test_a_linear_model_need_not_learn_by_heart() -> None:
    assert status(ill("linear"), "memorises") == "SKIP"


def test_a_rate_that_is_too_high_is_no_ascent() -> None:
    assert status(ill("high"), "maximizes") == "PASS"


def test_an_unusual_setting_that_does_no_harm_passes() -> None:
    finding = found(Probe(program(optimizer=sgd(lr=1e-2, momentum=0.98))), "optimizer-settings")
    assert finding is not None
    assert finding.status == "PASS"
    assert "unusual" in finding.sentence


@pytest.mark.parametrize("broken", [nn.Linear(7, 3), nn.Sequential(nn.Linear(8, 3), nn.Unflatten(1, (4, 2)))])
def test_a_program_that_does_not_run_is_left_to_other_checks(broken: nn.Module) -> None:
    probe = Probe(program(broken))
    assert probe.measure(training).error.startswith("raised ")
    checks = {check for _, checks in SICK.values() for check in checks}
    assert {check for check in checks if found(probe, check) is not None} == set()


def test_a_program_without_optimizer_is_tried_with_adam() -> None:
    bare = Program(model=network(8, 32, 3), loss=nn.CrossEntropyLoss(), batches=batches(blobs()))
    probe = Probe(bare)
    assert probe.measure(training).steps == 10 * 8
    assert probe.measure(training).end.train_score > 0.6
    assert status(probe, "rate-too-low") == "SKIP"
    assert found(probe, "optimizer-settings") is None


def test_a_trial_ends_when_its_time_is_over() -> None:
    trial = Probe(program(epochs=10**6), seconds=0.2).measure(training)
    assert trial.error == f"out of time after {trial.steps} steps"
    assert 0 < trial.steps < trial.planned
    assert trial.end.steps == trial.steps


def test_a_trial_notes_each_loss_and_each_pass() -> None:
    trial = healthy().measure(training)
    assert trial.steps == trial.planned == len(trial.losses) == 8 * 8
    assert [passed.epoch for passed in trial.epochs] == list(range(9))
    assert trial.epochs[3].loss == pytest.approx(sum(trial.losses[16:24]) / 8)
    assert trial.start.steps == 0
    assert math.isnan(trial.start.loss)


def test_the_size_of_a_step_is_that_of_the_rate() -> None:
    """With a gradient of sign only, each weight moves by the rate: the ratio is rate * sqrt(n) / norm(w)."""
    model = network(8, 32, 3)
    weights = torch.cat([weight.detach().flatten() for weight in model[2].parameters()])
    sign = program(model, optimizer=adam(lr=1e-3, betas=(0.0, 0.0), eps=1e-30))
    first, _ = Probe(sign).measure(training).moved["2"]
    assert first == pytest.approx(1e-3 * math.sqrt(len(weights)) / float(weights.norm()), rel=0.02)


def test_dead_units_are_counted() -> None:
    """Of four units two have a bias so low that no sample reaches them; so has one of two channels of an image."""
    first, image = nn.Linear(3, 4), nn.Conv2d(1, 2, 1)
    first.bias = nn.Parameter(torch.tensor([9.0, -9.0, 9.0, -9.0]))
    image.bias = nn.Parameter(torch.tensor([9.0, -9.0]))
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(4, 2))
    assert dead_units(model, torch.rand(16, 3)) == 0.5
    assert dead_units(nn.Sequential(image, nn.ReLU(inplace=True)), torch.rand(2, 1, 5, 5)) == 0.5
    assert math.isnan(dead_units(nn.Sequential(nn.Linear(3, 2), nn.Tanh()), torch.rand(16, 3)))


def test_the_few_samples_differ() -> None:
    inputs = torch.arange(8.0).repeat(20)[:, None].expand(-1, 8)
    chosen, targets = few(Probe(program(data=(inputs, torch.zeros(160, dtype=torch.long)))))
    assert sorted(chosen[:, 0].tolist()) == list(range(8))
    assert len(targets) == 8


def test_what_is_learned_by_heart_is_learned_without_dropout() -> None:
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.9), nn.Linear(32, 3))
    probe = Probe(program(model))
    assert known(probe.measure(memorised))
    assert model[2].p == 0.9


def test_a_rate_that_a_schedule_lowers_at_first_is_taken_at_its_height() -> None:
    warm = program(optimizer=adam(lr=1e-2))
    assert warm.optimizer is not None
    torch.optim.lr_scheduler.LinearLR(warm.optimizer, start_factor=1e-6, total_iters=100)
    assert warm.optimizer.param_groups[0]["lr"] == pytest.approx(1e-8)
    assert rate_of(warm) == 1e-2
    assert Probe(warm).measure(training).end.train_score > 0.9


def test_the_ruler_measures_from_a_constant_to_a_perfect_score() -> None:
    rule = Probe(program()).measure(ruler)
    assert rule.scored
    assert rule.by_score(rule.chance) == 0
    assert rule.by_score(1.0) == 1
    assert rule.gain(Reached(math.inf, math.nan, math.nan, 3)) == 0
    assert rule.by_loss(rule.floor) == 1


def test_columns_that_hardly_vary_do_not_rule_the_scale() -> None:
    """The second column has a spread of a millionth: its own R2 is far below 0 whatever the first does."""
    inputs = blobs()[0]
    data = (inputs, torch.stack([inputs[:, 0], 1e-6 * inputs[:, 1]], 1))
    probe = Probe(program(network(8, 32, 2), nn.MSELoss(), data=data, valid=None))
    assert probe.measure(training).end.train_score > 0.8
    assert probe.measure(ruler).scored
    assert probe.measure(ruler).gain(probe.measure(full)) > 0.8
    assert not (stuck := found(probe, "stuck-at-chance")) or not stuck.asks


@pytest.mark.parametrize(
    ("model", "linear"), [(nn.Linear(8, 3), True), (network(8, 32, 3), False), (nn.Flatten(), True)]
)
def test_affine_models_are_known(model: nn.Module, linear: bool) -> None:
    bare = Program(model=model, loss=nn.CrossEntropyLoss(), batches=batches(blobs()))
    assert Probe(bare).measure(affine) is linear


def test_settings_that_are_suspected() -> None:
    weights = [nn.Parameter(torch.ones(3))]
    of = functools.partial(Program, model=nn.Linear(3, 1), loss=nn.MSELoss(), batches=[])
    assert suspected(of(optimizer=torch.optim.SGD(weights, lr=0.1, momentum=0.999))) == {"momentum": 0.9}
    assert suspected(of(optimizer=torch.optim.Adam(weights, eps=1.0, weight_decay=1.0))) == {
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    # What decoupled decay takes of a weight at a step is its product with the rate.
    assert suspected(of(optimizer=torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.1))) == {}
    assert set(suspected(of(optimizer=torch.optim.AdamW(weights, lr=1e-2, weight_decay=10.0)))) == {"weight_decay"}
    assert set(suspected(of(optimizer=torch.optim.Adam(weights, betas=(0.9, 0.5))))) == {"betas"}
