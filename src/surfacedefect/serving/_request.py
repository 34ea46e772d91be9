"""A request of the Open Inference Protocol -> our own value, with every malformed thing refused in words."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect._texts import by_kind, split
from surfacedefect._words import shortened, type_name
from surfacedefect.options import DetectOptions
from surfacedefect.serving._kserve import InferInput, InferRequest
from surfacedefect.serving._refusals import RequestError
from surfacedefect.serving.options import ServeOptions

INPUT = "image"
OUTPUTS = {
    "geojson": ("BYTES", [1], "the defects, a GeoJSON FeatureCollection"),
    "map": ("UINT8", [-1, -1, -1], "P(damage), kinds x rows x columns, 0..255 = 0..1"),
    "coverage": ("BOOL", [-1, -1], "which pixels were inspected"),
    "map_tiff": ("BYTES", [1], "both as a compressed GeoTIFF; base64 in JSON"),
}
DEFAULT_OUTPUTS = ("geojson",)
PARAMETERS = {
    "threshold": "probability in (0, 1] that counts as damage: 0.4, or scratch=0.4,dent=0.6",
    "least_score": "mean probability in [0, 1] that a defect needs: 0.5, or one a kind",
    "kinds": "kinds to look for: scratch,dent",
    "mm_per_px": "scale of the scan",
    "overlap": "overlap of neighbouring windows in px, at most half a window",
    "least_area_px": "smallest defect in square px",
    "simplify_px": "how far an outline may move to save corners, in px",
    "on_error": "raise, or skip: a window that fails is not inspected",
    "timeout": "most microseconds from arrival to answer",
}
_REST_ONLY = ("binary_data_output",)


@dataclass(frozen=True, slots=True, eq=False)
class DetectRequest:
    """What to look at, how, and what to answer.

    Attributes
    ----------
    scan
        Encoded picture, tensor (H, W, 3|4), or a file that this server wrote itself; never a path of the client's.
    options
        As in the library.
    outputs
        Names of `OUTPUTS`, as ordered; True for those that go as binary data (gRPC: all).
    timeout_seconds
        What the client allows, or None.
    """

    scan: bytes | NDArray[np.uint8] | Path
    options: DetectOptions
    outputs: tuple[tuple[str, bool], ...]
    timeout_seconds: float | None = None


def read_request(request: InferRequest, limits: ServeOptions, *, scan: Path | None = None) -> DetectRequest:
    """Check a request and take what is in it.

    Parameters
    ----------
    request
        As KServe hands it over, from either protocol.
    limits
        Of the server.
    scan
        The picture, when it came apart from the request.

    Raises
    ------
    RequestError
        Anything is malformed, unknown or too large.
    """
    parameters = _parameters_of(request)
    timeout = parameters.pop("timeout", None)
    options = _options_of(parameters, max_pixels=limits.max_pixels)
    return DetectRequest(
        scan=_scan_of(request, limits, written=scan),
        options=options,
        outputs=_outputs_of(request, binary=bool(parameters.get("binary_data_output", False))),
        timeout_seconds=_seconds_of(timeout),
    )


def _parameters_of(request: InferRequest) -> dict[str, Any]:
    found = {}
    for name, value in dict(request.parameters or {}).items():
        if name not in PARAMETERS and name not in _REST_ONLY:
            expected = ", ".join(PARAMETERS)
            raise RequestError("option", f"unknown parameter {shortened(name, most=60)!r}; expected some of {expected}")
        plain = _plain(value) if hasattr(value, "WhichOneof") else value
        if plain is None or not isinstance(plain, str | int | float):
            raise RequestError("option", f"parameter {name!r} is {type_name(plain)}; expected a number or a text")
        found[name] = plain
    return found


def _plain(parameter: Any) -> bool | int | float | str | None:
    """Value of an InferParameter; KServe's knows no floats, which other clients send as a field that it skips."""
    chosen = parameter.WhichOneof("parameter_choice")
    if chosen is not None:
        value: bool | int | str = getattr(parameter, chosen)
        return value
    from google.protobuf.unknown_fields import UnknownFieldSet

    for field in UnknownFieldSet(parameter):
        if (field.field_number, field.wire_type) == (4, 1):
            (number,) = struct.unpack("<d", struct.pack("<Q", field.data))
            return float(number)
        if (field.field_number, field.wire_type) == (5, 0):
            return int(field.data)
    return None


def _options_of(parameters: Mapping[str, Any], *, max_pixels: int) -> DetectOptions:
    given: dict[str, Any] = {}
    for name in ("threshold", "least_score"):
        if name in parameters:
            value = parameters[name]
            given[name] = by_kind(name, value) if isinstance(value, str) else value
    for name in ("mm_per_px", "least_area_px", "simplify_px", "overlap"):
        if name in parameters:
            given[name] = _number(name, parameters[name], whole=name == "overlap")
    if "kinds" in parameters:
        kinds = parameters["kinds"]
        if not isinstance(kinds, str):
            raise RequestError("option", f"kinds is {type_name(kinds)}; expected a text such as 'scratch,dent'")
        given["kinds"] = split(kinds)
    if "on_error" in parameters:
        given["on_error"] = parameters["on_error"]
    try:
        return DetectOptions(max_pixels=max_pixels, **given)
    except (TypeError, ValueError) as error:
        raise RequestError("option", str(error)) from error


def _number(name: str, value: Any, *, whole: bool) -> float | int:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        return int(value) if whole else float(value)
    except (ValueError, OverflowError):
        what = "whole number" if whole else "number"
        raise RequestError("option", f"{name} is {shortened(repr(value), most=60)}; expected a {what}") from None


