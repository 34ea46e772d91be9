"""GDAL without the warning that something is not georeferenced, which pictures never are."""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray

OPENING = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings while the block runs; one thread at a time, as the filters are the process's."""
    with OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_raster(path: Any, mode: str = "r", **profile: Any) -> Any:
    """Open as `rasterio.open` does, quietly."""
    with quiet():
        return rasterio.open(path, mode, **profile)


def burnt(
    geometries: Sequence[shapely.Geometry],
    *,
    shape: tuple[int, int],
    corner: tuple[int, int] = (0, 0),
    all_touched: bool = False,
) -> NDArray[np.uint8]:
    """Return the pixels (rows, columns) whose centre lies in one of the geometries, or which it touches, as 1.

    `corner` is the (x, y) of the first pixel.
    """
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    # Quietly: rasterio changes the filters of warnings in there, which are the process's, not the thread's.
    with quiet():
        drawn: NDArray[np.uint8] = rasterize(
            geometries, out_shape=shape, transform=Affine.translation(*corner), all_touched=all_touched, dtype="uint8"
        )
    return drawn


def traced(source: Any, *, mask: Any, connectivity: int, first_row: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the outlines of the regions of an array or a band where `mask` is set, in pixels, as GeoJSON geometries."""
    from rasterio.features import shapes
    from rasterio.transform import Affine

    outlines = shapes(source, mask=mask, connectivity=connectivity, transform=Affine.translation(0, first_row))
    with quiet():  # all is traced before the first one comes
        first = list(itertools.islice(outlines, 1))
    for outline, _ in itertools.chain(first, outlines):
        yield outline
