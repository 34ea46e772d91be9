"""Opening raster files without the warning that they are not georeferenced, which pictures never are."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rasterio

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
