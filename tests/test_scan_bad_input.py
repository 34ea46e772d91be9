"""What is no picture, or half of one, raises `ScanError` and says what was found; it never comes out grey or empty."""

from __future__ import annotations

import functools
import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile

from surfacedefect.errors import ScanError, ScanTooLargeError, SurfaceDefectError
from surfacedefect.scan import Scan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def picture(height: int, width: int, bands: int = 3) -> NDArray[np.uint8]:
    """Noise over a ramp, so that files have bytes everywhere."""
    ramp = np.linspace(0, 200, width * height).reshape(height, width, 1)
    return (ramp + np.random.default_rng(0).integers(0, 50, (height, width, bands))).astype(np.uint8)


def read(source: Any, **options: Any) -> tuple[NDArray[np.uint8], bool]:
    """All rows, and whether all are valid."""
    with Scan.open(source, **options) as scan:
        edges = [*range(0, scan.height, 50), scan.height]
        spans = list(zip(edges, edges[1:], strict=False))
        valid = [scan.valid_rows(*span) is None for span in spans]
        return np.concatenate([scan.rows(*span) for span in spans]), all(valid)


def saved(kind: str, array: NDArray[np.uint8] | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(picture(200, 150) if array is None else array)
    image.convert(options.pop("mode", image.mode)).save(file, kind, **options)
    return file.getvalue()


def tiff(array: NDArray[Any], path: Path | None = None, **options: Any) -> bytes:
    array = array[..., np.newaxis] if array.ndim == 2 else array
    height, width, count = array.shape
    with rasterio.MemoryFile() as memory:
        profile = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": array.dtype, **options}
        with memory.open(**profile) as dataset:
            dataset.write(np.moveaxis(array, -1, 0))
        return bytes(memory.read())


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = number
    return exif


def tiff_without_pixels() -> bytes:
    """A directory of one tag: width 7."""
    return b"II*\0" + struct.pack("<IHHHIII", 8, 1, 256, 4, 1, 7, 0)


# Not a picture at all


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", r"an empty file \(0 bytes\)"),
        (b"Not a picture, but a few words.\n" * 30, r"text \('Not a picture"),
        ("Kratzer \u00fcberall, auch hier \u2026".encode(), "text"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "XML or HTML"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9"/>', "an SVG drawing"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"<VRTDataset rasterXSize='9' rasterYSize='9'></VRTDataset>", "XML"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript document"),
        (b"PK\3\4" + bytes(60), "a zip archive"),
        (b"\x1f\x8b" + bytes(60), "gzip"),
        (b"\x93NUMPY\1\0" + bytes(60), "numpy.load"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "HEIF"),
        (b"\0\0\0\x18ftypmp42" + bytes(60), "video"),
        (bytes(600), "unknown kind"),
        (bytes(range(200, 256)) * 20, "unknown kind"),
        (b"\xff\xd8\xff", "a JPEG with a damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(90), "a JPEG with a damaged"),
        (b"\x89PNG\r\n\x1a\n", "a PNG that breaks off"),
        (b"\x89PNG\r\n\x1a\n" + bytes(90), "a PNG that breaks off"),
        (b"II*\0", "a TIFF that breaks off"),
        (b"MM\0*" + bytes(9), "a TIFF that breaks off"),
        (b"II+\0\x08\0\0\0" + bytes(9), "a TIFF that breaks off"),
        (tiff_without_pixels(), "cannot be read"),
        (b"GIF89a" + bytes(9), "."),
        (b"BM" + bytes(9), "."),
        (b"RIFF\0\0\0\0WEBP" + bytes(9), "."),
    ],
)
def test_other_content(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.jpg"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(ScanError, match=found) as caught:
            read(source)
        assert "expected" in str(caught.value)
        assert "<_io." not in str(caught.value)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, found in {
        tmp_path / "none.jpg": "no such file",
        "": "found the empty path",
        tmp_path: "found a directory",
        tmp_path / "pipe.jpg": "a device or a pipe",
        "/dev/zero": "a device or a pipe",
        "https://example.com/scan.jpg": "address https://example.com/scan.jpg.*download it first",
        "s3://bucket/scan.tif": "download it first",
        "/vsizip/scans.zip/scan.tif": "no such file",
        "/vsicurl/http:/example.com/scan.tif": "no such file",
        "~nobody-of-this-name/scan.jpg": ".",
        "scan\0.jpg": ".",
        f"GTIFF_DIR:1:{tmp_path}": "no such file",
    }.items():
        with pytest.raises(ScanError, match=found):
            Scan.open(path)


@pytest.mark.parametrize("source", [None, 7, [[1, 2], [3, 4]], {"a": 1}, np.float32(3), object()])
def test_other_things(source: Any) -> None:
    found = "None" if source is None else rf"an? \S*{type(source).__name__}"
    with pytest.raises(ScanError, match=rf"found {found}, expected a path"):
        Scan.open(source)


def test_file_objects_that_give_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "scan.txt").write_text("abc")
    with (tmp_path / "scan.txt").open() as file, pytest.raises(ScanError, match=r"scan.txt.* 'rb'"):
        Scan.open(file)
    with pytest.raises(ScanError, match="'rb'"):
        Scan.open(io.StringIO("abc"))
    closed = io.BytesIO(saved("PNG"))
    closed.close()
    with pytest.raises(ScanError, match="closed file"):
        Scan.open(closed)


