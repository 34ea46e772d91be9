"""What a client says and hears, without the saying and hearing: shared by the synchronous client and the other one."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from google.protobuf.message import DecodeError

from surfacedefect._scan_files import as_scan_error
from surfacedefect._words import shortened, type_name
from surfacedefect.detections import Detections
from surfacedefect.errors import (
    DeadlineError,
    OptionError,
    PredictorError,
    ScanError,
    ScanTooLargeError,
    ServerUnavailableError,
    ServingError,
    SurfaceDefectError,
    TokenError,
)
from surfacedefect.options import DetectOptions
from surfacedefect.probability import ProbabilityMap
from surfacedefect.scan import Scan, ScanSource, encoded_in
from surfacedefect.serving._messages import InferRequestMessage, InferResponseMessage
from surfacedefect.serving._refusals import ACCEPTED_HEADER, REASON_HEADER

CHUNK_BYTES = 2**20
MOST_AT_ONCE_BYTES = 4 * 2**20
"""Encoded scans up to this size go in one message of the protocol; larger ones as a stream."""

MOST_SECONDS = 10**7
"""Far longer than any server allows; gRPC takes much larger numbers for times that have passed."""

INFER = "/inference.GRPCInferenceService/ModelInfer"
READY = "/inference.GRPCInferenceService/ServerReady"
DETECT = "/surfacedefect.Scans/Detect"
PROGRESS = "progress"

_OPTIONS = ("threshold", "least_score", "kinds", "mm_per_px", "overlap", "least_area_px", "simplify_px", "on_error")
_ERRORS: dict[str, type[SurfaceDefectError]] = {
    "scan": ScanError,
    "scan_too_large": ScanTooLargeError,
    "too_large": ScanTooLargeError,
    "option": OptionError,
    "predictor": PredictorError,
    "unauthenticated": TokenError,
    "deadline": DeadlineError,
    "queue_full": ServerUnavailableError,
    "not_ready": ServerUnavailableError,
    "draining": ServerUnavailableError,
}


@dataclass(frozen=True, slots=True, eq=False)
class Payload:
    """A scan on its way: as it is encoded, or decoded to a tensor where it never was a file."""

    content: Path | bytes | memoryview
    size: int
    datatype: str
    shape: tuple[int, ...]

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces; a file is never held whole."""
        if isinstance(self.content, Path):
            with self.content.open("rb") as file:
                while piece := file.read(CHUNK_BYTES):
                    yield piece
            return
        for start in range(0, len(self.content), CHUNK_BYTES):
            yield bytes(self.content[start : start + CHUNK_BYTES])

    def whole(self) -> bytes:
        """Return the content as raw contents of one message."""
        if isinstance(self.content, Path):
            with as_scan_error(self.content.name):
                content = self.content.read_bytes()
        else:
            content = bytes(self.content)
        return len(content).to_bytes(4, "little") + content if self.datatype == "BYTES" else content


