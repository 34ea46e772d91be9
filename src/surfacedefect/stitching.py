"""Windows of a scan -> one map, in bands of rows that are handed on as soon as they are finished.

Read region, context and write region are told apart: the rows of one row of windows are read (those shared with the
row above are kept, so that a sequential file is decoded once), and what no later window touches is written. Memory
grows with the scan's width and the batch, not with its height.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import BadValuesError, PredictorError, ScanError, SurfaceDefectError
from surfacedefect.predictor import Predictor, check_shape, check_values
from surfacedefect.scan import Scan
from surfacedefect.windows import Grid

ROWS_AT_ONCE = 128
"""Rows read from the scan at a time; what reading needs besides grows with it."""


@dataclass(frozen=True, slots=True)
class Band:
    """Finished rows of the map.

    Attributes
    ----------
    start
        Row of the scan that the first row of the band is.
    probabilities
        uint8 (K, rows, W), 0..255 = 0..1.
    coverage
        bool (rows, W): a model really looked at this pixel.
    data_px
        Pixels of the band that hold data; transparent and nodata pixels do not.
    """

    start: int
    probabilities: NDArray[np.uint8]
    coverage: NDArray[np.bool_]
    data_px: int


def stitch(
    scan: Scan,
    predictor: Predictor,
    *,
    grid: Grid,
    batch: int = 1,
    skip_errors: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Band]:
    """Look at every window of a scan and yield the blended map band by band, top to bottom.

    Parameters
    ----------
    scan
        An open scan; its rows are read forwards, once.
    predictor
        Called with up to `batch` windows at a time, always in the same order.
    grid
        Where the windows lie.
    batch
        Windows a call. The map does not depend on it as long as the predictor does not.
    skip_errors
        A window on which the predictor raises or gives no probabilities is *not inspected*; else it raises.
    progress
        Called with the windows done and the windows in all.

    Yields
    ------
    Band
        Rows without gap or overlap; together they are the scan.

    Raises
    ------
    PredictorError
        The predictor failed, or gave something of the wrong shape (never skipped), or failed on every window.
    ScanError
        The scan cannot be read to its end, or holds no data at all.
    """
    row_starts = grid.rows.starts
    looker = _Looker(predictor, batch=batch, skip_errors=skip_errors)
    canvas = _Canvas(grid, kinds=len(predictor.card.kinds), width=scan.width)
    needed = [
        (int(grid.rows.indices(start).min()), min(start + grid.rows.window_px, scan.height)) for start in row_starts
    ]
    rows = _RollingRows(scan, most_rows=max(stop - first for first, stop in needed))
    done = 0
    for number, (start, weights) in enumerate(zip(row_starts, grid.rows.weights(), strict=True)):
        first, stop = needed[number]  # a reflection may reach above the window, never above the one before
        pixels, valid = rows.at(first, stop)
        here = grid.rows.indices(start) - first
        for columns, windows in _window_batches(pixels, valid[start - first :], here, grid, batch):
            for column, probabilities in zip(columns, looker(windows), strict=True):
                canvas.add(column, weights, probabilities)
            done += len(columns)
            if progress is not None:
                progress(done, len(grid))
        if number + 1 < len(row_starts):
            finished = row_starts[number + 1] - start
        else:
            finished = scan.height - start
        yield canvas.take(start, finished, valid[start - first :])
        done = (number + 1) * len(grid.columns.starts)  # windows without a valid pixel are passed over
        if progress is not None:
            progress(done, len(grid))
    looker.refuse_nothing()


def _window_batches(
    pixels: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    here: NDArray[np.intp],
    grid: Grid,
    batch: int,
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Cut the windows of one row; those without any valid pixel are left out and stay *not inspected*."""
    columns: list[int] = []
    side = grid.columns.window_px
    for column, left in enumerate(grid.columns.starts):
        if valid[:, left : left + side].any():
            columns.append(column)
    for first in range(0, len(columns), batch):
        chosen = columns[first : first + batch]
        windows = np.empty((len(chosen), grid.rows.window_px, side, 3), np.uint8)
        for place, column in enumerate(chosen):
            left = grid.columns.starts[column]
            # neither a row that comes twice nor one that comes back mirrored
            straight = here.size == pixels.shape[0] and here[-1] - here[0] + 1 == here.size
            if straight and left + side <= pixels.shape[1]:
                windows[place] = pixels[here[0] : here[-1] + 1, left : left + side]
            else:
                windows[place] = pixels[np.ix_(here, grid.columns.indices(left))]
        yield chosen, windows


