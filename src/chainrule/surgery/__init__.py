"""Take any torch model apart: swap layers, replace the head, freeze, look inside.

All but :func:`features` change the model in place and return it; ``copy.deepcopy(model)`` keeps the original. What is
new is built and checked before the model is touched, so that an error leaves it as it was.
"""

from chainrule.surgery.freezing import freeze
from chainrule.surgery.heads import head_of, replace_head
from chainrule.surgery.inside import Features, features
from chainrule.surgery.swapping import ByWidth, swap

__all__ = ["ByWidth", "Features", "features", "freeze", "head_of", "replace_head", "swap"]
