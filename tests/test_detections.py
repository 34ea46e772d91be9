"""`Detections`: order, other thresholds, and every way out of the program."""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio import Affine
from rasterio.crs import CRS

from surfacedefect.annotations import read_coco
from surfacedefect.detections import Detections
from surfacedefect.errors import MissingExtraError, OptionError, OutputError, ScanError
from surfacedefect.probability import ProbabilityMap
from surfacedefect.scan import Scan

WIDTH, HEIGHT = 320, 240
OPTIONS = {"threshold": 0.5, "kinds": ("scratch", "dent"), "least_area_px": 10, "simplify_px": 0.0}


def probabilities() -> np.ndarray:
    """Two scratches, two dents, one of them with a hole, in steps of certainty."""
    values = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    values[0, 20:23, 40:200] = 230
    values[0, 100:104, 60:90] = 140
    values[1, 150:200, 100:160] = 230
    values[1, 165:175, 120:130] = 0
    values[1, 30:60, 220:260] = 90
    return values


def seen(part: tuple[slice, slice] | None = None) -> np.ndarray:
    coverage = np.ones((HEIGHT, WIDTH), bool)
    if part is not None:
        coverage[part] = False
    return coverage


def found_on(*, coverage: np.ndarray | None = None, scan: Scan | None = None, **options: object) -> Detections:
    names = ("mm_per_px", "transform", "crs")
    frame = {name: options.pop(name) for name in names if name in options}
    pm = ProbabilityMap.from_arrays(probabilities(), ("scratch", "dent"), coverage=coverage, **frame)
    return Detections.from_map(pm, scan_reference=scan, **{**OPTIONS, **options})


@pytest.fixture
def found() -> Detections:
    return found_on()


@pytest.fixture
def partly() -> Detections:
    coverage = seen((slice(200, 240), slice(0, 100))) & seen((slice(0, 10), slice(300, 320)))
    return found_on(coverage=coverage)


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    path = tmp_path / "door.png"
    Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(path)
    return path


@pytest.fixture
def on_scan(scan_file: Path) -> Iterator[Detections]:
    with Scan.open(scan_file) as scan:
        result = found_on(scan=scan)
    yield result  # the scan is closed: pictures must open it again


class TestSequence:
    def test_holds_each_region_with_its_measures(self, found: Detections) -> None:
        assert [(d.kind, round(d.score, 2), d.area_px) for d in found] == [
            ("dent", 0.9, 50 * 60 - 100),
            ("scratch", 0.9, 3 * 160),
            ("scratch", 0.55, 4 * 30),
        ]
        assert found[1].polygon.equals(shapely.box(40, 20, 200, 23))
        assert found[1].length_px == pytest.approx(160, abs=4)
        assert found.polygons == [d.polygon for d in found]
        assert found.scores.dtype == np.float64
        assert (np.diff(found.scores) <= 0).all()
        assert (found.width, found.height, found.coverage, found.mm_per_px) == (WIDTH, HEIGHT, 1.0, None)

    def test_slices_are_detections_of_the_same_scan(self, found: Detections) -> None:
        first = found[:1]
        assert isinstance(first, Detections)
        assert list(first) == [found[0]]
        assert first.probability_map is found.probability_map
        assert found[-1] in found
        assert found.index(found[2]) == 2
        assert list(first.at(0.5)) == list(found)
        with pytest.raises(IndexError):
            found[3]

    def test_never_changes(self, found: Detections) -> None:
        with pytest.raises(AttributeError):
            found.defects = ()
        found.polygons.clear()
        found.scores[:] = 0
        assert len(found.polygons) == 3
        assert found.scores[0] > 0.8

    def test_says_what_it_is(self, found: Detections, partly: Detections) -> None:
        assert repr(found) == (
            "<Detections on 'scan' (320 x 240 px): 3 defects (2 scratch, 1 dent), scores 0.90 to 0.55, "
            "threshold 0.5, inspected in full>"
        )
        assert "only 94.5 % inspected" in repr(partly)
        one = replace(found, defects=found.defects[:1])
        assert "1 defect (1 dent), score 0.90, threshold" in one.summary
        alike = replace(found, defects=found.defects[:1] * 2)
        assert "2 defects (2 dent), scores 0.90, threshold" in alike.summary
        assert "no defects, threshold 1" in found.at(1).summary
        assert "no defects where inspected" in partly.at(1).summary

    def test_equal_scores_have_one_order(self) -> None:
        values = np.zeros((1, 60, 60), np.uint8)
        for row, col in ((5, 40), (5, 5), (30, 5)):
            values[0, row : row + 6, col : col + 6] = 200
        pm = ProbabilityMap.from_arrays(values, ("scratch",))
        found = Detections.from_map(pm, scan_reference=None, **{**OPTIONS, "kinds": ("scratch",)})
        assert [d.polygon.bounds[:2] for d in found] == [(5, 5), (40, 5), (5, 30)]

    def test_travels_to_another_process(self, found: Detections) -> None:
        again = pickle.loads(pickle.dumps(found))
        assert list(again) == list(found)
        assert again.threshold == 0.5


