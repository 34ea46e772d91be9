"""All eight EXIF orientations, in every format that has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from pictures import all_valid, picture, whole, write_tiff
from PIL import Image, ImageOps, PngImagePlugin

from surfacedefect.scan import Scan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def with_orientation(path: Path, array: NDArray[np.uint8], orientation: int) -> None:
    """Save with an EXIF orientation, in a way that all decoders read alike (JPEG: to one level)."""
    exif = Image.Exif()
    exif[274] = orientation
    special = {".jpg": {"subsampling": 0}, ".webp": {"lossless": True}, ".tif": {"tiffinfo": {274: orientation}}}
    Image.fromarray(array).save(path, exif=exif, **special.get(path.suffix, {}))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_files(suffix: str, orientation: int, tmp_path: Path) -> None:
    array = picture(61, 83)
    path = tmp_path / f"scan{suffix}"
    with_orientation(path, array, orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    assert expected.shape[:2] == ((83, 61) if orientation >= 5 else (61, 83))
    with Scan.open(path) as scan:
        assert (scan.height, scan.width) == expected.shape[:2]
        assert scan.streams == (orientation == 1 and suffix != ".webp")
        np.testing.assert_allclose(whole(scan), expected, atol=1 if suffix == ".jpg" else 0)
    with Image.open(path) as image, Scan.open(image) as scan:
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
    transform = Affine(0.5, 0, 1000, 0, -0.25, 2000)
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


def test_png_that_pillow_refuses_and_exif_in_a_text(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 2_000_000, zip=True)
    Image.fromarray(picture(10, 20)).save(path, pnginfo=text)
    with pytest.raises(ValueError, match="(?i)decompressed data too large"):
        Image.open(path)
    assert Scan.open(path).width == 20
    exif = Image.Exif()
    exif[274] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}\n")
    Image.fromarray(picture(10, 20)).save(path, pnginfo=text)
    assert Scan.open(path).width == 10
