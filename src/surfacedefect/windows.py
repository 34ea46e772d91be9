"""Where windows lie on a scan and with which weights they are blended. Pure integers and their weights, no pictures.

The weights are separable and normalised on each axis, so that at every pixel of the scan they sum to one: stitching
needs no division and no map of counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import OptionError


@dataclass(frozen=True, slots=True)
class Axis:
    """Windows along one axis of a scan.

    Attributes
    ----------
    length_px
        Length of the scan on this axis.
    window_px
        Side of a window.
    starts
        First pixel of each window, ascending. A window may reach beyond the scan; it is filled by reflection there.
    """

    length_px: int
    window_px: int
    starts: tuple[int, ...]

    def weights(self) -> NDArray[np.float32]:
        """Return the blending weights, float32 (windows, window_px).

        At every pixel of the axis they sum to one; beyond the scan they are zero. The raw weight of a window is
        sin^2 over the window, shifted by half a pixel so that it is nowhere zero.
        """
        raw = np.sin(np.pi * (np.arange(self.window_px) + 0.5) / self.window_px) ** 2
        total = np.zeros(self.length_px)
        for start in self.starts:
            stop = min(start + self.window_px, self.length_px)
            total[start:stop] += raw[: stop - start]
        weights = np.zeros((len(self.starts), self.window_px), np.float32)
        for number, start in enumerate(self.starts):
            stop = min(start + self.window_px, self.length_px)
            weights[number, : stop - start] = raw[: stop - start] / total[start:stop]
        return weights

    def indices(self, start: int) -> NDArray[np.intp]:
        """Return which scan pixel stands at each place of a window: itself, or beyond the scan its reflection.

        >>> Axis(length_px=3, window_px=6, starts=(0,)).indices(0).tolist()
        [0, 1, 2, 1, 0, 1]
        """
        inside = np.arange(start, min(start + self.window_px, self.length_px))
        missing = self.window_px - inside.size
        if missing == 0:
            return inside
        whole = np.arange(self.length_px)
        padded = np.pad(whole, (0, missing), mode="reflect" if self.length_px > 1 else "edge")
        return padded[start : start + self.window_px]


@dataclass(frozen=True, slots=True)
class Grid:
    """The windows of a scan: every combination of a row start and a column start.

    Attributes
    ----------
    rows, columns
        The two axes.
    """

    rows: Axis
    columns: Axis

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.rows.starts) * len(self.columns.starts)


def lay_axis(length_px: int, *, window_px: int, overlap_px: int, edge: str = "shift") -> Axis:
    """Lay windows along one axis.

    Parameters
    ----------
    length_px
        Length of the scan, at least 1.
    window_px, overlap_px
        Window, and overlap of neighbours in [0, window).
    edge
        The last window: ``"shift"``, moved back so that it ends with the scan, or ``"pad"``, left where the stride
        puts it and filled by reflection. A scan shorter than a window is always filled.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> lay_axis(1000, window_px=512, overlap_px=128).starts
    (0, 384, 488)
    >>> lay_axis(1000, window_px=300, overlap_px=0, edge="pad").starts
    (0, 300, 600, 900)
    """
    if length_px < 1 or window_px < 1 or not 0 <= overlap_px < window_px:
        raise OptionError(
            f"found length {length_px}, window {window_px}, overlap {overlap_px} px; "
            "expected a length and a window of at least 1 px and an overlap in [0, window)"
        )
    if edge not in ("shift", "pad"):
        raise OptionError(f"edge is '{edge}'; expected 'shift' or 'pad'")
    stride = window_px - overlap_px
    count = 1 + max(0, -(-(length_px - window_px) // stride))
    starts = [number * stride for number in range(count)]
    if edge == "shift" and count > 1:
        starts[-1] = length_px - window_px
    return Axis(length_px, window_px, tuple(starts))


def lay_grid(height: int, width: int, *, window_px: int, overlap_px: int, edge: str = "shift") -> Grid:
    """Lay windows over a scan of `height` x `width` px; see `lay_axis`."""
    return Grid(
        rows=lay_axis(height, window_px=window_px, overlap_px=overlap_px, edge=edge),
        columns=lay_axis(width, window_px=window_px, overlap_px=overlap_px, edge=edge),
    )
