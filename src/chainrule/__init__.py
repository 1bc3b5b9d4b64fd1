"""chainrule: the deep-learning course as one PyTorch library.

>>> import chainrule as cr
>>> "resnet18" in cr.models.names()
True

Everything is loaded when it is first used, so that ``import chainrule`` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

__version__: str
__all__ = [
    "__version__",
    "data",
    "doctor",
    "fit",
    "load_run",
    "losses",
    "metrics",
    "models",
    "nn",
    "optim",
    "report",
    "resume",
    "surgery",
    "tasks",
    "training",
]

if TYPE_CHECKING:
    # What type checkers and editors see; the names below are the same.
    from chainrule import data, doctor, losses, metrics, models, nn, optim, report, surgery, tasks, training
    from chainrule.api import fit, load_run, resume
else:
    _FUNCTIONS = {"fit": "chainrule.api", "load_run": "chainrule.api", "resume": "chainrule.api"}

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            value = version("chainrule")
        elif name in _FUNCTIONS:
            value = getattr(importlib.import_module(_FUNCTIONS[name]), name)
        elif name in __all__:
            value = importlib.import_module(f"chainrule.{name}")
        else:
            from chainrule.errors import nearest

            near = nearest(name, __all__)
            raise AttributeError(f"chainrule has no {name!r}" + (f"; did you mean {near!r}?" if near else "."))
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
