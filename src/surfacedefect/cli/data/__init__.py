"""``surfacedefect data``: from a messy share to a data set."""

from __future__ import annotations

import typer

from surfacedefect.cli.data.check import check
from surfacedefect.cli.data.convert import convert
from surfacedefect.cli.data.ingest import ingest
from surfacedefect.cli.data.leaks import leaks
from surfacedefect.cli.data.quarantine import quarantine
from surfacedefect.cli.data.report import report
from surfacedefect.cli.data.split import split
from surfacedefect.cli.data.tiles import tiles
from surfacedefect.cli.data.verify import verify

__all__ = ["data"]

data = typer.Typer(help="Make a clean data set of a messy share, check it, convert annotations.", no_args_is_help=True)
data.command(
    name="ingest",
    help="Bring a share into a data set: every file once, every path in a manifest, bad pictures set aside.",
    epilog="Exit codes: 0 every path is accounted for; 1 some could not be fetched (run it again); 2 wrong usage.",
)(ingest)
data.command(
    name="check",
    help="Look at every good picture: flag the blank, badly exposed and blurred ones, group near duplicates.",
    epilog="Exit codes: 0 done, whatever was found; 1 some pictures could not be read; 2 wrong usage.",
)(check)
data.command(
    name="report",
    help="Write a page on a data set: counts, thumbnails, sizes, duplicates, flags, class balance, prevalence.",
    epilog="Exit codes: 0 the page is written; 2 wrong usage.",
)(report)
data.command(
    name="quarantine",
    help="List what was set aside and why, or write it as a table.",
    epilog="Exit codes: 0 told, whether something was set aside or not; 2 wrong usage.",
)(quarantine)
data.command(
    name="verify",
    help="Hash every file of a data set again and name what changed.",
    epilog="Exit codes: 0 nothing changed; 1 something did, and is named; 2 wrong usage.",
)(verify)
data.command(
    name="split",
    help="Give every good picture train, valid or test: cars and near duplicates stay together, what was given stays.",
    epilog="Exit codes: 0 done; 2 wrong usage.",
)(split)
data.command(
    name="leaks",
    help="Name what different splits share: the same bytes, the same car, near duplicates.",
    epilog="Exit codes: 0 nothing; 1 something, and it is named; 2 wrong usage, or no split yet.",
)(leaks)
data.command(
    name="tiles",
    help="Cut annotated pictures into tiles, damaged and clean ones in folders of their own.",
    epilog="Exit codes: 0 done; 2 wrong usage.",
)(tiles)
data.command(
    name="convert",
    help="Turn annotations of one format into another, mended.",
    epilog="Exit codes: 0 all was kept; 1 something was set aside, and is named; 2 wrong usage.",
)(convert)
