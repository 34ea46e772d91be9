"""The parent's side of one inspecting process: feeds it, notices its death, finds the scan that is to blame."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from surfacedefect.batch._child import BEGUN, ENDED, FAILED
from surfacedefect.batch._one_scan import Setup
from surfacedefect.batch.jobs import Job, Result
from surfacedefect.errors import BatchError, SurfaceDefectError

AHEAD = 2
"""Scans that a process has at a time: one is computed while the next is fetched."""

_STARTS, _LOAD_S = 3, 600.0
_KEPT_LOG, _SHOWN_LOG = 2**20, 300
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

Pull = Callable[[bool], "Job | None"]
"""Gives the next job: waits for one when told True; else None where there is none yet. `Exhausted` at the end."""


class Exhausted(Exception):
    """There are no more jobs."""


class ChildDied(Exception):
    """The process ended, or gave no answer for too long; says how."""


class Child:
    """One process that inspects; it can be ended from its first moment on, also while it loads the model.

    Raises
    ------
    BatchError
        No process can be started.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup, self._timeout_s = setup, setup.options.scan_timeout_s
        self._late, self._late_after_s, self._deadline = False, 0.0, float("inf")
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": paths}
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="surfacedefect-batch-"))
        except OSError as error:
            raise _not_started(error) from error
        try:
            self._log: IO[bytes] = (self._folder / "log").open("a+b", buffering=0)
            self._process = subprocess.Popen(
                # -P: imports are those of this process; else a queue.py in the folder of the day would come first.
                [sys.executable, "-P", "-m", "surfacedefect.batch._child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
            )
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise _not_started(error) from error
        self._input = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)
        self._gone = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def load(self) -> None:
        """Have the model loaded.

        Raises
        ------
        SurfaceDefectError
            It cannot be.
        ChildDied
            The process ended before it was ready.
        """
        self._send((self._setup, self._folder / "fetched"))
        word, found = self._answer(max(self._timeout_s, _LOAD_S))
        if word == FAILED:
            raise cast("SurfaceDefectError", found)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def send(self, job: Job) -> None:
        """Hand over a job; that the process is gone shows when it is asked for an answer.

        What it said before it died is still to be read, and tells which scan it was looking at.
        """
        with suppress(ChildDied):
            self._send(job)

    def answer(self) -> tuple[str, Any]:
        """Wait for the next answer."""
        return self._answer(self._timeout_s)

    def _answer(self, within_s: float) -> tuple[str, Any]:
        self._late_after_s, self._deadline = within_s, time.monotonic() + within_s
        try:
            answer: tuple[str, Any] = pickle.load(self._output)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            raise ChildDied(self._how_it_ended()) from error
        finally:
            self._deadline = float("inf")
        return answer

    def end(self) -> None:
        """End the process at once and clear up after it."""
        self._gone.set()
        self._process.kill()
        self._process.wait()
        for stream in (self._input, self._output, self._log):
            with suppress(OSError):
                stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self, what: Any) -> None:
        try:
            if self._log.seek(0, os.SEEK_END) > _KEPT_LOG:
                self._log.truncate(0)
            pickle.dump(what, self._input, protocol=pickle.HIGHEST_PROTOCOL)
            self._input.flush()
        except (OSError, ValueError) as error:  # it is gone, or was ended from another thread
            raise ChildDied(self._how_it_ended()) from error

    def _watch(self) -> None:
        while not self._gone.wait(0.5):
            if time.monotonic() > self._deadline:
                self._late = True
                self._process.kill()
                return

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        if self._late:
            return f"no answer within {self._late_after_s:g} s"
        if code < 0:
            with suppress(ValueError):
                name = signal.Signals(-code).name
                hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
                return f"killed by {name}{hint}{self._last_words()}"
        return f"exit code {code}{self._last_words()}"

    def _last_words(self) -> str:
        """Return the last line of what the process printed: mostly the reason."""
        with suppress(OSError, ValueError):
            length = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, length - 10 * _SHOWN_LOG))
            lines = self._log.read().decode(errors="replace").split("\n")
            text = next((line.strip() for line in reversed(lines) if line.strip()), "")
            return f" ({text[:_SHOWN_LOG]})" if text else ""
        return ""


