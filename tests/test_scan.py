"""What `Scan` reads, and that it reads the same from every kind of source."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps
from rasterio.enums import ColorInterp
from rasterio.env import get_gdal_config
from rasterio.transform import from_origin

from surfacedefect.errors import OptionError, ScanError, ScanTooLargeError
from surfacedefect.scan import MAX_PIXELS, Scan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def picture(height: int, width: int, *, bands: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture with some noise, as JPEG likes it, unlike its own turned and mirrored copies."""
    rows, columns = np.mgrid[:height, :width]
    planes = [(rows * (3 + band) + columns * (2 - band)) // 4 % 200 for band in range(bands)]
    noise = np.random.default_rng(seed).integers(0, 40, (height, width, bands))
    return (np.stack(planes, axis=-1) + noise).astype(np.uint8)


def whole(scan: Scan, step: int = 37) -> NDArray[np.uint8]:
    """All rows of a scan, in bands that fit no block size."""
    bands = [scan.rows(top, min(top + step, scan.height)) for top in range(0, scan.height, step)]
    assert all(band.flags.c_contiguous and band.dtype == np.uint8 for band in bands)
    return np.concatenate(bands)


def all_valid(scan: Scan, step: int = 37) -> NDArray[np.bool_]:
    bands = []
    for top in range(0, scan.height, step):
        stop = min(top + step, scan.height)
        valid = scan.valid_rows(top, stop)
        bands.append(np.ones((stop - top, scan.width), np.bool_) if valid is None else valid)
    return np.concatenate(bands)


def write_tiff(path: Path, array: NDArray[Any], **options: Any) -> Path:
    """Write (rows, columns, bands) with rasterio."""
    array = array[..., np.newaxis] if array.ndim == 2 else array
    height, width, count = array.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": array.dtype, **options}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.moveaxis(array, -1, 0))
    return path


def png_bytes(array: NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG (rows, columns, bands), which Pillow cannot write."""
    with rasterio.MemoryFile() as memory:
        height, width, count = array.shape
        with memory.open(driver="PNG", width=width, height=height, count=count, dtype="uint16") as dataset:
            dataset.write(np.moveaxis(array, -1, 0))
        return bytes(memory.read())


# Arrays


@pytest.mark.parametrize("shape", [(1, 1), (511, 513), (20000, 3), (3, 2000)])
def test_array_of_any_size_is_read_as_it_is(shape: tuple[int, int]) -> None:
    array = picture(*shape)
    with Scan.open(array) as scan:
        assert (scan.width, scan.height, scan.name, scan.streams) == (shape[1], shape[0], "array", False)
        assert (scan.mm_per_px, scan.transform, scan.crs) == (None, None, None)
        np.testing.assert_array_equal(whole(scan, 1000), array)
        assert scan.valid_rows(0, 1) is None


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1)])
def test_gray_becomes_three_channels(shape: tuple[int, ...]) -> None:
    array = np.arange(35, dtype=np.uint8).reshape(shape)
    np.testing.assert_array_equal(whole(Scan.open(array)), np.repeat(array.reshape(5, 7, 1), 3, axis=2))


def test_sixteen_bits_are_divided_by_257_and_rounded() -> None:
    array = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(array / 257).astype(np.uint8)
    np.testing.assert_array_equal(whole(Scan.open(array))[..., 0], expected)
    np.testing.assert_array_equal(whole(Scan.open(array.astype(">u2")))[..., 2], expected)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble, ">f4"])
def test_floats_are_shares_of_white(kind: Any) -> None:
    array = (np.arange(256) / 255).astype(kind).reshape(16, 16)
    np.testing.assert_array_equal(whole(Scan.open(array))[..., 1], np.arange(256).reshape(16, 16))


def test_floats_forgive_rounding_only() -> None:
    assert whole(Scan.open(np.array([[-1e-9, 1 + 1e-7]]))).tolist() == [[[0, 0, 0], [255, 255, 255]]]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.floats(0, 0.9))
@settings(max_examples=40, deadline=None)
def test_nan_is_not_valid(height: int, width: int, seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    array = random.random((height, width, 3))
    hidden = random.random((height, width)) < share
    hidden[0, 0] = False
    array[hidden, random.integers(0, 3)] = np.nan
    scan = Scan.open(array)
    rgb = whole(scan)
    np.testing.assert_array_equal(all_valid(scan), ~hidden)
    np.testing.assert_array_equal(rgb[~hidden], np.rint(array[~hidden] * 255))


def test_alpha_hides_pixels_and_leaves_colours() -> None:
    array = picture(6, 5, bands=4)
    array[..., 3] = 255
    array[2, 3, 3], array[4, 1, 3] = 0, 1
    scan = Scan.open(array)
    np.testing.assert_array_equal(whole(scan), array[..., :3])
    np.testing.assert_array_equal(all_valid(scan), array[..., 3] > 0)


def test_masked_array_is_not_valid_under_its_mask() -> None:
    mask = np.zeros((4, 5), np.bool_)
    mask[1, 2] = True
    gray = np.ma.MaskedArray(np.where(mask, -9999.0, 0.5), mask)
    colour = np.ma.MaskedArray(picture(4, 5), np.repeat(mask[..., np.newaxis], 3, axis=2))
    for array in (gray, colour):
        np.testing.assert_array_equal(all_valid(Scan.open(array)), ~mask)


def test_arrays_are_left_alone() -> None:
    base = picture(20, 30)
    read_only = base.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(whole(Scan.open(read_only)), base)
    for view in (base[::-2, ::3], base.transpose(1, 0, 2), np.asfortranarray(base), base[..., ::-1]):
        np.testing.assert_array_equal(whole(Scan.open(view)), view)
    before = base.copy()
    rows = Scan.open(base).rows(0, 20)
    rows[:] = 0
    np.testing.assert_array_equal(base, before)


# Files that stream


STREAMING: dict[str, Callable[[Path, NDArray[np.uint8]], Any]] = {
    "jpeg": lambda path, rgb: Image.fromarray(rgb).save(path, "JPEG", quality=90),
    "jpeg gray": lambda path, rgb: Image.fromarray(rgb).convert("L").save(path, "JPEG"),
    "jpeg 4:4:4": lambda path, rgb: Image.fromarray(rgb).save(path, "JPEG", subsampling=0),
    "jpeg restarts": lambda path, rgb: Image.fromarray(rgb).save(path, "JPEG", restart_marker_rows=1),
    "png": lambda path, rgb: Image.fromarray(rgb).save(path, "PNG"),
    "png gray": lambda path, rgb: Image.fromarray(rgb).convert("L").save(path, "PNG"),
    "png palette": lambda path, rgb: Image.fromarray(rgb).quantize(40).save(path, "PNG"),
    "png 4-bit palette": lambda path, rgb: Image.fromarray(rgb).quantize(10).save(path, "PNG"),
    "png 1 bit": lambda path, rgb: Image.fromarray(rgb).convert("1").save(path, "PNG"),
    "tiff strips": lambda path, rgb: write_tiff(path, rgb, compress="deflate"),
    "tiff tiles": lambda path, rgb: write_tiff(path, rgb, tiled=True, blockxsize=64, blockysize=32, compress="lzw"),
    "tiff bands apart": lambda path, rgb: write_tiff(
        path, rgb, interleave="band", tiled=True, blockxsize=128, blockysize=128
    ),
    "tiff one strip": lambda path, rgb: write_tiff(path, rgb, blockysize=rgb.shape[0], compress="deflate"),
    "tiff ycbcr": lambda path, rgb: write_tiff(path, rgb, compress="jpeg", photometric="ycbcr", jpeg_quality=95),
    "tiff big": lambda path, rgb: write_tiff(path, rgb, bigtiff="yes"),
    "tiff big-endian": lambda path, rgb: write_tiff(path, rgb, endianness="big"),
    "tiff big big-endian": lambda path, rgb: write_tiff(path, rgb, bigtiff="yes", endianness="big"),
    "tiff by pillow": lambda path, rgb: Image.fromarray(rgb).save(path, "TIFF", compression="tiff_lzw"),
    "tiff palette": lambda path, rgb: Image.fromarray(rgb).quantize(40).save(path, "TIFF"),
    "tiff 1 bit": lambda path, rgb: Image.fromarray(rgb).convert("1").save(path, "TIFF"),
}


@pytest.mark.parametrize("kind", STREAMING)
def test_streaming_equals_decoding_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.any"
    STREAMING[kind](path, picture(511, 333))
    image = Image.open(path) if "big-endian" not in kind else Image.fromarray(picture(511, 333))
    expected = np.asarray(image.convert("RGB"))
    with Scan.open(path) as scan:
        assert scan.streams
        np.testing.assert_array_equal(whole(scan), expected)
        np.testing.assert_array_equal(scan.rows(5, 9), expected[5:9], err_msg="asked backwards")
    for held in (path.read_bytes(), str(path)):
        with Scan.open(held) as scan:
            np.testing.assert_array_equal(whole(scan, 200), expected)


@pytest.mark.parametrize("shape", [(1, 1), (20000, 3), (513, 511), (2, 9000)])
@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff strips", "tiff tiles", "tiff one strip"])
def test_odd_sizes(kind: str, shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "scan"
    STREAMING[kind](path, picture(*shape))
    with Scan.open(path) as scan:
        assert (scan.height, scan.width) == shape
        np.testing.assert_array_equal(whole(scan, 777), np.asarray(Image.open(path).convert("RGB")))


def test_wide_scan_reads_beyond_any_limit_of_pixels(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGB", (60_000, 2_000), (7, 8, 9)).save(path, compress_level=1)
    with Scan.open(path, max_pixels=1000) as scan:
        assert (scan.width, scan.height, scan.streams) == (60_000, 2_000, True)
        assert scan.rows(0, 64).max() == 9
        np.testing.assert_array_equal(scan.rows(1999, 2000)[0, -1], (7, 8, 9))


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tall=st.sampled_from([16, 32, 48]),
    cuts=st.lists(st.integers(0, 90), max_size=4),
    bands=st.sampled_from([1, 3, 4]),
)
@settings(max_examples=30, deadline=None)
def test_any_cut_into_bands_of_rows_gives_the_same(
    height: int, width: int, tall: int, cuts: list[int], bands: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    array = picture(height, width, bands=bands)
    path = write_tiff(tmp_path_factory.mktemp("cut") / "scan.tif", array, tiled=True, blockxsize=16, blockysize=tall)
    edges = sorted({0, height, *(cut for cut in cuts if cut < height)})
    with Scan.open(path) as scan:
        pieces = [scan.rows(top, stop) for top, stop in zip(edges, edges[1:], strict=False)]
    np.testing.assert_array_equal(np.concatenate(pieces), np.broadcast_to(array[..., :3], (height, width, 3)))


def test_pieces_smaller_than_the_picture_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surfacedefect._scan_rows._PIECE_BYTES", 20_000)
    array = picture(300, 310, bands=4)
    array[..., 3] = (array[..., 0] > 60) * 255
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 48}
    for name, options in {
        "tiles.tif": tiles,
        "strips.tif": {"blockysize": 7},
        "bands.tif": {"interleave": "band"},
    }.items():
        with Scan.open(write_tiff(tmp_path / name, array, **options)) as scan:
            np.testing.assert_array_equal(whole(scan, 101), array[..., :3])
            np.testing.assert_array_equal(all_valid(scan, 101), array[..., 3] > 0)


def test_rows_and_valid_rows_decode_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = picture(20, 20, bands=4)
    scan = Scan.open(write_tiff(tmp_path / "scan.tif", array))
    reads = []
    read = scan._rows.read  # type: ignore[union-attr]
    monkeypatch.setattr(scan._rows, "read", lambda start, stop: reads.append(start) or read(start, stop))
    rows, valid = scan.rows(0, 10), scan.valid_rows(0, 10)
    valid_first, rows_then = scan.valid_rows(10, 20), scan.rows(10, 20)
    assert reads == [0, 10]
    assert rows.shape == rows_then.shape and valid is not None and valid_first is not None


# Samples of other kinds


def test_sixteen_bit_files(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 2**16, (70, 60, 4)).astype(np.uint16)
    array[..., 3] |= 1
    array[5, 6, 3] = 0
    expected = np.rint(array[..., :3] / 257)
    (tmp_path / "rgb.png").write_bytes(png_bytes(array[..., :3]))
    (tmp_path / "rgba.png").write_bytes(png_bytes(array))
    write_tiff(tmp_path / "rgb.tif", array[..., :3])
    write_tiff(tmp_path / "rgba.tif", array, photometric="rgb", alpha="yes")
    for path in tmp_path.iterdir():
        with Scan.open(path) as scan:
            np.testing.assert_array_equal(whole(scan), expected, err_msg=path.name)
            assert all_valid(scan)[5, 6] == ("rgba" not in path.name)
            assert all_valid(scan).sum() == 70 * 60 - ("rgba" in path.name)
    Image.fromarray(array[..., 0]).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(whole(Scan.open(tmp_path / "gray.png"))[..., 1], expected[..., 0])


def test_twelve_bits_of_a_tiff_fill_the_range(tmp_path: Path) -> None:
    array = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    path = write_tiff(tmp_path / "scan.tif", array, nbits=12)
    np.testing.assert_array_equal(whole(Scan.open(path))[..., 0], np.rint(array * (255 / 4095)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(dtype: Any, tmp_path: Path) -> None:
    array = (np.arange(256).reshape(16, 16) * (1 if dtype is np.uint8 else 257)).astype(dtype)
    path = write_tiff(tmp_path / "scan.tif", array, photometric="miniswhite")
    np.testing.assert_array_equal(whole(Scan.open(path))[..., 0], 255 - np.arange(256).reshape(16, 16))


def test_float_tiff_with_nan_and_nodata(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((50, 40), dtype=np.float32)
    expected = np.rint(array * 255)
    array[3, 4], array[30, 5] = np.nan, -9999
    path = write_tiff(tmp_path / "scan.tif", array, nodata=-9999)
    with Scan.open(path) as scan:
        rgb, valid = whole(scan), all_valid(scan)
    assert np.argwhere(~valid).tolist() == [[3, 4], [30, 5]]
    np.testing.assert_array_equal(rgb[valid][:, 0], expected[valid])


def test_nodata_of_bytes_is_hidden_only_where_all_bands_have_it(tmp_path: Path) -> None:
    array = picture(30, 30) | 1
    array[2, 3] = 0
    array[4, 5] = (0, 9, 0)
    path = write_tiff(tmp_path / "scan.tif", array, nodata=0, crs="EPSG:32632", transform=from_origin(0, 9, 1, 1))
    with Scan.open(path) as scan:
        np.testing.assert_array_equal(whole(scan), array)
        assert np.argwhere(~all_valid(scan)).tolist() == [[2, 3]]


@pytest.mark.parametrize("nodata", [-9999, 300, 0.5, float("nan")])
def test_nodata_that_bytes_cannot_hold_hides_nothing(nodata: float, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "scan.vrt.tif", picture(9, 9))
    text = (
        '<VRTDataset rasterXSize="9" rasterYSize="9">'
        + "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>{nodata}</NoDataValue><SimpleSource>'
            f'<SourceFilename relativeToVRT="0">{path}</SourceFilename><SourceBand>{band}</SourceBand>'
            "</SimpleSource></VRTRasterBand>"
            for band in (1, 2, 3)
        )
        + "</VRTDataset>"
    )
    with rasterio.open(text) as dataset, Scan.open(dataset) as scan:
        np.testing.assert_array_equal(whole(scan), picture(9, 9))
        assert all_valid(scan).all()


def test_mask_inside_a_tiff(tmp_path: Path) -> None:
    mask = np.ones((80, 90), np.bool_)
    mask[20:30, 40:] = False
    path = tmp_path / "scan.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", width=90, height=80, count=3, dtype="uint8", compress="jpeg"
        ) as dataset,
    ):
        dataset.write(np.moveaxis(picture(80, 90), -1, 0))
        dataset.write_mask(mask)
    with Scan.open(path) as scan:
        np.testing.assert_array_equal(all_valid(scan), mask)


def test_blocks_that_were_never_written_are_not_valid(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "sparse_ok": True}
    with rasterio.open(path, "w", driver="GTiff", width=150, height=200, count=3, dtype="uint8", **tiles) as dataset:
        dataset.write(np.full((3, 64, 64), 9, np.uint8), window=rasterio.windows.Window(64, 64, 64, 64))
    expected = np.zeros((200, 150), np.bool_)
    expected[64:128, 64:128] = True
    with Scan.open(path) as scan:
        np.testing.assert_array_equal(all_valid(scan), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA", "RGBA"])
def test_transparency_of_png(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(picture(40, 50)).convert("RGB")
    options: dict[str, Any] = {}
    if mode == "P":
        image = image.quantize(30)
        options["transparency"] = bytes([0, 255, 7] + [255] * 20)
    elif mode == "L":
        image, options["transparency"] = image.convert("L"), 60
    elif mode == "RGB":
        options["transparency"] = image.getpixel((7, 8))
    else:
        alpha = Image.fromarray((picture(40, 50, bands=1)[..., 0] > 50).astype(np.uint8) * 128)
        image = image.convert(mode)
        image.putalpha(alpha)
    image.save(tmp_path / "scan.png", **options)
    expected = np.asarray(Image.open(tmp_path / "scan.png").convert("RGBA"))
    assert 0 < (expected[..., 3] == 0).sum() < 2000
    with Scan.open(tmp_path / "scan.png") as scan:
        np.testing.assert_array_equal(whole(scan), expected[..., :3])
        np.testing.assert_array_equal(all_valid(scan), expected[..., 3] > 0)


def test_bands_are_taken_by_their_meaning(tmp_path: Path) -> None:
    array = picture(10, 11, bands=5)
    path = write_tiff(tmp_path / "scan.tif", array, photometric="minisblack")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, *[ColorInterp.undefined] * 2]
    np.testing.assert_array_equal(whole(Scan.open(path)), array[..., [2, 1, 0]])
    for count in (4, 6):
        array = picture(10, 11, bands=count)
        path = write_tiff(tmp_path / f"{count}.tif", array, photometric="rgb", alpha="unspecified")
        scan = Scan.open(path)
        np.testing.assert_array_equal(whole(scan), array[..., :3])
        assert all_valid(scan).all()


# Files that are decoded whole


WHOLE: dict[str, Callable[[Path, NDArray[np.uint8]], Any]] = {
    "jpeg progressive": lambda path, rgb: Image.fromarray(rgb).save(path, "JPEG", progressive=True),
    "jpeg cmyk": lambda path, rgb: Image.fromarray(rgb).convert("CMYK").save(path, "JPEG"),
    "tiff cmyk": lambda path, rgb: Image.fromarray(rgb).convert("CMYK").save(path, "TIFF"),
    "tiff ycbcr plain": lambda path, rgb: Image.fromarray(rgb).convert("YCbCr").save(path, "TIFF"),
    "webp": lambda path, rgb: Image.fromarray(rgb).save(path, "WEBP"),
    "bmp": lambda path, rgb: Image.fromarray(rgb).save(path, "BMP"),
    "ppm": lambda path, rgb: Image.fromarray(rgb).save(path, "PPM"),
    "gif": lambda path, rgb: Image.fromarray(rgb).save(
        path, "GIF", save_all=True, append_images=[Image.new("RGB", (333, 211))]
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_decoded_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.any"
    WHOLE[kind](path, picture(211, 333))
    expected = np.asarray(Image.open(path).convert("RGB"))
    with Scan.open(path, max_pixels=211 * 333) as scan:
        assert not scan.streams
        np.testing.assert_array_equal(whole(scan), expected)
        np.testing.assert_array_equal(scan.rows(0, 5), expected[:5])
    with pytest.raises(ScanTooLargeError, match="333 x 211 px .* at most 70,262 px.*tiled TIFF"):
        Scan.open(path, max_pixels=211 * 333 - 1)


def interlaced_png(array: NDArray[np.uint8]) -> bytes:
    """A PNG in the seven passes of Adam7, which Pillow cannot write."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [array[top::tall, left::wide] for top, left, tall, wide in passes]
    lines = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 8, 2, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (130, 77)])
