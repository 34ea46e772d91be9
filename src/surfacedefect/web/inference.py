"""Inspections that go on behind the page: through a server, with progress, and again when the server was away."""

from __future__ import annotations

import contextlib
import datetime
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surfacedefect._checks import check_token, expect
from surfacedefect._words import shortened
from surfacedefect.errors import (
    DetectionCancelledError,
    OptionError,
    ServerUnavailableError,
    ServingError,
    SurfaceDefectError,
    TokenError,
    WebError,
    require,
)
from surfacedefect.web import results
from surfacedefect.web.embedded import EmbeddedServer
from surfacedefect.web.kept import Kept
from surfacedefect.web.values import JobProgress, ServerState, WebOptions

_WORKERS = 2
_JOB_SECONDS = 86_000.0
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0)
_MOST_DEATHS = 3
_STATE_SECONDS = 1.0


class Line:
    """The way to the server: a named one, or an embedded one that is started when it is needed."""

    def __init__(self, *, server: str | None, token: str | None, tls: bool | str | Path, options: WebOptions) -> None:
        _check_server(server, token=token, tls=tls)
        self.embedded = EmbeddedServer(options) if server is None else None
        self._target, self._token, self._tls = server, token, tls
        self._lock = threading.Lock()
        self._client: Any = None
        self._client_target = ""
        self._state: tuple[float, ServerState] | None = None
        if server is not None:
            self.client()  # a wrong address is said at once

    def client(self) -> Any:
        """Return a client; starts the embedded server.

        Raises
        ------
        ServerUnavailableError
            The embedded server does not come up.
        """
        from surfacedefect.serving import Client

        embedded = self.embedded
        target = self._target or (embedded.start() if embedded else "")
        token = self._token if embedded is None else embedded.token
        tls = self._tls if embedded is None else False
        with self._lock:
            if self._client is None or self._client_target != target:
                # Not closed: another job may just hear on the old one that the server has gone.
                self._client = Client(target, token=token, tls=tls, timeout_seconds=_JOB_SECONDS, attempts=1)
                self._client_target = target
            return self._client

    def state(self) -> ServerState:
        """Say whether the server takes scans; asked at most once a second."""
        now = time.monotonic()
        if self._state is None or now - self._state[0] >= _STATE_SECONDS:
            self._state = now, self._state_now()
        return self._state[1]

    def _state_now(self) -> ServerState:
        embedded = self.embedded
        if embedded is not None:
            if embedded.error:
                return ServerState(False, f"the embedded server does not come up: {embedded.error}", "")
            if not embedded.address:
                return ServerState(True, "a server of its own is started when a scan is inspected", "")
        address = self._target or (embedded.address if embedded else "")
        if self.is_ready():
            return ServerState(True, "the server is ready", address)
        if embedded is not None:
            return ServerState(False, "the embedded server starts again; wait a moment", address)
        return ServerState(
            False,
            f"no server answers at '{address}'; start it there (surfacedefect serve), or look at the address, the "
            "token and the network. Scans that wait go on by themselves when it is back",
            address,
        )

    def is_ready(self) -> bool:
        """Ask whether the server takes scans now."""
        with contextlib.suppress(SurfaceDefectError):
            return bool(self.client().is_ready(timeout_seconds=1.0))
        return False

    def close(self) -> None:
        """End the embedded server and the connection."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
        if self.embedded is not None:
            self.embedded.close()


def _check_server(server: object, *, token: object, tls: object) -> None:
    """Refuse what leads to no server; the client that is made for a named one looks closer."""
    good = server is None or (isinstance(server, str) and re.fullmatch(r"\S+:\d{1,5}", server) is not None)
    expect(good, "server", server, "host and gRPC port of one, such as '127.0.0.1:8081'")
    if token is not None:
        check_token(token)
    if isinstance(tls, str | Path):
        try:
            good = Path(tls).expanduser().is_file()
        except (OSError, ValueError, RuntimeError):  # too long, a NUL, nobody's home
            good = False
        expect(
            good, "tls", shortened(tls), "the PEM file of who signed the server's certificate; there is no such file"
        )
    else:
        expect(isinstance(tls, bool), "tls", tls, "True, False or the path of a PEM file")


@dataclass(slots=True, eq=False)
class _Job:
    """One scan on its way."""

    name: str
    path: Path
    progress: JobProgress = field(default_factory=lambda: JobProgress(0, 0, None, "waits for its turn"))
    cancelled: threading.Event = field(default_factory=threading.Event)
    started: float = 0.0
    first: int = 0

    def step(self, done: int, of: int) -> None:
        """Note how far it is."""
        now = time.monotonic()
        if not self.started:
            self.started, self.first = now, done
        rate = (done - self.first) / (now - self.started) if now > self.started else 0.0
        left = (of - done) / rate if rate > 0 else None
        self.progress = JobProgress(done, of, left, f"{done:,} of {of:,} windows")

    def say(self, message: str) -> None:
        """Say what it waits for."""
        self.started = 0.0
        self.progress = JobProgress(0, 0, None, message)


class Jobs:
    """Inspects scans in the background, two at a time; one that is going on is not begun again.

    Parameters
    ----------
    ended
        Called with the name and an error in words, or None, when a scan is done.
    """

    def __init__(
        self, kept: Kept, line: Line, *, options: WebOptions, ended: Callable[[str, str | None, int | None], None]
    ) -> None:
        self._kept, self._line, self._options, self._ended = kept, line, options, ended
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="surfacedefect-job")
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._closed = False

    def run(self, name: str, path: Path) -> None:
        """Begin, unless it goes on already.

        Raises
        ------
        WebError
            The workspace is closed.
        """
        with self._lock:
            if self._closed:
                raise WebError("the workspace is closed")
            if name in self._jobs:
                return
            job = self._jobs[name] = _Job(name, path)
            self._pool.submit(self._work, job)

    def cancel(self, name: str) -> None:
        """Call it off; what was found before stays."""
        with self._lock:
            job = self._jobs.get(name)
            if job is not None:
                job.cancelled.set()

    def progress(self, name: str) -> JobProgress | None:
        """Return how far it is; None when it does not go on."""
        job = self._jobs.get(name)
        return None if job is None else job.progress

    def close(self) -> None:
        """Call all off and wait for their ends."""
        with self._lock:
            self._closed = True
            for job in self._jobs.values():
                job.cancelled.set()
        self._pool.shutdown(wait=True)

    def _work(self, job: _Job) -> None:
        error: str | None = None
        defects: int | None = None
        try:
            defects = self._inspected(job)
        except DetectionCancelledError:
            pass
        except SurfaceDefectError as failure:
            # The page speaks of scans by their names in the folder.
            error = str(failure).replace(shortened(job.path), job.name)
        except Exception as failure:  # nobody may wait for ever
            error = f"{job.name}: the inspection failed ({type(failure).__name__}: {shortened(failure)}); try again"
        finally:
            try:
                if not job.cancelled.is_set() or defects is not None:
                    self._ended(job.name, error, defects)
            finally:
                with self._lock:
                    self._jobs.pop(job.name, None)

    def _inspected(self, job: _Job) -> int:
        self._check(job)
        key = self._kept.key_of(job.name, job.path)
        place = self._kept.place(key)
        before = results.summary(place)
        with self._alone(job, key):
            now = results.summary(place)
            if now is not None and now != before:  # another process did it meanwhile
                return int(now["defects"])
            found = self._asked(job)
            if self._kept.key_of(job.name, job.path) != key:  # what was found may be of either
                raise WebError(f"{job.name}: was replaced while it was inspected; inspect it again")
            job.say("keeps the result")
            when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            results.save(found, place, when=when)
            return len(found)

    @contextlib.contextmanager
    def _alone(self, job: _Job, key: str) -> Any:
        """Wait while another process inspects the same picture."""
        filelock = require("filelock", extra="web")
        lock = self._kept.lock(key, what="inspect")
        while True:
            try:
                lock.acquire(timeout=0.2)
                break
            except filelock.Timeout:
                job.say("is inspected by another window; waits for it")
                self._check(job)
        try:
            yield
        finally:
            lock.release()

    def _asked(self, job: _Job) -> Any:
        """Ask the server until there is an answer; wait while it is away."""
        deaths = tries = 0
        step: Callable[[int, int], None] | None = job.step
        while True:
            self._check(job)
            try:
                job.say("waits for the server")
                client = self._line.client()
                job.say("is sent to the server")
                return client.detect(
                    job.path,
                    mm_per_px=self._options.mm_per_px,
                    progress=step,
                    cancelled=job.cancelled.is_set,
                )
            except OptionError as error:
                if step is None or "'progress'" not in str(error):
                    raise
                step = None  # an older server, which does not say how far it is
                continue
            except TokenError as error:
                raise WebError(f"{error}; give the server's own token") from error
            except ServingError as error:
                if not isinstance(error, ServerUnavailableError) and self._line.is_ready():
                    raise  # it is well, and said no
                deaths += bool(job.started)
                if deaths >= _MOST_DEATHS:
                    raise WebError(
                        f"{job.name}: the server went away {deaths} times while it looked at this scan; look at its "
                        "log and its memory, then inspect again"
                    ) from error
                if self._line.embedded is not None and self._line.embedded.error:
                    raise
                job.say(f"waits: {shortened(error, most=160)}")
            job.cancelled.wait(_PAUSES_SECONDS[min(tries, len(_PAUSES_SECONDS) - 1)])
            tries += 1

    def _check(self, job: _Job) -> None:
        if job.cancelled.is_set():
            raise DetectionCancelledError(f"{job.name}: called off")
