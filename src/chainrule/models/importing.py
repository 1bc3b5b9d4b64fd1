"""A user's own code by its name: how it is imported, and how its errors are told."""

import importlib
import traceback
from typing import Any

from chainrule.errors import InputError


def imported(place: str, attribute: str = "", *, name: str, wanted: str) -> Any:
    """A module, or what stands at an attribute of it.

    Args:
        place: Dotted name of the module.
        attribute: Name in it, or several with dots; none gives the module.
        name: How the user wrote both.
        wanted: What to write, for the sentence.

    Raises:
        InputError: When there is no such thing, or the module raises something when it is imported.
    """
    try:
        found: Any = importlib.import_module(place)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{name!r} cannot be imported ({error}); write {wanted} as Python would find it.") from error
    except Exception as error:
        raise raised(f"{place!r}, when it is imported,", error) from error
    return found


def raised(what: str, error: Exception) -> InputError:
    """What a user's own code raised, and in which line of it, as a sentence.

    Args:
        what: Whose code it is.
        error: What it raised.
    """
    last = traceback.extract_tb(error.__traceback__)[-1]
    return InputError(
        f"{what} raises {type(error).__name__}: {error} ({last.filename}, line {last.lineno}); correct it there."
    )