def test_interlaced_png(shape: tuple[int, int]) -> None:
    data = interlaced_png(picture(*shape))
    with Scan.open(data) as scan:
        assert not scan.streams
        np.testing.assert_array_equal(whole(scan), picture(*shape))
    with pytest.raises(ScanTooLargeError, match="PNG"):
        Scan.open(interlaced_png(picture(3, 2)), max_pixels=5)


def test_compressed_tiff_of_one_large_block_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = picture(1500, 40)
    path = write_tiff(
        tmp_path / "scan.tif", array, compress="deflate", blockysize=1500, transform=from_origin(5, 6, 7, 8)
    )
    monkeypatch.setattr("surfacedefect._scan_rows.CACHE_BYTES", 100_000)
    with Scan.open(path) as scan:
        assert not scan.streams and scan.transform == from_origin(5, 6, 7, 8)
        np.testing.assert_array_equal(whole(scan), array)
    with pytest.raises(ScanTooLargeError, match="one piece"):
        Scan.open(path, max_pixels=59_999)


def test_separate_bands_of_one_strip_each_are_read_whole(tmp_path: Path) -> None:
    # GDAL would decode from the top for each band of each piece.
    array = picture(3000, 40)
    path = write_tiff(tmp_path / "scan.tif", array, compress="deflate", blockysize=3000, interleave="band")
    with Scan.open(path) as scan:
        assert not scan.streams
        np.testing.assert_array_equal(whole(scan, 1000), array)


