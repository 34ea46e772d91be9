"""What a file is: every way to be bad has its name and a reason."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from messy_share import jpeg
from PIL import Image

from surfacedefect.datasets import check_picture
from surfacedefect.datasets.pictures import wrong_extension

FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP", "JPEG2000", "PPM")


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def png_of_size(width: int, height: int) -> bytes:
    """A small file that says it is a huge picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_told_from_its_cut_self(tmp_path: Path, name: str) -> None:
    content = jpeg(1, format=name)
    found = check_picture(written(tmp_path, content))
    assert (found.state, found.format, found.width_px, found.height_px, found.reason) == ("good", name, 64, 48, "")
    for cut in (len(content) // 2, len(content) - len(content) // 20):
        found = check_picture(written(tmp_path, content[:cut]))
        assert found.state == "truncated" and found.format == name and found.reason


@pytest.mark.parametrize(
    ("content", "state", "words"),
    [
        (b"", "zero_bytes", "found no bytes"),
        (b"<html>404</html>", "not_a_picture", "an XML or HTML document"),
        (b"BMW is a car", "not_a_picture", "text"),
        (b"PK\x03\x04rest", "not_a_picture", "a zip archive"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_a_picture", "PostScript"),
        (bytes(range(256)), "not_a_picture", "bytes of an unknown kind"),
        (b"\xff\xd8\xff" + b"\0" * 40, "corrupt", ""),
        (b"\x89PNG\r\n\x1a\n", "truncated", "breaks off"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, "unsuitable", "HEIF"),
        (png_of_size(60_000, 60_000), "too_many_pixels", "60000 x 60000 px (3,600,000,000 px)"),
    ],
)
def test_bad_files_have_a_state_and_a_reason(tmp_path: Path, content: bytes, state: str, words: str) -> None:
    found = check_picture(written(tmp_path, content))
    assert found.state == state and words in found.reason


def test_damage_in_the_middle_is_found(tmp_path: Path) -> None:
    content = bytearray(jpeg(1, format="PNG"))
    content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    assert check_picture(written(tmp_path, bytes(content))).state == "corrupt"


def test_a_whole_picture_that_cannot_be_a_scan(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(out, "PNG")
    found = check_picture(written(tmp_path, out.getvalue()))
    assert found.state == "unsuitable" and "transparent" in found.reason


def test_extensions() -> None:
    assert not wrong_extension("a/b.JPG", format="JPEG") and not wrong_extension("a/b", format="JPEG")
    assert not wrong_extension("b.old", format="JPEG") and not wrong_extension(".jpg", format="PNG")
    assert "expected '.tif'" in wrong_extension("b.jpeg", format="TIFF")
    assert "named '.txt'" in wrong_extension("b.txt", format="JPEG")
