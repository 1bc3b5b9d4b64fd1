"""The parts of the recipe: candidates, folds, halving, what lies beyond a grid, what curves ask for."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

import chainrule as cr
from chainrule.config import configure
from chainrule.data.spec import Image, Real
from chainrule.errors import InputError
from chainrule.job import load_data
from chainrule.run import Run
from chainrule.study import reading
from chainrule.study.asking import asked_for
from chainrule.study.bench import Bench, Candidate, score, squared_error
from chainrule.study.events import Note, Tried
from chainrule.study.halving import halve, loss_of, search_estimator
from chainrule.study.recipe import beyond, decays_of
from chainrule.study.spaces import companions, larger, option, space_of, with_options
from chainrule.study.study import Study
from chainrule.study.tuning import candidates_of, folds_for


def last(notes: Generator[Note, None, Any]) -> Any:
    """Read all notes; gives what the generator returns."""
    while True:
        try:
            next(notes)
        except StopIteration as end:
            return end.value


def bench(directory: Path, source: str = "iris", *, folds: int = 3) -> Bench:
    data = load_data(source, configure({}))
    asked = asked_for("tune", source, data, jobs=1, settings={}, models=["mlp"], words={})
    return Bench(Study.create(directory, source, {**asked, "budget": 60.0}), folds=folds)


def test_a_candidate_is_measured_on_each_sample_once(tmp_path: Path) -> None:
    made = bench(tmp_path / "s")
    (scored,) = last(made.evaluate([Candidate(model="lda", step="search")]))
    data = cr.data.load("iris")
    assert len(made.valid) == len(data.train) + len(data.valid)
    assert scored.outputs.shape == (len(made.valid), 3)
    assert [one.trial.settings["fold"] for one in scored.tried] == ["1/3", "2/3", "3/3"]
    assert scored.score == pytest.approx((scored.outputs.argmax(1) == made.valid).double().mean().item())
    assert last(made.evaluate([Candidate(model="lda", step="again")])) == [scored]
    assert len(made.study.tried) == 3


def test_errors_by_hand() -> None:
    outputs = torch.tensor([[0.8, 0.2], [0.4, 0.6]])
    assert squared_error(outputs, torch.tensor([0, 0]), "classes") == pytest.approx((0.08 + 0.72) / 2)
    assert squared_error(outputs, torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "labels") == pytest.approx(0.4 / 4)
    real = torch.tensor([[1.0], [3.0]])
    assert squared_error(torch.tensor([[2.0], [3.0]]), real, "real") == pytest.approx(0.5)  # the deviation is 1
    assert score(torch.tensor([[2.0], [3.0]]), real, "real") == pytest.approx(0.5)
    assert score(outputs, torch.tensor([0, 0]), "classes") == 0.5


def test_halving_gives_the_better_ones_more_epochs(tmp_path: Path) -> None:
    made = bench(tmp_path / "s", "wine", folds=1)
    rates = ("0.01", "1e-6", "0.003", "1e-5", "3e-6", "1e30")
    candidates = [
        Candidate(model="mlp", settings={"rate": rate, "schedule": "constant", "epochs": 9}, step="grid")
        for rate in rates
    ]
    ranked = last(halve(made, candidates, [1, 3, 9]))
    assert len(ranked) == 5  # one is not finite
    assert ranked[0][0].settings["rate"] in ("0.01", "0.003")
    assert ranked[0][1].epochs == 9
    assert {result.epochs for _, result in ranked} == {1, 9} or {result.epochs for _, result in ranked} == {1, 3, 9}
    assert [result.epochs for _, result in ranked] == sorted((result.epochs for _, result in ranked), reverse=True)
    # Who goes on goes on in the same run.
    best = ranked[0][1].trial.name
    assert [one.trial.until for one in made.study.tried if one.trial.name == best] == [1, 3, 9]
    assert all(loss_of(one) > 0 for one in made.study.tried)


def test_the_search_of_an_estimator_begins_with_its_defaults(tmp_path: Path) -> None:
    made = bench(tmp_path / "s", folds=2)
    found = last(search_estimator(made, "knn", until=1e9))
    assert found[0].candidate.model == "knn"
    tried = [int(one.candidate.model.removeprefix("knn(n_neighbors=").rstrip(")")) for one in found[1:]]
    assert all(1 <= k <= 30 for k in tried)
    assert len(tried) == 10
    assert len(set(tried)) >= 4
    best = min(found, key=lambda one: one.error)
    assert best.error <= found[0].error
    again = last(search_estimator(Bench(Study.open(tmp_path / "s"), folds=2), "knn", until=1e9))
    assert [one.candidate for one in again] == [one.candidate for one in found]


def test_the_search_ends_with_its_time(tmp_path: Path) -> None:
    made = bench(tmp_path / "s", folds=2)
    assert len(last(search_estimator(made, "knn", until=0.0))) == 1


def point(rate: float, decay: float) -> Candidate:
    return Candidate(model="mlp", settings={"rate": f"{rate:.2g}", "weight_decay": decay}, step="grid")


def test_a_grid_is_extended_at_its_edges_only() -> None:
    grid = [point(rate, decay) for rate in (0.001, 0.003, 0.01) for decay in (0.0, 0.01, 0.1)]
    assert beyond(point(0.003, 0.01), grid) == []
    assert beyond(point(0.003, 0.0), grid) == []  # nothing lies beyond no decay
    assert beyond(point(0.01, 0.01), grid) == [(pytest.approx(0.0316, rel=1e-2), 0.01)]
    assert beyond(point(0.001, 0.1), grid) == [(pytest.approx(0.000316, rel=1e-2), 0.1), (0.001, 1.0)]
    assert beyond(point(0.01, 0.0), [point(0.01, 0.0), point(0.01, 0.1)]) == []  # the rate was given


@pytest.mark.parametrize(
    ("settings", "decays"),
    [
        ({}, (0.01, 0.0, 0.1)),
        ({"optimizer": "sgd(momentum=0.9)"}, (1e-4, 0.0, 1e-3)),
        ({"optimizer": "lbfgs"}, (None,)),
        ({"weight_decay": 0.3}, (0.3,)),
    ],
)
def test_decays_by_optimizer(settings: dict[str, Any], decays: tuple[float | None, ...]) -> None:
    assert decays_of(configure(settings)) == decays


def test_larger_forms() -> None:
    assert larger("mlp") == "mlp(width=256)"
    assert larger("mlp(width=32, depth=3)") == "mlp(width=64, depth=3)"
    assert larger("lenet5") == "resnet20"
    assert larger("resnet20") == "resnet20(width=32)"
    assert larger("mine:Net") is None
    assert option("mlp(dropout=0.3)", "dropout") == 0.3
    assert option("mlp", "dropout") == 0.1
    assert option("lenet5", "dropout") is None


def test_options_that_are_given_are_not_searched() -> None:
    assert set(space_of("svm")) == {"C", "gamma"}
    assert set(space_of("svm(C=3)")) == {"gamma"}
    assert not space_of("lda")
    assert with_options("svm(C=3)", gamma=0.1) == "svm(C=3, gamma=0.1)"


def test_companions_suit_the_data() -> None:
    assert "svm" in companions(cr.data.load("wine"))
    assert "ridge" in companions(cr.data.load("diabetes"))
    wide = cr.data.load((torch.rand(60, 3, 40, 40), torch.arange(60) % 2))
    assert isinstance(wide.inputs, Image)
    assert not [name for name in companions(wide) if name.startswith("sklearn")]
    several = cr.data.load("linnerud")
    assert isinstance(several.target, Real)
    assert companions(several) == []


def test_networks_and_estimators() -> None:
    data = cr.data.load("wine")
    assert candidates_of("auto", data)[0] == ["mlp"]
    assert candidates_of("mlp(width=8), svm, linear", data) == (["mlp(width=8)", "linear"], ["svm"])
    with pytest.raises(InputError, match="nope"):
        candidates_of("nope", data)


def test_folds_for_small_data_that_has_them(tmp_path: Path) -> None:
    assert folds_for("wine", cr.data.load("wine"), {}) == 5
    assert folds_for("digits", cr.data.load("digits"), {}) == 1
    import pandas as pd

    frame = pd.DataFrame({"t": range(60), "x": range(60), "y": [i % 2 for i in range(60)]})
    settings = {"target": "y", "ordered": "t"}
    assert folds_for(frame, load_data(frame, configure(settings)), settings) == 1


def fitted(tmp_path: Path, **settings: Any) -> tuple[Run, Candidate]:
    candidate = Candidate(model="mlp", settings=settings)
    return cr.fit("wine", model="mlp", out=tmp_path / "run", **settings), candidate


def test_a_training_that_was_too_short_asks_for_more(tmp_path: Path) -> None:
    run, candidate = fitted(tmp_path, rate="0.0003", epochs=8, schedule="constant")
    first = next(reading.read(run, candidate, cr.data.load("wine")))
    assert first.name == "longer"
    assert first.candidate.settings["epochs"] == 16
    assert "while it still helped" in first.why


def test_a_gap_asks_for_regularisation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    noise = (torch.randn(120, 30).numpy(), (torch.rand(120) < 0.5).long().numpy())
    run = cr.fit(noise, model="mlp(dropout=0.0)", rate="0.01", epochs=40, out=tmp_path / "run")
    candidate = Candidate(model="mlp(dropout=0.0)", settings={"rate": "0.01", "epochs": 40})
    actions = list(reading.read(run, candidate, cr.data.load(noise)))
    assert {action.name for action in actions} >= {"regularise"}
    changed = [action.candidate for action in actions if action.name == "regularise"]
    assert changed[0].settings["weight_decay"] == 0.001
    assert changed[1].model == "mlp(dropout=0.2)"


def test_what_is_well_asks_for_nothing_but_has_neighbours(tmp_path: Path) -> None:
    run, candidate = fitted(tmp_path, rate="0.003", epochs=40)
    data = cr.data.load("wine")
    assert [action.name for action in reading.read(run, candidate, data) if action.name != "smaller rate"] == []
    assert {action.name for action in reading.around(candidate, data)} == {"larger", "regularise"}


def test_nothing_of_the_test_split_is_in_what_decides() -> None:
    assert "test" not in Tried.__dataclass_fields__
