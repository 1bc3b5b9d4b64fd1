"""The shape checks are switched on in the tests, and reject what they should."""

import os
import random
import subprocess
import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from chainrule.config import Config
from chainrule.models.linear import Linear
from chainrule.nn.affine import Affine


def test_wrong_number_of_axes_is_rejected() -> None:
    with pytest.raises(TypeCheckError, match="forward"):
        Affine([0.0], [1.0])(torch.zeros(2, 3, 4))


def test_wrong_dtype_is_rejected() -> None:
    with pytest.raises(TypeCheckError, match="forward"):
        Linear(4, 2)(torch.zeros(2, 4, dtype=torch.int64))


def test_axis_of_two_sizes_is_rejected() -> None:
    with pytest.raises(TypeCheckError):
        # Both are called "b d"; the result must have the sizes of the input.
        Affine([0.0, 0.0], [1.0, 1.0])(torch.zeros(2, 1))


def test_plain_annotations_are_left_to_mypy() -> None:
    """A user's wrong value must reach the code that words the error."""
    with pytest.raises(ValueError, match="batch must be int"):
        Config(batch="many")


def test_checking_draws_no_random_numbers() -> None:
    before = random.getstate()
    Affine([0.0, 1.0], [1.0, 2.0])(torch.zeros(3, 2))
    assert random.getstate() == before


def test_user_pays_nothing() -> None:
    """Outside the tests there is no hook, so no type checker is loaded."""
    code = "import sys, chainrule.nn.affine; print('beartype' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "False"
