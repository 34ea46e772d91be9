"""Tiles: a pixel of a tile is the pixel of the scan, colours follow truth, and nothing is read twice."""

from __future__ import annotations

import io

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from web_runs import panel, save

import surfacedefect as sd
from surfacedefect.errors import OutputError, ScanError, WebError
from surfacedefect.web import Workspace, pictures, pyramid
from surfacedefect.web.values import PALETTES

LIMITS = {"max_pixels": 10**8, "max_tiled_pixels": 10**9}


def noise(height, width, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tiff(path, scan, **profile):
    profile = {"driver": "GTiff", "height": scan.shape[0], "width": scan.shape[1], "dtype": scan.dtype, **profile}
    with rasterio.open(path, "w", count=scan.shape[2], **profile) as file:
        file.write(np.moveaxis(scan, -1, 0))
    return path


def tiles_of(path, tmp_path, level=0):
    """All tiles of a level put together again."""
    folder = tmp_path / "kept" / path.stem
    picture = pictures.build(path, folder, name="scan", **LIMITS)
    reader = pictures.Pictures(max_pixels=10**8)
    cols, rows = pyramid.size_at(level, width=picture.width, height=picture.height)
    whole = np.zeros((-(-rows // 256) * 256, -(-cols // 256) * 256, 4), np.uint8)
    for y in range(0, rows, 256):
        for x in range(0, cols, 256):
            tile = reader.tile(path, folder, picture, level=level, x=x // 256, y=y // 256, name="scan")
            whole[y : y + 256, x : x + 256] = tile
    assert not whole[rows:, :, 3].any() and not whole[:, cols:, 3].any()
    reader.close()
    return picture, whole[:rows, :cols]


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 700), width=st.integers(1, 700), seed=st.integers(0, 9))
def test_a_pixel_of_a_tile_is_the_pixel_of_the_scan(tmp_path_factory, height, width, seed):
    folder = tmp_path_factory.mktemp("tiles")
    scan = noise(height, width, seed=seed)
    picture, whole = tiles_of(save(folder / "scan.png", scan), folder)
    assert (whole[..., :3] == scan).all() and (whole[..., 3] == 255).all()
    assert (picture.width, picture.height) == (width, height)
    half = tiles_of(folder / "scan.png", folder, level=1)[1] if picture.levels else None
    if half is not None and min(height, width) > 1:
        even = scan[: height // 2 * 2, : width // 2 * 2].astype(int)
        mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
        assert np.abs(half[: height // 2, : width // 2, :3] - mean).max() <= 1


@pytest.mark.parametrize("overviews", [(), (2,), (2, 4)], ids=["none", "one", "all"])
def test_a_tiled_tiff_is_read_as_it_is(tmp_path, overviews):
    scan = noise(900, 1000)
    path = tiff(tmp_path / "scan.tif", scan, tiled=True, blockxsize=256, blockysize=256)
    if overviews:
        with rasterio.open(path, "r+") as file:
            file.build_overviews(overviews, rasterio.enums.Resampling.average)
    picture, whole = tiles_of(path, tmp_path)
    assert picture.levels == 2 and picture.from_file == 1 + len(overviews)
    assert (whole[..., :3] == scan).all()
    kept = sorted(path.name for path in (tmp_path / "kept" / "scan").glob("*.tif"))
    assert kept == [f"level-{level}.tif" for level in range(picture.from_file, 3)]
    fine = scan.reshape(225, 4, 250, 4, 3).mean(axis=(1, 3))
    assert np.abs(tiles_of(path, tmp_path, level=2)[1][..., :3] - fine).max() <= 2


@pytest.mark.parametrize(
    "made",
    [
        lambda folder: save(folder / "scan.jpg", noise(300, 500), quality=90),
        lambda folder: save(folder / "scan.jpg", noise(300, 500), quality=90, progressive=True),
        lambda folder: save(
            folder / "scan.jpg",
            noise(300, 500),
            exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
        ),
        lambda folder: save(folder / "scan.png", np.dstack([noise(300, 500), noise(300, 500)[..., :1]])),
        lambda folder: tiff(
            folder / "scan.tif", noise(300, 500).astype(np.uint16) * 257, tiled=True, blockxsize=64, blockysize=64
        ),
        lambda folder: tiff(folder / "scan.tif", noise(300, 500), nodata=7, tiled=True, blockxsize=64, blockysize=64),
        lambda folder: tiff(folder / "scan.tif", noise(300, 500)),
    ],
    ids=["JPEG", "progressive", "turned", "alpha", "16 bits", "nodata", "strips"],
)
def test_whatever_a_scan_is_tiles_show_what_the_library_reads(tmp_path, made):
    path = made(tmp_path)
    _, whole = tiles_of(path, tmp_path)
    with sd.Scan.open(path) as scan:
        rgb, valid = scan.rows(0, scan.height), scan.valid_rows(0, scan.height)
    valid = np.ones(rgb.shape[:2], bool) if valid is None else valid
    assert whole.shape[:2] == rgb.shape[:2]
    assert ((whole[..., 3] > 0) == valid).all() and (whole[valid][:, :3] == rgb[valid]).all()


def decoded(tile):
    return np.asarray(Image.open(io.BytesIO(tile.data)).convert("RGBA"))


def test_yellow_over_damage_and_blue_elsewhere(inspected):
    workspace, _ = inspected
    for palette, colours in PALETTES.items():
        left = decoded(workspace.tile("door.png", "damage", 2, 0, 0, palette=palette))
        rgb = lambda colour: tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))  # noqa: E731
        assert tuple(left[44, 200, :3]) == rgb(colours.damage) and left[44, 200, 3] > 150
        assert tuple(left[220, 120, :3]) == rgb(colours.damage)
        assert tuple(left[100, 120, :3]) == rgb(colours.clean) and 0 < left[100, 120, 3] < 150
        below = decoded(workspace.tile("door.png", "damage", 2, 0, 1, palette=palette))
        assert (below[44:, :, 3] == 0).all()  # beyond the edge of 300 px


def test_damage_is_the_pixels_of_the_outlines(inspected):
    """At full size, exactly those whose centres the library's own polygons hold."""
    from surfacedefect._raster import burnt

    workspace, folder = inspected
    for threshold in (None, 0.75):
        own = workspace._shelf.result("door.png", folder / "door.png").at(threshold).detections
        mask = burnt(own.polygons, shape=(300, 700)).astype(bool)
        seen = np.zeros((512, 768), bool)
        for x, y in np.ndindex(3, 2):
            tile = decoded(workspace.tile("door.png", "damage", 2, x, y, threshold=threshold))
            seen[256 * y :, 256 * x :][:256, :256] = (tile[..., :3] == (255, 214, 0)).all(axis=-1) & (tile[..., 3] > 0)
        assert (seen[:300, :700] == mask).all() and mask.any()


def test_a_hairline_is_seen_from_far(inspected):
    far = decoded(inspected[0].tile("door.png", "damage", 0, 0, 0))
    assert ((far[..., :3] == (255, 214, 0)).all(axis=-1) & (far[..., 3] > 0)).sum() > 20


def test_only_chosen_kinds(inspected):
    workspace, _ = inspected
    scratches = decoded(workspace.tile("door.png", "damage", 2, 0, 0, kinds=("scratch",)))
    assert tuple(scratches[44, 200, :3]) == (255, 214, 0) and tuple(scratches[220, 120, :3]) == (30, 110, 255)


def test_what_was_not_inspected_is_hatched(tmp_path):
    from web_runs import options

    save(tmp_path / "new.png", panel())
    with Workspace(tmp_path, options=options()) as workspace:
        tile = decoded(workspace.tile("new.png", "coverage", 2, 0, 0))
        assert (tile[..., 3] > 0).all() and len(np.unique(tile[..., 0])) == 2
        assert not decoded(workspace.tile("new.png", "damage", 2, 0, 0))[..., 3].any()


def test_tiles_that_are_not_there(inspected):
    workspace, _ = inspected
    for layer, z, x, y in [
        ("scan", 3, 0, 0),
        ("scan", -1, 0, 0),
        ("scan", 2, 3, 0),
        ("scan", 2, -1, 0),
        ("rust", 0, 0, 0),
    ]:
        with pytest.raises(WebError, match="no tile"):
            workspace.tile("door.png", layer, z, x, y)
    with pytest.raises(WebError, match="no tile"):
        workspace.tile("door.png", "scan", 0, 0, 0, palette="pink")


def test_etags_change_with_what_is_shown(inspected):
    workspace, _ = inspected
    tags = {
        workspace.tile("door.png", "damage", 2, 0, 0, threshold=threshold, palette=palette).etag
        for threshold in (None, 0.5)
        for palette in PALETTES
    }
    assert len(tags) == 4
    assert workspace.tile("door.png", "scan", 2, 0, 0).etag == workspace.tile("door.png", "scan", 2, 0, 0).etag


def test_what_is_kept_may_be_damaged_or_deleted(own):
    import shutil

    before = decoded(own.tile("door.png", "scan", 2, 0, 0))
    places = list((own.folder / ".surfacedefect" / "scans").iterdir())
    for place in places:
        (place / "picture" / "level-0.tif").write_bytes(b"damaged")
    own._shelf._tiles._tiles.clear()
    assert (decoded(own.tile("door.png", "scan", 2, 0, 0)) == before).all()  # made again
    shutil.rmtree(own.folder / ".surfacedefect")
    own._shelf._tiles._tiles.clear()
    assert (decoded(own.tile("door.png", "scan", 2, 0, 0)) == before).all()
    assert not decoded(own.tile("door.png", "damage", 2, 0, 0))[..., 3].any()
    assert own.scan("door.png").state == "new" and not own.info("door.png").has_map
    shutil.rmtree(own.folder / ".surfacedefect")
    with Workspace(own.folder, options=own.options) as again:
        assert again.scan("door.png").state == "new"
        assert (decoded(again.tile("door.png", "scan", 2, 0, 0)) == before).all()


def test_a_cut_off_scan_says_so_and_stays_in_the_list(tmp_path):
    from web_runs import options

    data = save(tmp_path / "scan.jpg", noise(400, 400)).read_bytes()
    (tmp_path / "scan.jpg").write_bytes(data[: len(data) // 2])
    with Workspace(tmp_path, options=options()) as workspace:
        with pytest.raises(ScanError, match="scan.jpg"):
            workspace.tile("scan.jpg", "scan", 0, 0, 0)
        assert workspace.scan("scan.jpg").state == "failed" and "scan.jpg" in workspace.scan("scan.jpg").error
        assert not list((tmp_path / ".surfacedefect").rglob("*.part"))


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands for the disk."""
    import resource

    from web_runs import options

    save(tmp_path / "scan.png", noise(900, 900))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Workspace(tmp_path, options=options()) as workspace:
        workspace.info("scan.png")
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
        try:
            with pytest.raises(OutputError, match="make room"):
                workspace.tile("scan.png", "scan", 0, 0, 0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not list((tmp_path / ".surfacedefect").rglob("*.part")) and workspace.scan("scan.png").state == "new"
        assert workspace.tile("scan.png", "scan", 0, 0, 0).data
