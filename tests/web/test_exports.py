"""Exports: what the library writes, less what was rejected, with what was drawn; and what was decided."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import shapely
from PIL import Image
from web_runs import panel, save

from surfacedefect.annotations import read_annotations
from surfacedefect.errors import WebError
from surfacedefect.web import Decision
from surfacedefect.web.values import EXPORTS

NAME = "door.png"
BOX = ((300.0, 20.0), (340.0, 20.0), (340.0, 60.0), (300.0, 60.0))


def library(workspace, threshold=None):
    return workspace._shelf.result(NAME, workspace.folder / NAME).at(threshold).detections


def export(workspace, what, **more):
    return workspace.export(NAME, what, **more).data


def decide(workspace, outline, action, **more):
    return workspace.decide(NAME, Decision(outline, action, **more), version=workspace.review(NAME).version)


@pytest.fixture
def decided(own):
    """The dent is rejected, one scratch redrawn, the other accepted, and a chip added."""
    dent, *scratches = sorted(own.found(NAME), key=lambda outline: outline.kind)
    decide(own, dent.id, "reject")
    decide(own, scratches[0].id, "redraw", polygon=BOX)
    decide(own, scratches[1].id, "accept")
    decide(own, "", "add", kind="chip", polygon=((500, 200), (520, 200), (520, 230)))
    return own


def test_without_decisions_it_is_the_library_s_own(own):
    found = library(own)
    record = json.loads(export(own, "geojson"))
    expected = json.loads(json.dumps(found.to_geojson()))
    assert record["review"]["version"] == 0
    for feature in record["features"]:
        for name in ("outline", "decision", "found_kind"):
            feature["properties"].pop(name)
    record.pop("review")
    assert record == expected and len(record["features"]) == 3
    at = json.loads(export(own, "geojson", threshold=0.5))
    assert at["threshold"] == 0.5 and len(at["features"]) == len(library(own, 0.5))


def test_the_threshold_of_the_review_is_the_one_of_its_exports(own):
    own.set_threshold(NAME, 0.9, version=0)
    assert json.loads(export(own, "geojson"))["threshold"] == 0.9


def test_geojson_says_what_was_decided(decided):
    record = json.loads(export(decided, "geojson"))
    decisions = {f["properties"]["decision"]: f for f in record["features"]}
    assert set(decisions) == {"redrawn", "accepted", "added"} and len(record["features"]) == 3
    assert shapely.equals(shapely.geometry.shape(decisions["redrawn"]["geometry"]), shapely.Polygon(BOX))
    assert decisions["added"]["properties"]["kind"] == "chip" and decisions["added"]["properties"]["score"] is None
    assert decisions["added"]["properties"]["found_kind"] is None
    assert decisions["redrawn"]["properties"]["area_mm2"] == pytest.approx(16)
    assert record["review"]["who"] == "tester" and len(record["review"]["rejected"]) == 1


def test_csv_has_a_row_each(decided):
    rows = list(csv.DictReader(io.StringIO(export(decided, "csv").decode())))
    assert [row["decision"] for row in rows].count("redrawn") == 1 and len(rows) == 3
    added = next(row for row in rows if row["decision"] == "added")
    assert added["kind"] == "chip" and added["score"] == "" and added["threshold"] == ""
    assert float(added["area_px"]) == 300 and added["scan"] == NAME
    assert all(row["threshold"] for row in rows if row["kind"] == "scratch")


def test_coco_reads_back_for_training(decided, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_bytes(export(decided, "coco"))
    dataset = read_annotations(path)
    (image,) = dataset.images
    assert (image.file_name, image.width, image.height) == (NAME, 700, 300)
    held = {outline.id: outline for outline in decided.found(NAME) if outline.decision != "rejected"}
    assert sorted((r.kind, round(r.polygon.area, 3)) for r in image.regions) == sorted(
        (o.kind, round(o.area_px, 3)) for o in held.values()
    )
    assert all(region.score is None for region in image.regions)  # decided by a person, as truth is
    assert any(shapely.equals(region.polygon, shapely.Polygon(BOX)) for region in image.regions)


def test_undecided_outlines_keep_their_score_in_coco(own, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_bytes(export(own, "coco"))
    (image,) = read_annotations(path).images
    assert len(image.regions) == 3 and all(region.score > 0.5 for region in image.regions)


def test_pictures_and_pages(decided):
    png = Image.open(io.BytesIO(export(decided, "png")))
    assert png.format == "PNG" and png.width == 700 and png.height > 300
    pdf = export(decided, "pdf")
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") == 1 and len(pdf) > 20_000
    html = export(decided, "html").decode()
    assert "redrawn" in html and "chip" in html and "tester" in html and "data:image/jpeg;base64," in html
    assert "http" not in html.replace("http-equiv", "")  # nothing from elsewhere


def test_names_and_notes_are_texts(own):
    name = "<img src=x onerror=alert(1)>.png"
    (own.folder / NAME).rename(own.folder / name)
    own.set_note(name, "</dd><script>alert(2)</script>", version=0)
    html = own.export(name, "html").data.decode()
    assert "<img src=x" not in html and "<script" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in html and "&lt;script&gt;alert(2)" in html
    for what in EXPORTS:
        made = own.export(name, what)
        assert made.data and Path(made.file_name).name == made.file_name and made.mime


def test_a_long_list_stays_on_its_page(own):
    for number in range(60):
        x = 10 * (number % 60)
        decide(own, "", "add", kind="chip", polygon=((x, 260), (x + 8, 260), (x + 8, 280)))
    assert export(own, "pdf").count(b"/Type /Page\n") == 1
    assert export(own, "html").decode().count("<tr>") == 64


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (1, ["line 0"]),
        (14, ["line 12", "line 13"]),
        (15, ["line 12", "and 2 more lines; the HTML report has them all"]),
    ],
)
def test_a_long_note_is_whole_or_says_what_is_left_out(own, monkeypatch, lines, last):
    own.set_note(NAME, "\n".join(f"line {number}" for number in range(lines)), version=0)
    written = []
    monkeypatch.setattr("surfacedefect.web.report._Pen._put", lambda self, x, text, **_: written.append(text))
    assert export(own, "pdf").count(b"/Type /Page\n") == 1
    note = written[written.index("Note") + 1 : written.index("#")]
    assert note[-len(last) :] == last and len(note) == min(lines, 14)


def test_what_cannot_be_exported(own):
    with pytest.raises(WebError, match="no export"):
        own.export(NAME, "exe")
    save(own.folder / "new.png", panel(seed=5))
    with pytest.raises(WebError, match="inspect it first"):
        own.export("new.png", "geojson")
