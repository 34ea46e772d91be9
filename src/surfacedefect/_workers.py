"""One function over many jobs in processes of their own, which end with the process that started them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TypeVar

Job = TypeVar("Job")
Answer = TypeVar("Answer")

_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


class WorkerDiedError(RuntimeError):
    """A worker process ended in the middle of its job."""


def reuse_freed_memory() -> None:
    """Let this process keep memory that it frees, where the C library is glibc; elsewhere do nothing.

    Rendering makes and drops thousands of arrays of about a megabyte. By default each goes back to the system and is
    handed out again page by page, which takes a seventh of the time (`mallopt(3)`: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD).
    For processes that render and little else: their memory stays at its highest.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        mallopt(_M_MMAP_THRESHOLD, 1 << 25)


def in_processes(
    task: Callable[[Job], Answer],
    jobs: Sequence[Job],
    *,
    workers: int,
    told: Callable[[], None] | None = None,
    took: Callable[[Answer], None] | None = None,
) -> None:
    """Call a function for every job in new processes; return when all are done.

    Whatever ends this call early (an error of a job, Ctrl-C) ends the workers at once, in the middle of their jobs.

    Parameters
    ----------
    task
        A function that can be pickled, as can what it returns.
    jobs
        Its arguments, which can be pickled.
    workers
        Number of processes, 1 or more; each computes on one thread.
    told
        Called in this process after each finished job.
    took
        Called in this process with what each job returned, in no order.

    Raises
    ------
    WorkerDiedError
        A worker process ended without an answer.

    Examples
    --------
    >>> in_processes(print, [], workers=2)
    """
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_begin, initargs=(watched,))
    try:
        with _while_they_start():
            futures = [pool.submit(task, job) for job in jobs]
        for future in as_completed(futures):
            answer = future.result()
            if took is not None:
                took(answer)
            if told is not None:
                told()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise WorkerDiedError("a worker process ended in the middle of its job") from error
    finally:
        held.close()  # the workers see it and end; they would see it too if this process were killed
        pool.shutdown(cancel_futures=True)
        watched.close()


def _begin(watched: Connection) -> None:
    """Set up a worker: it leaves Ctrl-C to its parent, and ends when the parent lets go of the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reuse_freed_memory()
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()


def _end_with(watched: Connection) -> None:
    try:
        watched.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


@contextmanager
def _while_they_start() -> Iterator[None]:
    """Let workers inherit one thread a numeric library, and no tracebacks from Ctrl-C while they import."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    main = threading.current_thread() is threading.main_thread()  # only it may set signal handlers
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if main:
            signal.signal(signal.SIGINT, handler)
