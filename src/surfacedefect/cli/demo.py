"""``surfacedefect demo``: the whole library on one scan, rendered or the person's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surfacedefect._words import counted
from surfacedefect.errors import OutputError, PredictorError, ScanError

if TYPE_CHECKING:
    from surfacedefect.detections import Detections
    from surfacedefect.synthetic import SyntheticTruth

LEAST_FOUND = 0.5
MOST_FALSE = 5


def demo(
    scan: Annotated[
        Path | None, typer.Option(help="Your own picture.", show_default="a rendered 4096 x 3000 scan")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results; made when missing.")] = Path("out/demo"),
) -> None:
    """Find the damage on a rendered scan, or on your own picture, and compare with the rendered truth."""
    from surfacedefect._files import check_folder
    from surfacedefect.cli._show import duration
    from surfacedefect.cli.detect import inspect, name_troubles
    from surfacedefect.detector import Detector
    from surfacedefect.options import DetectOptions

    check_folder(out)
    truth, mm_per_px = None, None
    if scan is None:
        scan, truth, mm_per_px = _rendered(out)
    detector = Detector(options=DetectOptions(mm_per_px=mm_per_px))
    try:
        plan = detector.plan(scan)
        typer.echo(f"inspecting {plan.windows} windows, in about {duration(plan.seconds)}")
        found = inspect(detector, scan, out=out, formats=("png", "tif", "geojson"))
    except (ScanError, PredictorError, OutputError) as error:
        name_troubles([(scan, str(error))], of=1)
        raise typer.Exit(1) from error
    if truth is not None and not _compare(found, truth):
        raise typer.Exit(1)


def _rendered(out: Path) -> tuple[Path, SyntheticTruth, float]:
    from PIL import Image

    from surfacedefect._files import atomic_path
    from surfacedefect.synthetic import DEMO, DEMO_SEED, render_scan

    typer.echo("rendering a scan of 4096 x 3000 px with known damage")
    rendered = render_scan(DEMO_SEED, DEMO)
    path = out / "scan.jpg"
    with atomic_path(path) as temporary:
        Image.fromarray(rendered.image).save(temporary, quality=95)
    return path, rendered.truth, rendered.mm_per_px


def _compare(found: Detections, truth: SyntheticTruth) -> bool:
    """Print true, found and false counts by the scoring protocol; return whether they are good enough."""
    from surfacedefect.evaluation import TOGETHER, objects_from_polygons, prepare_truth

    views = prepare_truth(truth.masks, ignore=truth.ignore).views
    counts = objects_from_polygons(found, views[TOGETHER], froc_thresholds=())
    typer.echo(
        f"against the rendered truth: {counts.found} of {counted(counts.regions, 'damaged region')} found (an outline "
        f"may cover several), {counted(counts.false_alarms, 'false alarm')}"
    )
    good = counts.recall >= LEAST_FOUND and counts.false_alarms <= MOST_FALSE
    if not good:
        typer.echo(
            f"expected at least {LEAST_FOUND:.0%} found and at most {MOST_FALSE} false: something is wrong with this "
            "installation or its weights",
            err=True,
        )
    return good
