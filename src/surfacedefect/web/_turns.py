"""One at a time, the newest first: outlines that take seconds to be measured, while somebody moves the slider on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from surfacedefect.errors import WebError

_MOST_PAGES = 256


class Turns:
    """Lets one request in at a time, and drops those whose page has asked again meanwhile.

    Examples
    --------
    >>> turns = Turns()
    >>> with turns.taken("one", 2):
    ...     "measured"
    'measured'
    >>> with turns.taken("one", 1):
    ...     "measured"
    Traceback (most recent call last):
    surfacedefect.errors.WebError: the page has asked for something newer
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[str, float] = OrderedDict()
        self._known = threading.Lock()
        self._place = threading.Lock()

    @contextmanager
    def taken(self, page: str, turn: float) -> Iterator[None]:
        """Wait for the place.

        Parameters
        ----------
        page
            What tells one page from another; empty for none, which is never dropped.
        turn
            Its requests, counted.

        Raises
        ------
        WebError
            A newer one has come from the same page.
        """
        page = page[:64]
        with self._known:
            self._newest[page] = max(turn, self._newest.pop(page, 0))
            while len(self._newest) > _MOST_PAGES:
                self._newest.popitem(last=False)
        with self._place:
            if page and self._newest.get(page, turn) > turn:
                raise WebError("the page has asked for something newer")
            yield
