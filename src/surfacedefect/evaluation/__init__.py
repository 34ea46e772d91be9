"""One scorer for every predictor: counts first, ratios last, the rules in `protocol`."""

from __future__ import annotations

from surfacedefect.evaluation._counts import Curve, ScoreHistogram
from surfacedefect.evaluation.intervals import Interval, bootstrap_bands, bootstrap_interval, bootstrap_intervals
from surfacedefect.evaluation.objects import (
    FROC_THRESHOLDS,
    FrocCurve,
    ObjectCounts,
    Outlined,
    objects_from_map,
    objects_from_polygons,
)
from surfacedefect.evaluation.pixels import LengthCounts, PixelCounts, count_length, count_pixels
from surfacedefect.evaluation.protocol import TOGETHER, KindTruth, Protocol, Truth, prepare_truth, truth_of
from surfacedefect.evaluation.report import METRICS, KindReport, Measured, Report, summarise
from surfacedefect.evaluation.score import KindScore, ScanScore, probabilities_of, score_scan
from surfacedefect.evaluation.tiles import TileCounts, TileLabels, count_tiles, label_tiles
from surfacedefect.polygons import damaged_level

__all__ = [
    "FROC_THRESHOLDS",
    "METRICS",
    "TOGETHER",
    "Curve",
    "FrocCurve",
    "Interval",
    "KindReport",
    "KindScore",
    "KindTruth",
    "LengthCounts",
    "Measured",
    "ObjectCounts",
    "Outlined",
    "PixelCounts",
    "Protocol",
    "Report",
    "ScanScore",
    "ScoreHistogram",
    "TileCounts",
    "TileLabels",
    "Truth",
    "bootstrap_bands",
    "bootstrap_interval",
    "bootstrap_intervals",
    "count_length",
    "count_pixels",
    "count_tiles",
    "damaged_level",
    "label_tiles",
    "objects_from_map",
    "objects_from_polygons",
    "prepare_truth",
    "probabilities_of",
    "score_scan",
    "summarise",
    "truth_of",
]