class TestThreshold:
    @settings(max_examples=12, deadline=None)
    @given(first=st.integers(1, 100), second=st.integers(1, 100))
    def test_at_is_what_detecting_there_gives(self, first: int, second: int) -> None:
        there = found_on(threshold=second / 100)
        assert list(found_on(threshold=first / 100).at(second / 100)) == list(there)
        assert there.threshold == second / 100

    def test_a_map_on_disk_gives_the_same(self, found: Detections, tmp_path: Path) -> None:
        pm = ProbabilityMap.open(found.probability_map.save(tmp_path / "map.tif"))
        from_disk = Detections.from_map(pm, scan_reference=None, **OPTIONS)
        assert list(from_disk.at(0.2)) == list(found.at(0.2))

    def test_one_a_kind(self, found: Detections) -> None:
        mixed = found.at({"dent": 0.3})
        assert mixed.threshold == {"scratch": 0.5, "dent": 0.3}
        assert [d.kind for d in mixed].count("dent") == 2
        assert "threshold scratch 0.5, dent 0.3" in mixed.summary
        assert found_on(threshold={"scratch": 0.5, "dent": 0.5}).threshold == 0.5

    @pytest.mark.parametrize("bad", [0, -1, 1.01, float("nan"), "high", True, {"rust": 0.5}, {"dent": 2}])
    def test_bad_ones_are_refused(self, found: Detections, bad: object) -> None:
        with pytest.raises(OptionError):
            found.at(bad)

    def test_kinds(self) -> None:
        only = found_on(kinds=("dent",), threshold={"dent": 0.5, "scratch": 0.2})
        assert {d.kind for d in only} == {"dent"}
        with pytest.raises(OptionError, match="'rust'"):
            found_on(kinds=("rust",))
        with pytest.raises(OptionError, match="empty"):
            found_on(kinds=())
        with pytest.raises(OptionError, match="no value for 'dent'"):
            found_on(threshold={"scratch": 0.5})

    def test_least_area_is_kept(self) -> None:
        assert len(found_on(least_area_px=200)) == 2
        assert len(found_on(least_area_px=200).at(0.2)) == 3


