"""What can be refused before anything is written or started."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import chain
from typing import Any

from surfacedefect._checks import expect
from surfacedefect._words import shortened
from surfacedefect.batch._one_scan import Setup
from surfacedefect.batch._outputs import Destination
from surfacedefect.batch.jobs import Job
from surfacedefect.batch.options import BatchOptions
from surfacedefect.batch.sources import ScanSource
from surfacedefect.errors import OptionError, OutputError, SourceError
from surfacedefect.options import DetectOptions


def check_types(ray: Any, options: Any, progress: Any) -> None:
    """Refuse arguments of the wrong type."""
    expect(isinstance(options, BatchOptions), "options", options, "a BatchOptions")
    expect(ray is None or (isinstance(ray, str) and bool(ray.strip())), "ray", ray, "the address of a cluster, or None")
    expect(progress is None or callable(progress), "progress", progress, "a function, or None")


def check_apart(source: str, dest: Destination) -> None:
    """Refuse what would lose results, or take them for scans; folders of this machine see to that themselves."""
    if not dest.is_shared:
        raise OutputError(
            f"the destination '{dest.shown}' is the memory of one process, and others write there; expected a folder, "
            "or an address such as s3://bucket/path"
        )
    if dest.folder is None and f"{dest.address.rstrip('/')}/".startswith(f"{source.rstrip('/')}/"):
        raise SourceError(f"the destination '{dest.shown}' lies in the source; expected apart")


def check_travels(setup: Setup) -> None:
    try:
        pickle.dumps(setup)
    except Exception as error:
        raise OptionError(
            f"the options cannot be handed to worker processes ({shortened(error)}); expected plain values, such as "
            "text and numbers in storage_options"
        ) from error


def first_of(scans: ScanSource) -> Iterator[Job]:
    """Return the jobs of a source; refuse one without any: a share that is not mounted is an empty folder."""
    jobs = iter(scans.jobs())
    first = next(jobs, None)
    if first is None:
        raise SourceError(
            f"'{shortened(scans.name)}' holds no scans; expected pictures, such as .jpg, .png or .tif files, or a list "
            "that names some"
        )
    return chain([first], jobs)


def check_options(options: DetectOptions, card: Any) -> None:
    """Refuse what the model does not know before a worker is started."""
    options.kinds_for(card)
    options.thresholds_for(card)
    options.least_scores_for(card)
    options.overlap_for(card)
