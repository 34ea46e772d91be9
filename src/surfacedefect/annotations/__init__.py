"""Outlines that people or models drew: one neutral record, the formats that carry it, and its masks."""

from __future__ import annotations

from surfacedefect.annotations.coco import read_coco, write_coco
from surfacedefect.annotations.formats import (
    FORMATS,
    detect_format,
    not_kept,
    read_annotations,
    read_mended,
    write_annotations,
)
from surfacedefect.annotations.issues import AnnotationIssue
from surfacedefect.annotations.mend import Mended, mend
from surfacedefect.annotations.rasterise import rasterise
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region

__all__ = [
    "FORMATS",
    "AnnotatedImage",
    "AnnotationIssue",
    "Dataset",
    "Mended",
    "Region",
    "detect_format",
    "mend",
    "not_kept",
    "rasterise",
    "read_annotations",
    "read_coco",
    "read_mended",
    "write_annotations",
    "write_coco",
]
