"""What the library hands on, read by the library that it is for; and what a notebook shows."""

from __future__ import annotations

import base64
import contextlib
import html.parser
import io
import json
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from batch_fakes import dark
from PIL import Image
from rasterio.crs import CRS

import surfacedefect as sd
from surfacedefect.annotations import AnnotatedImage, Region, rasterise, read_annotations, write_annotations

WIDTH, HEIGHT = 700, 560
UTM = CRS.from_epsg(32633)
NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "first-detection.ipynb"


def panel() -> np.ndarray:
    """Two scratches, one with a hole, and a dent."""
    pixels = np.full((HEIGHT, WIDTH, 3), 160, np.uint8)
    pixels[20:26, 30:150] = 0
    pixels[300:380, 300:420] = 0
    pixels[320:350, 340:380] = 160
    pixels[80:110, 60:100] = (0, 0, 200)
    return pixels


@pytest.fixture(scope="module")
def found() -> sd.Detections:
    return sd.detect(panel(), model=dark(), mm_per_px=0.1)


@pytest.fixture
def georeferenced(tmp_path: Path) -> sd.Detections:
    path = tmp_path / "scan.tif"
    place = {"transform": Affine(0.001, 0, 500_000, 0, -0.001, 5_000_000), "crs": UTM}
    shape = {"width": WIDTH, "height": HEIGHT, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as dataset:
        dataset.write(np.moveaxis(panel(), -1, 0))
    return sd.detect(path, model=dark())


def masks_of(found: sd.Detections) -> np.ndarray:
    """One mask a defect, bool (N, H, W), as docs/export.md makes them."""
    alone = [AnnotatedImage("scan", found.width, found.height, (Region("damage", d.polygon),)) for d in found]
    return np.array([rasterise(image, "damage")["damage"] > 0 for image in alone])


def test_shapely_takes_the_outlines_as_they_are(found: sd.Detections) -> None:
    assert len(found) == 3 and all(polygon.is_valid for polygon in found.polygons)
    (holed,) = [polygon for polygon in found.polygons if polygon.interiors]
    assert holed.area == 80 * 120 - 30 * 40
    again = shapely.from_wkb(shapely.to_wkb(found.polygons))
    assert all(one.equals(other) for one, other in zip(found.polygons, again, strict=True))
    assert shapely.STRtree(found.polygons).query(shapely.Point(60, 22), predicate="within").size == 1


def test_geopandas_and_a_geopackage_give_it_back(georeferenced: sd.Detections, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    path = tmp_path / "scan.gpkg"
    frame = georeferenced.to_geodataframe()
    frame.to_file(path, layer="damage", driver="GPKG")
    back = geopandas.read_file(path, layer="damage")
    assert back.crs == UTM.to_wkt() and list(back["kind"]) == [d.kind for d in georeferenced]
    assert shapely.equals_exact(back.geometry.values, frame.geometry.values, 1e-9).all()
    assert np.allclose(back["score"], frame["score"])
    with contextlib.closing(sqlite3.connect(path)) as database:  # what QGIS looks for
        assert database.execute("SELECT table_name, srs_id FROM gpkg_contents").fetchall() == [("damage", 32633)]


def test_a_geopackage_of_pixels_is_not_taken_for_degrees(found: sd.Detections, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    found.to_geodataframe().to_file(tmp_path / "scan.gpkg", layer="damage", driver="GPKG")
    back = geopandas.read_file(tmp_path / "scan.gpkg", layer="damage")
    assert back.crs.is_engineering and not back.crs.is_geographic
    assert back.total_bounds.tolist() == [30, 20, 420, 380]


def test_supervision_has_the_same_boxes_masks_and_classes(found: sd.Detections) -> None:
    supervision = pytest.importorskip("supervision")
    detections = supervision.Detections(
        xyxy=np.array([defect.polygon.bounds for defect in found], np.float32),
        mask=masks_of(found),
        confidence=found.scores.astype(np.float32),
        class_id=np.array([found.kinds.index(defect.kind) for defect in found], int),
        data={"class_name": np.array([defect.kind for defect in found])},
    )
    assert detections.area.tolist() == [defect.area_px for defect in found]
    assert [row["class_name"] for *_, row in detections] == [defect.kind for defect in found]
    scratches = detections[detections.class_id == 0]
    drawn = supervision.MaskAnnotator().annotate(panel(), scratches)
    assert (drawn[22, 60] != panel()[22, 60]).any() and (drawn[90, 70] == panel()[90, 70]).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # its own, in annToMask
def test_pycocotools_loads_the_file_and_its_masks(found: sd.Detections, tmp_path: Path) -> None:
    coco_module = pytest.importorskip("pycocotools.coco")
    path = tmp_path / "scan.json"
    found.to_coco(path)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_module.COCO(str(path))
    annotations = coco.loadAnns(coco.getAnnIds())
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    assert [names[one["category_id"]] for one in annotations] == [defect.kind for defect in found]
    for annotation, mask, defect in zip(annotations, masks_of(found), found, strict=True):
        assert (coco.annToMask(annotation) == mask).all()
        assert annotation["score"] == pytest.approx(defect.score)


@pytest.mark.parametrize("format", ["labelme", "cvat", "via"])
def test_annotation_tools_get_the_same_outlines(found: sd.Detections, format: str, tmp_path: Path) -> None:
    found.to_coco(tmp_path / "scan.json")
    target = tmp_path / {"labelme": "labels", "cvat": "scan.xml", "via": "via.json"}[format]
    write_annotations(read_annotations(tmp_path / "scan.json"), target, format=format)
    sizes = {"images_dir": tmp_path} if format == "via" else {}
    if sizes:
        Image.fromarray(panel()).save(tmp_path / "array", format="PNG")
    (image,) = read_annotations(target, **sizes).images
    assert [region.kind for region in image.regions] == [defect.kind for defect in found]
    for region, defect in zip(image.regions, found, strict=True):
        assert region.polygon.symmetric_difference(defect.polygon).area < 1e-3


def test_labelme_finds_what_it_reads(found: sd.Detections, tmp_path: Path) -> None:
    """The fields that LabelMe 5 demands of a file."""
    found.to_coco(tmp_path / "scan.json")
    write_annotations(read_annotations(tmp_path / "scan.json"), tmp_path / "labels", format="labelme")
    (path,) = (tmp_path / "labels").glob("*.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"} <= set(record)
    for shape in record["shapes"]:
        assert {"label", "points", "group_id", "shape_type", "flags"} <= set(shape)
        assert shape["shape_type"] == "polygon" and np.array(shape["points"]).shape[1] == 2


def test_rasterio_reads_the_map_and_gdal_a_cog_made_of_it(georeferenced: sd.Detections, tmp_path: Path) -> None:
    whole = georeferenced.probability_map
    whole.save(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert dataset.descriptions == ("scratch", "dent", "coverage")
        assert dataset.block_shapes == [(256, 256)] * 3
        assert dataset.crs == UTM and dataset.res == (0.001, 0.001)
        assert (dataset.read(1) == whole.read("scratch")).all()
    made = {"compress": "deflate", "overview_resampling": "average"}
    rasterio.shutil.copy(tmp_path / "map.tif", tmp_path / "cog.tif", driver="COG", **made)
    with rasterio.open(tmp_path / "cog.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG", "GDAL's own verdict"
        assert dataset.overviews(1) == [2]
        assert (dataset.read(2) == whole.read("dent")).all()
    again = sd.ProbabilityMap.open(tmp_path / "cog.tif")
    assert (again.kinds, again.coverage) == (whole.kinds, 1)


class Seen(html.parser.HTMLParser):
    """The tags and addresses of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("img", "br"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_notebook_gets_a_small_picture_that_needs_nothing_else(found: sd.Detections) -> None:
    png, page = found._repr_png_(), found._repr_html_()
    assert png is not None
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG" and max(picture.size) < 1000
    seen = Seen(page)
    assert seen.open == [] and set(seen.tags) <= {"div", "p", "img", "table", "tr", "th", "td", "em"}
    (address,) = seen.addresses
    assert "3 defects" in re.findall(r'alt="([^"]+)"', page)[0], "for those who cannot see it"
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == png
    assert len(page) < 2_000_000


def test_what_a_notebook_shows_of_a_name_is_text(tmp_path: Path) -> None:
    name = '<img src=x onerror=alert(1)>"&'
    Image.fromarray(panel()).save(tmp_path / f"{name}.png")
    kind = "<script>alert(1)</script>"
    card = sd.ModelCard(name="dark", kinds=("scratch", kind), window_px=64, overlap_px=16)
    found = sd.detect(tmp_path / f"{name}.png", model=sd.FunctionPredictor(dark(), card=card))
    assert any(defect.kind == kind for defect in found)
    seen = Seen(found._repr_html_())
    assert "script" not in seen.tags and seen.tags.count("img") == 1
    (tmp_path / f"{name}.png").unlink()
    assert found._repr_png_() is None
    assert "no picture" in found._repr_html_() and "img" not in Seen(found._repr_html_()).tags


def test_the_notebook_runs_and_its_last_cell_shows_the_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    paths = [
        str(Path(sd.__file__).parents[1]),
        *filter(None, __import__("os").environ.get("PYTHONPATH", "").split(":")),
    ]
    monkeypatch.setenv("PYTHONPATH", ":".join(paths))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.get("outputs")], "committed without outputs"
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = notebook.cells[-1]["outputs"]
    assert notebook.cells[-1]["source"] == "found"
    assert "inspected in full" in output["data"]["text/html"]
    with Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))) as picture:
        assert picture.width == 900
        yellow = np.asarray(picture.convert("HSV"))[..., 0]
    assert ((yellow > 30) & (yellow < 50)).sum() > 100, "something is outlined in yellow"
    assert not re.search(r"https?://(?!www\.w3\.org)", output["data"]["text/html"])