# EXIF orientation


def with_orientation(path: Path, array: NDArray[np.uint8], orientation: int) -> None:
    image = Image.fromarray(array)
    exif = Image.Exif()
    exif[274] = orientation
    if path.suffix == ".tif":
        image.save(path, tiffinfo={274: orientation})
    else:
        image.save(path, exif=exif, **({"lossless": True} if path.suffix == ".webp" else {}))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_files(suffix: str, orientation: int, tmp_path: Path) -> None:
    array = picture(61, 83)
    path = tmp_path / f"scan{suffix}"
    with_orientation(path, array, orientation)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert expected.shape[:2] == ((83, 61) if orientation >= 5 else (61, 83))
    with Scan.open(path) as scan:
        assert (scan.height, scan.width) == expected.shape[:2]
        assert scan.streams == (orientation == 1 and suffix != ".webp")
        np.testing.assert_array_equal(whole(scan), expected)
    with Scan.open(Image.open(path)) as scan:
        np.testing.assert_array_equal(whole(scan), expected)


def test_orientation_by_hand(tmp_path: Path) -> None:
    # The corner that is top left in the stored picture, in the turned one.
    corners = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    array = np.zeros((20, 30, 3), np.uint8)
    array[0, 0], array[0, -1] = 255, 128
    for orientation, corner in corners.items():
        with_orientation(tmp_path / "scan.png", array, orientation)
        turned = whole(Scan.open(tmp_path / "scan.png"))
        assert turned[corner].tolist() == [255] * 3
        beside = (corner[0], -1 - corner[1]) if orientation < 5 else (-1 - corner[0], corner[1])
        assert turned[beside].tolist() == [128] * 3


