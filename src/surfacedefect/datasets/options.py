"""What an ingest, a split and the cutting of tiles can be told, each in one frozen value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surfacedefect._checks import check_number, check_whole, checked_kinds, expect, is_number
from surfacedefect.errors import OptionError
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


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """Options of a split. None means: as the last split of the data set, else the value in brackets.

    Parameters
    ----------
    shares
        Shares of train, valid and test, 0 or more each, train above 0; they are divided by their sum (0.7, 0.15, 0.15).
    seed
        Whole number of at least 0 that orders the pictures (0).
    group_pattern
        Regular expression with a group called ``group``, searched for in the source path: what it finds is what the
        picture belongs to, such as one car. An empty one for none (none).
    again
        True: forget which split each picture is in; with a pattern or with annotations, forget its group too.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> SplitOptions(shares=(80, 10, 10)).shares
    (0.8, 0.1, 0.1)
    """

    shares: tuple[float, float, float] | None = None
    seed: int | None = None
    group_pattern: str | None = None
    again: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        if self.shares is not None:
            object.__setattr__(self, "shares", _checked_shares(self.shares))
        if self.seed is not None:
            check_whole("seed", self.seed, 0, 2**63 - 1)
        if self.group_pattern is not None:
            _check_pattern(self.group_pattern)


def _checked_shares(shares: Any) -> tuple[float, ...]:
    good = isinstance(shares, tuple | list) and len(shares) == 3
    good = good and all(is_number(share) and math.isfinite(share) and share >= 0 for share in shares) and shares[0] > 0
    expect(good, "shares", shares, "three numbers of at least 0 for train, valid and test, the first above 0")
    total = math.fsum(shares)
    return tuple(float(share) / total for share in shares)


def _check_pattern(pattern: Any) -> None:
    expected = "a regular expression with a group (?P<group>...), such as '(?P<group>car [0-9]+)/'"
    expect(isinstance(pattern, str), "group_pattern", pattern, expected)
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise OptionError(f"group_pattern is {pattern!r} ({error}); expected {expected}") from error
    expect(not pattern or "group" in compiled.groupindex, "group_pattern", pattern, expected)


@dataclass(frozen=True, slots=True)
class TileOptions:
    """Options of cutting pictures into labelled tiles; the defaults are those by which tile scores are counted.

    Parameters
    ----------
    size_px
        Side of a tile, in [8, 8192] px.
    damaged_px
        Damaged pixels that make a tile damaged; with fewer, but any, it is left out.
    valid_share
        A tile of which a smaller share is valid is left out, in (0, 1].
    kinds
        Which kinds are damage, the others are ignored; None for all but ``"ignore"``.
    max_pixels
        Most pixels of a picture that must be decoded whole.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> TileOptions(size_px=256).damaged_px
    64
    """

    size_px: int = 300
    damaged_px: int = 64
    valid_share: float = 0.5
    kinds: tuple[str, ...] | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        """Check every value."""
        check_whole("size_px", self.size_px, 8, 8192)
        check_whole("damaged_px", self.damaged_px, 1, self.size_px**2)
        good = is_number(self.valid_share) and 0 < self.valid_share <= 1
        expect(good, "valid_share", self.valid_share, "a number above 0, at most 1")
        if self.kinds is not None:
            object.__setattr__(self, "kinds", checked_kinds(self.kinds))
        check_whole("max_pixels", self.max_pixels, 1, 2**62)