def test_datasets_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    with rasterio.open(path, "w", driver="GTiff", width=5, height=5, count=3, dtype="uint8") as dataset:
        with pytest.raises(ScanError, match="opened for writing"):
            Scan.open(dataset)
        dataset.write(np.ones((3, 5, 5), np.uint8))
    with rasterio.open(path) as dataset:
        scan = Scan.open(dataset)
    with pytest.raises(ScanError, match="closed dataset"):
        Scan.open(dataset)
    with pytest.raises(ScanError):
        scan.rows(0, 5)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan.jpg").write_bytes(saved("JPEG"))

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ScanError, match="Permission denied") as caught:
        Scan.open(tmp_path / "scan.jpg")
    assert isinstance(caught.value.__cause__, PermissionError)


def test_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", refuse)
    with pytest.raises(ScanTooLargeError, match="memory"):
        Scan.open(Image.fromarray(picture(5, 5)))


# Arrays and PIL images


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.ones((4, 5), np.bool_), r"bool.*not a mask.*\* 255"),
        (np.ones((4, 5), np.int64), r"int64.*astype\('uint8'\)"),
        (np.ones((4, 5), np.int8), "int8"),
        (np.ones((4, 5), np.uint32), "uint32"),
        (np.ones((4, 5), np.complex64), "complex64"),
        (np.array([["a", "b"]]), "type <U1"),
        (np.array([[None, None]]), "type object"),
        (np.zeros((), np.uint8), r"shape \(\)"),
        (np.zeros(9, np.uint8), r"shape \(9,\)"),
        (np.zeros((1, 4, 5, 3), np.uint8), "one picture at a time"),
        (np.zeros((0, 5), np.uint8), "at least one pixel"),
        (np.zeros((5, 0, 3), np.uint8), "at least one pixel"),
        (np.zeros((5, 5, 0), np.uint8), "at least one pixel"),
        (np.zeros((3, 40, 50), np.uint8), r"numpy.moveaxis\(array, 0, -1\)"),
        (np.zeros((1, 40, 50), np.uint8), "moveaxis"),
        (np.zeros((40, 50, 2), np.uint8), r"\(40, 50, 2\)"),
        (np.zeros((40, 50, 5), np.uint8), r"\(40, 50, 5\)"),
        (np.array([[0.0, 255.0]]), "from 0 to 255, expected 0 .* divide them by 255"),
        (np.array([[0.0, 65535.0]]), "from 0 to 65535.* scale"),
        (np.array([[-0.5, 0.5]]), "from -0.5 to 0.5"),
        (np.array([[np.nan, 3.0]]), "from 3 to 3"),
        (np.array([[0.5, np.inf]]), "infinite"),
        (np.array([[-np.inf, 0.5]], np.float16), "infinite"),
        (np.full((4, 5), np.nan), "NaN in every pixel"),
        (np.zeros((4, 5, 4), np.uint8), "fully transparent"),
        (np.ma.masked_all((4, 5), np.uint8), "masked out"),
        (np.ma.masked_all((4, 5), np.float32), "NaN in every pixel"),
    ],
)
def test_arrays(array: NDArray[Any], found: str) -> None:
    with pytest.raises(ScanError, match=f"array: .*{found}"):
        Scan.open(array)