def test_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    with_orientation(tmp_path / "scan.png", picture(10, 20), 6)
    data = (tmp_path / "scan.png").read_bytes()
    where = data.index(b"eXIf") - 4
    length = int.from_bytes(data[where : where + 4], "big") + 12
    chunk, rest = data[where : where + length], data[:where] + data[where + length :]
    moved = rest.replace(b"\0\0\0\0IEND", chunk + b"\0\0\0\0IEND")
    with Scan.open(moved) as scan:
        assert (scan.width, scan.height, scan.streams) == (10, 20, False)


def test_orientation_turns_validity_and_transform(tmp_path: Path) -> None:
    transform = from_origin(1000, 2000, 0.5, 0.25)
    array = picture(8, 12, bands=4) | 1
    array[2, 3, 3] = 0
    for orientation in range(1, 9):
        path = write_tiff(
            tmp_path / f"{orientation}.tif",
            array,
            transform=transform,
            crs="EPSG:32632",
            photometric="rgb",
            alpha="yes",
        )
        data = bytearray(path.read_bytes())
        set_tiff_orientation(data, orientation)
        with Scan.open(bytes(data)) as scan:
            (row,), (column,) = np.nonzero(~all_valid(scan))
            assert scan.transform is not None and scan.crs.to_epsg() == 32632
            matrix = np.array(scan.transform).reshape(3, 3)
            np.testing.assert_allclose(
                (matrix @ (column + 0.5, row + 0.5, 1))[:2], (1000 + 3.5 * 0.5, 2000 - 2.5 * 0.25)
            )


