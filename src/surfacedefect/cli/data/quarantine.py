"""``surfacedefect data quarantine``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def quarantine(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of the data set.")],
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table there, for a spreadsheet, instead of listing.")
    ] = None,
) -> None:
    """List what was set aside and why; nothing was deleted."""
    from surfacedefect._words import visible
    from surfacedefect.cli import _show
    from surfacedefect.datasets import STATES, write_quarantine
    from surfacedefect.datasets import quarantine as set_aside

    counts: Counter[str] = Counter()
    for one in set_aside(dest):
        counts[one.state] += 1
        if csv is None:
            typer.echo(f"{one.state}: {visible(one.source_path)}: {visible(one.reason)}")
    if csv is not None:
        write_quarantine(dest, csv)
        rows = [(state, STATES.get(state, ""), f"{counts[state]:,}") for state in sorted(counts)]
        if rows:
            _show.table(("state", "what it is", "rows"), rows, left=2)
        typer.echo(f"  {csv}")
    typer.echo(f"{counts.total():,} set aside", err=csv is None)
