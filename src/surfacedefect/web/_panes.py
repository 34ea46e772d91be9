"""The map of one scan, as Dash Leaflet's components.

Map units are those of zoom 0, where the whole scan is one tile: a scan pixel is 2 ** -max_zoom of them, y downwards
negative. So Leaflet's own tile arithmetic asks for the tiles that there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import dash_leaflet as dl
from dash import html

BEYOND = 4  # zoom levels past one to one: a scan pixel is then 16 screen pixels


def panes(opened: Mapping[str, Any]) -> list[Any]:
    """Return both maps of a scan: the one with what was found, and the bare picture beside it.

    Parameters
    ----------
    opened
        ``name``, ``version`` (of its picture), and ``width``, ``height``, ``max_zoom``, ``tile_px`` of its `ScanInfo`.
    """
    return [_pane(opened, "main", _drawn()), _pane(opened, "bare", [])]


def _pane(opened: Mapping[str, Any], role: str, children: list[Any]) -> Any:
    zoom = int(opened["max_zoom"])
    factor = 2.0**-zoom
    width, height = opened["width"] * factor, opened["height"] * factor
    bounds = [[-height, 0], [0, width]]
    name, version = (quote(str(opened[part]), safe="") for part in ("name", "version"))
    layer = dl.TileLayer(
        url=f"/tile/scan/{{z}}/{{x}}/{{y}}?scan={name}&v={version}",
        bounds=bounds,
        minZoom=-2,
        maxZoom=zoom + BEYOND,
        minNativeZoom=0,
        maxNativeZoom=zoom,
        tileSize=opened["tile_px"],
        noWrap=True,
        keepBuffer=3,
        updateWhenZooming=False,
        attribution="",
    )
    found = dl.MapContainer(
        [layer, *children],
        id=f"map-{role}",
        crs="Simple",
        bounds=bounds,
        trackViewport=False,  # else every step of a movement goes through Dash
        minZoom=-2,
        maxZoom=zoom + BEYOND,
        zoomSnap=0,
        zoomDelta=1,
        wheelPxPerZoomLevel=110,
        zoomControl=False,
        attributionControl=False,
        keyboard=False,
        boxZoom=True,
        fadeAnimation=False,  # as tiles come in while the scan moves, it costs frames
        preferCanvas=True,
        maxBoundsViscosity=0.6,
        className="map",
    )
    caption = html.Span("Bare picture", className="caption") if role == "bare" else None
    return html.Div([found, caption], className=f"pane {role}", key=f"{role}-{opened['name']}-{opened['version']}")


def _drawn() -> list[Any]:
    """Return outlines as one layer, its dark casing under it, and the control that brings Leaflet's drawing tools."""
    empty = {"type": "FeatureCollection", "features": []}
    return [
        dl.Pane(
            dl.GeoJSON(id="casing", data=empty, interactive=False, style=_function("casing"), hideout={}),
            name="casing",
            style={"zIndex": 390, "pointerEvents": "none"},
        ),
        dl.GeoJSON(id="outlines", data=empty, style=_function("outline"), hideout={}, bubblingMouseEvents=False),
        dl.FeatureGroup(dl.EditControl(id="edit", position="topleft", disableDefaultEventHandlers=True), id="edited"),
    ]


def _function(name: str) -> dict[str, str]:
    """Name a function of ``assets/``; nothing is compiled from text, which the page's policy would refuse."""
    return {"variable": f"inspect.{name}"}
