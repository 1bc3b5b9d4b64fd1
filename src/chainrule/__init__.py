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
    "NeuralClassifier",
    "NeuralRegressor",
    "__version__",
    "activation_statistics",
    "anatomy",
    "check",
    "compare",
    "data",
    "derivative",
    "doctor",
    "estimators",
    "fit",
    "gradient_flow",
    "load_run",
    "losses",
    "metrics",
    "models",
    "nn",
    "optim",
    "report",
    "resume",
    "summary",
    "surgery",
    "tasks",
    "trace",
    "training",
    "tune",
    "watch",
]

if TYPE_CHECKING:
    # What type checkers and editors see; the names below are the same.
    from chainrule import (
        anatomy,
        data,
        doctor,
        estimators,
        losses,
        metrics,
        models,
        nn,
        optim,
        report,
        surgery,
        tasks,
        training,
    )
    from chainrule.anatomy.derivative import derivative
    from chainrule.anatomy.flow import gradient_flow
    from chainrule.anatomy.statistics import activation_statistics
    from chainrule.anatomy.summary import summary
    from chainrule.anatomy.trace import trace
    from chainrule.api.check import check
    from chainrule.api.compare import compare
    from chainrule.api.fit import fit, load_run
    from chainrule.api.resume import resume
    from chainrule.api.tune import tune
    from chainrule.doctor.watching import watch
    from chainrule.neural import NeuralClassifier, NeuralRegressor
else:
    _FUNCTIONS = {
        **dict.fromkeys(("check", "compare", "fit", "load_run", "resume", "tune"), "chainrule.api"),
        "watch": "chainrule.doctor.watching",
        **dict.fromkeys(("NeuralClassifier", "NeuralRegressor"), "chainrule.neural"),
        **dict.fromkeys(("activation_statistics", "derivative", "gradient_flow"), "chainrule.anatomy"),
        **dict.fromkeys(("summary", "trace"), "chainrule.anatomy"),
    }

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
