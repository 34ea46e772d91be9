"""The scans of a folder, opened: their size, their tiles, their thumbnails, and what was found on them."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from surfacedefect.errors import ScanError, WebError
from surfacedefect.web import pictures, pyramid, results, thumbnails, tiles
from surfacedefect.web.folder import Folder
from surfacedefect.web.kept import Kept
from surfacedefect.web.values import LAYERS, PALETTES, Tile, WebOptions

_MOST_TILE_BYTES = 48 * 2**20
_MOST_READY = 256


class Shelf:
    """Opens the scans of a folder; may be used by many threads.

    Parameters
    ----------
    folder, kept
        Where they lie, and what is kept of them.
    options
        Limits.
    """

    def __init__(self, folder: Folder, kept: Kept, *, options: WebOptions) -> None:
        self._folder, self._kept, self._options = folder, kept, options
        self._results = results.Results()
        self._pictures = pictures.Pictures(max_pixels=options.max_pixels)
        self._ready: OrderedDict[str, pictures.Picture] = OrderedDict()
        self._building: dict[str, threading.Lock] = {}
        self._preparing: dict[str, Exception | None] = {}
        self._lock = threading.Lock()
        self._tiles = _Tiles(_MOST_TILE_BYTES)

    def close(self) -> None:
        """Close all files."""
        self._pictures.close()

    def thumbnail(self, name: str) -> bytes:
        """Return a JPEG, long side at most 256 px; see `surfacedefect.web.workspace.Workspace.thumbnail`."""
        path = self._folder.path(name)
        key = self._kept.key_of(name, path)
        with self._noting_errors(name):
            data, size = thumbnails.thumbnail(
                path,
                self._kept.place(key),
                name=name,
                max_pixels=self._options.max_pixels,
                max_tiled_pixels=self._options.max_tiled_pixels,
            )
        if size is not None:
            self._kept.note(name, width=size[0], height=size[1])
        return data

    def result(self, name: str, path: Path) -> results.Result | None:
        """Return what was found on a scan; None before it was inspected."""
        key = self._kept.key_of(name, path)
        result = self._results.of(self._kept.place(key), scan=path)
        if result is not None and not self._kept.record(name).get("inspected"):
            # A copy, or a scan that was renamed.
            self._kept.note(name, inspected=True, defects=len(result.at(None)))
        return result

    def size(self, name: str, path: Path) -> tuple[int, int]:
        """Return width and height in px; read once, of the header where that is enough."""
        key = self._kept.key_of(name, path)
        record = self._kept.record(name)
        if self._kept.known_key(name, path) == key and record.get("width") and record.get("height"):
            return int(record["width"]), int(record["height"])
        with self._noting_errors(name):
            width, height = pictures.size_of(
                path, name=name, max_pixels=self._options.max_pixels, max_tiled_pixels=self._options.max_tiled_pixels
            )
        self._kept.note(name, width=width, height=height)
        return width, height

    def prepare(self, name: str) -> bool:
        """Say whether the tiles of a scan can be read at once; if not, begin to make them in the background.

        Raises
        ------
        ScanError
            They cannot be made.
        """
        path = self._folder.path(name)
        key = self._kept.known_key(name, path)
        with self._lock:
            if key is not None and key in self._ready:
                return True
            begun = name in self._preparing
            error = self._preparing.get(name)
            if error is not None:
                del self._preparing[name]
                raise error
            self._preparing[name] = None
        if not begun:
            threading.Thread(target=self._prepare, args=(name, path), daemon=True).start()
        return False

    def _prepare(self, name: str, path: Path) -> None:
        error: Exception | None = None
        try:
            self.picture(name, path)
        except Exception as failure:  # whatever it is, the page must not wait for ever
            error = failure
        with self._lock:
            if error is None:
                self._preparing.pop(name, None)
            else:
                self._preparing[name] = error

    def picture(self, name: str, path: Path) -> pictures.Picture:
        """Return what is needed to read tiles; made at the first time, which others wait for."""
        key = self._kept.key_of(name, path)
        with self._lock:
            if key in self._ready:
                self._ready.move_to_end(key)
                return self._ready[key]
            lock = self._building.setdefault(key, threading.Lock())
        with lock:
            with self._lock:
                if key in self._ready:
                    return self._ready[key]
            try:
                with self._noting_errors(name):
                    picture = pictures.build(
                        path,
                        self._kept.place(key) / "picture",
                        name=name,
                        max_pixels=self._options.max_pixels,
                        max_tiled_pixels=self._options.max_tiled_pixels,
                    )
            finally:
                with self._lock:
                    self._building.pop(key, None)
            with self._lock:
                self._ready[key] = picture
                while len(self._ready) > _MOST_READY:
                    self._ready.popitem(last=False)
        self._kept.note(name, width=picture.width, height=picture.height)
        return picture

    def tile(
        self,
        name: str,
        layer: str,
        z: int,
        x: int,
        y: int,
        *,
        threshold: results.Thresholds = None,
        palette: str = "default",
        kinds: Sequence[str] | None = None,
    ) -> Tile:
        """Return a tile; see `surfacedefect.web.workspace.Workspace.tile`."""
        path = self._folder.path(name)
        picture = self.picture(name, path)
        level = picture.levels - z
        size = pyramid.size_at(max(0, level), width=picture.width, height=picture.height)
        if layer not in LAYERS or palette not in PALETTES or not 0 <= level <= picture.levels:
            raise WebError(f"there is no tile of layer {layer!r}, zoom {z!r} and palette {palette!r}")
        if pyramid.tile_window(x, y, width=size[0], height=size[1]) is None:
            raise WebError(f"there is no tile ({x}, {y}) at zoom {z}")
        result = None if layer == "scan" else self.result(name, path)
        made = "" if result is None else result.token
        chosen = None if kinds is None else tuple(sorted(kinds))
        options = (
            ("",)
            if layer == "scan"
            else (palette, made)
            if layer == "coverage"
            else (palette, made, results.key_of(threshold), chosen)
        )
        key = (self._kept.key_of(name, path), layer, z, x, y, options)
        kept = self._tiles.get(key)
        if kept is None:
            with results.readable(name):
                if layer == "scan":
                    data, mime = tiles.photo(self._pixels(name, path, picture, level=level, x=x, y=y))
                else:
                    data, mime = self._map_tile(
                        result,
                        picture,
                        layer,
                        level=level,
                        x=x,
                        y=y,
                        threshold=threshold,
                        palette=palette,
                        kinds=chosen,
                    )
            kept = self._tiles.put(key, data, mime)
        return kept

    def _pixels(self, name: str, path: Path, picture: pictures.Picture, *, level: int, x: int, y: int) -> Any:
        """Read a tile; what is kept is made again once, where it was deleted or damaged meanwhile."""
        key = self._kept.key_of(name, path)
        place = self._kept.place(key) / "picture"
        try:
            return self._pictures.tile(path, place, picture, level=level, x=x, y=y, name=name)
        except ScanError:
            if level < picture.from_file:
                raise
        with self._lock:
            self._ready.pop(key, None)
        shutil.rmtree(place, ignore_errors=True)
        picture = self.picture(name, path)
        return self._pictures.tile(path, place, picture, level=level, x=x, y=y, name=name)

    def _map_tile(
        self,
        result: results.Result | None,
        picture: pictures.Picture,
        layer: str,
        *,
        level: int,
        x: int,
        y: int,
        threshold: results.Thresholds,
        palette: str,
        kinds: tuple[str, ...] | None,
    ) -> tuple[bytes, str]:
        colours = PALETTES[palette]
        within = pyramid.inside(x, y, level=level, width=picture.width, height=picture.height)
        if result is None:
            if layer == "coverage":
                return tiles.unseen(within, palette=colours)
            return tiles.findings(~within & False, ~within & False, palette=colours)
        values = result.tile(level=level, x=x, y=y)
        inspected = (values[..., -1] > 0) & within
        if layer == "coverage":
            return tiles.unseen(within & ~inspected, palette=colours)
        damaged = result.at(threshold).damaged(values, level=level, x=x, y=y, kinds=kinds) & within
        return tiles.findings(damaged, inspected, palette=colours)

    def _noting_errors(self, name: str) -> Any:
        return _Noting(self._kept, name)


class _Noting:
    """Notes what is wrong with a scan, so that the list says it."""

    def __init__(self, kept: Kept, name: str) -> None:
        self._kept, self._name = kept, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, ScanError):
            self._kept.note(self._name, error=str(error))


class _Tiles:
    """The tiles that were made last, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._tiles: OrderedDict[Any, Tile] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Tile | None:
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
            return self._tiles.get(key)

    def put(self, key: Any, data: bytes, mime: str) -> Tile:
        tile = Tile(data, mime, f'"{hashlib.blake2b(repr(key).encode(), digest_size=12).hexdigest()}"')
        with self._lock:
            if key not in self._tiles:
                self._tiles[key] = tile
                self._bytes += len(data)
            while self._bytes > self._most:
                _, old = self._tiles.popitem(last=False)
                self._bytes -= len(old.data)
        return tile
