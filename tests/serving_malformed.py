"""Requests that no server should answer, seeded: what a broken client, or a hostile one, may send."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from serving_calls import TOKEN, encoded, pixels, request, rest_body

GOOD = (("authorization", f"Bearer {TOKEN}"),)
PICTURES = tuple(encoded(pixels(), kind=kind) for kind in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"))


@dataclass
class Malformed:
    """One request: bytes for gRPC or for REST, and its headers."""

    what: str
    protocol: str
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: dict(GOOD))


def malformed(count: int, *, seed: int = 0) -> list[Malformed]:
    """Return so many requests, every kind as often as the others."""
    generator = random.Random(seed)
    return [MAKERS[number % len(MAKERS)](generator) for number in range(count)]


def _either(generator: random.Random, what: str, data: bytes) -> Malformed:
    if generator.random() < 0.5:
        return Malformed(what, "grpc", request(data).SerializeToString())
    return Malformed(what, "rest", json.dumps(rest_body(data)).encode())


def truncated_picture(generator: random.Random) -> Malformed:
    data = generator.choice(PICTURES)
    return _either(generator, "truncated picture", data[: generator.randrange(0, len(data) * 9 // 10)])


def noise(generator: random.Random) -> Malformed:
    start = generator.choice([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"RIFF", b"GIF89a", b"BM"])
    return _either(generator, "noise", start + generator.randbytes(generator.randrange(400)))


def wrong_dtype(generator: random.Random) -> Malformed:
    kind = generator.choice(["FP32", "INT64", "uint8", "BOOL", "", "UINT8\0", "x" * 200, "FP16"])
    return Malformed("dtype", "grpc", request(b"1234", datatype=kind, shape=[2, 2]).SerializeToString())


def lying_shape(generator: random.Random) -> Malformed:
    sides = [0, 1, 3, 7, -1, 10**9, 2**62, -(2**63)]
    shape = [generator.choice(sides) for _ in range(generator.randrange(0, 6))]
    datatype = generator.choice(["UINT8", "BYTES"])
    if datatype == "BYTES" and np.prod([1, *shape], dtype=float) == 1:
        shape = [2]
    data = generator.randbytes(generator.randrange(50))
    if generator.random() < 0.5:
        return Malformed("shape", "grpc", request(data, datatype=datatype, shape=shape).SerializeToString())
    body = {"inputs": [{"name": "image", "shape": shape, "datatype": datatype, "data": list(data)}]}
    return Malformed("shape", "rest", json.dumps(body).encode())


def lying_length(generator: random.Random) -> Malformed:
    data = PICTURES[0]
    message = request(data)
    length = generator.choice([0, 1, len(data) - 1, len(data) + 1, 2**32 - 1])
    message.raw_input_contents[0] = struct.pack("<I", length) + data
    return Malformed("length", "grpc", message.SerializeToString())


def bomb(generator: random.Random) -> Malformed:
    return _either(generator, "bomb", generator.choice(_bombs()))


_made: list[bytes] = []


def _bombs() -> list[bytes]:
    """Small files that say they are of hundreds of megapixels; the PNG really is."""
    if not _made:
        side = 20_000
        rows = zlib.compress(bytes(side * (side // 8 + 1)), 9)  # 1 bit a pixel
        _made.append(_png(side, side, rows))
        _made.append(_png(2**31 - 1, 2**31 - 1, zlib.compress(b"\0" * 100)))
        gif = bytearray(encoded(pixels(), kind="GIF"))
        gif[6:10] = struct.pack("<HH", 65535, 65535)
        _made.append(bytes(gif))
        jpeg = bytearray(encoded(pixels(), kind="JPEG", progressive=True))
        where = jpeg.index(b"\xff\xc2") + 5
        jpeg[where : where + 4] = struct.pack(">HH", 65500, 65500)
        _made.append(bytes(jpeg))
        tiff = bytearray(encoded(pixels(), kind="TIFF"))
        for tag in (256, 257):
            at = tiff.index(struct.pack("<HH", tag, 4)) if struct.pack("<HH", tag, 4) in tiff else None
            if at is not None:
                tiff[at + 8 : at + 12] = struct.pack("<I", 2**30)
        _made.append(bytes(tiff))
    return _made


def _png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def random_protobuf(generator: random.Random) -> Malformed:
    sort = generator.randrange(4)
    if sort == 0:
        data = generator.randbytes(generator.randrange(1, 300))
    elif sort == 1:
        whole = request(PICTURES[0]).SerializeToString()
        data = whole[: generator.randrange(1, len(whole) - 1)]
    elif sort == 2:
        data = b"\x2a\x00" * generator.choice([2, 200, 200_000])  # inputs without anything
    else:
        data = request(PICTURES[0]).SerializeToString() + b"\x3a\x00" * generator.choice([1, 100, 100_000])
    return Malformed("protobuf", "grpc", data)


def bad_json(generator: random.Random) -> Malformed:
    whole = json.dumps(rest_body(PICTURES[0]))
    picks: list[Callable[[], str]] = [
        lambda: whole[: generator.randrange(len(whole) - 1)],
        lambda: generator.choice(["", "null", "[]", "7", '"text"', "{}", '{"inputs":[]}', '{"inputs":{}}']),
        lambda: "[" * generator.choice([10, 2000, 100_000]),
        lambda: '{"inputs":' + "[" * 900 + "]" * 900 + "}",
        lambda: json.dumps({"inputs": [_changed(generator)]}),
        lambda: json.dumps({"inputs": [rest_body(PICTURES[0])["inputs"][0]] * generator.choice([2, 9])}),
        lambda: json.dumps(rest_body(PICTURES[0], parameters=generator.choice([[], "x", {"threshold": [1] * 999}]))),
        lambda: json.dumps(rest_body(PICTURES[0], outputs=generator.choice([[], [{}], [{"name": "all"}], "map"]))),
        lambda: whole.replace("=", "!").replace("A", "\\u0000", 1),
    ]
    headers = dict(GOOD)
    if generator.random() < 0.2:
        headers["inference-header-content-length"] = generator.choice(["-1", "x", "9" * 30, "3", ""])
    return Malformed("json", "rest", generator.choice(picks)().encode(), headers)


def _changed(generator: random.Random) -> dict[str, Any]:
    item = dict(rest_body(PICTURES[0])["inputs"][0])
    item[generator.choice(sorted(item))] = generator.choice([None, 7, "x", [], {}, [[]], [None], -1, True, [1.5]])
    return item


def bad_parameter(generator: random.Random) -> Malformed:
    name = generator.choice(["threshold", "kinds", "mm_per_px", "overlap", "timeout", "on_error", "on\x00", "y" * 300])
    value = generator.choice(["nan", "-1", "x" * 1000, "", "1e999", "scratch=", "\x1b[31m", "9" * 5000])
    if name == "on_error" and value == "":
        value = "?"
    return Malformed("parameter", "grpc", request(PICTURES[0], **{name: value}).SerializeToString())


def huge_header(generator: random.Random) -> Malformed:
    headers = {**dict(GOOD), "x-large": "h" * generator.choice([70_000, 200_000])}
    whole = request(PICTURES[0]).SerializeToString()
    if generator.random() < 0.5:
        return Malformed("header", "grpc", whole, headers)
    return Malformed("header", "rest", json.dumps(rest_body(PICTURES[0])).encode(), headers)


def wrong_token(generator: random.Random) -> Malformed:
    made = _either(generator, "token", PICTURES[0])
    wrong = ["", "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}.", f"Basic {TOKEN}", "Bearer " + "t" * 5000]
    made.headers = {"authorization": generator.choice(wrong)} if generator.random() < 0.9 else {}
    return made


def too_long(generator: random.Random) -> Malformed:
    return Malformed("long", generator.choice(["grpc", "rest"]), bytes(3 * 2**20))


MAKERS = (
    truncated_picture,
    noise,
    wrong_dtype,
    lying_shape,
    lying_length,
    bomb,
    random_protobuf,
    bad_json,
    bad_parameter,
    huge_header,
    wrong_token,
    too_long,
)
