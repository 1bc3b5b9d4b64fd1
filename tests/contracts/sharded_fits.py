"""Samples for the estimators' contract, and fits on several processes.

Run as a program by ``torchrun``, it fits every estimator that learns from sums on this process's share of the rows.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chainrule import registry, storage
from chainrule.estimators import saving
from chainrule.estimators.shards import sharded
from chainrule.registry import Entry

METHODS = ("predict", "predict_proba", "decision_function", "transform")


def samples(entry: Entry, dtype: torch.dtype, rows: int = 150) -> tuple[Tensor, Tensor]:
    """Samples that the estimator can learn: three classes that overlap a little, or a plane with noise."""
    draw = torch.Generator().manual_seed(0)
    if entry.kind == "regressor":
        x = torch.randn(rows, 4, generator=draw, dtype=torch.float64)
        y = 3 + x @ torch.tensor([1.0, -2.0, 0.5, 0.0]).double()
        return x.to(dtype), (y + 0.3 * torch.randn(rows, generator=draw, dtype=torch.float64)).to(dtype)
    y = torch.arange(rows) % 3
    centers = torch.tensor([[3.0, 0, 0, 1], [0, 3, 0, 2], [0, 0, 3, 1]]).double()
    x = centers[y] + torch.randn(rows, 4, generator=draw, dtype=torch.float64)
    if entry.make().__sklearn_tags__().input_tags.positive_only:
        x = x.clamp_min(0).mul(2).round()
    return x.to(dtype), y


def outcome(estimator: Any, x: Any) -> dict[str, Any]:
    """What an estimator says of samples, by the name of its method."""
    if hasattr(estimator, "embedding_"):
        return {"embedding": estimator.embedding_ if isinstance(x, Tensor) else estimator.embedding_.numpy()}
    found = {name: getattr(estimator, name)(x) for name in METHODS if hasattr(estimator, name)}
    assert found, f"{estimator} can be asked nothing"
    return found


def together(folder: Path, *, processes: int) -> list[dict[str, dict[str, Tensor]]]:
    """What each process's estimators say of all rows."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [*command, "-m", "tests.contracts.sharded_fits", str(folder)],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [storage.read_tree(folder / f"{rank}.safetensors") for rank in range(processes)]


def main() -> None:
    """Fit on this process's rows, and write what the estimators say of all."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    found = {}
    for kind in saving.KINDS:
        for entry in registry.entries(kind).values():
            if "shards" in entry.laws:
                x, y = samples(entry, torch.float64)
                # Unequal shares, and one class on the first process alone.
                first = (torch.arange(len(x)) < 61) | (y == 2)
                mine = first if rank == 0 else ~first
                with sharded():
                    estimator = entry.make(**entry.tiny).fit(x[mine], y[mine])
                found[f"{kind} {entry.name}"] = outcome(estimator, x)
    storage.write_tree(Path(sys.argv[1]) / f"{rank}.safetensors", found)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