class TestNotInspected:
    def test_regions(self, partly: Detections, found: Detections) -> None:
        assert found.not_inspected().is_empty
        whole = partly.not_inspected()
        assert whole.is_valid
        assert [part.bounds for part in whole.geoms] == [(300, 0, 320, 10), (0, 200, 100, 240)]
        assert whole.area == pytest.approx((1 - partly.coverage) * WIDTH * HEIGHT)

    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 1000), share=st.floats(0, 1))
    def test_area_is_that_of_the_uninspected_pixels(self, seed: int, share: float) -> None:
        coverage = np.random.default_rng(seed).random((70, 40)) < share
        pm = ProbabilityMap.from_arrays(np.zeros((1, 70, 40), np.uint8), ("scratch",), coverage=coverage)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("surfacedefect._regions._BAND_ROWS", 16)
            unseen = Detections.from_map(pm, scan_reference=None, **{**OPTIONS, "kinds": ("scratch",)}).not_inspected()
        assert unseen.area == pytest.approx(np.count_nonzero(~coverage))
        rows, cols = np.nonzero(~coverage)
        assert shapely.covers(unseen, shapely.points(cols + 0.5, rows + 0.5)).all()


UTM = CRS.from_epsg(32633)
PLACE = Affine(0.5, 0, 400000, 0, -0.5, 5800000)


