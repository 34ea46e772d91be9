"""A look at a protobuf message before it is parsed.

Two bytes on the wire can become a hundred in memory: an empty submessage is two bytes long, and a message of 64 MB
holds 32 million of them. A picture needs a handful of fields, so a message with many is refused unparsed.
"""

from __future__ import annotations

from collections.abc import Iterator

from surfacedefect.serving._refusals import RequestError

MOST_FIELDS = 256
MOST_SMALL_BYTES = 64 * 1024
MOST_NUMBERS = 2**24
"""Bytes of a packed list of small numbers: a raw tensor that is larger comes as raw contents."""

_PARAMETERS, _INPUTS, _OUTPUTS, _RAW = 4, 5, 6, 7  # of a ModelInferRequest
_CONTENTS = 5  # of an InferInputTensor
_UINTS, _BYTES = 4, 8  # of an InferTensorContents
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5


def check_infer_message(message: bytes) -> None:
    r"""Refuse a ModelInferRequest that is broken, or that would grow out of all proportion when it is parsed.

    Raises
    ------
    RequestError
        It is one of both.

    Examples
    --------
    >>> check_infer_message(b"")
    >>> check_infer_message(b"\x2a\x00" * 1000)
    Traceback (most recent call last):
        ...
    surfacedefect.serving._refusals.RequestError: the message has more than 256 fields; expected one picture ...
    """
    for number, part in _fields(memoryview(message)):
        if number == _INPUTS:
            _check_input(part)
        elif number != _RAW:
            _check_small(part)


def _check_input(part: memoryview) -> None:
    for number, inner in _fields(part):
        if number != _CONTENTS:
            _check_small(inner)
            continue
        for kind, values in _fields(inner):
            if kind == _UINTS and len(values) > MOST_NUMBERS:
                raise RequestError("too_large", "the tensor is too large for uint_contents; send it as raw contents")
            if kind not in (_UINTS, _BYTES):
                _check_small(values)


def _check_small(part: memoryview) -> None:
    if len(part) > MOST_SMALL_BYTES:
        raise RequestError(
            "too_large", f"a field beside the picture has {len(part):,} bytes; expected at most {MOST_SMALL_BYTES:,}"
        )


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field; numbers that are not length-delimited have an empty one."""
    where = count = 0
    while where < len(view):
        count += 1
        if count > MOST_FIELDS:
            raise RequestError(
                "malformed", f"the message has more than {MOST_FIELDS} fields; expected one picture and its parameters"
            )
        tag, where = _varint(view, where)
        kind, size = tag & 7, 0
        if kind == _VARINT:
            _, where = _varint(view, where)
        elif kind == _DELIMITED:
            size, where = _varint(view, where)
        elif kind in (_FIXED64, _FIXED32):
            where += 8 if kind == _FIXED64 else 4
        else:
            raise _broken()
        if where + size > len(view):
            raise _broken()
        yield tag >> 3, view[where : where + size]
        where += size


def _varint(view: memoryview, where: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if where >= len(view):
            break
        byte = view[where]
        where += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, where
    raise _broken()


def _broken() -> RequestError:
    return RequestError("malformed", "the message is no ModelInferRequest of the Open Inference Protocol")
