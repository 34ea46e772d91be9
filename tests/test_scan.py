"""What `Scan` takes - arrays, images, paths, open files and datasets - and how it behaves."""

from __future__ import annotations

import io
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import all_valid, picture, whole, write_tiff
from PIL import Image, ImageFile
from rasterio.env import get_gdal_config

from surfacedefect.errors import OptionError, ScanError
from surfacedefect.scan import MAX_PIXELS, Scan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


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


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("hidden", [np.nan, np.inf, 1e4])
def test_nothing_warns_of_what_is_under_a_mask(dtype: str, hidden: float) -> None:
    values = np.full((40, 60, 3), 0.5, dtype)
    values[10:20, 5:9] = hidden
    mask = values != 0.5
    for array in (np.ma.MaskedArray(values, mask), np.ma.MaskedArray(values[..., 0], mask[..., 0], fill_value=7)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scan = Scan.open(array)
            np.testing.assert_array_equal(all_valid(scan), ~mask[..., 0])
            np.testing.assert_array_equal(whole(scan)[~mask[..., 0]], 128)


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
    path = write_tiff(tmp_path / "scan.tif", array, crs="EPSG:32632", transform=Affine(2, 0, 500, 0, -2, 600))
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
    image = Image.fromarray(picture(30, 40)).quantize(20, method=Image.Quantize.FASTOCTREE)
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


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/gr\xf6\xdfer.png"
    for source in (path.decode("utf-8", "surrogateescape"), Path(os.fsdecode(path))):
        with pytest.raises(ScanError, match=r"gr\?\?er.png: there is no such file"):
            Scan.open(source)
    Path(os.fsdecode(path)).write_bytes(picture_file())
    with Scan.open(os.fsdecode(path)) as scan:
        assert scan.name == "gr??er.png"
        np.testing.assert_array_equal(whole(scan), picture(30, 40))


def picture_file() -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(30, 40)).save(file, "PNG")
    return file.getvalue()


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
        for _ in range(4):
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


def test_what_is_decoded_is_not_decoded_again(monkeypatch):
    from surfacedefect import scan as module

    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 7, np.uint8)).save(file, format="WEBP", lossless=True)
    with Scan.open(file.getvalue()) as first:
        monkeypatch.setattr(module, "open_rows", None)  # cannot be called
        with Scan.open(first, mm_per_px=0.5) as second:
            assert second.mm_per_px == 0.5 and (second.rows(0, 20) == first.rows(0, 20)).all()


def test_an_unopened_scan_is_opened_when_it_is_needed(tmp_path):
    path = tmp_path / "scan.png"
    scan = Scan.unopened(path, width=30, height=20, mm_per_px=0.5)
    assert (scan.name, scan.width, scan.height, scan.mm_per_px) == ("scan.png", 30, 20, 0.5)
    with pytest.raises(ScanError, match="closed"):
        scan.rows(0, 1)
    with pytest.raises(ScanError, match="no such file"):
        scan.reopen()
    Image.fromarray(np.full((20, 30, 3), 7, np.uint8)).save(path)
    assert (scan.reopen().rows(0, 20) == 7).all()
    Image.fromarray(np.full((20, 31, 3), 7, np.uint8)).save(tmp_path / "other.png")
    (tmp_path / "other.png").replace(path)
    with pytest.raises(ScanError, match="changed"):
        scan.reopen()
