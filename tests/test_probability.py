from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from surfacedefect import OptionError, OutputError, ProbabilityMap, ScanError
from surfacedefect._map_files import MapFrame
from surfacedefect.stitching import Band


@pytest.fixture
def arrays():
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (2, 700, 333), dtype=np.uint8), rng.random((700, 333)) < 0.9


def bands_of(values, coverage, heights=(100, 384, 1, 215)):
    start = 0
    for height in heights:
        rows = slice(start, start + height)
        yield Band(start, values[:, rows], coverage[rows], int(height * values.shape[2]))
        start += height


@pytest.mark.parametrize("max_memory", [0, 2**30])
def test_bands_of_any_height_make_the_same_map(arrays, max_memory):
    values, coverage = arrays
    frame = MapFrame(333, 700, ("scratch", "dent"))
    found = ProbabilityMap.from_bands(bands_of(values, coverage), frame, max_memory=max_memory)
    assert found.in_memory == (max_memory > 0)
    np.testing.assert_array_equal(found.read("dent"), values[1])
    np.testing.assert_array_equal(found.read(), values.max(axis=0))
    np.testing.assert_array_equal(
        found.read("scratch", rows=slice(90, 500), cols=slice(7, 40)), values[0, 90:500, 7:40]
    )
    np.testing.assert_array_equal(found.read_coverage(rows=slice(10, 20)), coverage[10:20])
    assert found.coverage == coverage.mean()
    assert found.array("scratch").dtype == np.float32
    assert found.array().max() <= 1


@pytest.mark.parametrize("max_memory", [0, 2**30])
def test_saved_map_opens_the_same(arrays, max_memory, tmp_path):
    values, coverage = arrays
    transform = Affine(0.5, 0, 100, 0, -0.5, 200)
    frame = MapFrame(333, 700, ("scratch", "dent"), 0.1, transform, rasterio.CRS.from_epsg(3857), "fake")
    found = ProbabilityMap.from_bands(bands_of(values, coverage), frame, max_memory=max_memory)
    opened = ProbabilityMap.open(found.save(tmp_path / "ä map.tif"))
    np.testing.assert_array_equal(opened.read("scratch"), values[0])
    assert opened.coverage == found.coverage
    assert (opened.kinds, opened.mm_per_px, opened.transform, opened.model) == (frame.kinds, 0.1, transform, "fake")
    with rasterio.open(tmp_path / "ä map.tif") as file:
        assert file.descriptions == ("scratch", "dent", "coverage")
        assert file.profile["tiled"]
        assert file.profile["compress"] == "deflate"
        assert file.crs.to_epsg() == 3857
        assert set(np.unique(file.read(3))) == {0, 255}


def test_a_temporary_map_lives_as_long_as_someone_refers_to_it(arrays):
    found = ProbabilityMap.from_bands(bands_of(*arrays), MapFrame(333, 700, ("scratch", "dent")), max_memory=0)
    path = found.path
    assert path is not None
    assert path.is_file()
    del found
    gc.collect()
    assert not path.exists()
    assert not path.parent.exists()


def test_a_failure_while_writing_leaves_nothing(arrays, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def failing():
        yield next(bands_of(*arrays))
        raise RuntimeError("stop")

    for out in (None, tmp_path / "kept.tif"):
        with pytest.raises(RuntimeError, match="stop"):
            ProbabilityMap.from_bands(failing(), MapFrame(333, 700, ("scratch", "dent")), max_memory=0, out=out)
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_no_map(tmp_path):
    path = tmp_path / "photo.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=8, height=8, count=3, dtype="uint8", transform=Affine(1, 0, 0, 0, 2, 0)
    ) as file:
        file.write(np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ScanError, match="expected a map"):
        ProbabilityMap.open(path)
    with pytest.raises(ScanError, match="cannot be read"):
        ProbabilityMap.open(tmp_path / "missing.tif")


def test_bad_arrays_and_kinds_are_refused():
    with pytest.raises(OptionError, match="expected uint8"):
        ProbabilityMap.from_arrays(np.zeros((1, 4, 4), np.float32), ("scratch",))
    with pytest.raises(OptionError, match="expected bool"):
        ProbabilityMap.from_arrays(np.zeros((1, 4, 4), np.uint8), ("scratch",), coverage=np.ones((4, 5), bool))
    with pytest.raises(OptionError, match="no kind 'hail'"):
        ProbabilityMap.from_arrays(np.zeros((1, 4, 4), np.uint8), ("scratch",)).read("hail")


def test_saving_onto_a_folder_is_refused(tmp_path: Path):
    found = ProbabilityMap.from_arrays(np.zeros((1, 4, 4), np.uint8), ("scratch",))
    with pytest.raises(OutputError, match="folder"):
        found.save(tmp_path)


@pytest.mark.parametrize("max_memory", [0, 10**9])
def test_a_map_goes_through_bytes_unchanged(max_memory):
    generator = np.random.default_rng(0)
    values = generator.integers(0, 256, (2, 300, 270), np.uint8)
    coverage = generator.random((300, 270)) < 0.7
    own = ProbabilityMap.from_arrays(values, ("scratch", "dent"), coverage=coverage, mm_per_px=0.1, model="any")
    sent = ProbabilityMap.from_bytes(own.to_bytes(), max_memory=max_memory)
    assert sent.in_memory == (max_memory > 0)
    assert (np.stack([sent.read(kind) for kind in sent.kinds]) == values).all()
    assert (sent.read_coverage() == coverage).all()
    assert (sent.kinds, sent.mm_per_px, sent.coverage, sent.model) == (own.kinds, 0.1, own.coverage, "any")
    assert sent.to_bytes() and (sent.path is None or sent.path.exists())


@pytest.mark.parametrize("data", [b"", b"nothing", b"II*\0" + bytes(100)])
def test_bytes_that_are_no_map_are_refused_and_leave_nothing(data, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ScanError):
        ProbabilityMap.from_bytes(data)
    assert not list(tmp_path.iterdir())
