"""A messy share of pictures -> a content-addressed data set in which every path is accounted for."""

from __future__ import annotations

from surfacedefect.datasets._view import view_name
from surfacedefect.datasets.ingest import IngestReport, ingest
from surfacedefect.datasets.manifest import LATER_COLUMNS, STATES, manifest_version, read_manifest
from surfacedefect.datasets.options import IngestOptions
from surfacedefect.datasets.pictures import PictureCheck, check_picture
from surfacedefect.datasets.progress import Progress
from surfacedefect.datasets.verify import Change, VerifyReport, verify

__all__ = [
    "LATER_COLUMNS",
    "STATES",
    "Change",
    "IngestOptions",
    "IngestReport",
    "PictureCheck",
    "Progress",
    "VerifyReport",
    "check_picture",
    "ingest",
    "manifest_version",
    "read_manifest",
    "verify",
    "view_name",
]
