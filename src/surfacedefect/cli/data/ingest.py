"""``surfacedefect data ingest``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from surfacedefect._words import counted

SOME_FAILED = 1


def ingest(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, or an address: webdavs://user@host/path, s3://bucket/path, sftp://host/path, zip://a.zip.",
        ),
    ],
    dest: Annotated[
        str, typer.Argument(metavar="DEST", help="Folder of the data set; the same arguments go on in it.")
    ],
    connections: Annotated[int | None, typer.Option(help="Files fetched at a time.", show_default="8")] = None,
    max_mb_per_s: Annotated[
        float | None,
        typer.Option("--max-mb-per-s", help="Cap of all connections together, in MB a second.", show_default="none"),
    ] = None,
    retries: Annotated[
        int | None, typer.Option(help="Tries of one file that bring nothing new.", show_default="6")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds of silence after which a try ends.", show_default="60")
    ] = None,
    max_file_bytes: Annotated[
        int | None, typer.Option(help="Larger files are not fetched.", show_default="4 GiB")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Larger pictures are not decoded.", show_default="250 million")
    ] = None,
    accept_wrong_extension: Annotated[
        bool, typer.Option("--accept-wrong-extension", help="Keep sound pictures whose name says another format.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="What the manifest calls the source.", show_default="its address")
    ] = None,
    storage: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Argument of a remote source's file system; may be given many times."),
    ] = None,
) -> None:
    """Bring a share into a data set; interrupted, it goes on where it stopped."""
    from surfacedefect.cli import _show
    from surfacedefect.cli.data._bar import progress_bar
    from surfacedefect.datasets import STATES, IngestOptions
    from surfacedefect.datasets import ingest as run

    given: dict[str, Any] = {
        "connections": connections,
        "max_bytes_per_s": None if max_mb_per_s is None else max_mb_per_s * 1e6,
        "retries": retries,
        "timeout_s": timeout,
        "max_file_bytes": max_file_bytes,
        "max_pixels": max_pixels,
        "accept_wrong_extension": accept_wrong_extension,
        "name": name,
        "storage_options": _storage_options(storage or []),
    }
    options = IngestOptions(**{key: value for key, value in given.items() if value is not None})
    with progress_bar() as told:
        report = run(source, dest, options=options, progress=told)
    typer.echo(
        f"{counted(report.listed, 'path')}, {counted(report.fetched_files, 'file')} with "
        f"{report.fetched_bytes / 1e6:,.1f} MB fetched in {_show.duration(report.seconds)}; the manifest has "
        f"{counted(sum(report.states.values()), 'row')}:"
    )
    _show.table(("state", "what it is", "rows"), [(s, STATES[s], f"{n:,}") for s, n in report.states.items()], left=2)
    typer.echo(f"{report.dest / 'manifest.parquet'}\nversion {report.version}")
    if report.failed:
        typer.echo(f"{report.failed:,} could not be fetched or listed; the same command tries again", err=True)
        raise typer.Exit(SOME_FAILED)


def _storage_options(pairs: list[str]) -> dict[str, str]:
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise typer.BadParameter(f"--storage is {wrong[0]!r}; expected KEY=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)
