"""What a batch can be told, in one frozen value."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surfacedefect._checks import check_number, check_whole, expect
from surfacedefect._version import __version__
from surfacedefect._words import shortened, type_name
from surfacedefect.errors import OptionError
from surfacedefect.options import DetectOptions

OUTPUTS = ("map", "overlay")
"""What may be written beside the GeoJSON of each scan."""

_NOT_IN_RESULTS = ("threads", "batch", "max_memory")


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Options of a batch.

    Parameters
    ----------
    detect
        Threshold, scale and so on, as for one scan; with ``threads=None`` the cores are shared out among the workers.
    outputs
        What to write beside the GeoJSON: any of ``"map"`` and ``"overlay"``.
    workers
        Processes that inspect, 1 or more. None: one a core of this machine, or as many as the Ray cluster has room for.
    least_workers
        Fewest workers of a Ray cluster that scales by itself; up to `workers` are asked for.
    cpus_per_worker, gpus_per_worker
        What a worker takes of a Ray cluster; a GPU may be shared: 0.25 puts four workers on one.
    group_pattern
        Regular expression with a group called ``group``, searched for in a scan's name: the car that it belongs to.
        None takes what the list or the manifest says.
    storage_options, dest_storage_options
        More arguments for the file systems of source and destination, such as keys.
    retries, backoff_s
        Tries after the first of a read or write that failed and may succeed later, in [0, 100]; wait before the first.
    tries
        Worker processes that a scan may kill before it is set aside, in [1, 10]; after the first it runs alone.
    scan_timeout_s
        Time after which a scan that gives no answer counts as one that kills its process, in seconds.
    retry_set_aside
        True: try again what an earlier run set aside.
    table_every_s
        Least time between two writings of the table while the batch runs, in seconds.
    state_folder
        Folder of this machine for the journal where the destination is no local folder; None for one in the user's
        state folder, named by the destination.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> BatchOptions(outputs=("overlay",), workers=2).tries
    2
    """

    detect: DetectOptions = field(default_factory=DetectOptions)
    outputs: tuple[str, ...] = ()
    workers: int | None = None
    least_workers: int = 1
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    group_pattern: str | None = None
    storage_options: Mapping[str, Any] | None = None
    dest_storage_options: Mapping[str, Any] | None = None
    retries: int = 4
    backoff_s: float = 0.5
    tries: int = 2
    scan_timeout_s: float = 1800.0
    retry_set_aside: bool = False
    table_every_s: float = 60.0
    state_folder: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        expect(isinstance(self.detect, DetectOptions), "detect", self.detect, "a DetectOptions")
        good = isinstance(self.outputs, tuple) and all(name in OUTPUTS for name in self.outputs)
        expect(good, "outputs", self.outputs, f"a tuple of some of {', '.join(OUTPUTS)}")
        object.__setattr__(self, "outputs", tuple(name for name in OUTPUTS if name in self.outputs))
        if self.workers is not None:
            check_whole("workers", self.workers, 1, 100_000)
        check_whole("least_workers", self.least_workers, 1, 100_000)
        if self.workers is not None:
            expected = f"at most workers, {self.workers}"
            expect(self.least_workers <= self.workers, "least_workers", self.least_workers, expected)
        check_number("cpus_per_worker", self.cpus_per_worker, 0, 1024)
        check_number("gpus_per_worker", self.gpus_per_worker, 0, 64)
        check_whole("retries", self.retries, 0, 100)
        check_number("backoff_s", self.backoff_s, 0, 3600)
        check_whole("tries", self.tries, 1, 10)
        check_number("scan_timeout_s", self.scan_timeout_s, 0.1, 7 * 86_400)
        check_number("table_every_s", self.table_every_s, 0, 86_400)
        expect(isinstance(self.retry_set_aside, bool), "retry_set_aside", self.retry_set_aside, "True or False")
        if self.state_folder is not None:
            checked_place("state_folder", self.state_folder)
        for name in ("storage_options", "dest_storage_options"):
            value = getattr(self, name)
            good = value is None or (isinstance(value, Mapping) and all(isinstance(key, str) for key in value))
            expect(good, name, value, "a mapping of names to values, or None")
        if self.group_pattern is not None:
            self._check_pattern(self.group_pattern)

    def _check_pattern(self, pattern: object) -> None:
        try:
            good = isinstance(pattern, str) and "group" in re.compile(pattern).groupindex
        except re.error as error:
            raise OptionError(f"group_pattern is {pattern!r} ({error}); expected a regular expression") from error
        expect(good, "group_pattern", pattern, r"a regular expression with a group, such as '(?P<group>car-\d+)'")

    def results_hash(self) -> str:
        """Hash of what the results depend on beside picture and model: not the number of workers, threads or tries.

        The version of this library is part of it: what another version computed is computed again.

        Examples
        --------
        >>> a, b = BatchOptions(workers=1), BatchOptions(workers=2, detect=DetectOptions(threads=1))
        >>> a.results_hash() == b.results_hash() != BatchOptions(outputs=("map",)).results_hash()
        True
        """
        detect = {
            item.name: _plain(getattr(self.detect, item.name))
            for item in dataclasses.fields(self.detect)
            if item.name not in _NOT_IN_RESULTS
        }
        record = {"version": __version__, "outputs": self.outputs, "detect": detect}
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def checked_place(name: str, value: object) -> str:
    """Return a path or an address as text.

    Raises
    ------
    OptionError
        It is neither, or begins with the home of a user whom this machine does not know.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(text, str):
        raise OptionError(f"{name} is {type_name(value)}; expected a path or an address")
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise OptionError(f"{name} is {shortened(repr(text))} ({error}); expected a path or an address") from error
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): float(item) for name, item in value.items()}
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
