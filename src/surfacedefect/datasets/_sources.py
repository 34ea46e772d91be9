"""Where files come from: the contract, folders of this machine, and which source an address means."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from surfacedefect._words import shortened, type_name
from surfacedefect.datasets.options import IngestOptions
from surfacedefect.errors import OptionError, SourceError, SurfaceDefectError

T = TypeVar("T")
Patiently = Callable[[Callable[[], T]], T]
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*(?=://|::)")
_USER = re.compile(r"^([a-zA-Z0-9+.-]*:?//)[^/?#]*@")
_HOSTED = frozenset({"dav", "davs", "ftp", "http", "https", "sftp", "smb", "ssh", "webdav", "webdavs"})
"""Kinds of addresses that name a host; others, such as s3, have names of their own in its place."""


class Stopped(Exception):
    """The run is to end; what was fetched stays."""


class Lasting(Exception):
    """Trying again would not help: the file is gone, or may not be read."""


class StartOver(Exception):
    """The source has another version by now: what was fetched of the old one is of no use."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One path that a source lists.

    Attributes
    ----------
    path
        Relative to the source, with ``/``; a file name of this machine may hold lone surrogates.
    size
        Bytes, or None when the source does not say.
    tag
        ETag, else modification time, as a text that changes with the content; None when the source has neither.
    locator
        How the source finds the file again.
    state, reason
        Why it is not to be fetched; empty for an ordinary file.
    """

    path: str
    size: int | None = None
    tag: str | None = None
    locator: str = ""
    state: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes of a file from `start` on, which is 0 when the source cannot begin elsewhere; `size` is of the whole."""

    start: int
    chunks: Iterator[bytes]
    size: int | None = None


class Source(Protocol):
    """Something that lists files and streams them. `read` is called from many threads."""

    name: str

    def walk(self, patiently: Patiently[list[SourceFile]]) -> Iterator[SourceFile]:
        """List every path; a folder that cannot be listed is a path with the state ``failed``, ending in ``/``."""

    def read(self, file: SourceFile, *, start: int, chunk_bytes: int) -> AbstractContextManager[Stream]:
        """Stream a file; raise `Lasting` when trying again cannot help, `StartOver`, or anything else when it may."""

    def close(self) -> None:
        """Let go of connections."""


class LocalSource:
    """A folder of this machine. Links are followed to files inside the folder, never out of it, never to folders."""

    def __init__(self, folder: str | os.PathLike[str], *, name: str | None) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self._real = os.path.realpath(self.folder)
        self.name = name or _text(self.folder.as_posix())

    def walk(self, patiently: Patiently[list[SourceFile]]) -> Iterator[SourceFile]:
        """List the folder and all below, by name."""
        folders = [""]
        while folders:
            inner = folders.pop()
            found: list[str] = []
            try:
                yield from self._listed(inner, found)
            except OSError as error:
                if not inner:
                    raise SourceError(f"'{shortened(self.name)}' cannot be listed: {error.strerror}") from error
                yield SourceFile(inner, state="failed", reason=f"the folder cannot be listed: {error.strerror}")
            folders += reversed(found)

    def _listed(self, inner: str, folders: list[str]) -> list[SourceFile]:
        files = []
        with os.scandir(self.folder / inner) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = inner + entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path + "/")
                else:
                    files.append(self._file(entry, path))
        return files

    def _file(self, entry: os.DirEntry[str], path: str) -> SourceFile:
        try:
            if entry.is_symlink() and (reason := self._astray(entry.path)):
                return SourceFile(path, state="link", reason=reason)
            about = entry.stat()
        except OSError as error:
            return SourceFile(path, state="failed", reason=error.strerror or str(error))
        if not stat.S_ISREG(about.st_mode):
            return SourceFile(path, state="not_a_file", reason="a device, a pipe or a socket")
        return SourceFile(path, about.st_size, f"mtime:{about.st_mtime_ns}", entry.path)

    def _astray(self, link: str) -> str:
        target = os.path.realpath(link)
        if os.path.commonpath([target, self._real]) != self._real:
            return f"a link out of the source, to {_text(target)!r}"
        if Path(target).is_dir():
            return "a link to a folder, which is listed where it lies"
        return "" if Path(target).exists() else "a link to nothing"

    @contextmanager
    def read(self, file: SourceFile, *, start: int, chunk_bytes: int) -> Iterator[Stream]:
        """Read a file from `start` on."""
        try:
            opened = open(file.locator, "rb", buffering=0)  # noqa: PTH123, SIM115 - a path would not be kept as it is
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise Lasting(error.strerror) from error
        with opened:
            opened.seek(start)
            yield Stream(start, iter(lambda: opened.read(chunk_bytes), b""))

    def close(self) -> None:
        """Nothing is held."""