class TestGeoJson:
    def test_pixels(self, found: Detections, tmp_path: Path) -> None:
        record = found.to_geojson(tmp_path / "sub" / "found.geojson")
        assert json.loads((tmp_path / "sub" / "found.geojson").read_text()) == json.loads(json.dumps(record))
        assert found.to_geojson() == record
        assert record["crs"]["properties"]["name"].startswith("LOCAL_CS")
        assert record["units"] == "px"
        assert (record["width"], record["height"], record["threshold"], record["coverage"]) == (320, 240, 0.5, 1.0)
        assert record["not_inspected"] is None
        first, second = record["features"][:2]
        assert first["properties"]["kind"] == "dent"
        assert len(first["geometry"]["coordinates"]) == 2, "the hole"
        assert shapely.geometry.shape(second["geometry"]).equals(found[1].polygon)
        assert set(second["properties"]) == {"id", "kind", "score", "area_px", "length_px", "width_px"}

    def test_millimetres_when_the_scale_is_known(self) -> None:
        properties = found_on(mm_per_px=0.1).to_geojson()["features"][1]["properties"]
        assert properties["area_mm2"] == pytest.approx(4.8)
        assert properties["length_mm"] == pytest.approx(16, abs=0.4)

    def test_georeferenced(self) -> None:
        record = found_on(transform=PLACE, crs=UTM, coverage=seen((slice(0, 10), slice(0, 20)))).to_geojson()
        assert record["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
        assert record["units"] == "scan"
        outline = shapely.geometry.shape(record["features"][1]["geometry"])
        assert outline.bounds == (400020, 5799988.5, 400100, 5799990)
        assert outline.exterior.is_ccw
        assert shapely.geometry.shape(record["not_inspected"]).bounds == (400000, 5799995, 400010, 5800000)

    def test_degrees_are_longitude_first(self) -> None:
        place = Affine(1e-6, 0, 13.0, 0, -1e-6, 52.0)
        record = found_on(transform=place, crs=CRS.from_epsg(4326)).to_geojson()
        assert record["crs"]["properties"]["name"] == "urn:ogc:def:crs:OGC:1.3:CRS84"
        west, south, _, _ = shapely.geometry.shape(record["features"][0]["geometry"]).bounds
        assert (round(west), round(south)) == (13, 52)

    @pytest.mark.parametrize("crs", [UTM, CRS.from_epsg(4326), None])
    def test_gis_reads_it_where_it_lies(self, crs: CRS | None, tmp_path: Path) -> None:
        geopandas = pytest.importorskip("geopandas")
        place = {} if crs is None else {"transform": PLACE, "crs": crs}
        found = found_on(**place)
        found.to_geojson(tmp_path / "found.geojson")
        frame = geopandas.read_file(tmp_path / "found.geojson")
        assert list(frame["kind"]) == [d.kind for d in found]
        assert frame.crs.is_engineering if crs is None else frame.crs == crs.to_wkt()
        assert all(a.equals(b) for a, b in zip(frame.geometry, found.geometries("scan"), strict=True))

    def test_what_was_not_inspected_is_in_the_file(self, partly: Detections, tmp_path: Path) -> None:
        partly.at(1).to_geojson(tmp_path / "a.geojson")
        record = json.loads((tmp_path / "a.geojson").read_text())
        assert record["features"] == []
        assert record["coverage"] < 1
        assert shapely.geometry.shape(record["not_inspected"]).equals(partly.not_inspected())

    def test_units(self, found: Detections) -> None:
        assert found.geometries("scan") == found.geometries("px")
        with pytest.raises(OptionError, match="'mm'"):
            found.geometries("mm")


class TestCoco:
    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
    def test_round_trip_and_pycocotools(self, found: Detections, tmp_path: Path) -> None:
        found.to_coco(tmp_path / "a" / "found.json")
        dataset = read_coco(tmp_path / "a" / "found.json")
        image = dataset.images[0]
        assert dataset.categories == ("scratch", "dent")
        assert (image.width, image.height) == (WIDTH, HEIGHT)
        assert [(r.kind, r.score) for r in image.regions] == [(d.kind, d.score) for d in found]
        assert all(r.polygon.equals(d.polygon) for r, d in zip(image.regions, found, strict=True))
        coco = pytest.importorskip("pycocotools.coco").COCO(str(tmp_path / "a" / "found.json"))
        for annotation, defect in zip(coco.loadAnns(coco.getAnnIds()), found, strict=True):
            assert coco.annToMask(annotation).sum() == pytest.approx(defect.area_px, rel=0.05)

    def test_not_inspected_is_a_category_of_its_own(self, partly: Detections, tmp_path: Path) -> None:
        partly.to_coco(tmp_path / "found.json")
        image = read_coco(tmp_path / "found.json").images[0]
        unseen = [region for region in image.regions if region.kind == "not_inspected"]
        assert sum(region.polygon.area for region in unseen) == partly.not_inspected().area
        assert {region.score for region in unseen} == {None}


class TestCsv:
    def rows(self, found: Detections, path: Path) -> list[dict[str, str]]:
        found.to_csv(path)
        return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))

    def test_one_row_a_defect(self, found: Detections, tmp_path: Path) -> None:
        rows = self.rows(found, tmp_path / "found.csv")
        assert [row["id"] for row in rows] == ["1", "2", "3"]
        assert (rows[1]["kind"], rows[1]["area_px"], rows[1]["area_mm2"]) == ("scratch", "480.0", "")
        assert [float(rows[1][side]) for side in ("x_min", "y_min", "x_max", "y_max")] == [40, 20, 200, 23]
        assert float(self.rows(found_on(mm_per_px=0.5), tmp_path / "mm.csv")[1]["area_mm2"]) == 120

    def test_table_without_damage_is_not_a_clean_scan(self, partly: Detections, tmp_path: Path) -> None:
        rows = self.rows(partly.at(1), tmp_path / "found.csv")
        assert [(row["kind"], row["score"]) for row in rows] == [("not_inspected", "")] * 2
        assert sum(float(row["area_px"]) for row in rows) == partly.not_inspected().area


class TestGeoDataFrame:
    def test_columns_and_place(self) -> None:
        pytest.importorskip("geopandas")
        frame = found_on(transform=PLACE, crs=UTM, mm_per_px=500).to_geodataframe()
        assert list(frame["kind"]) == ["dent", "scratch", "scratch"]
        assert frame["area_mm2"][1] == 480 * 500**2
        assert frame.crs.to_epsg() == 32633
        assert frame.geometry[1].area == 480 * 0.25
        assert frame.attrs["coverage"] == 1
        assert len(found_on(threshold=1).to_geodataframe()) == 0
        assert found_on().to_geodataframe().crs.is_engineering, "pixels are no degrees"

    def test_missing_geopandas_says_what_to_install(self, found: Detections, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "geopandas", None)
        with pytest.raises(MissingExtraError, match=r"surfacedefect\[geo\]"):
            found.to_geodataframe()