class Exchange:
    """One detection: the messages to send, and what to make of the answer.

    Parameters
    ----------
    source
        As `Detector.detect`, but no open rasterio dataset.
    options
        Those of `DetectOptions` that a server takes.
    told
        Whether the server is to say how far it is; it does so in a stream alone.

    Raises
    ------
    ScanError
        There is no such file, or an array cannot be a scan.
    OptionError
        An option is unknown or out of its range.
    """

    def __init__(self, source: ScanSource, options: Mapping[str, Any], *, told: bool = False) -> None:
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise OptionError(f"unknown option(s) {unknown}; a server takes {', '.join(_OPTIONS)}")
        self._options = DetectOptions(**options)
        if hasattr(source, "read") and not hasattr(source, "getbands"):
            source = _read_once(source)
        self._source = source
        self.payload = _payload_of(source)
        self.told = told
        self.streams = told or self.payload.size > MOST_AT_ONCE_BYTES

    def message(self) -> Any:
        """Return the request, without the picture when that is streamed."""
        request = InferRequestMessage(model_name="surfacedefect")
        for name, text in _parameters(self._options):
            entry = request.parameters.add(key=name)
            entry.value.string_param = text
        if self.told:
            request.parameters.add(key=PROGRESS).value.bool_param = True
        request.inputs.add(name="image", datatype=self.payload.datatype, shape=self.payload.shape)
        request.outputs.add(name="map_tiff")
        if not self.streams:
            request.raw_input_contents.append(self.payload.whole())
        return request

    @property
    def file(self) -> Path | None:
        """Path of the picture, where it is a file."""
        return self.payload.content if isinstance(self.payload.content, Path) else None

    def messages(self) -> Iterator[Any]:
        """Yield the messages of a stream: the request, then the picture in pieces."""
        yield self.message()
        for piece in self.payload.chunks():
            yield InferRequestMessage(raw_input_contents=[piece])

    def found(self, response: Any, *, tail: bytes = b"") -> Detections:
        """Make of an answer what `Detector.detect` would have returned.

        Parameters
        ----------
        response
            The answer, or its first message.
        tail
            The map, when it came in pieces after that.

        Raises
        ------
        ServingError
            The answer is none of such a server.
        """
        try:
            (content,) = response.raw_output_contents or (tail,)
            (described,) = (item.value.string_param for item in response.parameters if item.key == "detection")
            outlining = json.loads(described)
            width, height = int(outlining.pop("width")), int(outlining.pop("height"))
            outlining.pop("model")
            found = ProbabilityMap.from_bytes(content[4:], max_memory=self._options.max_memory)
            if (found.width, found.height) != (width, height):
                raise ValueError(f"the map has {found.width} x {found.height} px, not {width} x {height}")
            scan = Scan.unopened(self._source, width=width, height=height, mm_per_px=self._options.mm_per_px)
            return Detections.from_map(found, scan_reference=scan, **outlining)
        except (KeyError, TypeError, ValueError, DecodeError) as error:
            raise ServingError(
                f"the server's answer is not understood ({shortened(error)}); expected one of surfacedefect of a "
                "version like this one: look at both"
            ) from error


def step_in(response: Any) -> tuple[int, int] | None:
    """Return the windows done and in all of a message that says how far the server is; None for an answer.

    Raises
    ------
    ServingError
        It says so in another way.

    Examples
    --------
    >>> message = InferResponseMessage()
    >>> message.parameters.add(key="progress").value.string_param = "3/8"
    >>> step_in(message), step_in(InferResponseMessage())
    ((3, 8), None)
    """
    for item in response.parameters:
        if item.key == PROGRESS:
            done, slash, of = item.value.string_param.partition("/")
            if not (slash and done.isdecimal() and of.isdecimal()):
                raise ServingError(f"the server's progress is {shortened(item.value.string_param)!r}; expected '3/8'")
            return int(done), int(of)
    return None


def is_safe_to_repeat(code: str, reason: str | None, *, initial: Mapping[str, Any]) -> bool:
    """Say whether a failed request may be sent again: only where no work was begun on it.

    Examples
    --------
    >>> is_safe_to_repeat("UNAVAILABLE", None, initial={})
    True
    >>> is_safe_to_repeat("UNAVAILABLE", None, initial={"surfacedefect-accepted": "1"})
    False
    >>> is_safe_to_repeat("RESOURCE_EXHAUSTED", "queue_full", initial={})
    True
    >>> is_safe_to_repeat("INTERNAL", None, initial={})
    False
    """
    if ACCEPTED_HEADER in initial:
        return False
    return code == "UNAVAILABLE" or reason == "queue_full"


def reason_in(trailing: Any, *, details: str | None) -> str | None:
    """Return the server's own word for what went wrong; where gRPC refused before it was asked, the same word."""
    for name, value in trailing or ():
        if name == REASON_HEADER:
            return str(value)
    words = {"larger than max": "too_large", "Concurrent RPC limit": "queue_full"}
    return next((reason for part, reason in words.items() if part in (details or "")), None)


