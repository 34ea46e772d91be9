"""The server that the page starts for itself: a child process that ends with its parent.

``python -m surfacedefect.web.embedded`` listens on loopback, on a free port, for whoever knows the token, which comes
in the environment. Its standard input is a pipe from the parent: when that closes, however the parent ended, the child
ends too. Its log, lines of JSON on standard error, tells the port.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from surfacedefect.errors import ServerUnavailableError, SurfaceDefectError
from surfacedefect.web.values import WebOptions

_TOKEN_VARIABLE = "SURFACEDEFECT_TOKEN"
_START_SECONDS = 120.0
_END_SECONDS = 3.0
_DEADLINE_SECONDS = 86_400
_KEPT_LINES = 20


class EmbeddedServer:
    """A server of one's own; started when it is needed, and again when it died.

    Parameters
    ----------
    options
        Model, engine and limits.
    """

    def __init__(self, options: WebOptions) -> None:
        self._options = options
        self.token = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._port: int | None = None
        self._listening: threading.Thread | None = None
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._error = ""
        self._told = threading.Event()
        self._closed = False

    @property
    def address(self) -> str:
        """Host and gRPC port; empty while it does not run."""
        return f"127.0.0.1:{self._port}" if self.runs and self._port else ""

    @property
    def runs(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def error(self) -> str:
        """Why it could not start the last time; empty when it could."""
        return self._error

    def start(self) -> str:
        """Return the address of the running server; start it if it is not.

        Raises
        ------
        ServerUnavailableError
            It does not come up; the message is its own.
        """
        with self._lock:
            if self._closed:
                raise ServerUnavailableError("the workspace is closed")
            if self.runs and self._port:
                return self.address
            self._end()
            self._begin()
            if not self._told.wait(_START_SECONDS) or self._port is None:
                self._end()
                why = self._error or " ".join(self._lines) or f"it said nothing within {_START_SECONDS:g} s"
                self._error = why
                raise ServerUnavailableError(f"the embedded server does not come up: {why}")
            self._error = ""
            return self.address

    def close(self) -> None:
        """End it."""
        self._closed = True
        with self._lock:
            self._end()

    def _begin(self) -> None:
        environment = {**os.environ, _TOKEN_VARIABLE: self.token}
        command = self._options.program or (sys.executable, "-m", "surfacedefect.web.embedded", *self._arguments())
        self._port, self._error = None, ""
        self._lines.clear()
        self._told.clear()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                text=True,
                errors="replace",
                # Ctrl-C in the parent's terminal is the parent's to hear.
                start_new_session=True,
            )
        except OSError as error:
            raise ServerUnavailableError(f"the embedded server cannot be started ({error})") from error
        self._listening = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listening.start()

    def _arguments(self) -> list[str]:
        options = self._options
        arguments = ["--model", options.model, "--runtime", options.runtime]
        arguments += [] if options.threads is None else ["--threads", str(options.threads)]
        return [*arguments, "--max-pixels", str(options.max_tiled_pixels)]

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Read the log of one process until it ends."""
        if process.stderr is None:
            return
        with process.stderr as log:
            for line in log:
                self._hear(line, process)
        if process is self._process:
            self._told.set()

    def _hear(self, line: str, process: subprocess.Popen[str]) -> None:
        record = _record_in(line)
        if process is not self._process:
            return
        if record.get("event") == "ready":
            self._port = record.get("grpc_port")
            self._told.set()
        elif record.get("event") == "failed":
            self._error = str(record.get("message", ""))
        elif not record:
            self._lines.append(line.strip()[:300])

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = self._port = None
        if self._listening is not None:
            self._listening.join(timeout=_END_SECONDS)


def _record_in(line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        record = json.loads(line)
        if isinstance(record, dict):
            return record
    return {}


def end_with_parent() -> None:
    """End this process when its standard input closes."""

    def watch() -> None:
        with contextlib.suppress(OSError, ValueError):
            while sys.stdin.buffer.read(1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_END_SECONDS / 2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="surfacedefect-parent").start()


def main() -> int:
    """Serve until the parent ends."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--max-pixels", type=int, default=250_000_000)
    given = parser.parse_args()
    end_with_parent()
    try:
        from surfacedefect.serving import ServeOptions, serve
        from surfacedefect.serving._logs import configure

        configure()
        options = ServeOptions(
            http_port=0,
            grpc_port=0,
            token=os.environ[_TOKEN_VARIABLE],
            max_scan_bytes=2**40,
            max_pixels=given.max_pixels,
            deadline_seconds=_DEADLINE_SECONDS,
            queue_length=64,
            grace_seconds=0.0,
        )
        model = Path(given.model) if given.model.endswith(".onnx") else given.model
        serve(model, runtime=given.runtime, threads=given.threads, options=options)
    except (SurfaceDefectError, KeyError) as error:
        print(json.dumps({"event": "failed", "message": str(error)}), file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