def set_tiff_orientation(data: bytearray, orientation: int) -> None:
    """Put the orientation where a little-endian TIFF by GDAL has its tag 277, samples per pixel, and 277 behind it."""
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = bytes(data[start + 2 : start + 2 + 12 * count])
    after = bytes(data[start + 2 + 12 * count : start + 6 + 12 * count])
    kept = [entries[i : i + 12] for i in range(0, len(entries), 12)]
    kept.append(b"\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]))
    kept.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
    data[4:8] = len(data).to_bytes(4, "little")
    data += (count + 1).to_bytes(2, "little") + b"".join(kept) + after


def test_damaged_exif_says_nothing_of_the_pixels(tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "webp"):
        path = tmp_path / f"scan.{suffix}"
        Image.fromarray(picture(30, 40)).save(path, exif=b"Exif\0\0II*\0\xff\xff\0\0 nothing")
        with Scan.open(path) as scan:
            assert (scan.width, scan.height) == (40, 30)
    with_orientation(tmp_path / "odd.jpg", picture(30, 40), 77)
    assert Scan.open(tmp_path / "odd.jpg").streams


# Other sources


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_pil_images(mode: str) -> None:
    image = Image.fromarray(picture(31, 41)).convert(mode)
    before = image.copy()
    with Scan.open(image) as scan:
        assert scan.name == "image"
        np.testing.assert_array_equal(whole(scan), np.asarray(before.convert("RGB")))
        assert all_valid(scan).all()
    assert image == before


def test_pil_images_with_transparency() -> None:
    rgba = picture(31, 41, bands=4)
    rgba[..., 3] = (rgba[..., 0] > 40) * 200
    for mode in ("RGBA", "LA", "PA"):
        image = Image.fromarray(rgba).convert(mode)
        np.testing.assert_array_equal(all_valid(Scan.open(image)), np.asarray(image.convert("RGBA"))[..., 3] > 0)


def test_pil_images_of_many_bits() -> None:
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(values / 257)
    np.testing.assert_array_equal(whole(Scan.open(Image.fromarray(values)))[..., 0], expected)
    np.testing.assert_array_equal(whole(Scan.open(Image.fromarray(values.astype(np.int32))))[..., 0], expected)
    shares = Image.fromarray((np.arange(256, dtype=np.float32) / 255).reshape(16, 16))
    np.testing.assert_array_equal(whole(Scan.open(shares))[..., 0], np.arange(256).reshape(16, 16))


def test_files_that_are_open(tmp_path: Path) -> None:
    array = picture(30, 40)
    path = write_tiff(tmp_path / "scan.tif", array)
    data = path.read_bytes()

    class Pipe(io.RawIOBase):
        """Bytes that come once."""

        def __init__(self) -> None:
            self.left = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return self.left.readinto(memoryview(buffer)[:1000])

    with path.open("rb") as file:
        file.seek(10)
        with Scan.open(file) as scan:
            assert scan.name == "scan.tif"
            np.testing.assert_array_equal(whole(scan), array)
        assert file.tell() == 10 and not file.closed
    for source in (io.BytesIO(data), Pipe(), data, bytearray(data), memoryview(data)):
        with Scan.open(source) as scan:
            assert (scan.name, scan.streams) == ("bytes", True)
            np.testing.assert_array_equal(whole(scan), array)
            np.testing.assert_array_equal(whole(scan.reopen()), array)


def test_open_dataset_is_used_and_left_open(tmp_path: Path) -> None:
    array = picture(30, 40)
    path = write_tiff(tmp_path / "scan.tif", array, crs="EPSG:32632", transform=from_origin(500, 600, 2, 2))
    with rasterio.open(path) as dataset:
        with Scan.open(dataset) as scan:
            assert (scan.name, scan.streams, scan.crs.to_epsg()) == ("scan.tif", True, 32632)
            assert scan.transform == Affine(2, 0, 500, 0, -2, 600)
            np.testing.assert_array_equal(whole(scan), array)
        assert not dataset.closed
        with rasterio.vrt.WarpedVRT(dataset, crs="EPSG:32632") as warped:
            np.testing.assert_array_equal(whole(Scan.open(warped)), array)
    np.testing.assert_array_equal(whole(scan.reopen()), array, err_msg="reopened by its path")


def test_dataset_with_a_palette_streams(tmp_path: Path) -> None:
    image = Image.fromarray(picture(30, 40)).quantize(20)
    image.save(tmp_path / "scan.gif")
    with rasterio.open(tmp_path / "scan.gif") as dataset:
        np.testing.assert_array_equal(whole(Scan.open(dataset)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    "name", ["a scan with spaces.jpg", "Kratzer_größer_傷.jpg", "vsizip.jpg", "50%#?.jpg", "c:1.jpg", "a.zip!b.jpg"]
)
def test_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    Image.fromarray(picture(30, 40)).save(path, "JPEG")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for source in (path, str(path), f"~/{name}", name, Path(name)):
        with Scan.open(source) as scan:
            assert scan.name == name and scan.rows(0, 30).shape == (30, 40, 3)
    scan = Scan.open(name)
    monkeypatch.chdir("/")
    assert scan.reopen().width == 40


# Scale, life and surroundings


def test_scale_comes_from_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "scan.jpg"
    Image.fromarray(picture(30, 40)).save(path, dpi=(300, 300))
    assert Scan.open(path).mm_per_px is None
    scan = Scan.open(path, mm_per_px=np.float32(0.5))
    assert scan.mm_per_px == 0.5 and type(scan.mm_per_px) is float
    assert scan.reopen().mm_per_px == 0.5
    assert Scan.open(scan).mm_per_px == 0.5 and Scan.open(scan, mm_per_px=2).mm_per_px == 2


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "0.1", True, 1j])
def test_bad_scale(scale: Any) -> None:
    with pytest.raises(OptionError, match="mm_per_px"):
        Scan.open(picture(3, 4), mm_per_px=scale)


