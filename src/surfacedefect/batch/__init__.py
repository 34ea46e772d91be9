"""Many scans: a pool of processes on one machine, or a Ray cluster; resumable. Needs ``[batch]`` or ``[ray]``.

>>> from surfacedefect import batch
>>> report = batch.run("scans/", "results/", options=batch.BatchOptions(workers=4))  # doctest: +SKIP
>>> report.complete  # doctest: +SKIP
True
"""

from __future__ import annotations

from surfacedefect.batch.jobs import STATES
from surfacedefect.batch.options import BatchOptions
from surfacedefect.batch.progress import Progress
from surfacedefect.batch.run import BatchReport, run
from surfacedefect.batch.status import BatchStatus, status

__all__ = ["STATES", "BatchOptions", "BatchReport", "BatchStatus", "Progress", "run", "status"]
