"""Outlines that people or models drew: one neutral record, the formats that carry it, and its masks."""

from __future__ import annotations

from surfacedefect.annotations.coco import read_coco, write_coco
from surfacedefect.annotations.rasterise import rasterise
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region

__all__ = ["AnnotatedImage", "Dataset", "Region", "rasterise", "read_coco", "write_coco"]
