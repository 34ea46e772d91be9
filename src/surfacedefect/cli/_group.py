"""How every command ends when it does not end well."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import typer
from typer.core import TyperGroup

from surfacedefect.errors import SurfaceDefectError

# Typer has no other public name for it; newer ones bring their own copy of click.
_UsageError: Any = typer.BadParameter.__base__

WRONG_USAGE, INTERRUPTED, TERMINATED = 2, 130, 143


class CarefulGroup(TyperGroup):
    """Commands that end in one line and an exit code: on wrong usage, our own errors, Ctrl-C and when told to end."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the arguments of the program itself."""
        try:
            return super().make_context(*args, **extra)
        except _UsageError as error:
            raise _told_plainly(error) from error

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _ending_cleanly_on_sigterm():
                return super().invoke(ctx)
        except _UsageError as error:
            raise _told_plainly(error) from error
        except SurfaceDefectError as error:
            typer.echo(f"surfacedefect: {error}", err=True)
            raise typer.Exit(WRONG_USAGE) from error
        except KeyboardInterrupt as error:
            typer.echo("surfacedefect: interrupted; what was already written is complete", err=True)
            raise typer.Exit(INTERRUPTED) from error


def _told_plainly(error: Any) -> Exception:
    """Say a usage error in one line, as ours are said; without any argument, the help page is the message."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return cast("Exception", error)
    program = error.ctx.command_path if error.ctx is not None else "surfacedefect"
    typer.echo(f"surfacedefect: {error.format_message().rstrip('.')}; see '{program} --help'", err=True)
    return typer.Exit(WRONG_USAGE)


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
