"""torchvision and timm as peers, also beside a torch that torchvision's compiled operators were not built for.

They are no dependency: where torchvision's operators do not load, its mere presence would break other libraries. So
``make peers`` puts both into a folder of their own, which only the tests that want them look into. Their networks are
plain torch; only torchvision's registrations of its operators (NMS, RoI pooling, ...) need the compiled library, and
where it does not load they are left out.
"""

import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).parents[2] / ".peers"
OPERATORS = ("torchvision._meta_registrations", "torchvision._autograd_registrations")


def peer(module: str) -> Any:
    """A module of torchvision or timm.

    Raises:
        ImportError: When it is not installed.
    """
    if str(FOLDER) not in sys.path:
        # Last: it is to add these two, and to replace nothing.
        sys.path.append(str(FOLDER))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("torchvision")
        except RuntimeError:
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
            sys.modules.update({name: ModuleType(name) for name in OPERATORS})
        return importlib.import_module(module)
