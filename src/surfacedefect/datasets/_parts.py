"""Long work in parts, so that memory stays flat: `itertools.batched`, which Python 3.11 does not have yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def parts(items: Iterable[Item], most: int) -> Iterator[tuple[Item, ...]]:
    """Yield the items in order, `most` at a time, the last ones as they are.

    Examples
    --------
    >>> list(parts("abcde", 2))
    [('a', 'b'), ('c', 'd'), ('e',)]
    """
    rest = iter(items)
    while part := tuple(islice(rest, most)):
        yield part
