"""``surfacedefect detect``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surfacedefect._progress import window_bar
from surfacedefect._words import counted, unnamed
from surfacedefect.cli import _options, _scans, _show
from surfacedefect.errors import MissingExtraError, ModelError, OptionError, SurfaceDefectError

if TYPE_CHECKING:
    from surfacedefect.detections import Detections
    from surfacedefect.detector import Detector

_WRITERS: dict[str, tuple[str, Callable[[Detections, Path], Any]]] = {
    "geojson": (".geojson", lambda found, path: found.to_geojson(path)),
    "coco": (".coco.json", lambda found, path: found.to_coco(path)),
    "csv": (".csv", lambda found, path: found.to_csv(path)),
    "png": (".overlay.png", lambda found, path: found.plot(path)),
    "tif": (".map.tif", lambda found, path: found.probability_map.save(path)),
}
_MOST_ROWS = 20


def detect(
    scans: _options.Scans,
    out: Annotated[Path, typer.Option(help="Folder for the results; made when missing.")] = Path("out"),
    formats: Annotated[
        str, typer.Option("--format", help=f"What to write: any of {','.join(_WRITERS)}.", metavar="LIST")
    ] = "geojson,png",
    threshold: Annotated[
        str | None,
        typer.Option(
            help="Probability that counts as damage: 0.4, or scratch=0.4,dent=0.6.", show_default=_options.MODELS_OWN
        ),
    ] = None,
    least_score: Annotated[
        str | None,
        typer.Option(
            help="Mean probability that a defect needs: 0.5, or scratch=0.5,dent=0.4.",
            show_default=f"{_options.MODELS_OWN}; 0 with a threshold of yours",
        ),
    ] = None,
    mm_per_px: _options.MmPerPx = None,
    kinds: Annotated[str | None, typer.Option(help="Kinds to look for: scratch,dent.", show_default="all")] = None,
    model: _options.Model = "default",
    runtime: _options.Runtime = "auto",
    overlap: _options.Overlap = None,
    least_area: Annotated[
        float | None, typer.Option(help="Smallest defect in square px.", show_default=_options.MODELS_OWN)
    ] = None,
    simplify: Annotated[
        float | None,
        typer.Option(help="How far an outline may move to save corners, in px.", show_default=_options.MODELS_OWN),
    ] = None,
    batch: _options.Batch = None,
    threads: _options.Threads = None,
    max_memory: _options.MaxMemory = None,
    max_pixels: _options.MaxPixels = None,
    on_error: Annotated[
        str, typer.Option(help="When a window fails: raise ends that scan; skip marks it as not inspected.")
    ] = "raise",
    as_json: _options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")] = False,
) -> None:
    """Find and outline damage in one or many scans."""
    from surfacedefect._files import check_folder
    from surfacedefect.detector import Detector

    paths = _scans.expand(scans)
    jobs = _jobs(paths, out=out, formats=_formats(formats))
    options = _options.detect_options(
        threshold=_options.by_kind("threshold", threshold),
        least_score=_options.by_kind("least score", least_score),
        mm_per_px=mm_per_px,
        kinds=_options.split(kinds),
        overlap=overlap,
        least_area_px=least_area,
        simplify_px=simplify,
        batch=batch,
        threads=threads,
        max_memory=max_memory,
        max_pixels=max_pixels,
        on_error=on_error,
    )
    detector = Detector(model=model, runtime=runtime, options=options)
    check_folder(out)
    report: Report = "json" if as_json else "nothing" if quiet else "text"
    troubles = [
        (job.scan, trouble)
        for number, job in enumerate(jobs, start=1)
        if (trouble := _run(detector, job, report=report, place=f"{number}/{len(jobs)}", quiet=quiet)) is not None
    ]
    name_troubles(troubles, of=len(jobs))


def inspect(detector: Detector, scan: Path, *, out: Path, formats: Sequence[str]) -> Detections:
    """Inspect one scan, write its results into a folder and print them.

    Raises
    ------
    SurfaceDefectError
        As `Detector.detect`, or a result cannot be written.
    """
    (job,) = _jobs([scan], out=out, formats=formats)
    started = time.perf_counter()
    found = _detected_and_written(detector, job, label=scan.name, quiet=False)
    _print_found(found, job, seconds=time.perf_counter() - started)
    return found


Report = Literal["text", "json", "nothing"]


@dataclass(frozen=True, slots=True)
class _Job:
    """One scan and the file to write in each format."""

    scan: Path
    outputs: dict[str, Path]


def _formats(text: str) -> tuple[str, ...]:
    wanted = _options.split(text) or ()
    unknown = [name for name in wanted if name not in _WRITERS]
    if unknown or not wanted:
        found = ", ".join(map(repr, unknown)) or "nothing"
        raise OptionError(f"--format names {found}; expected one or more of {','.join(_WRITERS)}")
    return wanted


def _jobs(scans: Sequence[Path], *, out: Path, formats: Sequence[str]) -> list[_Job]:
    jobs = [
        _Job(scan, {name: out / f"{stem}{_WRITERS[name][0]}" for name in formats})
        for scan, stem in zip(scans, _scans.output_names(scans), strict=True)
    ]
    inputs = {scan.resolve() for scan in scans}
    for job in jobs:
        for path in job.outputs.values():
            if path.resolve() in inputs:
                raise OptionError(f"'{path}' is one of the scans and would be overwritten; choose another --out")
    return jobs


def _run(detector: Detector, job: _Job, *, report: Report, place: str, quiet: bool) -> str | None:
    """Inspect one scan, write and report it; return what is wrong with it, or None.

    What would stop every scan alike (a model, an engine, an option) is raised.
    """
    started = time.perf_counter()
    try:
        found = _detected_and_written(detector, job, label=f"{place} {job.scan.name}", quiet=quiet)
    except (ModelError, MissingExtraError, OptionError):
        raise
    except (SurfaceDefectError, MemoryError) as error:
        trouble = str(error) or "there is not enough memory; close other programs or see `surfacedefect plan`"
        if report == "json":
            _print_json({"path": str(job.scan), "status": "failed", "error": trouble})
        return trouble
    seconds = time.perf_counter() - started
    if report == "json":
        _print_json(_record(found, job, seconds=seconds))
    elif report == "text":
        _print_found(found, job, seconds=seconds)
    return None if found.coverage >= 1 else found.summary


def _detected_and_written(detector: Detector, job: _Job, *, label: str, quiet: bool) -> Detections:
    with nullcontext() if quiet else window_bar(label) as advance:
        found = detector.detect(job.scan, progress=advance or False)
    for name, path in job.outputs.items():
        _WRITERS[name][1](found, path)
    return found


def _record(found: Detections, job: _Job, *, seconds: float) -> dict[str, Any]:
    return {
        "path": str(job.scan),
        "status": "complete" if found.coverage >= 1 else "incomplete",
        "width": found.width,
        "height": found.height,
        "mm_per_px": found.mm_per_px,
        "threshold": found.threshold,
        "coverage": found.coverage,
        "seconds": round(seconds, 3),
        "outputs": {name: str(path) for name, path in job.outputs.items()},
        "defects": [{**d.to_dict(), "box": [round(side, 2) for side in d.polygon.bounds]} for d in found],
    }


def _print_json(record: dict[str, Any]) -> None:
    typer.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))


def _print_found(found: Detections, job: _Job, *, seconds: float) -> None:
    typer.echo(f"{job.scan}  {found.width} x {found.height} px in {_show.duration(seconds)}: {found.summary}")
    unit = "px" if found.mm_per_px is None else "mm"
    area = "px" if found.mm_per_px is None else "mm2"
    rows = []
    for number, defect in enumerate(found[:_MOST_ROWS], start=1):
        record = defect.to_dict()
        sizes = [f"{record[name]:.1f}" for name in (f"length_{unit}", f"width_{unit}", f"area_{area}")]
        left, top, right, bottom = defect.polygon.bounds
        middle = [f"{(left + right) / 2:.0f}", f"{(top + bottom) / 2:.0f}"]
        rows.append((f"#{number}", defect.kind, f"{defect.score:.2f}", *sizes, *middle))
    if rows:
        head = ("", "kind", "score", f"length {unit}", f"width {unit}", f"area {area}", "x px", "y px")
        _show.table(head, rows, left=2)
    if len(found) > len(rows):
        typer.echo(f"  and {len(found) - len(rows)} more, all of them in the files")
    for path in job.outputs.values():
        typer.echo(f"  {path}")


def name_troubles(
    troubles: Sequence[tuple[Path, str]], *, of: int, what: str = "failed or not inspected in full"
) -> None:
    """Name at the end, on stderr, what was not inspected in full, and leave with 1 when there is any."""
    if not troubles:
        return
    typer.echo(f"{len(troubles)} of {counted(of, 'scan')} {what}:", err=True)
    for scan, trouble in troubles:
        typer.echo(f"  {scan}: {unnamed(trouble, scan, scan.expanduser().absolute(), scan.name)}", err=True)
    raise typer.Exit(1)
