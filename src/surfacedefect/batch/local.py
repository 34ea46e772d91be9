"""The engine of one machine: a few processes, each with the model loaded; jobs are handed out as they are done."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress

from surfacedefect.batch._one_scan import Setup
from surfacedefect.batch._station import AHEAD, Exhausted, Station
from surfacedefect.batch.jobs import Job, Result


class LocalEngine:
    """Inspects with so many processes of this machine.

    Parameters
    ----------
    setup
        What every process must know.
    workers
        How many.
    """

    def __init__(self, setup: Setup, *, workers: int) -> None:
        self._setup, self.workers = setup, workers

    def results(self, jobs: Iterator[Job]) -> Iterator[Result]:
        """Inspect every job; yield what became of each as it is done.

        No more jobs are taken than the processes have room for, so that memory does not grow with the source's speed.

        Raises
        ------
        SurfaceDefectError
            The model cannot be loaded, or the processes cannot be kept alive.
        """
        inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        outbox: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
        stations = [Station(self._setup) for _ in range(self.workers)]
        threads = [
            threading.Thread(target=_serve, args=(station, inbox, outbox), daemon=True, name=f"batch-{number}")
            for number, station in enumerate(stations)
        ]
        for thread in threads:
            thread.start()
        try:
            out, more = 0, True
            while True:
                while more and out < (AHEAD + 1) * self.workers:
                    job = next(jobs, None)
                    if job is None:
                        more = False
                        for _ in stations:
                            inbox.put(None)
                        break
                    inbox.put(job)
                    out += 1
                if not out:
                    return
                found = _waited(outbox)
                if isinstance(found, BaseException):
                    raise found
                out -= 1
                yield found
        finally:
            for _ in stations:
                inbox.put(None)
            for station in stations:
                station.end()
            for thread in threads:
                thread.join(timeout=30)


def _waited(outbox: queue.SimpleQueue[Result | BaseException]) -> Result | BaseException:
    """Wait, but never without end: a signal that the kernel gives to another thread does not wake this one."""
    while True:
        with suppress(queue.Empty):
            return outbox.get(timeout=1)


def _serve(
    station: Station, inbox: queue.SimpleQueue[Job | None], outbox: queue.SimpleQueue[Result | BaseException]
) -> None:
    def pull(wait: bool) -> Job | None:
        try:
            job = inbox.get(block=wait)
        except queue.Empty:
            return None
        if job is None:
            raise Exhausted
        return job

    try:
        for result in station.work(pull):
            outbox.put(result)
    except BaseException as error:
        outbox.put(error)
