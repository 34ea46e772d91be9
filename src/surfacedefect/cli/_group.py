"""How every command ends when it does not end well."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from surfacedefect.errors import SurfaceDefectError

WRONG_USAGE, INTERRUPTED, TERMINATED = 2, 130, 143


class CarefulGroup(TyperGroup):
    """Commands that end in one line and an exit code: on our own errors, on Ctrl-C and when told to end."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _ending_cleanly_on_sigterm():
                return super().invoke(ctx)
        except SurfaceDefectError as error:
            typer.echo(f"surfacedefect: {error}", err=True)
            raise typer.Exit(WRONG_USAGE) from error
        except KeyboardInterrupt as error:
            typer.echo("surfacedefect: interrupted; what was already written is complete", err=True)
            raise typer.Exit(INTERRUPTED) from error


@contextmanager
def _ending_cleanly_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exit that runs every ``finally``, so that temporary files go."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return

    def end(number: int, frame: object) -> None:
        raise SystemExit(TERMINATED)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