def walk_folders(
    list_folder: Callable[[str, str], list[SourceFile]],
    root: str,
    *,
    name: str,
    patiently: Patiently[list[SourceFile]],
) -> Iterator[SourceFile]:
    """List a source folder after folder, each once.

    ``list_folder`` takes the locator and the path of a folder; of what it returns, folders end in ``/``. `name` is what
    the source is called.
    """
    folders, known = [(root, "")], {root}
    while folders:
        where, path = folders.pop()
        try:
            listed = patiently(partial(list_folder, where, path))
        except SurfaceDefectError:
            raise
        except Exception as error:
            if not path:
                raise SourceError(f"'{shortened(name)}' cannot be listed: {shown_reason(error)}") from error
            yield SourceFile(path, state="failed", reason=f"the folder cannot be listed: {shown_reason(error)}")
            continue
        for file in listed:
            if not file.path.endswith("/"):
                yield file
            elif file.locator not in known:
                known.add(file.locator)
                folders.append((file.locator, file.path))


def open_source(address: str | os.PathLike[str], *, options: IngestOptions, dest: Path) -> Source:
    """Open what an address means.

    Raises
    ------
    SourceError
        It is not an address of a known kind, not there, a file, or one of source and `dest` lies in the other.
    MissingExtraError
        A package for this kind of address is not installed.
    """
    if not isinstance(address, str | os.PathLike):
        raise SourceError(
            f"the source is {type_name(address)}; expected a folder or an address such as webdavs://host/"
        )
    text = os.fspath(address)
    scheme = found.group().lower() if (found := _SCHEME.match(text)) else "file"
    is_webdav = scheme in ("webdav", "webdavs", "dav", "davs")
    _check_address(text, chained=not is_webdav)
    if scheme in ("file", "local") and "::" not in text:
        return _local(text, options=options, dest=dest)
    if is_webdav:
        from surfacedefect.datasets._webdav import WebdavSource

        return WebdavSource(text, options=options)
    from surfacedefect.datasets._remote import FsspecSource, ZipSource

    return (ZipSource if scheme == "zip" else FsspecSource)(text, options=options)


def _check_address(text: str, *, chained: bool) -> None:
    """Refuse what no package could make sense of; without this each fails in its own way, some of them silently."""
    if not text.strip():
        raise SourceError("the source is empty; expected a folder, or an address such as webdavs://host/path")
    if "\0" in text:
        raise _malformed(text, "it holds a null character")
    if not _SCHEME.match(text):
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _malformed(text, f"it holds {error.object[error.start]!r}, which is no letter") from error
    links = text.split("::") if chained else [text]  # WebDAV takes no chains, but addresses such as [::1]
    if len(links) > 1 and links[0].partition("://")[0].lower() in ("file", "local"):
        raise _malformed(text, "a folder or file of this machine lies in nothing else")
    for link in links:
        if link.partition(":")[0].lower() in _HOSTED:
            _check_host(text, link)


