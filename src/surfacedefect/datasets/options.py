"""What an ingest can be told, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surfacedefect._checks import check_number, check_whole, expect
from surfacedefect.scan import MAX_PIXELS

MOST_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Options of an ingest.

    Parameters
    ----------
    connections
        Files fetched at the same time, in [1, 256].
    max_bytes_per_s
        Cap of all connections together, in bytes a second; None for none.
    retries
        Tries of one file or one listing after the first that bring nothing new, in [0, 100].
    backoff_s
        Wait before the first retry in seconds; it doubles with each, up to a minute, and is scattered by half.
    timeout_s
        Silence of a WebDAV server after which a connection is given up, in seconds.
    max_file_bytes
        Larger files are not fetched but set aside, in bytes.
    max_pixels
        Pictures of more pixels (width times height) are not decoded but set aside.
    accept_wrong_extension
        True: a sound picture whose name says another format is good; its name in the view has the right extension.
    name
        What the manifest calls the source; None for its address without user and password.
    storage_options
        More arguments for the file system: `fsspec` gets them as they are, WebDAV knows ``user`` and ``password``; a
        folder or zip archive of this machine takes none, and refuses them.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> IngestOptions(max_bytes_per_s=2_000_000).connections
    8
    """

    connections: int = 8
    max_bytes_per_s: float | None = None
    retries: int = 6
    backoff_s: float = 0.5
    timeout_s: float = 60.0
    max_file_bytes: int = 4 * 2**30
    max_pixels: int = MAX_PIXELS
    accept_wrong_extension: bool = False
    name: str | None = None
    storage_options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        check_whole("connections", self.connections, 1, MOST_CONNECTIONS)
        if self.max_bytes_per_s is not None:
            check_number("max_bytes_per_s", self.max_bytes_per_s, 1, 1e15)
        check_whole("retries", self.retries, 0, 100)
        check_number("backoff_s", self.backoff_s, 0, 3600)
        check_number("timeout_s", self.timeout_s, 0.01, 86_400)
        check_whole("max_file_bytes", self.max_file_bytes, 1, 2**62)
        check_whole("max_pixels", self.max_pixels, 1, 2**62)
        expect(self.name is None or bool(str(self.name).strip()), "name", self.name, "a word for the source, or None")
        good = self.storage_options is None or isinstance(self.storage_options, Mapping)
        expect(good, "storage_options", self.storage_options, "a mapping of names to values, or None")