@pytest.mark.parametrize("most", [0, -5, 2.5, "9", True])
def test_bad_max_pixels(most: Any) -> None:
    with pytest.raises(OptionError, match="max_pixels"):
        Scan.open(picture(3, 4), max_pixels=most)


def test_scan_of_a_scan_is_a_second_one(tmp_path: Path) -> None:
    Image.fromarray(picture(30, 40)).save(tmp_path / "scan.png")
    for source in (tmp_path / "scan.png", picture(30, 40)):
        first = Scan.open(source)
        first.rows(0, 20)
        with Scan.open(first) as second:
            np.testing.assert_array_equal(whole(second), picture(30, 40))
        np.testing.assert_array_equal(first.rows(20, 30), picture(30, 40)[20:])


def test_closed_scan(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "scan.tif", picture(30, 40))
    scan = Scan.open(path)
    scan.close()
    scan.close()
    for read in (scan.rows, scan.valid_rows):
        with pytest.raises(ScanError, match="closed"):
            read(0, 1)
    with scan.reopen() as again:
        np.testing.assert_array_equal(whole(again), picture(30, 40))
    write_tiff(path, picture(31, 40))
    with pytest.raises(ScanError, match="changed"):
        scan.reopen()
    path.unlink()
    with pytest.raises(ScanError, match="no such file"):
        scan.reopen()


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 1), (0, 31), (31, 31)])
def test_rows_outside(start: int, stop: int) -> None:
    with pytest.raises(ScanError, match="0 to 30"):
        Scan.open(picture(30, 40)).rows(start, stop)