def _not_started(error: OSError) -> BatchError:
    return BatchError(
        f"a worker process cannot be started ({error.strerror or error}); expected a machine with room for it, in "
        "memory and in its folder for temporary files (TMPDIR): free some, or ask for fewer workers, and run the same "
        "again"
    )


class Station:
    """Inspects scans one after the other in a child process; one that kills the process harms no other.

    Parameters
    ----------
    setup
        What the process must know.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._child: Child | None = None
        self._again: deque[Job] = deque()
        self._sent: deque[Job] = deque()
        self._ending, self._changing = False, threading.Lock()

    @property
    def pid(self) -> int | None:
        """Number of the child process, None when there is none."""
        return self._child.pid if self._child else None

    def work(self, pull: Pull) -> Iterator[Result]:
        """Inspect what there is; yield what became of each, in the order of the jobs.

        Raises
        ------
        SurfaceDefectError
            The model cannot be loaded, or processes end before they are ready.
        """
        exhausted = False
        while True:
            begun: Result | None = None
            try:
                exhausted = self._fill(pull, exhausted=exhausted)
                if not self._sent:
                    return
                while True:
                    word, found = self._started().answer()
                    if word == ENDED:
                        break
                    if word == BEGUN:
                        begun = Result(self._sent[0], "crashed", "", found[1], found[2])
                self._sent.popleft()
                yield found
            except ChildDied as error:
                yield from self._blame(begun, str(error))

    def end(self) -> None:
        """End the child process, from any thread."""
        with self._changing:
            self._ending = True
            child, self._child = self._child, None
        if child is not None:
            child.end()

    def _started(self) -> Child:
        failures: list[str] = []
        while self._child is None:
            if self._ending:
                raise BatchError("the batch is ending")
            child = Child(self._setup)
            self._keep(child)
            try:
                child.load()
            except SurfaceDefectError:
                self._lose()
                raise
            except ChildDied as error:
                self._lose()
                if self._ending:
                    raise BatchError("the batch is ending") from error
                failures.append(str(error))
                if len(failures) == _STARTS:
                    raise BatchError(
                        f"{_STARTS} worker processes in a row ended before the model was loaded, the last with "
                        f"{failures[-1]}; expected a model that loads: try `surfacedefect info`, or fewer workers"
                    ) from error
        return self._child

    def _keep(self, child: Child) -> None:
        with self._changing:
            if not self._ending:
                self._child = child
                return
        child.end()  # started while all was ending

    def _lose(self) -> None:
        with self._changing:
            child, self._child = self._child, None
        if child is not None:
            child.end()

    def _fill(self, pull: Pull, *, exhausted: bool) -> bool:
        """Send so many jobs that the process is never idle; it is started when there is a first one."""
        while len(self._sent) < AHEAD:
            if self._again:
                job: Job | None = self._again.popleft()
            elif exhausted:
                break
            else:
                try:
                    job = pull(not self._sent)
                except Exhausted:
                    return True
            if job is None:
                break
            self._sent.append(job)
            self._started().send(job)
        return exhausted

    def _blame(self, begun: Result | None, how: str) -> Iterator[Result]:
        """Try alone the scan that was looked at, which is the first that was sent; the others go on after it."""
        self._lose()
        if self._ending:
            raise BatchError("the batch is ending")
        sent, self._sent = list(self._sent), deque()
        self._again.extend(sent[1:])
        for job in sent[:1]:
            yield self._alone(job, begun, how)

    def _alone(self, job: Job, begun: Result | None, how: str) -> Result:
        """Try a scan by itself as often as allowed; say what became of it."""
        for _ in range(self._setup.options.tries - 1):
            child = self._started()
            try:
                child.send(job)
                while True:
                    word, found = child.answer()
                    if word == ENDED:
                        return cast("Result", found)
                    if word == BEGUN:
                        begun = Result(job, "crashed", "", found[1], found[2])
            except ChildDied as error:
                how = str(error)
                self._lose()
        times = self._setup.options.tries
        count = "once" if times == 1 else f"{times} times"
        if begun is None:
            return Result(
                job, "unread", f"its process ended {count} while it was fetched: {how}", found={"lasting": False}
            )
        reason = f"it ended the process that looked at it, {count}, also alone: {how}"
        return Result(
            job, "crashed", reason if times > 1 else reason.replace(", also alone", ""), begun.picture, begun.version
        )
