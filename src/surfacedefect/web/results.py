"""What a model found on a picture, kept: the probability map, its reduced levels, and how it was outlined."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from surfacedefect._checks import checked_kinds, checked_least_scores, checked_thresholds
from surfacedefect._files import write_json
from surfacedefect._raster import burnt
from surfacedefect._regions import measured
from surfacedefect.defect import Defect
from surfacedefect.detections import Detections
from surfacedefect.errors import ScanError, SurfaceDefectError
from surfacedefect.polygons import damaged_level
from surfacedefect.probability import ProbabilityMap
from surfacedefect.scan import Scan
from surfacedefect.web import pyramid
from surfacedefect.web.pyramid import Pixels
from surfacedefect.web.regions import scored_regions
from surfacedefect.web.values import TILE_PX

_IN_MEMORY_BYTES = 96 * 2**20
_MOST_RESULTS = 4
_MOST_THRESHOLDS = 24
_PEAK_ROWS = 1024

Thresholds = float | Mapping[str, float] | None


def save(found: Detections, place: Path, *, when: str) -> None:
    """Keep what was found on a picture; what was found on it before is replaced when all is written.

    Raises
    ------
    OutputError
        There is no room.
    """
    token = secrets.token_hex(8)
    folder = place / f"map-{token}"
    pm = found.probability_map
    try:
        with pyramid.disk_errors(place):
            folder.mkdir(parents=True)
            pm.save(folder / "level-0.tif")
            bands = (_stacked(pm, rows) for rows in pm.row_bands(TILE_PX))
            size = {"width": pm.width, "height": pm.height}
            last, channels = pyramid.levels_of(**size), len(pm.kinds) + 1
            pyramid.write_levels(bands, folder, **size, channels=channels, halve=pyramid.largest, first=1, last=last)
        record = {
            "map": token,
            "when": when,
            "model": pm.model,
            "defects": len(found),
            "outlining": {
                "threshold": dict(found.thresholds),
                "kinds": list(found.kinds),
                "least_score": dict(found.least_scores),
                "least_area_px": found.least_area_px,
                "simplify_px": found.simplify_px,
            },
        }
        write_json(folder / "defects.json", {"defects": [_kept_defect(defect) for defect in found]})
        write_json(place / "result.json", record)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for old in place.glob("map-*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)


def _kept_defect(defect: Defect) -> dict[str, Any]:
    names = ("kind", "score", "area_px", "length_px", "width_px")
    return {name: getattr(defect, name) for name in names} | {"polygon": defect.polygon.wkb_hex}


def _kept_defects(folder: Path, *, mm_per_px: float | None) -> tuple[Defect, ...] | None:
    """Read what was measured at the model's own thresholds; None where that is gone or damaged."""
    try:
        entries = json.loads((folder / "defects.json").read_text(encoding="utf-8"))["defects"]
        return tuple(Defect(shapely.from_wkb(entry.pop("polygon")), **entry, mm_per_px=mm_per_px) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, shapely.errors.ShapelyError):
        return None


def _stacked(pm: ProbabilityMap, rows: slice) -> Pixels:
    covered = np.where(pm.read_coverage(rows=rows), np.uint8(255), np.uint8(0))
    return np.stack([*(pm.read(kind, rows=rows) for kind in pm.kinds), covered], axis=-1)


def summary(place: Path) -> dict[str, Any] | None:
    """Return what is kept in words; None when nothing whole is."""
    try:
        record = json.loads((place / "result.json").read_text(encoding="utf-8"))
        kept = (place / f"map-{record['map']}" / "level-0.tif").is_file()
        good = kept and isinstance(record["outlining"], dict) and isinstance(record["defects"], int)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if good else None


