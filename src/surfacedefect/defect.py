"""One damaged place on a scan: its outline, what it is, how sure and how large it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import shapely

from surfacedefect._words import type_name
from surfacedefect.errors import OptionError, ScaleUnknownError


@dataclass(frozen=True, slots=True, repr=False)
class Defect:
    """One connected damaged region of a scan.

    Lengths and areas in millimetres are those of a flat surface seen frontally: pixels times the scale.

    Parameters
    ----------
    polygon
        Outline in pixel coordinates ``(x, y)`` of the scan; pixel corners lie on integers. Holes are undamaged.
    kind
        What the damage is, such as ``"scratch"`` or ``"dent"``.
    score
        Mean calibrated probability over the polygon's pixels, in [0, 1].
    area_px
        Area in square pixels, holes left out, at least 0.
    length_px
        Length of the longest path along the middle of the defect, in pixels, at least 0.
    width_px
        Mean width along that path, in pixels, at least 0.
    mm_per_px
        Millimetres a pixel, above 0; ``None`` when the scan has no scale.

    Raises
    ------
    OptionError
        The polygon is not a valid, non-empty polygon or a number is out of its range.

    Examples
    --------
    >>> outline = shapely.box(10, 20, 110, 24)
    >>> scratch = Defect(outline, "scratch", score=0.9, area_px=400, length_px=100, width_px=4, mm_per_px=0.1)
    >>> scratch
    Defect(scratch 0.90, 100 x 4.0 px = 10.0 x 0.40 mm, at x=10..110, y=20..24)
    >>> scratch.length_mm, round(scratch.area_mm2, 6)
    (10.0, 4.0)
    """

    polygon: shapely.Polygon
    kind: str
    score: float
    area_px: float
    length_px: float
    width_px: float
    mm_per_px: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a defect."""
        if not isinstance(self.polygon, shapely.Polygon) or self.polygon.is_empty or not self.polygon.is_valid:
            raise OptionError(
                f"polygon is {_described(self.polygon)}, expected one valid, non-empty shapely.Polygon; "
                "take one from surfacedefect.polygons.outline, or repair it with shapely.make_valid"
            )
        if not 0 <= self.score <= 1:
            raise OptionError(f"score is {self.score}, expected a probability in [0, 1]")
        for name in ("area_px", "length_px", "width_px"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise OptionError(f"{name} is {value}, expected a finite number of pixels, at least 0")
        if self.mm_per_px is not None and not (math.isfinite(self.mm_per_px) and self.mm_per_px > 0):
            raise OptionError(f"mm_per_px is {self.mm_per_px}, expected a number above 0, or None if it is unknown")

    def __repr__(self) -> str:
        """Say kind, score, size and place in one line."""
        size = f"{self.length_px:.0f} x {self.width_px:.1f} px"
        if self.mm_per_px is not None:
            size += f" = {self.length_mm:.1f} x {self.width_mm:.2f} mm"
        left, top, right, bottom = self.polygon.bounds
        place = f"at x={left:.0f}..{right:.0f}, y={top:.0f}..{bottom:.0f}"
        return f"Defect({self.kind} {self.score:.2f}, {size}, {place})"

    @property
    def area_mm2(self) -> float:
        """Area in square millimetres; raises `ScaleUnknownError` without a scale."""
        return self.area_px * self._scale("area_mm2") ** 2

    @property
    def length_mm(self) -> float:
        """Length in millimetres; raises `ScaleUnknownError` without a scale."""
        return self.length_px * self._scale("length_mm")

    @property
    def width_mm(self) -> float:
        """Mean width in millimetres; raises `ScaleUnknownError` without a scale."""
        return self.width_px * self._scale("width_mm")

    def to_dict(self) -> dict[str, str | float]:
        """Return the numbers of this defect for a table or a file, without its polygon.

        Returns
        -------
        dict
            ``kind``, ``score`` (4 decimals), ``area_px`` (1), ``length_px`` and ``width_px`` (2). With a scale also
            ``mm_per_px`` as given and ``area_mm2``, ``length_mm``, ``width_mm`` (3); without one those keys are absent.

        Examples
        --------
        >>> Defect(shapely.box(0, 0, 9, 3), "dent", score=0.51239, area_px=27, length_px=9, width_px=3).to_dict()
        {'kind': 'dent', 'score': 0.5124, 'area_px': 27.0, 'length_px': 9.0, 'width_px': 3.0}
        """
        record: dict[str, str | float] = {
            "kind": self.kind,
            "score": round(float(self.score), 4),
            "area_px": round(float(self.area_px), 1),
            "length_px": round(float(self.length_px), 2),
            "width_px": round(float(self.width_px), 2),
        }
        if self.mm_per_px is not None:
            record["mm_per_px"] = float(self.mm_per_px)
            record["area_mm2"] = round(float(self.area_mm2), 3)
            record["length_mm"] = round(float(self.length_mm), 3)
            record["width_mm"] = round(float(self.width_mm), 3)
        return record

    def _scale(self, wanted: str) -> float:
        if self.mm_per_px is None:
            raise ScaleUnknownError(
                f"{wanted} was asked of a defect whose scan has no scale, expected millimetres a pixel; "
                "pass mm_per_px=... when detecting, or use the *_px values"
            )
        return self.mm_per_px


def _described(value: object) -> str:
    if not isinstance(value, shapely.Geometry):
        return type_name(value)
    if value.is_empty:
        return f"an empty {value.geom_type}"
    return f"a {value.geom_type} ({shapely.is_valid_reason(value)})"
