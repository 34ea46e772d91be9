"""A messy share of pictures -> a content-addressed data set in which every path is accounted for."""

from __future__ import annotations

from surfacedefect.datasets._split_report import SplitCount
from surfacedefect.datasets._units import SPLITS
from surfacedefect.datasets._view import view_name
from surfacedefect.datasets.check import CheckReport, check
from surfacedefect.datasets.flags import FLAGS
from surfacedefect.datasets.ingest import IngestReport, ingest
from surfacedefect.datasets.labels import Labels, read_labels
from surfacedefect.datasets.leaks import Leak, check_leaks
from surfacedefect.datasets.manifest import LATER_COLUMNS, STATES, manifest_version, read_manifest
from surfacedefect.datasets.near_duplicates import near_duplicates
from surfacedefect.datasets.options import IngestOptions, SplitOptions, TileOptions
from surfacedefect.datasets.pictures import PictureCheck, check_picture
from surfacedefect.datasets.progress import Progress
from surfacedefect.datasets.quarantine import SetAside, quarantine, write_quarantine
from surfacedefect.datasets.report import ReportPage, report
from surfacedefect.datasets.split import Moved, SplitReport, split
from surfacedefect.datasets.tiles import TilesReport, write_tiles
from surfacedefect.datasets.verify import Change, VerifyReport, verify

__all__ = [
    "FLAGS",
    "LATER_COLUMNS",
    "SPLITS",
    "STATES",
    "Change",
    "CheckReport",
    "IngestOptions",
    "IngestReport",
    "Labels",
    "Leak",
    "Moved",
    "PictureCheck",
    "Progress",
    "ReportPage",
    "SetAside",
    "SplitCount",
    "SplitOptions",
    "SplitReport",
    "TileOptions",
    "TilesReport",
    "VerifyReport",
    "check",
    "check_leaks",
    "check_picture",
    "ingest",
    "manifest_version",
    "quarantine",
    "near_duplicates",
    "read_labels",
    "read_manifest",
    "report",
    "split",
    "verify",
    "view_name",
    "write_quarantine",
    "write_tiles",
]
