"""What `Scan` reads from files: streaming equals decoding whole, for every kind of samples and orientation."""

from __future__ import annotations

import struct
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
from pictures import all_valid, picture, whole, write_tiff
from PIL import Image, ImageOps
from rasterio.enums import ColorInterp

from surfacedefect.errors import ScanTooLargeError
from surfacedefect.scan import Scan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


FAST = Image.Quantize.FASTOCTREE


def decoded(path: Path) -> NDArray[np.uint8]:
    """What another reader makes of a file: GDAL of a JPEG, where it differs a little from Pillow, else Pillow."""
    with Image.open(path) as image:
        jpeg = image.format == "JPEG" or image.info.get("compression") == "jpeg"
        if not jpeg or image.mode == "CMYK":
            return np.asarray(image.convert("RGB"))
    with rasterio.open(path) as dataset:
        return np.moveaxis(np.broadcast_to(dataset.read(), (3, dataset.height, dataset.width)), 0, -1)


def png_bytes(array: NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG (rows, columns, bands), which Pillow cannot write."""
    with rasterio.MemoryFile() as memory:
        height, width, count = array.shape
        with memory.open(driver="PNG", width=width, height=height, count=count, dtype="uint16") as dataset:
            dataset.write(np.moveaxis(array, -1, 0))
        return bytes(memory.read())


# Files that stream


STREAMING: dict[str, Callable[[Path, NDArray[np.uint8]], Any]] = {
    "jpeg": lambda path, rgb: Image.fromarray(rgb).save(path, "JPEG", quality=90),
    "jpeg gray": lambda path, rgb: Image.fromarray(rgb).convert("L").save(path, "JPEG"),
    "jpeg 4:4:4": lambda path, rgb: Image.fromarray(rgb).save(path, "JPEG", subsampling=0),
    "jpeg restarts": lambda path, rgb: Image.fromarray(rgb).save(path, "JPEG", restart_marker_rows=1),
    "png": lambda path, rgb: Image.fromarray(rgb).save(path, "PNG"),
    "png gray": lambda path, rgb: Image.fromarray(rgb).convert("L").save(path, "PNG"),
    "png palette": lambda path, rgb: Image.fromarray(rgb).quantize(40, method=FAST).save(path, "PNG"),
    "png 4-bit palette": lambda path, rgb: Image.fromarray(rgb).quantize(10, method=FAST).save(path, "PNG"),
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
    "tiff palette": lambda path, rgb: Image.fromarray(rgb).quantize(40, method=FAST).save(path, "TIFF"),
    "tiff 1 bit": lambda path, rgb: Image.fromarray(rgb).convert("1").save(path, "TIFF"),
}


@pytest.mark.parametrize("kind", STREAMING)
def test_streaming_equals_decoding_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.any"
    STREAMING[kind](path, picture(511, 333))
    expected = picture(511, 333) if "big-endian" in kind else decoded(path)
    with Scan.open(path) as scan:
        assert scan.streams
        np.testing.assert_array_equal(whole(scan), expected)
        np.testing.assert_array_equal(scan.rows(5, 9), expected[5:9], err_msg="asked backwards")
    with Scan.open(path.read_bytes()) as scan:
        np.testing.assert_array_equal(whole(scan, 200), expected)
    with rasterio.open(path) as dataset, Scan.open(dataset) as scan:
        np.testing.assert_array_equal(whole(scan, 200), expected)
        assert all_valid(scan).all()


@pytest.mark.parametrize("shape", [(1, 1), (20000, 3), (513, 511), (2, 9000)])
@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff strips", "tiff tiles", "tiff one strip"])
def test_odd_sizes(kind: str, shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "scan"
    STREAMING[kind](path, picture(*shape))
    with Scan.open(path) as scan:
        assert (scan.height, scan.width) == shape
        np.testing.assert_array_equal(whole(scan, 777), decoded(path))


def test_wide_scan_reads_beyond_any_limit_of_pixels(tmp_path: Path) -> None:
    path = tmp_path / "wide.jpg"
    Image.new("RGB", (60_000, 100), (9, 9, 9)).save(path)
    with Scan.open(path, max_pixels=1000) as scan:
        assert (scan.width, scan.height, scan.streams) == (60_000, 100, True)
        np.testing.assert_array_equal(scan.rows(0, 100)[99, -1], (9, 9, 9))


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tall=st.sampled_from([16, 32, 48]),
    cuts=st.lists(st.integers(0, 90), max_size=4),
    bands=st.sampled_from([1, 3, 4]),
)
@settings(max_examples=20, deadline=None)
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
    array[::7, 3, 3] = 0
    scan = Scan.open(write_tiff(tmp_path / "scan.tif", array))
    reads: list[int] = []
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
    path = write_tiff(tmp_path / "scan.tif", array, nodata=0, crs="EPSG:32632", transform=Affine(1, 0, 0, 0, -1, 9))
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
        image = image.quantize(30, method=FAST)
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
    "gif": lambda path, rgb: Image.fromarray(rgb[..., 0]).save(
        path, "GIF", save_all=True, append_images=[Image.new("L", (333, 211), 9)]
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_decoded_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.any"
    WHOLE[kind](path, picture(211, 333))
    expected = decoded(path)
    with Scan.open(path, max_pixels=211 * 333) as scan:
        assert not scan.streams
        np.testing.assert_array_equal(whole(scan), expected)
        np.testing.assert_array_equal(scan.rows(0, 5), expected[:5])
    if kind != "gif" and not kind.endswith("cmyk"):
        with rasterio.open(path) as dataset, Scan.open(dataset) as scan:
            np.testing.assert_allclose(whole(scan), expected.astype(int), atol=2)
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
        tmp_path / "scan.tif", array, compress="deflate", blockysize=1500, transform=Affine(7, 0, 5, 0, -8, 6)
    )
    monkeypatch.setattr("surfacedefect._scan_rows.CACHE_BYTES", 100_000)
    with Scan.open(path) as scan:
        assert not scan.streams and scan.transform == Affine(7, 0, 5, 0, -8, 6)
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


def test_world_file_beside_a_jpeg(tmp_path: Path) -> None:
    Image.fromarray(picture(20, 30)).save(tmp_path / "scan.jpg")
    (tmp_path / "scan.jgw").write_text("0.5\n0\n0\n-0.25\n1000.25\n1999.875\n")
    with Scan.open(tmp_path / "scan.jpg") as scan:
        assert scan.transform == Affine(0.5, 0, 1000, 0, -0.25, 2000) and scan.crs is None


def test_real_pictures_are_read_whole(real_data: Path) -> None:
    paths = sorted((real_data / "valid" / "images").iterdir())[::30]
    for path in paths:
        with Scan.open(path) as scan, Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
            # GDAL's JPEG decoder widens the colour planes a little differently.
            assert np.abs(whole(scan, 512) - expected).mean() < 1
