"""``surfacedefect data``: from a messy share to a data set."""

from __future__ import annotations

import typer

from surfacedefect.cli.data.convert import convert
from surfacedefect.cli.data.ingest import ingest
from surfacedefect.cli.data.verify import verify

__all__ = ["data"]

data = typer.Typer(help="Make a clean data set of a messy share, check it, convert annotations.", no_args_is_help=True)
data.command(
    name="ingest",
    help="Bring a share into a data set: every file once, every path in a manifest, bad pictures set aside.",
    epilog="Exit codes: 0 every path is accounted for; 1 some could not be fetched (run it again); 2 wrong usage.",
)(ingest)
data.command(
    name="verify",
    help="Hash every file of a data set again and name what changed.",
    epilog="Exit codes: 0 nothing changed; 1 something did, and is named; 2 wrong usage.",
)(verify)
data.command(
    name="convert",
    help="Turn annotations of one format into another, mended.",
    epilog="Exit codes: 0 all was kept; 1 something was set aside, and is named; 2 wrong usage.",
)(convert)