def test_one_band_of_nan_in_every_pixel() -> None:
    array = np.full((60, 5, 3), 0.5)
    array[..., 1] = np.nan
    with pytest.raises(ScanError, match="no valid pixel"):
        read(array)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (Image.new("RGB", (0, 0)), "0 x 0 px"),
        (Image.new("L", (5, 0)), "5 x 0 px"),
        (Image.new("I", (5, 5), -3), "mode I with values from -3"),
        (Image.new("I", (5, 5), 70000), "mode I .*70000"),
        (Image.new("I", (5, 5), 255), "mode I .*255.*convert it"),
        (Image.new("F", (5, 5), 255), "from 255 to 255"),
        (Image.new("RGBA", (5, 5)), "transparent"),
    ],
)
def test_pil_images(image: Image.Image, found: str) -> None:
    with pytest.raises(ScanError, match=found):
        Scan.open(image)


def test_pil_image_of_a_cut_file() -> None:
    for kind in ("JPEG", "PNG"):
        data = saved(kind)
        with pytest.raises(ScanError, match="truncated"), Image.open(io.BytesIO(data[: len(data) // 2])) as image:
            Scan.open(image)
    image = Image.open(io.BytesIO(saved("PNG")))
    image.close()
    with pytest.raises(ScanError):
        Scan.open(image)


def test_more_pixels_than_allowed() -> None:
    with pytest.raises(ScanTooLargeError, match=r"200 x 100 px .*at most 19,999 px.*raise max_pixels"):
        Scan.open(Image.new("RGB", (200, 100)), max_pixels=19_999)


def test_bomb_is_refused_before_it_is_decoded() -> None:
    # 100,000 x 100,000 px in a few bytes.
    data = bytearray(saved("BMP", picture(2, 2)))
    data[18:26] = struct.pack("<ii", 100_000, 100_000)
    with pytest.raises(ScanTooLargeError, match="100000 x 100000"):
        Scan.open(bytes(data))


# TIFF that is not RGB


@pytest.mark.parametrize(
    ("array", "options", "found"),
    [
        (picture(20, 30, 2), {"photometric": "minisblack"}, r"2 bands \(gray, undefined\)"),
        (picture(20, 30, 5), {"photometric": "minisblack"}, "5 bands"),
        (picture(20, 30, 4).astype(np.uint16), {}, "4 bands"),
        (picture(20, 30).astype(np.int16), {}, "type int16"),
        (picture(20, 30).astype(np.uint32), {}, "type uint32"),
        (picture(20, 30, 1).astype(np.complex64), {}, "type complex64"),
        (picture(20, 30, 1).astype(np.float32), {}, "from .* divide them by 255"),
        (np.full((20, 30), np.inf, np.float32), {}, "infinite"),
        (np.full((120, 30), np.nan, np.float32), {}, "no valid pixel"),
        (np.full((120, 30), -9999, np.float64), {"nodata": -9999}, "no valid pixel"),
        (np.zeros((120, 30, 3), np.uint8), {"nodata": 0}, "no valid pixel.*nodata value"),
        (np.zeros((120, 30, 4), np.uint8), {"photometric": "rgb", "alpha": "yes"}, "no valid pixel"),
    ],
)
def test_tiff_of_other_kinds(array: NDArray[Any], options: dict[str, Any], found: str) -> None:
    with pytest.raises(ScanError, match=found):
        read(tiff(array, **options))


def test_raw_file_of_a_camera() -> None:
    for tag, value in ((254, 1), (50706, b"\1\4\0\0")):
        with pytest.raises(ScanError, match="raw file.*develop it"):
            Scan.open(saved("TIFF", tiffinfo={tag: value}))


def test_tiff_of_an_interrupted_job(tmp_path: Path) -> None:
    for name, options in {"strips": {}, "tiles": {"tiled": True, "blockxsize": 64, "blockysize": 64}}.items():
        path = tmp_path / f"{name}.tif"
        profile = {"driver": "GTiff", "width": 150, "height": 200, "count": 3, "dtype": "uint8", "sparse_ok": True}
        with rasterio.open(path, "w", **profile, **options):
            pass
        with pytest.raises(ScanError, match="no pixel was ever written.*interrupted"):
            Scan.open(path)


# Cut off and damaged


CUT: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved("JPEG", quality=95),
    "jpeg gray": lambda: saved("JPEG", mode="L"),
    "jpeg progressive": lambda: saved("JPEG", progressive=True),
    "jpeg turned": lambda: saved("JPEG", exif=orientation(6)),
    "jpeg cmyk": lambda: saved("JPEG", mode="CMYK"),
    "png": lambda: saved("PNG"),
    "png palette": lambda: saved("PNG", mode="P"),
    "png turned": lambda: saved("PNG", exif=orientation(5)),
    "png 1 bit": lambda: saved("PNG", mode="1"),
    "tiff plain": lambda: tiff(picture(200, 150)),
    "tiff deflate": lambda: tiff(picture(200, 150), compress="deflate"),
    "tiff lzw tiles": lambda: tiff(picture(200, 150), compress="lzw", tiled=True, blockxsize=64, blockysize=64),
    "tiff jpeg": lambda: tiff(picture(200, 150), compress="jpeg", photometric="ycbcr"),
    "tiff zstd": lambda: tiff(picture(200, 150), compress="zstd"),
    "tiff one strip": lambda: tiff(picture(200, 150), compress="deflate", blockysize=200),
    "tiff pillow": lambda: saved("TIFF"),
    "tiff pillow deflate": lambda: saved("TIFF", compression="tiff_deflate"),
    "tiff cmyk": lambda: saved("TIFF", mode="CMYK"),
    "webp": lambda: saved("WEBP"),
    "webp lossless": lambda: saved("WEBP", lossless=True),
    "gif": lambda: saved("GIF", mode="L"),
    "bmp": lambda: saved("BMP"),
    "ppm": lambda: saved("PPM"),
}


@functools.cache
def whole_file(kind: str) -> bytes:
    return CUT[kind]()


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize("kind", CUT)
def test_cut_files(kind: str, loose: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Also where someone told Pillow to accept half pictures.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", loose)
    data = whole_file(kind)
    read(data)
    for share in (0.02, 0.1, 0.5, 0.9, 0.98):
        with pytest.raises(ScanError) as caught:
            read(data[: int(len(data) * share)])
        assert "expected" in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", ["jpeg", "jpeg progressive", "jpeg turned", "png", "png palette", "png turned"])
def test_lost_end(kind: str) -> None:
    data = whole_file(kind)
    for lost in (1, 2, 5, 12):
        with pytest.raises(ScanError):
            read(data[:-lost])
    np.testing.assert_array_equal(read(data + b"\0 trailing bytes \xff\xd8\xff")[0], read(data)[0])


def test_cut_file_shows_below_the_cut(tmp_path: Path) -> None:
    data = saved("JPEG", picture(2000, 150))
    path = tmp_path / "scan.jpg"
    path.write_bytes(data[: len(data) * 3 // 4])
    with Scan.open(path) as scan:
        assert scan.rows(0, 1000).shape == (1000, 150, 3)
        with pytest.raises(ScanError, match=r"scan.jpg: cannot be read \(.*[Pp]remature end"):
            scan.rows(1000, 2000)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_damaged_png_raises(seed: int) -> None:
    data = bytearray(saved("PNG", picture(40, 30)))
    # Behind the signature, as the first bytes say that it is a PNG.
    where = 8 + seed % (len(data) - 8)
    data[where] ^= 1 + seed % 255
    with pytest.raises(ScanError):
        read(bytes(data))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_of_any_kind_gives_rows_or_our_own_error(draw: st.DataObject) -> None:
    kind = draw.draw(st.sampled_from(sorted(CUT)))
    data = bytearray(whole_file(kind))
    for _ in range(draw.draw(st.integers(1, 4))):
        # Half of the damage to the headers, where it is worse.
        where = draw.draw(st.one_of(st.integers(0, min(300, len(data) - 1)), st.integers(0, len(data) - 1)))
        data[where] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.one_of(st.none(), st.integers(0, len(data))))
    try:
        with Scan.open(bytes(data[:cut]), max_pixels=10**6) as scan:
            stop = min(scan.height, 10**6 // scan.width)
            assert scan.rows(0, stop).shape == (stop, scan.width, 3)
            scan.valid_rows(0, stop)
    except SurfaceDefectError as error:
        assert re.search("expected|asked", str(error))


def test_chunk_length_beyond_the_file() -> None:
    data = saved("PNG", picture(5, 5))
    for length in (2**31 - 1, 2**32 - 1):
        chunk = struct.pack(">I4s", length, b"eXIf") + b"abc" + struct.pack(">I", zlib.crc32(b"eXIfabc"))
        with pytest.raises(ScanError, match="breaks off"):
            Scan.open(data[:33] + chunk + data[33:])