def _seconds_of(timeout: Any) -> float | None:
    if timeout is None:
        return None
    microseconds = _number("timeout", timeout, whole=False)
    if not math.isfinite(microseconds) or microseconds < 0:
        raise RequestError("option", f"timeout is {microseconds}; expected microseconds, 0 or more")
    return microseconds / 1e6 if microseconds else None  # 0 is what some clients send for none


def _outputs_of(request: InferRequest, *, binary: bool) -> tuple[tuple[str, bool], ...]:
    wanted: dict[str, bool] = {}
    for output in request.request_outputs or ():
        own = None if request.from_grpc else output.binary_data
        wanted[output.name] = request.from_grpc or (binary if own is None else own is True)
    if unknown := [name for name in wanted if name not in OUTPUTS]:
        found = shortened(repr(unknown[0]), most=60)
        raise RequestError("option", f"no output is called {found}; expected some of {', '.join(OUTPUTS)}")
    return tuple(wanted.items()) or tuple((name, bool(request.from_grpc) or binary) for name in DEFAULT_OUTPUTS)


def check_head(request: InferRequest, limits: ServeOptions) -> None:
    """Check a request whose picture is still on its way: what is wrong already need not be waited for.

    Raises
    ------
    RequestError
        See `read_request`.
    """
    parameters = _parameters_of(request)
    parameters.pop("timeout", None)
    _options_of(parameters, max_pixels=limits.max_pixels)
    _outputs_of(request, binary=False)
    _checked_input(request, limits)


def _scan_of(request: InferRequest, limits: ServeOptions, *, written: Path | None) -> bytes | NDArray[np.uint8] | Path:
    given, shape = _checked_input(request, limits)
    if given.datatype == "BYTES":
        return _encoded(given) if written is None else written
    return _tensor(given, shape, written=written)


def _checked_input(request: InferRequest, limits: ServeOptions) -> tuple[InferInput, list[int]]:
    """Return the one input and its shape, both as they may be."""
    inputs: Sequence[InferInput] = request.inputs
    if len(inputs) != 1 or inputs[0].name != INPUT:
        names = [shortened(repr(item.name), most=40) for item in inputs[:3]]
        raise RequestError("malformed", f"found {len(inputs)} input(s) {names}; expected one, called '{INPUT}'")
    (given,) = inputs
    shape = given.shape
    if not isinstance(shape, list) or not 1 <= len(shape) <= 4 or not all(type(side) is int for side in shape):
        raise RequestError("malformed", f"the shape of '{INPUT}' is not one to four whole numbers")
    if given.datatype == "BYTES":
        if math.prod(shape) != 1 or min(shape) < 0:
            raise RequestError("malformed", f"'{INPUT}' is BYTES of shape {shape}; expected [1], one picture")
    elif given.datatype == "UINT8":
        if len(shape) != 3 or shape[2] not in (3, 4) or min(shape) < 1:
            raise RequestError("malformed", f"'{INPUT}' is UINT8 of shape {shape}; expected [height, width, 3]")
        if shape[0] * shape[1] > limits.max_pixels:
            raise RequestError(
                "scan_too_large", f"the scan has {shape[1]} x {shape[0]} px; expected at most {limits.max_pixels:,} px"
            )
    else:
        raise RequestError(
            "malformed",
            f"'{INPUT}' is {shortened(repr(given.datatype), most=40)}; expected BYTES, an encoded picture of shape "
            "[1], or UINT8 of shape [height, width, 3]",
        )
    return given, shape


def _encoded(given: InferInput) -> bytes:
    raw = given._raw_data
    if raw is not None:
        # Checked by hand first: as_numpy() makes an object of every length that it finds, true or not.
        if len(raw) < 4 or int.from_bytes(raw[:4], "little") != len(raw) - 4:
            raise RequestError(
                "malformed",
                f"'{INPUT}' has {len(raw):,} bytes of raw contents; expected a 4-byte length and so many bytes",
            )
        return bytes(given.as_numpy().reshape(-1)[0])
    data = given.data
    while isinstance(data, list) and len(data) == 1:
        data = data[0]
    if isinstance(data, bytes):
        return data
    if not isinstance(data, str):
        found = f"a list of {len(data)}" if isinstance(data, list) else type_name(data)
        raise RequestError("malformed", f"'{INPUT}' holds {found}; expected one picture, base64 in JSON")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            "malformed", f"'{INPUT}' is no base64 ({error}); expected a whole encoded picture"
        ) from error


def _tensor(given: InferInput, shape: list[int], *, written: Path | None) -> NDArray[np.uint8]:
    if written is not None:
        _check_size(written.stat().st_size, shape)
        return np.memmap(written, np.uint8, mode="r", shape=(shape[0], shape[1], shape[2]))
    raw = _bytes_of(given.data) if given._raw_data is None else given._raw_data
    _check_size(len(raw), shape)
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _check_size(found: int, shape: list[int]) -> None:
    if found != math.prod(shape):
        raise RequestError(
            "malformed", f"'{INPUT}' holds {found:,} values; its shape {shape} says {math.prod(shape):,}"
        )


def _bytes_of(values: Any) -> bytes:
    """Flat or nested numbers 0..255 as bytes."""
    try:
        while isinstance(values, list) and values and isinstance(values[0], list):
            values = list(itertools.chain.from_iterable(values))
        if not isinstance(values, list):
            raise TypeError(f"found {type_name(values)}")
        return bytes(values)
    except (TypeError, ValueError) as error:
        raise RequestError("malformed", f"'{INPUT}' is no list of numbers from 0 to 255 ({error})") from error
