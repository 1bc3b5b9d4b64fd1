"""Two processes on one machine: the same losses, exact metrics, one writer, a clean end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chainrule import api
from chainrule.training.events import Built, Epoch, Evaluated, Loaded, Step

# 63 samples a step do not divide by two, and neither do the validation and test splits.
OPTIONS = ["--model", "lenet5", "--epochs", "2", "--batch", "63", "--rate", "0.003", "--augment", "crop, brightness"]
OPTIONS += ["--fractions", "0.65,0.1503,0.1997"]
ALONE = [sys.executable, "-m", "chainrule"]
TOGETHER = {
    "torchrun": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "chainrule"],
    "accelerate": [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        "machines.yaml",
        "--mpirun_hostfile",
        "hosts",
        "-m",
        "chainrule",
    ],
}
# Open MPI refuses to run as root unless it is told twice.
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

MACHINES = """\
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_CPU
num_processes: 2
num_machines: 1
machine_rank: 0
main_process_ip: 127.0.0.1
main_process_port: 29513
mixed_precision: 'no'
use_cpu: true
"""


def start(launch: list[str], directory: Path, name: str, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*launch, "fit", "digits", *OPTIONS, "--out", name, *more],
        cwd=directory,
        env={**os.environ, "OMP_NUM_THREADS": "1", **AS_ROOT},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("processes")
    (directory / "machines.yaml").write_text(MACHINES)
    (directory / "hosts").write_text("localhost slots=2\n")
    alone = start(ALONE, directory, "alone")
    assert alone.returncode == 0, alone.stderr
    return directory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "more"), [("torchrun", ()), ("torchrun", ("--accumulate", "3")), ("accelerate", ())]
)
def test_two_processes_give_what_one_gives(directory: Path, launcher: str, more: tuple[str, ...]) -> None:
    if launcher == "accelerate" and not shutil.which("mpirun"):
        pytest.skip("accelerate starts several CPU processes through mpirun, which is not installed")
    name = "-".join([launcher, *more])
    finished = start(TOGETHER[launcher], directory, name, *more)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("all epochs done; epoch") == 1
    one, two = api.load_run(directory / "alone"), api.load_run(directory / name)
    steps = [[e for e in run._record.events(steps=True) if isinstance(e, Step)] for run in (one, two)]
    assert len(steps[0]) == len(steps[1]) > 30
    for a, b in zip(*steps, strict=True):
        assert a.samples == b.samples
        assert b.loss == pytest.approx(a.loss, rel=1e-5, abs=1e-5)
    for kind in (Epoch, Evaluated):
        for a, b in zip(*([e for e in run.events if isinstance(e, kind)] for run in (one, two)), strict=True):
            metrics = (a.valid, b.valid) if isinstance(a, Epoch) else (a.metrics, b.metrics)
            # The loss may differ in its last digits; a count may not, so no sample was counted twice or left out.
            assert metrics[0]["accuracy"] == pytest.approx(metrics[1]["accuracy"], abs=1e-9)
            assert metrics[0]["loss"] == pytest.approx(metrics[1]["loss"], abs=1e-5)
    sizes = next(e for e in two.events if isinstance(e, Loaded)).sizes
    assert [size % 2 for size in sizes.values()] != [0, 0, 0]
    assert sum(map(sum, next(e for e in two.events if isinstance(e, Evaluated)).confusion)) == sizes["test"]
    assert next(e for e in two.events if isinstance(e, Built)).processes == 2


@pytest.mark.slow
def test_two_processes_end_cleanly_each_time(directory: Path) -> None:
    """Without an explicit end of the process group about one run in three aborted."""
    for number in range(4):
        finished = start(TOGETHER["torchrun"], directory, f"clean-{number}", "--epochs", "1", "--quiet")
        assert finished.returncode == 0, finished.stderr


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lda", "knn"])
def test_estimators_learn_from_two_processes(tmp_path: Path, model: str) -> None:
    """From sums over the rows of both, or on the first alone."""
    for name, launch in (("alone", ALONE), ("together", TOGETHER["torchrun"])):
        finished = subprocess.run(
            [*launch, "fit", "digits", "--model", model, "--out", name],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert finished.returncode == 0, finished.stderr
    one, two = (api.load_run(tmp_path / name).test for name in ("alone", "together"))
    assert two == pytest.approx(one, rel=1e-4)
    assert one["accuracy"] > 0.9
