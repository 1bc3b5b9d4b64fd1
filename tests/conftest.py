"""What every test gets: checked shapes, its own seed, one thread, no display."""

import os
import zlib

import pytest
import torch
from jaxtyping import install_import_hook

from tests.shape_checks import shapes

# Before anything of the package is imported: the hook changes modules while they are loaded.
install_import_hook("chainrule", f"{shapes.__module__}.{shapes.__name__}")

# For the programs that the tests start, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Seed torch, NumPy and ``random`` from the name of the test."""
    from chainrule import seeding

    seeding.seed_all(zlib.crc32(request.node.nodeid.encode()))
