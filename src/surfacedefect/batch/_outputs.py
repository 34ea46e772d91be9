"""Where results go: a folder of this machine, or any address that fsspec writes to. Every file appears whole."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from surfacedefect._files import atomic_path, check_folder
from surfacedefect._words import shortened
from surfacedefect.datasets._sources import Lasting, Patience, shown_reason, without_secrets
from surfacedefect.errors import OutputError, SurfaceDefectError, require

T = TypeVar("T")
_SCHEME = re.compile(r"(?:file|local)://", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*(?:://|::)", re.IGNORECASE)


def local_folder(dest: str | os.PathLike[str]) -> Path | None:
    """Return the folder of this machine that a destination means, or None.

    Examples
    --------
    >>> local_folder("s3://bucket/out") is None, local_folder("file:///data/out")
    (True, PosixPath('/data/out'))
    """
    text = _SCHEME.sub("", os.fspath(dest), count=1)
    no_text = any("\ud800" <= letter <= "\udfff" for letter in text)  # Parquet takes no other names
    if not text.strip() or "\0" in text or no_text or ("://" in text and not _ADDRESS.match(text)):
        raise OutputError(
            f"the destination is {shortened(repr(text))}; expected a folder, or an address such as s3://bucket/path"
        )
    return None if "://" in text else Path(text).expanduser().absolute()


class Destination:
    """Writes, removes and names files below one place; paths are relative, with ``/``.

    Parameters
    ----------
    address
        A folder, or an address that fsspec writes to.
    storage_options
        More arguments for its file system.
    retries, backoff_s
        Of a remote file system.
    """

    def __init__(
        self,
        address: str,
        *,
        storage_options: Mapping[str, Any] | None = None,
        retries: int = 4,
        backoff_s: float = 0.5,
    ) -> None:
        self.address, self.folder = address, local_folder(address)
        self.shown = shortened(str(self.folder) if self.folder else without_secrets(address))
        self._patience = Patience(retries=retries, backoff_s=backoff_s, stop=threading.Event())
        self._files: Any = None
        if self.folder is None:
            core: Any = require("fsspec.core", extra="batch")
            try:
                self._files, root = core.url_to_fs(address, **(storage_options or {}))
            except Exception as error:
                raise OutputError(
                    f"'{self.shown}' cannot be opened ({shown_reason(error)}); expected a folder, or an address such "
                    "as s3://bucket/path whose package is installed"
                ) from error
            self._root = root.rstrip("/")

    @property
    def is_shared(self) -> bool:
        """Whether other processes see what is written there."""
        protocol = [] if self._files is None else self._files.protocol
        return "memory" not in ([protocol] if isinstance(protocol, str) else protocol)

    def check(self) -> None:
        """Make the place and try to write there.

        Raises
        ------
        OutputError
            Nothing can be written.
        """
        if self.folder is not None:
            check_folder(self.folder)
            return
        with self.writing(f".surfacedefect-{secrets.token_hex(6)}") as part:
            part.write_bytes(b"")
            name = part.name
        self.remove(name)

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Give a path of this machine to write to, which becomes `path` below the destination when the block ends well.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        if self.folder is not None:
            with atomic_path(self.folder / path) as part:
                yield part
            return
        with tempfile.TemporaryDirectory(prefix="surfacedefect-") as folder:
            part = Path(folder, PurePosixPath(path).name)
            yield part
            self._remotely(path, lambda: self._put(part, path))

    def _put(self, part: Path, path: str) -> None:
        target = PurePosixPath(self._root, path)
        temporary = str(target.with_name(f".{secrets.token_hex(6)}.part"))
        self._files.makedirs(str(target.parent), exist_ok=True)
        try:
            self._files.put_file(str(part), temporary)
            self._files.mv(temporary, str(target))
        except BaseException:
            with suppress(Exception):
                self._files.rm_file(temporary)
            raise

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""
        if self.folder is not None:
            with suppress(FileNotFoundError):
                (self.folder / path).unlink()
            return
        with suppress(FileNotFoundError):
            self._remotely(path, lambda: self._files.rm_file(f"{self._root}/{path}"))

    def names(self, folder: str) -> list[str]:
        """Names in a folder, in order; none when it is not there."""
        if self.folder is not None:
            with suppress(FileNotFoundError, NotADirectoryError):
                return sorted(os.listdir(self.folder / folder))  # noqa: PTH208
            return []
        try:
            found = self._remotely(folder, lambda: self._files.ls(f"{self._root}/{folder}", detail=False))
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(name).name for name in found)

    def opened(self, path: str) -> Any:
        """Open a file for reading, as bytes."""
        if self.folder is not None:
            return (self.folder / path).open("rb")
        return self._files.open(f"{self._root}/{path}", "rb")

    def sweep(self, folder: str) -> None:
        """Remove half-written files that a killed worker left; only while nobody else writes here."""
        for inner in self.names(folder):
            for name in self.names(f"{folder}/{inner}"):
                if name.startswith(".") and ".part" in name:
                    self.remove(f"{folder}/{inner}/{name}")

    def _remotely(self, path: str, call: Callable[[], T]) -> T:
        def ask() -> T:
            try:
                return call()
            except FileNotFoundError as error:  # an answer, which another try would not change
                raise Lasting(str(error)) from error

        try:
            return self._patience.call(ask)
        except Lasting as error:
            raise FileNotFoundError(str(error)) from error
        except SurfaceDefectError:
            raise
        except Exception as error:
            raise OutputError(
                f"'{self.shown}' cannot be reached for '{shortened(path)}' ({shown_reason(error)}); expected a place "
                "that can be written: what was done is kept, run the same again"
            ) from error
