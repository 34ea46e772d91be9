"""``surfacedefect info``."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surfacedefect._version import __version__
from surfacedefect.cli import _show

if TYPE_CHECKING:
    from surfacedefect.card import ModelCard

_CORE = ("numpy", "rasterio", "shapely", "scikit-image", "pillow")
# Distribution -> the extra that brings it.
_ENGINES = {"onnxruntime": "cpu", "onnxruntime-gpu": "gpu", "openvino": "openvino", "torch": "train"}
_EITHER = {"onnxruntime": "onnxruntime-gpu", "onnxruntime-gpu": "onnxruntime"}


def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say which version, engines and models are installed."""
    from rasterio import __gdal_version__

    from surfacedefect.runtimes import shipped_models, weights_folder

    versions = {"surfacedefect": __version__, "python": platform.python_version(), "system": platform.platform()}
    versions |= {name: _version(name) or "missing" for name in _CORE} | {"gdal": __gdal_version__}
    engines = {name: _version(name) for name in _ENGINES}
    cards = shipped_models()
    if as_json:
        record = {"versions": versions, "engines": engines, "models": [_summary(card) for card in cards.values()]}
        typer.echo(json.dumps(record, ensure_ascii=False))
        return
    typer.echo("Versions")
    _show.table(("part", "version"), list(versions.items()), left=2)
    typer.echo("Engines (one is needed; of onnxruntime and onnxruntime-gpu one only)")
    _show.table(
        ("engine", "version"), [(name, found or _hint(name, engines)) for name, found in engines.items()], left=2
    )
    typer.echo(f"Models in {weights_folder()}")
    if not cards:
        typer.echo("  none; give the path of an .onnx file as --model")
    for name, card in cards.items():
        _print_card(name, card)


def _hint(name: str, engines: Mapping[str, str | None]) -> str:
    other = _EITHER.get(name)
    if other is not None and engines[other]:
        return f"not installed; it would take the place of {other}"
    return f"not installed: pip install 'surfacedefect[{_ENGINES[name]}]'"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _summary(card: ModelCard) -> dict[str, Any]:
    whole = json.loads(card.to_json())
    return {name: value for name, value in whole.items() if name not in ("training", "calibration")}


def _scored(card: ModelCard, kind: str) -> str:
    least = card.least_score(kind)
    return f" (score {least:.3g})" if least else ""


def _print_card(name: str, card: ModelCard) -> None:
    thresholds = ", ".join(f"{kind} from {card.threshold(kind):.3g}{_scored(card, kind)}" for kind in card.kinds)
    typer.echo(f"  {name} {card.version}: {thresholds}; window {card.window_px} px, overlap {card.overlap_px} px")
    if card.summary:
        typer.echo(f"    {card.summary}")
    if card.licence:
        typer.echo(f"    licence: {card.licence}")
    for point in (point for kind in card.kinds for point in card.measured(kind)):
        typer.echo(f"    {point.kind} from {point.threshold:.3g}{_scored(card, point.kind)}: {point}, on {point.data}")
