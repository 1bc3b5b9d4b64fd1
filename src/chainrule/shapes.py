"""Shapes in signatures: jaxtyping's types, and the letters that mean the same in the whole library.

Letters: ``b`` batch, ``c`` channels, ``h w`` height and width, ``d`` features (of a volume, its depth), ``k`` classes
or outputs, ``t`` time or tokens, ``n`` anything counted. The tests switch the checks on (see ``tests/conftest.py``); a
user's program pays nothing for them.
"""

from jaxtyping import Bool, Float, Int, Num, Shaped, UInt8
from torch import Tensor

__all__ = ["Bool", "Float", "Int", "Num", "Shaped", "Tensor", "UInt8"]
