"""The body of a REST request -> KServe's `InferRequest`: plain JSON, or JSON and binary data behind it.

KServe's own reader takes binary data for text and answers 500 to much that is merely malformed.
"""

from __future__ import annotations

from typing import Any

import orjson

from surfacedefect._words import type_name
from surfacedefect.serving._kserve import InferInput, InferRequest, RequestedOutput
from surfacedefect.serving._refusals import RequestError

JSON_LENGTH_HEADER = "inference-header-content-length"
MOST_LISTS = 2**21
MOST_COMMAS = 2**24
MOST_QUOTES = 4096
"""What a JSON body may hold: each list, number and text becomes an object of many times its length."""


def read_body(body: bytes, *, json_length: str | None, model_name: str) -> InferRequest:
    """Read a request.

    Parameters
    ----------
    body
        All of it.
    json_length
        The header that says how long the JSON is, when binary data follow it.
    model_name
        From the address.

    Raises
    ------
    RequestError
        It is no request of the protocol.
    """
    head, tail = _parted(body, json_length)
    record = _json(head)
    inputs = _list(record, "inputs", most=8)
    outputs = _list(record, "outputs", most=16) if record.get("outputs") is not None else []
    read, raw = [], []
    for item in inputs:
        data, size = item.get("data"), _parameters(item).get("binary_data_size")
        if data is None:
            if type(size) is not int or not 0 <= size <= len(tail):
                raise _malformed(f"an input has neither data nor a binary_data_size of at most {len(tail):,} bytes")
            raw.append(bytes(tail[:size]))
            tail = tail[size:]
        elif size is not None:
            raise _malformed("an input has both data and binary_data_size")
        name, datatype = _text(item, "name"), _text(item, "datatype")
        read.append(InferInput(name=name, shape=item.get("shape"), datatype=datatype, data=data))
    if len(tail) or 0 < len(raw) < len(read):
        raise _malformed("binary data and inputs do not go together")
    wanted = [RequestedOutput(_text(item, "name"), _parameters(item)) for item in outputs]
    return InferRequest(
        model_name=model_name,
        infer_inputs=read,
        request_id=_text(record, "id") if record.get("id") is not None else None,
        raw_inputs=raw,
        parameters=_parameters(record),
        request_outputs=wanted or None,
    )


def _parted(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    if not json_length.isascii() or not json_length.isdigit() or len(json_length) > 12 or int(json_length) > len(body):
        raise _malformed(f"{JSON_LENGTH_HEADER} is {json_length!r}; expected a length of at most {len(body):,}")
    length = int(json_length)
    return body[:length], memoryview(body)[length:]


def _json(head: bytes) -> dict[str, Any]:
    # Base64 holds none of these, so a picture of any size passes.
    for letters, most in ((b"[{", MOST_LISTS), (b",", MOST_COMMAS), (b'"', MOST_QUOTES)):
        if sum(head.count(letter) for letter in (bytes([code]) for code in letters)) > most:
            raise RequestError(
                "too_large", "the JSON holds too many values; send the picture as base64 or as binary data behind it"
            )
    try:
        record = orjson.loads(head)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"the body is no JSON ({error})") from error
    return _mapping(record, "the body")


def _list(record: dict[str, Any], name: str, *, most: int) -> list[dict[str, Any]]:
    items = record.get(name)
    if not isinstance(items, list) or not 1 <= len(items) <= most or not all(isinstance(item, dict) for item in items):
        raise _malformed(f"'{name}' is no list of 1 to {most} objects")
    return items


def _parameters(record: dict[str, Any]) -> dict[str, Any]:
    given = record.get("parameters")
    return {} if given is None else _mapping(given, "'parameters'")


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(f"{name} is no JSON object")
    return value


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or len(value) > 256:
        found = f"a text of {len(value):,}" if isinstance(value, str) else type_name(value)
        raise _malformed(f"'{name}' is {found}; expected a text of at most 256 letters")
    return value


def _malformed(message: str) -> RequestError:
    return RequestError("malformed", f"{message}; see the Open Inference Protocol")
