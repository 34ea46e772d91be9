"""Who holds a lock: a file beside it that says process, machine and time, for the message of those who must wait."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from surfacedefect._files import write_json


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Say in `file` that this process holds the lock while the block runs."""
    try:
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        write_json(file, {"pid": os.getpid(), "host": socket.gethostname(), "since": started})
        yield
    finally:
        with suppress(OSError):
            file.unlink()


def holder(file: Path) -> str:
    """Say which process holds the lock, in brackets; empty where that is not known."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return f" (process {told['pid']} on {told['host']}, since {told['since']})"
    except (OSError, ValueError, KeyError):
        return ""
