"""The folder of scans: what lies in it, under which names it may be asked for, and how an upload comes into it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from surfacedefect._scan_files import as_scan_error, open_rows
from surfacedefect._words import shortened, type_name, visible
from surfacedefect.errors import OptionError, OutputError, ScanTooLargeError, WebError
from surfacedefect.web.kept import KEPT_FOLDER
from surfacedefect.web.pictures import check_size
from surfacedefect.web.pyramid import disk_errors

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".avif")
_DEEPEST = 8
_MOST_SCANS = 50_000
_PIECE_BYTES = 2**20
_BAND_ROWS = 256
_MOST_STEM_BYTES = 120
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')  # what some file system does not take
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


class Folder:
    """A folder of scans; nothing outside of it is ever read or written.

    Raises
    ------
    WebError
        There is no such folder.
    OptionError
        It is no path.
    """

    def __init__(self, folder: str | Path) -> None:
        if not isinstance(folder, str | Path):
            raise OptionError(f"folder is {type_name(folder)}; expected the path of a folder with scans")
        if not str(folder).strip():
            raise OptionError(
                "folder is an empty text; expected the path of a folder with scans, '.' for the current one"
            )
        shown, why = shortened(visible(str(folder))), ""
        try:
            self.root = Path(folder).expanduser().resolve()
            good = self.root.is_dir()
        except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a loop of links, nobody's home
            good, why = False, f" ({shortened(visible(str(error)))})"
        if not good:
            raise WebError(f"'{shown}' is no folder{why}; expected one with scans")

    def path(self, name: str) -> Path:
        """Return the file of a name.

        Raises
        ------
        WebError
            The name is none, leads out of the folder, or there is no scan of that name.
        """
        unknown = WebError(
            f"there is no scan '{shortened(visible(str(name)), most=80)}' in this folder; look at the list"
        )
        if not isinstance(name, str) or len(name) > 4096 or not _is_plain(name):
            raise unknown
        path = self.root.joinpath(*name.split("/"))
        try:
            real = path.resolve(strict=True)
            good = (
                real.is_relative_to(self.root) and real.is_file() and _is_plain(real.relative_to(self.root).as_posix())
            )
        except (OSError, ValueError, RuntimeError):  # a loop of links
            good = False
        if not good or path.suffix.lower() not in SUFFIXES:
            raise unknown
        return path

    def names(self) -> list[tuple[str, os.stat_result]]:
        """List the scans, by name, with size and time; those below folders too."""
        found = sorted(self._walk(self.root, "", _DEEPEST), key=lambda item: _order(item[0]))
        return found[:_MOST_SCANS]

    def _walk(self, folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        try:
            entries = list(os.scandir(folder))
        except OSError:  # gone meanwhile, or not ours to read
            return
        for entry in entries:
            name = prefix + entry.name
            if not _is_plain(name):
                continue
            with contextlib.suppress(OSError, ValueError):
                if entry.is_dir(follow_symlinks=False):
                    if depth:
                        yield from self._walk(Path(entry.path), f"{name}/", depth - 1)
                elif Path(entry.name).suffix.lower() in SUFFIXES:
                    if entry.is_symlink():
                        with contextlib.suppress(WebError):
                            yield name, self.path(name).stat()
                    elif entry.is_file():
                        yield name, entry.stat()

    def add(
        self, file_name: str, stream: BinaryIO, *, max_bytes: int, max_pixels: int, max_tiled_pixels: int
    ) -> tuple[str, str]:
        """Take an upload: it counts once it is here whole and was decoded whole.

        Returns
        -------
        tuple of str
            The name that it got, which no other scan had, and the name for people.

        Raises
        ------
        WebError
            It has too many bytes, or its name is that of no picture.
        ScanError
            It is no picture, is damaged or has too many pixels.
        OutputError
            There is no room.
        """
        shown = shown_name(file_name)
        name = safe_name(file_name)
        if Path(name).suffix.lower() not in SUFFIXES:
            raise WebError(f"'{shortened(shown)}' is no picture by its name; expected one of {', '.join(SUFFIXES)}")
        waiting = self.root / KEPT_FOLDER / "incoming"
        part = waiting / f"{secrets.token_hex(8)}{Path(name).suffix.lower()}"
        try:
            with disk_errors(self.root):
                waiting.mkdir(parents=True, exist_ok=True)
                _receive(stream, part, shown=shown, most=max_bytes)
            check_picture(part, name=shown, max_pixels=max_pixels, max_tiled_pixels=max_tiled_pixels)
            with disk_errors(self.root):
                return self._placed(part, name), shown
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _placed(self, part: Path, name: str) -> str:
        """Give a file its name; another file of that name stays."""
        stem, suffix = Path(name).stem, Path(name).suffix
        for number in range(1, 10_000):
            chosen = name if number == 1 else f"{stem}-{number}{suffix}"
            target = self.root / chosen
            try:
                _claim(part, target)
            except FileExistsError:
                continue
            return chosen
        raise OutputError(f"there are ten thousand scans called '{name}' already; choose another name")


def _claim(part: Path, target: Path) -> None:
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with target.open("xb"):
            pass
        try:
            part.replace(target)
        except OSError:
            target.unlink()
            raise


def _receive(stream: BinaryIO, part: Path, *, shown: str, most: int) -> None:
    size = 0
    with part.open("xb") as file:
        while piece := stream.read(_PIECE_BYTES):
            size += len(piece)
            if size > most:
                raise WebError(f"'{shortened(shown)}' has more than {most:,} bytes; copy it into the folder instead")
            file.write(piece)


def check_picture(path: Path, *, name: str, max_pixels: int, max_tiled_pixels: int) -> tuple[int, int]:
    """Decode a picture from top to bottom; return its width and height.

    Raises
    ------
    ScanError
        It is none, is damaged somewhere or has too many pixels.
    """
    with as_scan_error(name):
        rows = open_rows(path, name=name, max_pixels=max_pixels, again=False)
        with contextlib.closing(rows):
            check_size(rows, name=name, most=max_tiled_pixels)
            if not rows.streams and rows.width * rows.height > max_pixels:
                raise ScanTooLargeError(
                    f"{name}: found {rows.width} x {rows.height} px, expected at most {max_pixels:,} px; "
                    "save it as a tiled TIFF"
                )
            for start in range(0, rows.height, _BAND_ROWS):
                rows.read(start, min(start + _BAND_ROWS, rows.height))
            return rows.width, rows.height


def shown_name(file_name: str) -> str:
    r"""Return the name of an upload for people: without folders, and with what cannot be seen spelled out.

    Examples
    --------
    >>> shown_name("C:\\scans\\<b>door</b>.jpg"), shown_name("../../door\n.jpg")
    ('b>.jpg', 'door\\n.jpg')
    """
    text = str(file_name).encode("utf-8", "replace").decode()
    return shortened(visible(unicodedata.normalize("NFC", _last(text))), most=160) or "scan"


def safe_name(file_name: str) -> str:
    r"""Return a name that every file system takes and no program mistakes for an option, a formula or a device.

    Examples
    --------
    >>> safe_name("../../etc/passwd"), safe_name("<img onerror=x>.jpg"), safe_name("..\\.hidden.PNG")
    ('passwd', '_img onerror=x_.jpg', 'hidden.PNG')
    >>> safe_name("nul.jpg"), safe_name("=1+1.png"), safe_name("")
    ('_nul.jpg', '_=1+1.png', 'scan')
    """
    text = str(file_name).encode("utf-8", "replace").decode()
    text = unicodedata.normalize("NFC", _last(text))
    text = "".join(letter if letter.isprintable() else "_" for letter in text)
    text = _FORBIDDEN.sub("_", text).strip(" .").lstrip(".")
    if text[:1] in ("=", "+", "-", "@", "~") or _DEVICES.match(text):
        text = f"_{text}"
    stem, suffix = Path(text or "scan").stem, Path(text or "scan").suffix
    while len(stem.encode()) > _MOST_STEM_BYTES:
        stem = stem[:-1]
    return f"{stem.rstrip(' .')}{suffix[:8]}"


def _last(text: str) -> str:
    return re.split(r"[/\\]", text)[-1]


def _is_plain(name: str) -> bool:
    """Whether a name has no part that is hidden, empty, leads elsewhere or cannot be written down."""
    if "\\" in name or "\0" in name or name != name.encode("utf-8", "replace").decode():
        return False
    parts = name.split("/")
    return all(part and not part.startswith(".") and not _is_drive(part) for part in parts)


def _is_drive(part: str) -> bool:
    return os.name == "nt" and ":" in part


def _order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort door-2 before door-10."""
    pieces = re.findall(r"\d{1,18}|\D+|\d+", name.casefold())
    return [(0, int(p), "") if p.isdecimal() and len(p) < 19 else (1, 0, p) for p in pieces], name
