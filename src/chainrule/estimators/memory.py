"""Blocks of rows that keep temporary memory below a bound."""

from collections.abc import Iterator

#: Bytes of a MiB.
MIB = 2**20


def blocks(rows: int, bytes_per_row: int, memory: float) -> Iterator[slice]:
    """Slices over ``rows``, each so long that its temporary memory stays below a bound, but at least one row.

    Args:
        rows: How many rows there are.
        bytes_per_row: Temporary memory that one row needs.
        memory: The bound, MiB.
    """
    step = max(1, int(memory * MIB) // max(1, bytes_per_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
