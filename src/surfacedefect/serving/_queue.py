"""A bounded queue that is fair between clients: who sends many requests waits behind those who send few."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

from surfacedefect.serving._call import Call
from surfacedefect.serving._refusals import RequestError

T = TypeVar("T")


class FairQueue:
    """Runs work in threads: `workers` at a time, `length` more wait, and the clients among them take turns.

    Everything but the work itself happens in one event loop, so there is no lock.

    Parameters
    ----------
    workers
        Threads.
    length
        Requests that may wait.
    """

    def __init__(self, *, workers: int, length: int) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="surfacedefect-request")
        self._free, self._workers, self._length = workers, workers, length
        # Clients in the order of their turns; each with those of its requests that wait.
        self._turns: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._turns.values()))

    @property
    def working(self) -> int:
        """Requests that are worked on."""
        return self._workers - self._free

    async def run(self, call: Call, work: Callable[[], T], *, accepted: Callable[[], object]) -> T:
        """Wait for a turn, then do the work in a thread.

        Parameters
        ----------
        call
            Whose work it is. When this task is cancelled while it waits, its place is free at once; when it is
            cancelled while it works, the call is told, and the place is free when the thread has noticed.
        work
            What to do.
        accepted
            Called once the request has a place, waiting or working.

        Raises
        ------
        RequestError
            The queue is full or closed, or the deadline passed.
        """
        if self._closed:
            raise RequestError("draining", "the server is about to stop; ask another one, or this one again later")
        if not self._free and self.waiting >= self._length:
            raise RequestError(
                "queue_full", f"{self.waiting} requests wait already, the most there may; ask again later"
            )
        self._idle.clear()
        try:
            accepted()
            await self._turn_of(call)
        except BaseException:
            self._note_idle()
            raise
        future = self._pool.submit(work)
        loop = asyncio.get_running_loop()

        def done(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: the server was told twice to stop
                loop.call_soon_threadsafe(self._give_back)

        future.add_done_callback(done)
        try:
            async with asyncio.timeout(call.seconds_left):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            call.cancel()
            call_again = RequestError(
                "deadline", "no answer within the deadline; allow more time or send a smaller scan"
            )
            raise call_again from None
        except asyncio.CancelledError:
            call.cancel()
            raise

    async def _turn_of(self, call: Call) -> None:
        if self._free and not self._turns:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.setdefault(call.client, deque()).append(turn)
        try:
            async with asyncio.timeout(call.seconds_left):
                await asyncio.shield(turn)
        except TimeoutError:
            self._leave(call.client, turn)
            raise RequestError("deadline", "the deadline passed in the queue; allow more time or ask later") from None
        except asyncio.CancelledError:
            self._leave(call.client, turn)
            raise

    def _leave(self, client: str, turn: asyncio.Future[None]) -> None:
        """Give up a turn; one that was just given goes to the next."""
        if turn.done():
            self._give_back()
            return
        turn.cancel()
        self._turns[client].remove(turn)
        if not self._turns[client]:
            del self._turns[client]

    def _give_back(self) -> None:
        self._free += 1
        if self._turns:
            client, turns = self._turns.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._turns[client] = turns  # at the end: the others come first now
            self._free -= 1
            turn.set_result(None)
        self._note_idle()

    def _note_idle(self) -> None:
        if self._free == self._workers and not self._turns:
            self._idle.set()

    def close(self) -> None:
        """Refuse what comes from now on; what has a place keeps it."""
        self._closed = True

    async def drained(self) -> None:
        """Return when nothing waits and nothing is worked on."""
        await self._idle.wait()

    def shut_down(self) -> None:
        """Let the threads go; call it when nothing works any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
