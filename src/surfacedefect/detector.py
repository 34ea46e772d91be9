"""`Detector`: a scan in, `Detections` out; and the three one-call functions that wrap it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from surfacedefect._checks import expect
from surfacedefect._map_files import MapFrame
from surfacedefect._words import type_name
from surfacedefect.detections import Detections
from surfacedefect.errors import OptionError, ScanError
from surfacedefect.options import MEBIBYTE, DetectOptions
from surfacedefect.predictor import Predictor
from surfacedefect.probability import ProbabilityMap
from surfacedefect.runtimes import load_predictor
from surfacedefect.scan import Scan, ScanSource
from surfacedefect.stitching import stitch
from surfacedefect.windows import Grid, lay_grid

Progress = bool | Callable[[int, int], None]
"""True shows a bar on a terminal; a function is called with the windows done and in all."""

LEAST_SIDE_PX = 16
"""Shortest side of a scan that is inspected: a smaller picture shows no surface, and "clean" would mean nothing."""

BLOCK_CACHE_BYTES = 64 * MEBIBYTE
"""What GDAL may keep of the files it reads and writes; its own default is a share of the machine's memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scan will cost, before it is run.

    Attributes
    ----------
    name
        The scan.
    width, height
        Its size in px.
    windows
        Windows that the predictor will look at.
    window_px, overlap_px
        Their side and overlap.
    seconds
        Predicted time: windows x the time of one window, measured now on this machine.
    peak_memory_bytes
        Predicted peak above the loaded model, without the engine's own buffers.
    map_on_disk
        Whether the probability map will go to a file.
    streams
        Whether the picture is read row by row; else it is decoded whole.
    """

    name: str
    width: int
    height: int
    windows: int
    window_px: int
    overlap_px: int
    seconds: float
    peak_memory_bytes: int
    map_on_disk: bool
    streams: bool


class Detector:
    """Finds and outlines damage on scans; load once, use on many.

    Parameters
    ----------
    model
        Name of shipped weights, path of an ``.onnx`` with its card, or any `Predictor`.
    runtime
        ``"auto"``, or the name of an engine; see `surfacedefect.runtimes`. A `Predictor` takes none.
    options
        Threshold, scale, overlap and so on; None takes the defaults.

    Raises
    ------
    ModelError, MissingExtraError, OptionError
        See `surfacedefect.runtimes.load_predictor` and `DetectOptions`.

    Examples
    --------
    >>> import numpy as np
    >>> from surfacedefect import FunctionPredictor, ModelCard
    >>> card = ModelCard(name="dark", kinds=("scratch",), window_px=64, overlap_px=16)
    >>> dark = FunctionPredictor(lambda windows: (windows.mean(axis=3) < 50).astype(np.float32)[:, None], card=card)
    >>> scan = np.full((200, 300, 3), 180, np.uint8)
    >>> scan[50:60, 100:200] = 0
    >>> [(defect.kind, defect.area_px) for defect in Detector(dark).detect(scan)]
    [('scratch', 1000.0)]
    """

    def __init__(
        self, model: str | Path | Predictor = "default", *, runtime: str = "auto", options: DetectOptions | None = None
    ) -> None:
        self.options = options or DetectOptions()
        if not isinstance(model, str | Path) and runtime != "auto":
            raise OptionError(
                f"runtime is {runtime!r} and model is {type_name(model)}; expected a runtime only with the name or "
                "path of a model: a Predictor is its own engine. Leave runtime out"
            )
        if isinstance(model, str | Path):
            model = load_predictor(model, runtime=runtime, threads=self.options.threads)
        elif not isinstance(model, Predictor):
            raise OptionError(
                f"model is {type_name(model)}; expected a name, the path of an .onnx file, or a Predictor: "
                "something with a card that can be called with windows"
            )
        self.predictor: Predictor = model
        self.options.kinds_for(model.card)
        self.options.thresholds_for(model.card)
        self.options.least_scores_for(model.card)
        self.options.overlap_for(model.card)

    def __repr__(self) -> str:
        """Say what looks."""
        return f"Detector({self.predictor!r})"

    def detect(self, scan: ScanSource | Scan, *, progress: Progress = False) -> Detections:
        """Find and outline the damage on a scan.

        Parameters
        ----------
        scan
            A path, array, PIL image, file-like object, bytes or open rasterio dataset; see `Scan.open`.
        progress
            True shows a bar on a terminal; a function is called with the windows done and in all.

        Returns
        -------
        Detections
            The defects, highest score first, with the map they were made of.

        Raises
        ------
        ScanError
            The scan cannot be read, or a side of it is shorter than 16 px.
        OptionError
            `progress` is neither True, False nor a function.
        PredictorError
            A window failed and ``on_error`` is ``"raise"``, or all of them did.
        """
        _check_progress(progress)
        options, card = self.options, self.predictor.card
        with self._opened(scan) as opened, _block_cache():
            found = self._map_of(opened, out=None, progress=progress)
            return Detections.from_map(found, scan_reference=opened, **options.outlining_for(card))

    def probability_map(
        self, scan: ScanSource | Scan, *, out: str | Path | None = None, progress: Progress = False
    ) -> ProbabilityMap:
        """Compute P(damage) for every pixel of a scan.

        Parameters
        ----------
        scan
            See `detect`.
        out
            GeoTIFF to write while it is computed; None keeps the map in memory, or in a temporary file when it is
            larger than ``max_memory``.
        progress
            See `detect`.

        Raises
        ------
        ScanError, OptionError, PredictorError
            See `detect`.
        OutputError
            `out` cannot be written.
        """
        _check_progress(progress)
        with self._opened(scan) as opened, _block_cache():
            return self._map_of(opened, out=None if out is None else Path(out), progress=progress)

    def plan(self, scan: ScanSource | Scan) -> Plan:
        """Say what a scan will cost before running it; one window is timed.

        Raises
        ------
        ScanError
            The scan cannot be read.
        """
        options, card = self.options, self.predictor.card
        with self._opened(scan) as opened:
            grid = self._grid_for(opened)
            map_bytes = (len(card.kinds) + 1) * opened.width * opened.height
            on_disk = map_bytes > options.max_memory
            rows = min(card.window_px, opened.height) * opened.width
            kinds = len(card.kinds)
            peak = rows * (8 * kinds + 6) + self._batch() * card.window_px**2 * (8 * kinds + 3)
            peak += BLOCK_CACHE_BYTES if on_disk else map_bytes
            peak += 0 if opened.streams else 3 * opened.width * opened.height
            return Plan(
                name=opened.name,
                width=opened.width,
                height=opened.height,
                windows=len(grid),
                window_px=card.window_px,
                overlap_px=options.overlap_for(card),
                seconds=len(grid) * self._seconds_per_window(),
                peak_memory_bytes=peak,
                map_on_disk=on_disk,
                streams=opened.streams,
            )

    @contextmanager
    def _opened(self, scan: ScanSource | Scan) -> Iterator[Scan]:
        options = self.options
        with Scan.open(scan, max_pixels=options.max_pixels, mm_per_px=options.mm_per_px) as opened:
            if min(opened.width, opened.height) < LEAST_SIDE_PX:
                raise ScanError(
                    f"{opened.name}: found {opened.width} x {opened.height} px, expected at least {LEAST_SIDE_PX} px "
                    "on each side; pass the scan itself, not a thumbnail or a cut-out"
                )
            yield opened

    def _map_of(self, scan: Scan, *, out: Path | None, progress: Progress) -> ProbabilityMap:
        card = self.predictor.card
        frame = MapFrame(
            width=scan.width,
            height=scan.height,
            kinds=card.kinds,
            mm_per_px=scan.mm_per_px,
            transform=scan.transform,
            crs=scan.crs,
            model=card.name,
        )
        with _told(progress, scan.name) as told:
            bands = stitch(
                scan,
                self.predictor,
                grid=self._grid_for(scan),
                batch=self._batch(),
                skip_errors=self.options.on_error == "skip",
                progress=told,
            )
            return ProbabilityMap.from_bands(bands, frame, max_memory=self.options.max_memory, out=out)

    def _grid_for(self, scan: Scan) -> Grid:
        card = self.predictor.card
        overlap_px = self.options.overlap_for(card)
        return lay_grid(scan.height, scan.width, window_px=card.window_px, overlap_px=overlap_px, edge=card.edge)

    def _batch(self) -> int:
        """One window at a time on a CPU, where more only costs memory; eight on a GPU."""
        return self.options.batch or (8 if getattr(self.predictor, "runs_on_gpu", False) else 1)

    def _seconds_per_window(self) -> float:
        side, batch = self.predictor.card.window_px, self._batch()
        windows = np.full((batch, side, side, 3), 128, np.uint8)
        self.predictor(windows)
        started = time.perf_counter()
        self.predictor(windows)
        return (time.perf_counter() - started) / batch


def _block_cache() -> Any:
    return rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE_BYTES)


def _check_progress(progress: object) -> None:
    good = isinstance(progress, bool | np.bool_) or callable(progress)
    expect(good, "progress", progress, "True, False, or a function of the windows done and in all")


@contextmanager
def _told(progress: Progress, name: str) -> Iterator[Callable[[int, int], None] | None]:
    """Turn the progress option into a function that is told, or None."""
    if callable(progress):
        yield progress
    elif progress:
        from surfacedefect._progress import window_bar

        with window_bar(name) as advance:
            yield advance
    else:
        yield None


def detect(
    scan: ScanSource,
    *,
    model: str | Path | Predictor = "default",
    runtime: str = "auto",
    progress: Progress = False,
    **options: Any,
) -> Detections:
    """Find and outline the damage on one scan. For many, keep a `Detector`: this loads the model each time.

    Parameters
    ----------
    scan
        A path, array, PIL image, file-like object, bytes or open rasterio dataset; see `Scan.open`.
    model
        Name of shipped weights, path of an ``.onnx`` with its card, or any `Predictor`.
    runtime
        ``"auto"``, or the name of an engine; see `surfacedefect.runtimes`. A `Predictor` takes none.
    progress
        True shows a bar on a terminal; a function is called with the windows done and in all.
    **options
        Fields of `DetectOptions`: ``threshold``, ``mm_per_px``, ``kinds`` and so on.

    Returns
    -------
    Detections
        The defects, highest score first, with the map they were made of.

    Raises
    ------
    ScanError
        The scan cannot be read, or a side of it is shorter than 16 px.
    ModelError, MissingExtraError
        The weights or their engine are missing.
    OptionError
        An option is unknown or out of its range.
    PredictorError
        A window failed and ``on_error`` is ``"raise"``, or all of them did.

    Examples
    --------
    >>> import numpy as np
    >>> import surfacedefect as sd
    >>> card = sd.ModelCard(name="dark", kinds=("scratch",), window_px=64, overlap_px=16)
    >>> dark = sd.FunctionPredictor(lambda windows: (windows.mean(axis=3) < 50).astype(np.float32)[:, None], card=card)
    >>> scan = np.full((200, 300, 3), 180, np.uint8)
    >>> scan[50:60, 100:200] = 0
    >>> sd.detect(scan, model=dark, mm_per_px=0.1)[0].length_mm > 9
    True
    """
    return Detector(model, runtime=runtime, options=_options(options)).detect(scan, progress=progress)


def probability_map(
    scan: ScanSource,
    *,
    out: str | Path | None = None,
    model: str | Path | Predictor = "default",
    runtime: str = "auto",
    progress: Progress = False,
    **options: Any,
) -> ProbabilityMap:
    """Compute P(damage) for every pixel of one scan.

    Parameters
    ----------
    scan, model, runtime, progress, **options
        See `detect`.
    out
        GeoTIFF to write while it is computed; None keeps the map in memory, or in a temporary file when it is larger
        than ``max_memory``.

    Returns
    -------
    ProbabilityMap
        uint8, one band a kind, and which pixels were inspected.

    Raises
    ------
    ScanError, ModelError, MissingExtraError, OptionError, PredictorError
        See `detect`.
    OutputError
        `out` cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import surfacedefect as sd
    >>> card = sd.ModelCard(name="half", kinds=("scratch",), window_px=64, overlap_px=16)
    >>> half = sd.FunctionPredictor(lambda windows: np.full((len(windows), 1, 64, 64), 0.6, np.float32), card=card)
    >>> pm = sd.probability_map(np.zeros((100, 150, 3), np.uint8), model=half)
    >>> pm.array("scratch").shape, round(float(pm.array().max()), 2)
    ((100, 150), 0.6)
    """
    detector = Detector(model, runtime=runtime, options=_options(options))
    return detector.probability_map(scan, out=out, progress=progress)


def plan(scan: ScanSource, *, model: str | Path | Predictor = "default", runtime: str = "auto", **options: Any) -> Plan:
    """Say what one scan will cost before running it; one window is timed.

    Parameters
    ----------
    scan, model, runtime, **options
        See `detect`.

    Returns
    -------
    Plan
        Windows, seconds and bytes.

    Raises
    ------
    ScanError, ModelError, MissingExtraError, OptionError
        See `detect`.

    Examples
    --------
    >>> import numpy as np
    >>> import surfacedefect as sd
    >>> card = sd.ModelCard(name="none", kinds=("scratch",), window_px=64, overlap_px=16)
    >>> none = sd.FunctionPredictor(lambda windows: np.zeros((len(windows), 1, 64, 64), np.float32), card=card)
    >>> sd.plan(np.zeros((100, 150, 3), np.uint8), model=none).windows
    6
    """
    return Detector(model, runtime=runtime, options=_options(options)).plan(scan)


def _options(given: dict[str, Any]) -> DetectOptions:
    known = DetectOptions.__dataclass_fields__
    if unknown := sorted(set(given) - set(known)):
        raise OptionError(f"unknown option(s) {unknown}; expected some of {sorted(known)}")
    return replace(DetectOptions(), **given)