class TestPicture:
    def test_opens_the_scan_again(self, on_scan: Detections, tmp_path: Path) -> None:
        image = on_scan.plot(tmp_path / "new" / "overlay.png")
        with Image.open(tmp_path / "new" / "overlay.png") as written:
            assert written.tobytes() == image.tobytes()
        assert image.width == WIDTH
        pixel = image.getpixel((110, 190))
        assert pixel[0] > pixel[2], "damage is yellow"
        assert on_scan.plot(scale=0.5).width == WIDTH // 2
        on_scan.plot(tmp_path / "overlay.jpg")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["door.png", "new", "overlay.jpg"]

    def test_without_the_scan(self, found: Detections, on_scan: Detections, scan_file: Path) -> None:
        assert found.plot().width == WIDTH
        scan_file.unlink()
        with pytest.raises(ScanError):
            on_scan.plot()
        assert on_scan._repr_png_() is None
        assert "no picture" in on_scan._repr_html_()

    @pytest.mark.parametrize("name", ["overlay", "overlay.pdf", "overlay.txt"])
    def test_other_endings_are_refused_before_drawing(self, found: Detections, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutputError, match=r"\.png"):
            found.plot(tmp_path / name)

    def test_notebook_preview(self, on_scan: Detections) -> None:
        png = on_scan._repr_png_()
        assert png is not None
        assert Image.open(io.BytesIO(png)).width == WIDTH
        page = on_scan._repr_html_()
        assert "3 defects" in page
        assert page.count("<tr>") == 4
        assert "<img" in page


@pytest.mark.parametrize("write", ["to_geojson", "to_coco", "to_csv"])
def test_writing_fails_with_the_path_and_advice(found: Detections, tmp_path: Path, write: str) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        getattr(found, write)(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        getattr(found, write)(tmp_path / "file" / "x.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class TestLeastScore:
    def test_reports_what_scores_at_least_that(self) -> None:
        everything = found_on(threshold=0.3)
        scores = sorted({round(defect.score, 3) for defect in everything})
        assert scores == [0.353, 0.549, 0.902]
        assert list(found_on(threshold=0.3, least_score=0.5)) == [one for one in everything if one.score >= 0.5]
        assert [one.kind for one in found_on(threshold=0.3, least_score={"scratch": 0.6})].count("dent") == 2
        some = found_on(threshold=0.3, least_score={"scratch": 0.6})
        assert some.least_scores == (("scratch", 0.6), ("dent", 0.0))
        assert "threshold 0.3, scores from scratch 0.6, inspected" in some.summary
        both = found_on(threshold=0.3, least_score={"scratch": 0.6, "dent": 0.2})
        assert "scores from scratch 0.6, dent 0.2, inspected" in both.summary, "each score with its kind"

    def test_another_threshold_shows_all_that_it_outlines_unless_asked_otherwise(self) -> None:
        strict = found_on(least_score=0.8)
        assert [one.kind for one in strict] == ["dent", "scratch"]
        assert list(strict.at(0.5)) == list(found_on())
        assert list(strict.at(0.5, least_score=0.8)) == list(strict)
        assert list(strict.at({"dent": 0.3})) == list(
            found_on(threshold={"scratch": 0.5, "dent": 0.3}, least_score={"scratch": 0.8})
        )
        assert len(strict.at({"dent": 0.3}, least_score={"dent": 0.5})) == 2

    @pytest.mark.parametrize("bad", [-0.1, 1.1, "0.5", float("nan"), {"hail": 0.5}, {"dent": 2}])
    def test_nonsense_is_refused(self, bad: object) -> None:
        with pytest.raises(OptionError, match="least_score"):
            found_on(least_score=bad)
        with pytest.raises(OptionError, match="least_score"):
            found_on().at(0.5, least_score=bad)