class _Looker:
    """Calls the predictor and keeps its contract for it."""

    def __init__(self, predictor: Predictor, *, batch: int, skip_errors: bool) -> None:
        self._predictor = predictor
        self._skip_errors = skip_errors
        self._asked = self._failed = 0
        self._last_error: PredictorError | None = None

    def __call__(self, windows: NDArray[np.uint8]) -> list[NDArray[np.float32] | None]:
        """Return the probabilities (K, S, S) of each window, None where it failed."""
        self._asked += len(windows)
        try:
            return list(self._ask(windows))
        except PredictorError as error:
            if not self._skip_errors or not _is_skippable(error):
                raise
            if len(windows) == 1:
                self._failed += 1
                self._last_error = error
                return [None]
        self._asked -= len(windows)
        return [self(window[None])[0] for window in windows]

    def _ask(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        card = self._predictor.card
        try:
            probabilities = self._predictor(windows)
        except PredictorError as error:  # the predictor's own word for a window, which may be skipped
            raise PredictorError(str(error)) from error
        except SurfaceDefectError:
            raise
        except Exception as error:
            raise PredictorError(
                f"predictor '{card.name}' failed on {len(windows)} window(s): {type(error).__name__}: {error}. "
                "Use on_error='skip' to go on; those pixels are then not inspected"
            ) from error
        check_shape(probabilities, windows, card)
        check_values(probabilities, card)
        return probabilities

    def refuse_nothing(self) -> None:
        """Raise when nothing was looked at: an empty map would read as a clean car."""
        if not self._asked:
            raise ScanError("every pixel of the scan is transparent or nodata; expected a picture of a surface")
        if self._asked and self._failed == self._asked:
            raise PredictorError(
                f"predictor '{self._predictor.card.name}' failed on all {self._asked} windows; the last error: "
                f"{self._last_error}"
            ) from self._last_error


def _is_skippable(error: PredictorError) -> bool:
    """Say whether one window may be the cause; a wrong shape is wrong for every window."""
    return isinstance(error, BadValuesError) or error.__cause__ is not None


class _RollingRows:
    """The scan's rows of the current windows, in one buffer; a row is read once."""

    def __init__(self, scan: Scan, *, most_rows: int) -> None:
        self._scan = scan
        self._start = self._stop = 0
        self._pixels = np.empty((most_rows, scan.width, 3), np.uint8)
        self._valid = np.empty((most_rows, scan.width), np.bool_)

    def at(self, start: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return pixels (rows, W, 3) and which of them are valid, until the next call; both only grow."""
        kept = self._stop - start
        for array in (self._pixels, self._valid):
            array[:kept] = array[start - self._start : self._stop - self._start]
        for top in range(self._stop, stop, ROWS_AT_ONCE):
            bottom = min(top + ROWS_AT_ONCE, stop)
            place = slice(top - start, bottom - start)
            self._pixels[place] = self._scan.rows(top, bottom)
            valid = self._scan.valid_rows(top, bottom)
            self._valid[place] = True if valid is None else valid
        self._start, self._stop = start, stop
        return self._pixels[: stop - start], self._valid[: stop - start]


class _Canvas:
    """Where the windows of the current rows add up."""

    def __init__(self, grid: Grid, *, kinds: int, width: int) -> None:
        self._columns = grid.columns
        self._column_weights = grid.columns.weights()
        self._sum = np.zeros((kinds, grid.rows.window_px, width), np.float32)
        self._looked = np.zeros((grid.rows.window_px, width), np.bool_)
        self._failed = np.zeros((grid.rows.window_px, width), np.bool_)

    def add(self, column: int, row_weights: NDArray[np.float32], probabilities: NDArray[np.float32] | None) -> None:
        """Add one window, or note that it failed (None)."""
        left = self._columns.starts[column]
        width = min(self._columns.window_px, self._columns.length_px - left)
        here = np.s_[..., left : left + width]
        if probabilities is None:
            self._failed[here] = True
            return
        self._looked[here] = True
        across = self._column_weights[column, :width]
        weighted = probabilities[..., :width] * row_weights[:, None]
        weighted *= across
        self._sum[here] += weighted

    def take(self, start: int, rows: int, valid: NDArray[np.bool_]) -> Band:
        """Hand on the first `rows` rows and move the others up."""
        coverage = self._looked[:rows] & ~self._failed[:rows] & valid[:rows]
        finished = self._sum[:, :rows]  # in place: these rows are not needed again, and a wide scan's are large
        finished *= 255
        finished += 0.5
        probabilities = np.minimum(finished, 255, out=finished).astype(np.uint8)
        probabilities *= coverage
        for array in (self._sum, self._looked, self._failed):
            left = array.shape[-2] - rows
            array[..., :left, :] = array[..., rows:, :].copy()
            array[..., left:, :] = 0
        return Band(start, probabilities, coverage, data_px=int(np.count_nonzero(valid[:rows])))
