"""What was found on one scan: defects, where nothing was looked at, and their way into files and pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from shapely.geometry import MultiPolygon, Polygon

from surfacedefect import _exports
from surfacedefect._checks import check_names, checked_kinds, checked_least_scores, checked_thresholds
from surfacedefect._files import atomic_path, write_json, write_text
from surfacedefect._regions import defects_of, unseen_in
from surfacedefect._words import counted, shortened
from surfacedefect.annotations import write_coco
from surfacedefect.defect import Defect
from surfacedefect.errors import OptionError, OutputError, SurfaceDefectError
from surfacedefect.overlay import draw_overlay

if TYPE_CHECKING:
    from surfacedefect.probability import ProbabilityMap
    from surfacedefect.scan import Scan

_PREVIEW_PX = 900

Units = Literal["px", "scan"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections(Sequence[Defect]):
    """The defects of one scan, highest score first; never changes.

    Indexing gives a `Defect`, slicing gives `Detections` of the same scan. Build it with `from_map`.

    Attributes
    ----------
    defects
        The defects in order: score from high to low, then kind, then top, then left.
    probability_map
        The map they were outlined in; also says where nothing was inspected.
    scan
        The scan, opened again only for a picture; None when it is not at hand.
    kinds
        The kinds that were looked for.
    thresholds
        Pairs of kind and the probability in (0, 1] from which a pixel counts as damaged, in the order of `kinds`.
    least_area_px, simplify_px
        Smallest region that counts, in square px; how far an outline may be moved to save corners, in px.
    least_scores
        Pairs of kind and the smallest score that is reported, in [0, 1], in the order of `kinds`.

    Examples
    --------
    >>> from surfacedefect import ProbabilityMap
    >>> values = np.zeros((1, 60, 80), np.uint8)
    >>> values[0, 20:24, 10:70] = 204
    >>> pm = ProbabilityMap.from_arrays(values, ("scratch",))
    >>> options = {"kinds": ("scratch",), "least_area_px": 10, "simplify_px": 0.5}
    >>> found = Detections.from_map(pm, scan_reference=None, threshold=0.5, **options)
    >>> found
    <Detections on 'scan' (80 x 60 px): 1 defect (1 scratch), score 0.80, threshold 0.5, inspected in full>
    >>> found[0].area_px, len(found.at(0.9)), found.not_inspected().is_empty
    (240.0, 0, True)
    """

    defects: tuple[Defect, ...]
    probability_map: ProbabilityMap
    scan: Scan | None
    kinds: tuple[str, ...]
    thresholds: tuple[tuple[str, float], ...]
    least_area_px: float
    simplify_px: float
    least_scores: tuple[tuple[str, float], ...]

    @classmethod
    def from_map(
        cls,
        probability_map: ProbabilityMap,
        *,
        scan_reference: Scan | None,
        threshold: float | Mapping[str, float],
        kinds: Sequence[str],
        least_area_px: float,
        simplify_px: float,
        least_score: float | Mapping[str, float] = 0.0,
    ) -> Self:
        """Outline and measure the defects of a probability map.

        Parameters
        ----------
        probability_map
            The map to read.
        scan_reference
            The scan that the map is of; it may be closed, pictures open it again. None draws pictures on grey.
        threshold
            Probability in (0, 1] from which a pixel counts as damaged: one for all kinds or one a kind.
        kinds
            Which kinds of the map to look for, at least one.
        least_area_px, simplify_px
            See the attributes.
        least_score
            Smallest score that is reported, in [0, 1]: one for all kinds or one a kind.

        Raises
        ------
        OptionError
            A kind is unknown, a kind lacks a threshold, or a number is out of its range.
        """
        wanted = checked_kinds(kinds, known=probability_map.kinds)
        thresholds = checked_thresholds(threshold, kinds=wanted, known=probability_map.kinds)
        least = checked_least_scores(least_score, kinds=wanted, known=probability_map.kinds)
        ordered = defects_of(
            probability_map,
            thresholds,
            least_scores=dict(least),
            least_area_px=least_area_px,
            simplify_px=simplify_px,
        )
        return cls(ordered, probability_map, scan_reference, wanted, thresholds, least_area_px, simplify_px, least)

    def at(
        self, threshold: float | Mapping[str, float], *, least_score: float | Mapping[str, float] | None = None
    ) -> Self:
        """Outline the same map at another threshold, lower or higher; nothing is inspected again.

        Parameters
        ----------
        threshold
            Probability in (0, 1]: one for all kinds, or one for some kinds while the others stay.
        least_score
            Smallest score that is reported, in [0, 1]: one for all kinds, or one for some. None: 0 where a threshold is
            given, so that all that it outlines is reported; the other kinds keep theirs.

        Returns
        -------
        Detections
            All defects of the scan at that threshold, also when this is only a slice of what was found.

        Raises
        ------
        OptionError
            A threshold is out of its range, or its kind was not looked for.
        """
        kept: dict[str, float] = {}
        if isinstance(threshold, Mapping):
            check_names("threshold", threshold, known=self.kinds)
            kept = {kind: least for kind, least in self.least_scores if kind not in threshold}
            threshold = {**dict(self.thresholds), **threshold}
        if least_score is None or isinstance(least_score, Mapping):
            least_score = {**kept, **(least_score or {})}
        return self.from_map(
            self.probability_map,
            scan_reference=self.scan,
            threshold=threshold,
            kinds=self.kinds,
            least_area_px=self.least_area_px,
            simplify_px=self.simplify_px,
            least_score=least_score,
        )

    @overload
    def __getitem__(self, index: int) -> Defect: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Defect | Self:
        """Return a defect, or the detections of a slice."""
        if isinstance(index, slice):
            return replace(self, defects=self.defects[index])
        return self.defects[index]

    def __len__(self) -> int:
        """Return how many defects there are."""
        return len(self.defects)

    def __repr__(self) -> str:
        """Say what was found, at which threshold, and how much of the scan was inspected."""
        return f"<Detections on '{self.scan_name}' ({self.width} x {self.height} px): {self.summary}>"

    @property
    def summary(self) -> str:
        """One line: how many defects of each kind, their scores, the threshold, and how much was inspected."""
        if self:
            kinds = [defect.kind for defect in self]
            counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in self.kinds if kind in kinds)
            first, last = f"{self[0].score:.2f}", f"{self[-1].score:.2f}"
            scores = (
                f"score {first}" if len(self) == 1 else f"scores {first}" + (f" to {last}" if last != first else "")
            )
            found = f"{counted(len(self), 'defect')} ({counts}), {scores}"
        else:
            found = "no defects" if self.coverage >= 1 else "no defects where inspected"
        # Rounded down: what is not complete must not be read as 100 %.
        percent = f"only {math.floor(1000 * self.coverage) / 10:g} % inspected"
        inspected = "inspected in full" if self.coverage >= 1 else percent
        least = dict(self.least_scores)
        scored = f", scores from {_per_kind(least)}" if any(least.values()) else ""
        return f"{found}, threshold {_per_kind(dict(self.thresholds))}{scored}, {inspected}"

    @property
    def polygons(self) -> list[Polygon]:
        """Outlines in pixel coordinates ``(x, y)``, in the order of the defects."""
        return [defect.polygon for defect in self.defects]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores in [0, 1], shape (N,), highest first."""
        return np.array([defect.score for defect in self.defects], np.float64)

    @property
    def threshold(self) -> float | dict[str, float]:
        """The threshold in (0, 1]; a dict by kind when the kinds have different ones."""
        values = {value for _, value in self.thresholds}
        return values.pop() if len(values) == 1 else dict(self.thresholds)

    @property
    def coverage(self) -> float:
        """Share of the scan that was inspected, in [0, 1]; transparent and nodata pixels are not part of it."""
        return self.probability_map.coverage

    @property
    def scan_name(self) -> str:
        """Name of the scan; ``"scan"`` when it has none."""
        return (self.scan.name if self.scan is not None else "") or "scan"

    @property
    def width(self) -> int:
        """Width of the scan in px."""
        return self.probability_map.width

    @property
    def height(self) -> int:
        """Height of the scan in px."""
        return self.probability_map.height

    @property
    def mm_per_px(self) -> float | None:
        """Millimetres a pixel; None when unknown."""
        return self.probability_map.mm_per_px

    def geometries(self, units: Units = "px") -> list[Polygon]:
        """Return the outlines in pixels or in the units of the scan.

        Parameters
        ----------
        units
            ``"px"`` for pixel coordinates, y down; ``"scan"`` for those of the scan's georeference. A scan without
            one has pixels as its units.

        Raises
        ------
        OptionError
            `units` is neither.
        """
        return [self._placed(polygon, units) for polygon in self.polygons]

    def not_inspected(self, units: Units = "px") -> MultiPolygon:
        """Return the regions that no model looked at; empty when all that holds a picture was inspected.

        Where a window failed, transparent and nodata pixels are part of the regions.

        Parameters
        ----------
        units
            As for `geometries`.
        """
        if self.coverage >= 1:
            return MultiPolygon()
        return MultiPolygon([self._placed(part, units) for part in unseen_in(self.probability_map)])

    def to_geojson(self, path: str | Path | None = None) -> dict[str, Any]:
        """Return the defects as a GeoJSON FeatureCollection, and write it when a path is given.

        Coordinates are in the units of the scan, named in ``crs``, when it is georeferenced; else in pixels, y down,
        and ``crs`` names a local system, so that GIS programs do not take them for degrees. Beside ``features`` stand
        ``scan``, ``width``, ``height``, ``mm_per_px``, ``units``, ``threshold`` and ``coverage``, and
        ``not_inspected``: a MultiPolygon when coverage is below 1, else null.

        Parameters
        ----------
        path
            File to write, whole or not at all; None writes nothing.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        record = _exports.geojson(self)
        if path is not None:
            write_json(path, record)
        return record

    def to_coco(self, path: str | Path) -> None:
        """Write the defects as a COCO file, in pixels.

        Regions that were not inspected stand in it as annotations without a score, of a category of their own,
        ``not_inspected``; a scan that was inspected in full has no such category.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        with atomic_path(path) as part:
            write_coco(part, _exports.coco(self))

    def to_csv(self, path: str | Path) -> None:
        """Write one row a defect: kind, score, measurements, box in pixels, scan, threshold and coverage.

        Millimetres are empty without a scale. Every region that was not inspected is a last row of the kind
        ``not_inspected``, so that a table without damage is not read as a clean scan.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        write_text(path, _exports.csv_text(self))

    def to_geodataframe(self) -> Any:
        """Return the defects as a ``geopandas.GeoDataFrame`` in the units of the scan.

        A scan without a georeference has a local reference system, as in `to_geojson`, so that nothing takes pixels
        for degrees. Its columns are those of `Defect.to_dict` and ``geometry``; ``attrs`` holds scan, threshold and
        coverage.

        Raises
        ------
        MissingExtraError
            geopandas is not installed.
        """
        return _exports.geodataframe(self)

    def plot(
        self, path: str | Path | None = None, *, scale: float | None = None, long_side_px: int = 4096
    ) -> Image.Image:
        """Draw the scan with damage yellow, inspected and clean blue, not inspected hatched grey.

        Parameters
        ----------
        path
            Picture file to write, whole or not at all; its ending says the format. None writes nothing.
        scale
            Picture px a scan px. None takes 1, or less where the picture would be larger than `long_side_px`.
        long_side_px
            Longer side of the picture without its caption, in px.

        Returns
        -------
        PIL.Image.Image
            RGB.

        Raises
        ------
        OptionError
            `scale` or `long_side_px` is out of its range.
        OutputError
            The file cannot be written, or its ending is not one of a picture.
        ScanError
            The scan can no longer be read.
        """
        if path is not None:
            _check_picture_ending(Path(path))
        texts = {"title": self.scan_name, "threshold": _per_kind(dict(self.thresholds))}
        if self.scan is None:
            image = self._drawn(None, scale=scale, long_side_px=long_side_px, **texts)
        else:
            with self.scan.reopen() as scan:
                image = self._drawn(scan, scale=scale, long_side_px=long_side_px, **texts)
        if path is not None:
            with atomic_path(path) as part:
                image.save(part, compress_level=3)  # PNG: three times as fast as 6 and 8 % larger
        return image

    def _repr_png_(self) -> bytes | None:
        """Small picture for notebooks; None when the scan can no longer be read."""
        try:
            picture = self.plot(long_side_px=_PREVIEW_PX)
        except (SurfaceDefectError, OSError):
            return None
        data = io.BytesIO()
        picture.save(data, format="PNG")
        return data.getvalue()

    def _repr_html_(self) -> str:
        """Picture and the first defects for notebooks."""
        return _exports.html_preview(self, png=self._repr_png_())

    def _drawn(self, scan: Scan | None, **options: Any) -> Image.Image:
        return draw_overlay(scan, self.defects, probability_map=self.probability_map, **options)

    def _placed(self, polygon: Polygon, units: Units) -> Polygon:
        if units not in ("px", "scan"):
            raise OptionError(f"units is {units!r}; expected 'px' or 'scan'")
        transform = self.probability_map.transform
        if units == "px" or transform is None:
            return polygon
        a, b, c, d, e, f = tuple(transform)[:6]
        placed = shapely.transform(polygon, lambda xy: xy @ np.array([[a, d], [b, e]]) + (c, f))
        return shapely.orient_polygons(placed)


def _per_kind(values: Mapping[str, float]) -> str:
    """Write one figure where all kinds share it, else each with its kind; those of 0 ask for nothing."""
    if len(set(values.values())) == 1:
        return f"{next(iter(values.values())):.3g}"
    return ", ".join(f"{kind} {value:.3g}" for kind, value in values.items() if value)


def _check_picture_ending(path: Path) -> None:
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"):
        raise OutputError(f"'{shortened(path)}' ends in '{path.suffix}'; expected a picture: .png, .jpg, .webp or .tif")
