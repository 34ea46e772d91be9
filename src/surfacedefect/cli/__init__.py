"""The command line: one thin command a file over the public API.

A command imports what it needs inside its function, so that ``surfacedefect --help`` starts no engine.
"""

from __future__ import annotations

from typing import Annotated

import typer

from surfacedefect._version import __version__
from surfacedefect.cli._group import CarefulGroup
from surfacedefect.cli.batch import batch
from surfacedefect.cli.data import data
from surfacedefect.cli.demo import demo
from surfacedefect.cli.detect import detect
from surfacedefect.cli.info import info
from surfacedefect.cli.plan import plan
from surfacedefect.cli.serve import serve
from surfacedefect.cli.synth import synth
from surfacedefect.cli.train import train
from surfacedefect.cli.ui import ui

__all__ = ["app"]

EXIT_CODES = (
    "Exit codes: 0 every scan was inspected in full; 1 a scan failed or was not inspected in full (named at the end); "
    "2 wrong usage, or a model or engine is missing; 130 interrupted."
)

app = typer.Typer(
    name="surfacedefect",
    cls=CarefulGroup,
    help="Finds and outlines scratches, scuffs, chips and dents in high-resolution scans of cars.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command(name="detect", help="Find and outline damage in one or many scans.", epilog=EXIT_CODES)(detect)
app.command(
    name="batch",
    help="Inspect a hundred thousand scans, on this machine or on a Ray cluster; interrupted, it goes on.",
    epilog="Exit codes: 0 every scan was inspected in full; 1 some were set aside, out of reach or inspected in part; "
    "2 wrong usage, or it could not go on (run the same again); 130 interrupted.",
)(batch)
app.command(name="plan", help="Say how long a detection takes and how much memory, before running it.")(plan)
app.command(name="info", help="Say which version, engines and models are installed.")(info)
app.command(name="demo", help="Find the damage on a rendered scan, or your own, and compare with the truth.")(demo)
app.command(name="train", help="Train a U-Net on your own annotated pictures.")(train)
app.command(name="synth", help="Render scans with exact truth: pictures, masks, outlines.")(synth)
app.command(name="serve", help="Serve the model over gRPC and REST (Open Inference Protocol) until SIGTERM.")(serve)
app.command(name="ui", help="Open the inspector's page on a folder of scans, in the browser.")(ui)
app.add_typer(data, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"surfacedefect {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""
