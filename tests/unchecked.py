"""Shape checks switched off, as they are in a user's program."""

from collections.abc import Iterator
from contextlib import contextmanager

from jaxtyping import config


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside, a wrong shape reaches the code that words the error, and ``torch.compile`` sees no checks."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)
