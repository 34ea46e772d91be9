"""``surfacedefect batch``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surfacedefect._words import counted, shortened, visible
from surfacedefect.cli import _options, _show
from surfacedefect.errors import OptionError

if TYPE_CHECKING:
    from surfacedefect.batch import BatchReport, Progress

SOME_NOT_DONE = 1
_MOST_NAMED, _MOST_LETTERS = 20, 500
_STATUS = "status"


def batch(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC | status DST",
            help="A folder or address of scans, a list of names (.txt), or a data set or its manifest.parquet. "
            "`status DST` says how far a batch has come; a folder called status is ./status.",
        ),
    ],
    out: Annotated[
        str | None, typer.Option(help="Folder or address of the results; the same arguments go on in it.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ray cluster: local starts one here, auto or ray://host:10001 joins one."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that inspect.", show_default="one a core, or what the cluster has")
    ] = None,
    least_workers: Annotated[int, typer.Option(help="Fewest workers of a cluster that scales by itself.")] = 1,
    gpus_per_worker: Annotated[
        float, typer.Option(help="GPUs of the cluster that a worker takes; 0.25: four share one.")
    ] = 0.0,
    outputs: Annotated[
        list[str] | None, typer.Option("--also", help="What to write beside the GeoJSON: map,overlay.", metavar="LIST")
    ] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option(help=r"What in a name says which car it is of, such as '(?P<group>car-\d+)'.", metavar="REGEX"),
    ] = None,
    threshold: Annotated[
        str | None, typer.Option(help="Probability that counts as damage.", show_default=_options.MODELS_OWN)
    ] = None,
    least_score: Annotated[
        str | None, typer.Option(help="Mean probability that a defect needs.", show_default=_options.MODELS_OWN)
    ] = None,
    mm_per_px: _options.MmPerPx = None,
    kinds: Annotated[str | None, typer.Option(help="Kinds to look for: scratch,dent.", show_default="all")] = None,
    model: Annotated[
        str, typer.Option(help="Name of shipped weights, path of an .onnx file, or package.module:function.")
    ] = "default",
    runtime: _options.Runtime = "auto",
    overlap: _options.Overlap = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each worker's engine.", show_default="cores shared out")
    ] = None,
    max_pixels: _options.MaxPixels = None,
    on_error: Annotated[
        str, typer.Option(help="When a window fails: raise sets that scan aside; skip marks it as not inspected.")
    ] = "raise",
    tries: Annotated[int, typer.Option(help="Processes that a scan may kill before it is set aside.")] = 2,
    scan_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds without an answer after which a scan is set aside.", show_default="1800"),
    ] = None,
    retry_set_aside: Annotated[
        bool, typer.Option("--retry-set-aside", help="Try again what an earlier run set aside.")
    ] = False,
    state_folder: Annotated[
        str | None,
        typer.Option(help="Folder for the journal where the destination is an address.", show_default="the user's"),
    ] = None,
    storage: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Argument of a remote source's file system.")
    ] = None,
    dest_storage: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Argument of a remote destination's file system.")
    ] = None,
) -> None:
    """Inspect every scan of a source once; interrupted, it goes on where it stopped."""
    if words[0] == _STATUS and len(words) == 2 and out is None:
        _print_status(words[1], state_folder)
        return
    if len(words) != 1 or out is None:
        raise OptionError(
            f"found {counted(len(words), 'argument')}{'' if out else ' and no --out'}; expected `surfacedefect batch "
            "SRC --out DST` or `surfacedefect batch status DST`"
        )
    from surfacedefect import batch as batches

    given: dict[str, Any] = {
        "detect": _options.detect_options(
            threshold=_options.by_kind("threshold", threshold),
            least_score=_options.by_kind("least score", least_score),
            mm_per_px=mm_per_px,
            kinds=_options.split(kinds),
            overlap=overlap,
            threads=threads,
            max_pixels=max_pixels,
            on_error=on_error,
        ),
        "outputs": _options.split(",".join(outputs) if outputs else None),
        "workers": workers,
        "least_workers": least_workers,
        "gpus_per_worker": gpus_per_worker,
        "group_pattern": group_pattern,
        "tries": tries,
        "scan_timeout_s": scan_timeout,
        "retry_set_aside": retry_set_aside,
        "state_folder": state_folder,
        "storage_options": _pairs("--storage", storage),
        "dest_storage_options": _pairs("--dest-storage", dest_storage),
    }
    options = batches.BatchOptions(**{name: value for name, value in given.items() if value is not None})
    with _bar() as told:
        report = batches.run(words[0], out, model=model, runtime=runtime, ray=ray, options=options, progress=told)
    _print_report(report)
    if not report.complete:
        raise typer.Exit(SOME_NOT_DONE)


def _pairs(option: str, pairs: list[str] | None) -> dict[str, str] | None:
    if wrong := [pair for pair in pairs or [] if "=" not in pair]:
        raise OptionError(f"{option} is {wrong[0]!r}; expected KEY=VALUE")
    return dict(pair.split("=", 1) for pair in pairs) if pairs else None


def _print_report(report: BatchReport) -> None:
    rate = report.computed / report.seconds if report.seconds else 0.0
    typer.echo(
        f"{counted(report.done, 'scan')} inspected, {report.computed:,} of them in this run in "
        f"{_show.duration(report.seconds)} ({rate:.2f} a second); {report.set_aside:,} set aside, "
        f"{report.unread:,} out of reach, {report.partly:,} inspected in part"
    )
    for name in (report.page, report.table):
        typer.echo(f"  {report.dest}/{name}")
    for name, reason in report.not_done[:_MOST_NAMED]:
        typer.echo(_one_line(f"  {name}: {reason}"), err=True)
    more = report.set_aside + report.unread - min(len(report.not_done), _MOST_NAMED)
    if more > 0:
        typer.echo(f"  and {more:,} more: see the table", err=True)


def _print_status(dest: str, state_folder: str | None) -> None:
    from surfacedefect import batch as batches

    now = batches.status(dest, state_folder=state_folder)
    states = batches.STATES
    typer.echo(f"{visible(now.source or dest)}, inspected with {now.model}")
    if now.running:
        typer.echo(f"running: {now.holder}; last scan recorded {_show.duration(max(0.0, time.time() - now.last))} ago")
    else:
        ended = "" if now.finished else "; the last one did not come to its end: run the same again"
        typer.echo(f"no batch is running there{ended}")
    rows = [(state, states[state], f"{count:,}") for state, count in now.states.items()]
    _show.table(("state", "what it is", "scans"), rows or [("-", "nothing is recorded yet", "0")], left=2)
    typer.echo(
        f"{counted(now.defects, 'defect')}, {counted(now.cars, 'car')}, {counted(now.partly, 'scan')} inspected in part"
    )
    for name, state, reason in now.not_done:
        typer.echo(_one_line(f"  {name} ({state}): {reason}"))
    if not now.complete:
        raise typer.Exit(SOME_NOT_DONE)


def _one_line(text: str) -> str:
    """Text that no name of a file can make anything of in a terminal."""
    return shortened(visible(text), most=_MOST_LETTERS)


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """Show a bar with rate and time left on a terminal; in a pipe print a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(BarColumn(), TextColumn("{task.description}", markup=False), console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda now: bar.update(task, completed=now.seen, total=now.of, description=_line(now))


def _line(now: Progress) -> str:
    seen = counted(now.seen, "scan") if now.of is None else f"{now.seen:,} of {counted(now.of, 'scan')}"
    rate = f", {now.scans_per_s:.2f} a second" if now.scans_per_s > 0 else ""
    left = f", {_show.duration(now.seconds_left)} left" if now.seconds_left is not None else ""
    aside = f", {now.not_done:,} not done" if now.not_done else ""
    return f"{seen}{aside}{rate}{left}"


class _Lines:
    """Lines for a log: at first soon, then ever less often, at least every ten minutes."""

    def __init__(self) -> None:
        self._next, self._wait = time.monotonic() + 5, 5.0

    def tell(self, now: Progress) -> None:
        if time.monotonic() >= self._next or now.seen == now.of:
            self._wait = min(600.0, self._wait * 1.5)
            self._next = time.monotonic() + self._wait
            typer.echo(_line(now), err=True)