def raise_refusal(code: str, reason: str | None, *, details: str, target: str, file: Path | None = None) -> NoReturn:
    """Raise what a refusal means in this library; `file` is what the server, which sees no names, calls otherwise."""
    details = shortened(details or code.lower())
    if file is not None and reason == "scan":
        name, colon, rest = details.partition(": ")
        details = f"{shortened(file)}: {rest}" if colon and name in ("bytes", "scan", "array") else details
    known = _ERRORS.get(reason or "")
    if known is not None:
        raise known(details)
    if code == "UNAVAILABLE":
        raise ServerUnavailableError(
            f"no server answers at '{target}' ({details}); check the address, and that it runs"
        )
    if code == "DEADLINE_EXCEEDED":
        raise DeadlineError(
            f"'{target}' gave no answer in time; allow more with timeout_seconds, or send a smaller scan"
        )
    if code == "UNAUTHENTICATED":
        raise TokenError(f"'{target}' wants another token ({details})")
    raise ServingError(f"'{target}' answered {code}: {details}")


def waits(attempts: int) -> Iterator[float]:
    """Yield the seconds to wait before each further attempt: 0.1 and doubling, up to a second.

    Examples
    --------
    >>> list(waits(6))
    [0.1, 0.2, 0.4, 0.8, 1.0]
    """
    for attempt in range(attempts - 1):
        yield min(0.1 * 2**attempt, 1.0)


def _read_once(source: Any) -> Any:
    """Read an open file, which may not be there to be read again, and keep its name."""
    held = encoded_in(source)
    if not isinstance(held, bytes):
        return source
    kept = io.BytesIO(held)
    kept.name = getattr(source, "name", "")
    return kept


def _payload_of(source: ScanSource) -> Payload:
    held = encoded_in(source)
    if isinstance(held, Path):
        return Payload(held, held.stat().st_size, "BYTES", (1,))
    if isinstance(held, bytes):
        return Payload(held, len(held), "BYTES", (1,))
    if not isinstance(source, np.ndarray) and not hasattr(source, "getbands"):
        raise ScanError(f"found {type_name(source)}, expected a path, an array, a PIL image or bytes; pass its path")
    with Scan.open(source) as scan:
        pixels, valid = scan.rows(0, scan.height), scan.valid_rows(0, scan.height)
    if valid is not None:
        pixels = np.dstack([pixels, np.where(valid, np.uint8(255), np.uint8(0))])
    pixels = np.ascontiguousarray(pixels)
    return Payload(pixels.data.cast("B"), pixels.nbytes, "UINT8", pixels.shape)


def _parameters(options: DetectOptions) -> Iterator[tuple[str, str]]:
    default = DetectOptions()
    for name in _OPTIONS:
        value = getattr(options, name)
        if value == getattr(default, name):
            continue
        if isinstance(value, Mapping):
            # repr keeps every digit of a float
            yield name, ",".join(f"{kind}={float(number)!r}" for kind, number in value.items())
        elif isinstance(value, tuple):
            yield name, ",".join(value)
        else:
            yield (
                name,
                str(value) if isinstance(value, str) else repr(value if isinstance(value, int) else float(value)),
            )


def check_told(progress: object, cancelled: object = None) -> None:
    """Check the functions that a client is to call.

    Raises
    ------
    OptionError
        One is neither a function nor None.
    """
    for name, value in (("progress", progress), ("cancelled", cancelled)):
        if value is not None and not callable(value):
            raise OptionError(f"{name} is {type_name(value)}; expected a function, or None")


def seconds(timeout: float) -> float:
    """Check the time that is allowed for an answer.

    Raises
    ------
    OptionError
        It is no number above 0, or too large a one.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MOST_SECONDS:
        raise OptionError(f"timeout_seconds is {timeout!r}; expected a number above 0, at most {MOST_SECONDS:,}")
    return float(timeout)


def parsed_response(data: bytes) -> Any:
    """Parse an answer.

    Raises
    ------
    google.protobuf.message.DecodeError
        It is none.
    """
    return InferResponseMessage.FromString(data)