def test_no_rows(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "scan.tif", picture(30, 40))
    for source in (path, picture(30, 40), np.zeros((30, 40))):
        assert Scan.open(source).rows(4, 4).shape == (0, 40, 3)


def test_globals_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    cache = get_gdal_config("GDAL_CACHEMAX")
    for name in ("scan.jpg", "scan.webp", "scan.png", "scan.gif", "scan.tif"):
        Image.fromarray(picture(30, 40)).save(tmp_path / name)
        with Scan.open(tmp_path / name) as scan:
            assert whole(scan).shape == (30, 40, 3)
        Scan.open(tmp_path / name).close()
    with pytest.raises(ScanError):
        Scan.open(tmp_path / "scan.webp", max_pixels=5)
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (100, True)
    assert get_gdal_config("GDAL_CACHEMAX") == cache
    with rasterio.Env(GDAL_CACHEMAX=99 * 2**20, GDAL_PNG_WHOLE_IMAGE_OPTIM="YES"):
        whole(Scan.open(tmp_path / "scan.png"))
        assert get_gdal_config("GDAL_CACHEMAX") == 99 * 2**20
        assert get_gdal_config("GDAL_PNG_WHOLE_IMAGE_OPTIM") == "YES"


def test_threads_with_a_scan_each(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    paths = [tmp_path / name for name in ("scan.png", "scan.webp", "scan.tif", "scan.bmp")]
    for path in paths:
        Image.fromarray(picture(200, 150)).save(path, **({"lossless": True} if path.suffix == ".webp" else {}))
    wrong: list[Path] = []

    def work(path: Path) -> None:
        for _ in range(10):
            with Scan.open(path) as scan:
                if not np.array_equal(whole(scan), picture(200, 150)):
                    wrong.append(path)

    threads = [threading.Thread(target=work, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and limit == Image.MAX_IMAGE_PIXELS


def test_warns_of_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    Image.fromarray(picture(30, 40)).save(tmp_path / "scan.jpg")
    whole(Scan.open(tmp_path / "scan.jpg"))
    assert not recwarn.list


def test_default_limit() -> None:
    assert MAX_PIXELS == 250_000_000
    assert repr(Scan.open(picture(3, 4))) == "<Scan array, 4 x 3 px>"


def test_real_pictures_are_read_whole() -> None:
    folder = Path(os.environ.get("SURFACEDEFECT_REAL_DATA", "../shared/data")) / "valid" / "images"
    paths = sorted(folder.glob("*"))[::12] if folder.is_dir() else []
    if not paths:
        pytest.skip(f"no real pictures at {folder}; SURFACEDEFECT_REAL_DATA says where they are")
    for path in paths:
        with Scan.open(path) as scan:
            expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
            np.testing.assert_array_equal(whole(scan, 512), expected, err_msg=path.name)
