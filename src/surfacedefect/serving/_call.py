"""One request on its way through the server: who asks, until when, and whether anybody still waits."""

from __future__ import annotations

import contextvars
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from surfacedefect.serving._refusals import RequestError

MOST_ID_LETTERS = 128
_PLAIN = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(slots=True, eq=False)
class Call:
    """A request's identity and its end; the one thing that threads of one request share.

    Attributes
    ----------
    request_id
        As the client gave it, or made here.
    client
        Address of the connection: what the queue is fair between.
    protocol
        ``"grpc"``, ``"rest"`` or ``"kserve"``.
    deadline
        On the clock of `time.monotonic`.
    notes
        What the log says at the end.
    accept
        Called once the request has its place in the queue.
    tell
        Called with the windows done and in all, by the thread that works.
    """

    request_id: str
    client: str
    protocol: str
    deadline: float
    arrived: float = field(default_factory=time.monotonic)
    notes: dict[str, object] = field(default_factory=dict)
    accept: Callable[[], object] = lambda: None
    tell: Callable[[int, int], object] = lambda done, of: None
    _gone: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._gone.set()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._gone.is_set()

    @property
    def seconds_left(self) -> float:
        """Seconds to the deadline, 0 or more."""
        return max(0.0, self.deadline - time.monotonic())

    def end_within(self, seconds: float) -> None:
        """Bring the deadline forward; it never moves back."""
        self.deadline = min(self.deadline, self.arrived + seconds)

    def step(self, done: int, of: int) -> None:
        """Tell how far the work is, and raise as `check` does."""
        self.check()
        self.tell(done, of)

    def check(self) -> None:
        """Raise when there is no use in going on.

        Raises
        ------
        RequestError
            The client has gone, or the deadline has passed.
        """
        if self.cancelled:
            raise RequestError("cancelled", "the client has gone")
        if time.monotonic() >= self.deadline:
            waited = time.monotonic() - self.arrived
            raise RequestError("deadline", f"no answer within {waited:.3g} s; allow more time or send a smaller scan")


def request_id_of(given: str | None) -> str:
    r"""Take a client's name for a request when it is short and plain, else make one.

    Examples
    --------
    >>> request_id_of("car-7"), len(request_id_of("a\nb"))
    ('car-7', 32)
    """
    return given if given and _PLAIN.fullmatch(given) else uuid.uuid4().hex


current_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("current_call", default=None)
"""The call that the running task answers: KServe hands a model nothing but the request and its headers."""
