"""What `Detections` writes: one function a format, each making the whole content before anything is written."""

from __future__ import annotations

import base64
import csv
import html
import io
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import mapping

from surfacedefect.annotations import AnnotatedImage, Dataset, Region
from surfacedefect.errors import require

if TYPE_CHECKING:
    from surfacedefect.detections import Detections

NOT_INSPECTED = "not_inspected"

_NUMBERS = ("score", "area_px", "length_px", "width_px", "area_mm2", "length_mm", "width_mm")
_BOX = ("x_min", "y_min", "x_max", "y_max")
_PREVIEW_ROWS = 10


def geojson(found: Detections) -> dict[str, Any]:
    """Make a FeatureCollection in the units of the scan; see `Detections.to_geojson`."""
    unseen = found.not_inspected("scan")
    georeferenced = found.probability_map.transform is not None
    features = [
        {
            "type": "Feature",
            "id": number,
            "geometry": mapping(shapely.orient_polygons(polygon)),
            "properties": {"id": number, **defect.to_dict()},
        }
        for number, (defect, polygon) in enumerate(zip(found, found.geometries("scan"), strict=True), start=1)
    ]
    return {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": _crs_name(found)}},
        "scan": found.scan_name,
        "width": found.width,
        "height": found.height,
        "mm_per_px": found.mm_per_px,
        "units": "scan" if georeferenced else "px",
        "threshold": found.threshold,
        "coverage": found.coverage,
        NOT_INSPECTED: None if unseen.is_empty else mapping(unseen),
        "features": features,
    }


def coco(found: Detections) -> Dataset:
    """Make a data set of one picture; see `Detections.to_coco`."""
    regions = [Region(defect.kind, defect.polygon, float(defect.score)) for defect in found]
    unseen = [Region(NOT_INSPECTED, part) for part in found.not_inspected().geoms]
    image = AnnotatedImage(found.scan_name, found.width, found.height, (*regions, *unseen))
    return Dataset((*found.kinds, NOT_INSPECTED) if unseen else found.kinds, (image,))


def csv_text(found: Detections) -> str:
    """Make a table, one row a defect; see `Detections.to_csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "kind", *_NUMBERS, *_BOX, "scan", "threshold", "coverage"))
    thresholds = dict(found.thresholds)
    for number, defect in enumerate(found, start=1):
        record = defect.to_dict()
        numbers = [record.get(name, "") for name in _NUMBERS]
        place = [round(side, 2) for side in defect.polygon.bounds]
        tail = (found.scan_name, thresholds[defect.kind], found.coverage)
        writer.writerow((number, defect.kind, *numbers, *place, *tail))
    for number, part in enumerate(found.not_inspected().geoms, start=len(found) + 1):
        numbers = [part.area if name == "area_px" else "" for name in _NUMBERS]
        writer.writerow((number, NOT_INSPECTED, *numbers, *part.bounds, found.scan_name, "", found.coverage))
    return text.getvalue()


def geodataframe(found: Detections) -> Any:
    """Make a geopandas.GeoDataFrame; see `Detections.to_geodataframe`."""
    geopandas = require("geopandas", extra="geo")
    records = [defect.to_dict() for defect in found]
    known = found.probability_map.crs if found.probability_map.transform is not None else None
    frame = geopandas.GeoDataFrame(
        {name: [record[name] for record in records] for name in (records[0] if records else ("kind", "score"))},
        geometry=found.geometries("scan"),
        crs=_crs_name(found) if known is None else known.to_wkt(),
    )
    frame.attrs.update(scan=found.scan_name, threshold=found.threshold, coverage=found.coverage)
    return frame


def html_preview(found: Detections, *, png: bytes | None) -> str:
    """Make a small page for notebooks: one line, the picture, the first defects."""
    summary = html.escape(found.summary)
    picture = (
        "<em>The scan can no longer be read, so there is no picture.</em>"
        if png is None
        else f'<img alt="Overlay: {summary}" style="max-width:100%" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    )
    records = [{"#": number, **defect.to_dict()} for number, defect in enumerate(found[:_PREVIEW_ROWS], start=1)]
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in (records[0] if records else ()))
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in record.values()) + "</tr>"
        for record in records
    )
    more = f"<p>and {len(found) - len(records)} more</p>" if len(found) > len(records) else ""
    return f"<div><p>{html.escape(repr(found)[1:-1])}</p>{picture}<table><tr>{head}</tr>{body}</table>{more}</div>"


def _crs_name(found: Detections) -> str:
    """Name the reference system as GeoJSON of 2008 did, which GIS programs still read.

    Without a name, or with null, they take coordinates for degrees; a local system keeps pixels off the map.
    """
    if found.probability_map.transform is None:
        return 'LOCAL_CS["pixels of the scan, y down",UNIT["pixel",1]]'
    if found.probability_map.crs is None:
        return 'LOCAL_CS["coordinates of the scan, reference system unknown",UNIT["unit",1]]'
    from rasterio.crs import CRS

    known = CRS.from_user_input(found.probability_map.crs)
    epsg = known.to_epsg()
    if epsg == 4326:
        return "urn:ogc:def:crs:OGC:1.3:CRS84"  # degrees, longitude first, as the coordinates are
    return str(known.to_wkt()) if epsg is None else f"urn:ogc:def:crs:EPSG::{epsg}"