class Result:
    """What was found on one picture; outlines at any threshold, each computed once."""

    def __init__(self, place: Path, record: Mapping[str, Any], *, scan: Path) -> None:
        self.token = str(record["map"])
        self.when = str(record.get("when", ""))
        self.folder = place / f"map-{self.token}"
        path = self.folder / "level-0.tif"
        whole = ProbabilityMap.open(path)
        if (len(whole.kinds) + 1) * whole.width * whole.height <= _IN_MEMORY_BYTES:
            whole = ProbabilityMap.from_bytes(path.read_bytes(), max_memory=_IN_MEMORY_BYTES)
        self.map = whole
        self._outlining = dict(record["outlining"])
        self._scan = Scan.unopened(scan, width=whole.width, height=whole.height, mm_per_px=whole.mm_per_px)
        self._found: OrderedDict[tuple[Any, ...], Found] = OrderedDict()
        self._locks: dict[tuple[Any, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    @property
    def thresholds(self) -> dict[str, float]:
        """The model's own, by kind."""
        return dict(self._outlining["threshold"])

    @property
    def kinds(self) -> tuple[str, ...]:
        """What was looked for."""
        return tuple(self._outlining["kinds"])

    def at(self, threshold: Thresholds) -> Found:
        """Return what is outlined at a threshold; None: at the model's own, with its least scores.

        Raises
        ------
        OptionError
            The threshold is none.
        """
        key = key_of(threshold)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:  # asked for by ten tiles at once, it is outlined once
            with self._lock:
                if key in self._found:
                    return self._found[key]
            known = None if threshold is not None else _kept_defects(self.folder, mm_per_px=self.map.mm_per_px)
            found = Found(self.map, self._scan, folder=self.folder, known=known, **self._outlining_at(threshold))
            with self._lock:
                self._found[key] = found
                self._locks.pop(key, None)
                while len(self._found) > _MOST_THRESHOLDS:
                    self._found.popitem(last=False)
            return found

    def remembered(self) -> list[Found]:
        """Return what was outlined lately, the last one first."""
        with self._lock:
            return list(reversed(self._found.values()))

    def _outlining_at(self, threshold: Thresholds) -> dict[str, Any]:
        """Return what `Detections.from_map` takes; at another threshold as `Detections.at` has it."""
        options = dict(self._outlining)
        if threshold is None:
            return options
        kept: dict[str, float] = {}
        if isinstance(threshold, Mapping):
            kept = {kind: least for kind, least in options["least_score"].items() if kind not in threshold}
            threshold = {**options["threshold"], **threshold}
        return {**options, "threshold": threshold, "least_score": kept}

    def tile(self, *, level: int, x: int, y: int) -> Pixels:
        """Read a tile of the map, uint8 (256, 256, kinds + 1), the last band coverage; 0 beyond the edge."""
        channels = len(self.map.kinds) + 1
        if level > 0:
            return pyramid.read_level(pyramid.level_path(self.folder, level), x=x, y=y, channels=channels)
        tile = np.zeros((TILE_PX, TILE_PX, channels), np.uint8)
        window = pyramid.tile_window(x, y, width=self.map.width, height=self.map.height)
        if window is not None:
            rows, cols = window.toslices()
            part = [self.map.read(kind, rows=rows, cols=cols) for kind in self.map.kinds]
            covered = np.where(self.map.read_coverage(rows=rows, cols=cols), np.uint8(255), np.uint8(0))
            tile[: window.height, : window.width] = np.stack([*part, covered], axis=-1)
        return tile


class Found:
    """What is outlined at one threshold; measured when it is first asked for, as tiles need the outlines alone.

    Attributes
    ----------
    drawn
        For whoever shows the detections: what was made of each, by its index.
    """

    def __init__(
        self,
        pm: ProbabilityMap,
        scan: Scan,
        *,
        folder: Path,
        known: tuple[Defect, ...] | None = None,
        **outlining: Any,
    ) -> None:
        self._map, self._scan, self._known = pm, scan, known
        self._lock = threading.Lock()
        self._measured: tuple[Detections, tuple[str, ...]] | None = None
        kinds = checked_kinds(outlining["kinds"], known=pm.kinds)
        self._options: dict[str, Any] = {
            "kinds": kinds,
            "thresholds": checked_thresholds(outlining["threshold"], kinds=kinds, known=pm.kinds),
            "least_scores": checked_least_scores(outlining["least_score"], kinds=kinds, known=pm.kinds),
            "least_area_px": outlining["least_area_px"],
            "simplify_px": outlining["simplify_px"],
        }
        self._regions = (
            [(defect.polygon, defect.kind, defect.score) for defect in known]
            if known is not None
            else scored_regions(
                pm,
                folder,
                self._options["thresholds"],
                least_scores=dict(self._options["least_scores"]),
                least_area_px=outlining["least_area_px"],
                simplify_px=outlining["simplify_px"],
            )
        )
        self.drawn: dict[int, Any] = {}
        self._trees = {
            kind: (shapely.STRtree(polygons), polygons)
            for kind in kinds
            if (polygons := [polygon for polygon, one, _ in self._regions if one == kind])
        }

    def __len__(self) -> int:
        """Return how many regions there are."""
        return len(self._regions)

    @property
    def thresholds(self) -> tuple[tuple[str, float], ...]:
        """Pairs of kind and threshold."""
        return tuple(self._options["thresholds"])

    @property
    def detections(self) -> Detections:
        """The same as `Detections.at` gives."""
        return self._all()[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the detections, in their order."""
        return self._all()[1]

    def _all(self) -> tuple[Detections, tuple[str, ...]]:
        with self._lock:
            if self._measured is None:
                defects = self._known
                if defects is None:
                    defects = measured(self._regions, mm_per_px=self._map.mm_per_px)
                found = Detections(defects, probability_map=self._map, scan=self._scan, **self._options)
                self._measured = found, _ids(found)
            return self._measured

    def damaged(self, tile: Pixels, *, level: int, x: int, y: int, kinds: Any = None) -> Any:
        """Say which pixels of a tile of the map are damage that is reported: bool (256, 256).

        A region that is too small or too weak to be reported is clean in the picture too.
        """
        damaged = np.zeros((TILE_PX, TILE_PX), np.bool_)
        pm, side = self._map, TILE_PX * 2**level
        corner = (x * side, y * side)
        for kind, threshold in self.thresholds:
            if kind not in self._trees or (kinds is not None and kind not in kinds):
                continue
            over = tile[..., pm.kinds.index(kind)] >= damaged_level(threshold)
            if not over.any():
                continue
            tree, polygons = self._trees[kind]
            near = tree.query(shapely.box(*corner, corner[0] + side, corner[1] + side))
            if len(near):
                placed = shapely.transform([polygons[index] for index in near], lambda xy: (xy - corner) / 2**level)
                damaged |= over & (burnt(list(placed), shape=over.shape, all_touched=True) > 0)
        return damaged


def _ids(found: Detections) -> tuple[str, ...]:
    """Name each region by its kind and the place of its highest probability.

    That place is the same at every threshold at which the region is there, and where regions join, the highest one
    gives the name.
    """
    ids: list[str] = []
    taken: set[str] = set()
    for defect in found:
        col, row = _peak(defect.polygon, defect.kind, found.probability_map)
        name = f"{defect.kind}-{col}-{row}"
        while name in taken:
            name += "x"
        taken.add(name)
        ids.append(name)
    return tuple(ids)


def _peak(polygon: shapely.Polygon, kind: str, pm: ProbabilityMap) -> tuple[int, int]:
    left, top, right, bottom = polygon.bounds
    cols = slice(max(0, int(left)), min(pm.width, int(np.ceil(right))))
    best, place = -1, (int(left), int(top))
    for start in range(max(0, int(top)), min(pm.height, int(np.ceil(bottom))), _PEAK_ROWS):
        rows = slice(start, min(start + _PEAK_ROWS, min(pm.height, int(np.ceil(bottom)))))
        part = pm.read(kind, rows=rows, cols=cols)
        within = burnt([polygon], shape=part.shape, corner=(cols.start, start)) > 0
        values = np.where(within, part.astype(np.int16), np.int16(-1))
        index = int(values.argmax())
        if values.flat[index] > best:
            row, col = divmod(index, part.shape[1])
            best, place = int(values.flat[index]), (cols.start + col, start + row)
    return place


def key_of(threshold: Thresholds) -> tuple[Any, ...]:
    """Return what two equal thresholds have in common."""
    if isinstance(threshold, Mapping):
        return tuple(sorted((str(kind), float(value)) for kind, value in threshold.items()))
    return (threshold,)


class Results:
    """The results of a folder of scans; a few are kept open."""

    def __init__(self) -> None:
        self._results: OrderedDict[tuple[str, str], Result] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, place: Path, *, scan: Path) -> Result | None:
        """Return what was found on a picture; None when it was not inspected, or when that is damaged."""
        record = summary(place)
        if record is None:
            return None
        key = (str(place), str(record["map"]))
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
        result = None
        with contextlib.suppress(SurfaceDefectError, OSError, KeyError, TypeError, ValueError):
            result = Result(place, record, scan=scan)
        if result is None:
            with contextlib.suppress(OSError):  # so that it is inspected again
                (place / "result.json").unlink(missing_ok=True)
            return None
        with self._lock:
            self._results[key] = result
            while len(self._results) > _MOST_RESULTS:
                self._results.popitem(last=False)
        return result


@contextlib.contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what GDAL says of a kept file that is gone or damaged into an error of ours."""
    import rasterio

    try:
        yield
    except (rasterio.errors.RasterioError, OSError) as error:
        if isinstance(error, SurfaceDefectError):
            raise
        raise ScanError(
            f"{name}: what is kept of it cannot be read ({error}); delete the folder .surfacedefect and inspect again"
        ) from error