def _check_host(text: str, link: str) -> None:
    try:
        parts = urlsplit(link)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:  # without its text, which may hold a part of the password
        raise _malformed(text, "its host or port cannot be understood") from error
    if not host or " " in host or port == 0:
        raise _malformed(text, "it names no port from 1 to 65535" if host and port == 0 else "it names no host")


def _malformed(text: str, why: str) -> SourceError:
    """Say what is wrong with an address; what may be its user and password is not shown."""
    scheme = found.group() + "://" if (found := _SCHEME.match(text)) else ""
    shown = f"{scheme}...@{text.rpartition('@')[2]}" if scheme and "@" in text else text
    return SourceError(
        f"the source {shortened(_text(shown))!r} is no address ({why}); expected a folder, or one such as "
        "webdavs://user@host:443/path, with @, / and : of a user or password as %40, %2F and %3A"
    )


def _local(text: str, *, options: IngestOptions, dest: Path) -> LocalSource:
    if _SCHEME.match(text):
        text = unquote(text.split("://", 1)[1])
    if not text.strip():
        raise SourceError("the source names no folder; expected one, such as file:///data/share")
    refuse_storage_options(options, known=(), source="a folder of this machine")
    try:
        source = LocalSource(text, name=options.name)
        there, is_file = source.folder.is_dir(), source.folder.is_file()
    except (RuntimeError, ValueError) as error:  # ~ of an unknown user, a null character
        raise SourceError(
            f"the source {shortened(_text(text))!r} cannot be found ({error}); expected a folder"
        ) from error
    shown = shortened(source.name)
    if not there:
        what = "is a file" if is_file else "is not there"
        raise SourceError(f"the source {shown!r} {what}; expected a folder, or an address such as webdavs://host/path")
    real, target = os.path.realpath(source.folder), os.path.realpath(dest)
    if os.path.commonpath([real, target]) in (real, target):
        raise SourceError(f"the source {shown!r} and the data set {shortened(dest)!r} overlap; expected apart")
    return source


def refuse_storage_options(options: IngestOptions, *, known: tuple[str, ...], source: str) -> None:
    """Refuse storage options that a kind of source does not know, rather than leave them unread."""
    if unknown := sorted(str(name) for name in options.storage_options or {} if name not in known):
        expected = f"no others than {', '.join(known)}" if known else "none: leave them out"
        raise OptionError(f"storage_options names {', '.join(unknown)}; {source} takes {expected}")


def without_secrets(address: str) -> str:
    """Return an address without user and password.

    Examples
    --------
    >>> without_secrets("webdavs://ann:secret@host:8443/share?x")
    'webdavs://host:8443/share?x'
    >>> without_secrets("zip://inner::sftp://ann@host/a.zip")
    'zip://inner::sftp://host/a.zip'
    """
    return "::".join(_USER.sub(lambda match: match[1].lower(), link) for link in address.split("::"))


def shown_reason(error: BaseException) -> str:
    """Say in one line what a foreign package found."""
    text = str(error) if isinstance(error, SurfaceDefectError | Lasting) else f"{type(error).__name__}: {error}"
    return shortened(_text(" ".join(text.rstrip(": ").split())))


def _text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


class Patience:
    """Tries again what failed, later and later; a wait ends at once when the run is to stop."""

    def __init__(self, *, retries: int, backoff_s: float, stop: threading.Event) -> None:
        self.retries, self.stop, self._backoff_s = retries, stop, backoff_s

    def wait(self, failures: int, *, least_s: float = 0.0) -> None:
        """Wait after so many failures in a row; raise `Stopped` when the run is to end."""
        import random

        seconds = min(60.0, self._backoff_s * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.5)
        if self.stop.wait(max(seconds, min(least_s, 300.0))):
            raise Stopped

    def call(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer."""
        failures = 0
        while True:
            try:
                return ask()
            except (Stopped, Lasting, SurfaceDefectError):
                raise
            except Exception as error:
                failures += 1
                if failures > self.retries:
                    raise
                self.wait(failures, least_s=getattr(error, "least_s", 0.0))
