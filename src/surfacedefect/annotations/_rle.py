"""Run lengths of COCO masks: column by column, background first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon, shape

from surfacedefect._raster import burnt
from surfacedefect.errors import AnnotationError


def polygonal(geometry: shapely.Geometry) -> Polygon | MultiPolygon:
    """Only the parts of a geometry that have an area; an empty polygon when there are none."""
    parts = [part for part in shapely.get_parts(geometry) if isinstance(part, Polygon | MultiPolygon)]
    flat = [piece for part in parts for piece in shapely.get_parts(part) if piece.area > 0]
    if not flat:
        return Polygon()
    return flat[0] if len(flat) == 1 else MultiPolygon(flat)


def draw(outline: Polygon | MultiPolygon, *, rows_cols: tuple[int, int]) -> NDArray[np.uint8]:
    """Mask (rows, cols) of the pixels whose centres lie inside an outline."""
    mask: NDArray[np.uint8] = burnt([outline], shape=rows_cols)
    return mask


def encode(mask: NDArray[np.uint8]) -> list[int]:
    """Uncompressed run lengths of a mask (rows, cols)."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate(([0], changes, [flat.size]))
    counts: list[int] = np.diff(edges).tolist()
    return [0, *counts] if flat[0] else counts


def decompress(text: str) -> list[int]:
    """Run lengths from COCO's compressed string.

    Five bits a character; from the third number on, the difference to the number two before.
    The format is defined by ``rleFrString`` of the COCO API, ``common/maskApi.c``.
    """
    counts: list[int] = []
    at = 0
    while at < len(text):
        value, bits, more = 0, 0, True
        while more:
            if at >= len(text):
                raise AnnotationError("a compressed RLE ends in the middle of a number; the file is damaged")
            code = ord(text[at]) - 48
            if not 0 <= code < 64:
                raise AnnotationError(f"a compressed RLE holds the character {text[at]!r}; the file is damaged")
            value |= (code & 0x1F) << bits
            more = bool(code & 0x20)
            at += 1
            bits += 5
            if not more and code & 0x10:
                value -= 1 << bits
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def to_outline(counts: Sequence[int], *, rows_cols: tuple[int, int]) -> Polygon | MultiPolygon:
    """Outline of the pixels of run lengths, along pixel edges; empty when no pixel is set."""
    from rasterio import Affine
    from rasterio.features import shapes

    rows, _ = rows_cols
    ends = np.cumsum(np.asarray(counts, np.int64))
    starts, stops = ends[0::2][: len(ends[1::2])], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled]
    if not len(starts):
        return Polygon()
    first, last = int(starts[0]) // rows, (int(stops[-1]) - 1) // rows
    steps = np.zeros((last - first + 1) * rows + 1, np.int8)
    np.add.at(steps, starts - first * rows, 1)
    np.add.at(steps, stops - first * rows, -1)
    mask = np.ascontiguousarray(np.cumsum(steps[:-1], dtype=np.int8).reshape((rows, -1), order="F")).view(np.uint8)
    moved = Affine.translation(first, 0)
    found = [shape(outline) for outline, _ in shapes(mask, mask=mask.astype(bool), connectivity=4, transform=moved)]
    return polygonal(shapely.union_all(found))
