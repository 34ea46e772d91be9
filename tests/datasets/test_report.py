"""The page on a data set: its counts are the manifest's, its text is text, and it asks nothing of the network."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingest_runs import Write, rows_of, tree
from messy_share import jpeg, make_mess
from PIL import Image
from shapely.geometry import box

import surfacedefect.datasets._thumbnails as thumbnails
from surfacedefect.annotations import AnnotatedImage, Dataset, Region, write_annotations
from surfacedefect.datasets import STATES, ReportPage, ingest, manifest_version, report
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._report_facts import Bounds
from surfacedefect.datasets._thumbnails import shrunk
from surfacedefect.datasets.manifest import change_manifest
from surfacedefect.errors import DatasetError, OutputError, ScanTooLargeError

SECTIONS = (
    "overview", "pictures", "sizes", "set-aside", "duplicates", "near-duplicates", "flags", "split", "damage", "about",
)  # fmt: skip
VOID = {"meta", "img", "col", "br", "link"}


class Page(HTMLParser):
    """A page as its elements, the text of each section, and what does not nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.states: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._section, self._row = "", ""
        self.feed(self.source)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        if tag == "section":
            self._section = str(given["id"])
        if tag == "tr":
            self._row = given.get("data-state") or ""
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._section = "" if tag == "section" else self._section

    def handle_data(self, data: str) -> None:
        if not {"style", "svg"} & set(self._open):
            before = " " if self._open and self._open[-1] in ("td", "th") else ""
            self.text[self._section] = self.text.get(self._section, "") + before + data
            if self._row and data.strip():
                self.states.setdefault(self._row, []).append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [given for name, given in self.elements if name == tag]


def section(page: Page, name: str) -> str:
    return " ".join(page.text[name].split())


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mess(tmp_path: Path) -> Path:
    make_mess(tmp_path / "share", pictures=60)
    ingest(tmp_path / "share", tmp_path / "set")
    return tmp_path / "set"


def later(dest: Path, **columns: Any) -> None:
    """Fill the later columns of the good rows, by the number of the picture."""
    numbers = iter(range(10_000))

    def change(row: dict[str, Any]) -> dict[str, Any]:
        if row["state"] != "good":
            return {}
        number = next(numbers)
        return {name: value(number) for name, value in columns.items()}

    change_manifest(Layout(dest), change)


def made(dest: Path, out: Path, **options: Any) -> tuple[ReportPage, Page]:
    written = report(dest, out, **options)
    return written, Page(written.path)


@pytest.mark.parametrize(
    ("folder", "title"),
    [("dataset", "Data set"), ("Data_Set", "Data set"), ("dataset-2", "Data set dataset-2"), ("cars", "Data set cars")],
)
def test_one_of_each_is_no_plural_and_the_title_says_nothing_twice(tmp_path: Path, folder: str, title: str) -> None:
    (tmp_path / "share").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / "share" / name)
    ingest(tmp_path / "share", tmp_path / folder)
    _, page = made(tmp_path / folder, tmp_path / "out")
    assert f"<h1><bdi>{title}</bdi></h1>" in page.source
    overview = section(page, "overview")
    assert "1 good picture" in overview and "1 exact duplicate" in overview and "0 set aside" in overview
    assert "1 exact duplicates" not in page.source and "1 good pictures" not in page.source


def test_its_counts_are_those_of_the_manifest(mess: Path, tmp_path: Path) -> None:
    written, page = made(mess, tmp_path / "out")
    rows = rows_of(mess)
    counts = Counter(row["state"] for row in rows.values())
    assert {state: int(cells[2]) for state, cells in page.states.items()} == counts
    assert all(cells[1] == STATES[state] for state, cells in page.states.items())
    aside = counts.total() - counts["good"] - counts["duplicate"]
    assert (written.rows, written.pictures, written.set_aside) == (len(rows), counts["good"], aside)
    assert written.version == manifest_version(mess) and written.version in page.source
    assert f"{counts['duplicate']} other paths" in section(page, "duplicates")
    assert len(table(tmp_path / "out" / "quarantine.csv")) == aside
    listed = table(tmp_path / "out" / "manifest.csv")
    assert {row["source_path"].removeprefix("'"): row["state"] for row in listed} == {
        path: row["state"] for path, row in rows.items()
    }
    assert tree(tmp_path / "out") == {"index.html", "quarantine.csv", "manifest.csv"}


def test_its_structure_can_be_walked_without_eyes_or_mouse(mess: Path, tmp_path: Path) -> None:
    later(mess, flags=lambda n: ["blurred"] if n % 3 else [], near_duplicate_group=lambda n: f"g{n // 3}")
    _, page = made(mess, tmp_path / "out")
    assert [given["id"] for given in page.all("section")] == list(SECTIONS)
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1 and len(page.all("main")) == 1
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert len(ids) == len(set(ids))
    targets = [str(given["href"]) for given in page.all("a")]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
    assert all(given.get("alt") for given in page.all("img")) and page.all("img")
    tables, captions = page.source.count("<table"), page.source.count("<caption>")
    assert tables == captions > 5
    for svg, name in re.findall(r"<svg ([^>]*)>(<title>[^<]+</title>)?", page.source):
        assert 'aria-hidden="true"' in svg or ('role="img"' in svg and name)


def test_it_runs_nothing_and_asks_nothing_of_the_network(mess: Path, tmp_path: Path) -> None:
    _, page = made(mess, tmp_path / "out")
    assert not {"script", "iframe", "link", "object", "form", "base"} & {tag for tag, _ in page.elements}
    for tag, given in page.elements:
        assert not [name for name in given if name.startswith("on") or name == "style"], tag
        for name in ("src", "href", "srcset", "action", "xlink:href"):
            value = given.get(name) or ""
            local = value in ("quarantine.csv", "manifest.csv", "annotation_issues.csv")
            assert not value or local or value.startswith(("#", "data:image/jpeg;base64,"))
    assert "http:" not in page.source and "https:" not in page.source and "url(" not in page.source
    (policy,) = (g["content"] for g in page.all("meta") if g.get("http-equiv") == "Content-Security-Policy")
    (style,) = re.findall(r"<style>(.*?)</style>", page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy and policy.startswith("default-src 'none'") and f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy and "script-src" not in policy


def test_hostile_names_are_text(tmp_path: Path, write: Write) -> None:
    deep = "/".join(["x" * 200] * 15)
    names = [
        "<img src=x onerror=alert(1)>.jpg",
        "\u202egpj.exe",
        "line\nbreak.jpg",
        "</style><script>alert(2)<\\script>.jpg",
        "{{ 7 * 7 }}{% raw %}.jpg",
        "\u05d0\u05d1\u05d2.jpg",
        f"{deep}/long.jpg",
    ]
    for number, name in enumerate(names):
        write(f"bad/{name}", b"")
        write(f"good/{name}", jpeg(number))
    ingest(tmp_path / "share", tmp_path / "set")
    hostile = "'\"><script>alert(3)</script>"
    later(
        tmp_path / "set",
        flags=lambda n: [hostile],
        near_duplicate_group=lambda n: hostile,
        group=lambda n: hostile,
        split=lambda n: hostile if n else "train",
    )
    _, page = made(tmp_path / "set", tmp_path / "out", title=hostile)
    assert "script" not in {tag for tag, _ in page.elements}
    assert not [given for _, given in page.elements if "onerror" in given]
    assert "bad/<img src=x onerror=alert(1)>.jpg" in page.text["set-aside"]
    assert "bad/{{ 7 * 7 }}{% raw %}.jpg" in page.text["set-aside"]
    assert r"bad/line\nbreak.jpg" in page.text["set-aside"] and r"bad/\u202egpj.exe" in page.text["set-aside"]
    assert hostile in page.text[""] and hostile in page.text["flags"] and hostile in page.text["split"]
    assert "\u202e" not in page.source
    assert max(len(line) for line in re.sub(r"base64,[^\"]+", "", page.source).splitlines()) < 3000
    assert "x" * 120 not in page.source


def test_what_has_no_data_says_why(mess: Path, tmp_path: Path) -> None:
    _, page = made(mess, tmp_path / "out")
    for name, words in (
        ("near-duplicates", "run surfacedefect data check DEST"),
        ("flags", "run surfacedefect data check DEST"),
        ("split", "run surfacedefect data split DEST"),
        ("damage", "surfacedefect data report DEST --out FOLDER --annotations FILE"),
        ("sizes", "none has an EXIF date"),
    ):
        assert words in section(page, name)


def test_what_later_steps_found_is_shown(mess: Path, tmp_path: Path) -> None:
    later(
        mess,
        near_duplicate_group=lambda n: "alike" if n < 3 else f"alone {n}",
        flags=lambda n: ["blurred", "blank"] if n < 5 else [] if n < 9 else None,
        group=lambda n: f"car {n % 4}",
        split=lambda n: ("train", "valid", None)[n % 3],
    )
    written, page = made(mess, tmp_path / "out")
    good = written.pictures
    assert "3 pictures in 1 group show nearly the same" in section(page, "near-duplicates")
    assert "alike" in page.text["near-duplicates"] and "alone" not in page.text["near-duplicates"]
    looked = "9 pictures looked at for blur, blank pictures and exposure; 5 of them flagged."
    assert f"{looked} {good - 9} pictures not looked at yet" in section(page, "flags")
    assert f"train {len(range(0, good, 3))}" in section(page, "split")
    assert f"no split {len(range(2, good, 3))}" in section(page, "split")
    assert "4 groups in more than one split" in section(page, "split")
    assert "1 group of near duplicates in more than one split" in section(page, "split")


def test_bounds_say_what_is_left_out_and_where_it_is(tmp_path: Path, write: Write) -> None:
    bounds = Bounds()
    for number in range(bounds.sample + 2):
        write(f"{number:03d}.jpg", jpeg(number, width=8 + number, height=8))
    for number in range(bounds.set_aside + 3):
        write(f"bad {number:03d}.jpg", b"")
    for number in range(bounds.names + 4):
        write(f"copy {number:03d}.jpg", jpeg(0, width=8, height=8))
    ingest(tmp_path / "share", tmp_path / "set")
    later(tmp_path / "set", near_duplicate_group=lambda n: f"{n % 2}", flags=lambda n: ["blurred"])
    written, page = made(tmp_path / "set", tmp_path / "out")
    assert f"{bounds.sample} of {bounds.sample + 2} good pictures" in section(page, "pictures")
    assert "and 3 paths more: quarantine.csv lists all" in section(page, "set-aside")
    assert "and 4 paths more: manifest.csv lists all" in section(page, "duplicates")
    assert f"and {25 - bounds.group_members} pictures more: manifest.csv" in section(page, "near-duplicates")
    assert f"and {50 - bounds.flagged} pictures more: manifest.csv" in section(page, "flags")
    assert "sizes more: manifest.csv lists all" in section(page, "sizes")
    assert written.thumbnails <= bounds.sample + 2
    again = Page(report(tmp_path / "set", tmp_path / "again").path)
    assert re.sub(r"<time.*?</time>", "", page.source) == re.sub(r"<time.*?</time>", "", again.source)


def annotated(dest: Path, folder: Path) -> tuple[Path, int]:
    """Outline a dent in every other good picture of 1000 x 700 px, nothing in the rest; return file and pictures."""
    rows = [row for row in rows_of(dest).values() if row["state"] == "good"]
    images = [
        AnnotatedImage(row["view_name"], 1000, 700, () if n % 2 else (Region("dent", box(100, 100, 120, 110)),))
        for n, row in enumerate(rows)
    ]
    write_annotations(Dataset(("scratch", "dent", "ignore"), tuple(images)), folder / "a.json", format="coco")
    return folder / "a.json", len(rows)


def test_class_balance_and_prevalence_are_counted(tmp_path: Path, write: Write) -> None:
    for number in range(6):
        out = io.BytesIO()
        Image.new("RGB", (1000, 700), (number, 90, 90)).save(out, "PNG")
        write(f"{number}.png", out.getvalue())
    ingest(tmp_path / "share", tmp_path / "set")
    later(tmp_path / "set", split=lambda n: "train" if n < 4 else "test")
    file, count = annotated(tmp_path / "set", tmp_path)
    written, page = made(tmp_path / "set", tmp_path / "out", annotations=file)
    assert written.annotated == count == 6
    text = section(page, "damage")
    assert "6 good pictures annotated, 3 of them without damage; 0 not annotated" in text
    assert "dent 3 3 100 % 2 100 % 1 100 %" in text  # pictures, regions, train, test
    # 3 x 600 px of 6 x 700,000 px less the doubt around; 3 x 2 whole tiles, 2 of 100 x 300 and a row of 100 px left out
    assert "all kinds 0.014 % 3 33 36 8.3 % 91.7 %" in text
    assert "train 0.014 % 2 22 24 8.3 % 91.7 % test" in text
    assert "scratch 0 % 0 36 36 0 %" in text  # a dent is ignored there
    assert "Area of dent" in text and "100 to 300 px²" in text and "Area of scratch" not in text
    assert "Nothing was wrong" in text and "3 of 3 damaged pictures" in text
    assert tree(tmp_path / "out") == {"index.html", "quarantine.csv", "manifest.csv", "annotation_issues.csv"}
    made(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out" / "annotation_issues.csv").exists(), "it belongs to the earlier report"


def test_outlines_are_drawn_where_they_are(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    Image.new("RGB", (672, 504), (40, 40, 200)).save(share / "a.png")
    ingest(share, tmp_path / "set")
    region = Region("dent", box(100, 100, 400, 300))
    data = Dataset(("dent",), (AnnotatedImage("a.png", 672, 504, (region,)),))
    write_annotations(data, tmp_path / "a.json", format="coco")
    _, page = made(tmp_path / "set", tmp_path / "out", annotations=tmp_path / "a.json")
    (uri,) = (str(given["src"]) for given in page.all("img") if given["width"] == "336")
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as small:
        pixels = np.asarray(small.convert("RGB"), int)
    yellow = (pixels[..., 0] > 150) & (pixels[..., 2] < 140)
    rows, cols = np.nonzero(yellow)
    assert abs(rows.min() - 50) <= 2 and abs(rows.max() - 150) <= 2
    assert abs(cols.min() - 50) <= 2 and abs(cols.max() - 200) <= 2
    assert not yellow[60:140, 60:190].any()


def test_what_is_wrong_in_annotations_is_listed(tmp_path: Path, write: Write) -> None:
    write("a.jpg", jpeg(1))
    ingest(tmp_path / "share", tmp_path / "set")
    images = (
        AnnotatedImage("a.jpg", 64, 48, (Region("dent", box(50, 10, 90, 30)),)),
        AnnotatedImage("lost <b>.jpg", 64, 48),
    )
    write_annotations(Dataset(("dent",), images), tmp_path / "a.json", format="coco")
    _, page = made(tmp_path / "set", tmp_path / "out", annotations=tmp_path / "a.json")
    issues = table(tmp_path / "out" / "annotation_issues.csv")
    assert f"{len(issues)} issues" in section(page, "damage") and len(issues) >= 2
    assert "lost <b>.jpg" in page.text["damage"] and "b" not in {tag for tag, _ in page.elements}


def test_annotations_of_another_size_are_left_out_and_listed(tmp_path: Path, write: Write) -> None:
    write("a.jpg", jpeg(1))
    write("b.jpg", jpeg(2))
    ingest(tmp_path / "share", tmp_path / "set")
    region = Region("dent", box(5, 5, 9, 9))
    images = (AnnotatedImage("a.jpg", 64, 48, (region,)), AnnotatedImage("b.jpg", 640, 480, (region,)))
    write_annotations(Dataset(("dent",), images), tmp_path / "a.json", format="coco")
    written, page = made(tmp_path / "set", tmp_path / "out", annotations=tmp_path / "a.json")
    assert written.annotated == 1 and "1 issue: 0 mended, 1 set aside" in section(page, "damage")
    (issue,) = table(tmp_path / "out" / "annotation_issues.csv")
    assert issue["picture"] == "b.jpg" and "was annotated at 640 x 480 px" in issue["what"]


def test_a_split_for_each_picture_is_no_column_for_each(mess: Path, tmp_path: Path) -> None:
    later(mess, split=lambda n: f"split {n}")
    _, page = made(mess, tmp_path / "out")
    assert "other splits" in section(page, "split") and "split 30 " not in section(page, "split")


def test_many_kinds_are_counted_together(tmp_path: Path, write: Write) -> None:
    write("a.jpg", jpeg(1))
    ingest(tmp_path / "share", tmp_path / "set")
    most = Bounds().kinds
    kinds = tuple(f"kind {number}" for number in range(most + 5))
    regions = tuple(Region(kind, box(n, 1, n + 2, 9)) for n, kind in enumerate(kinds))
    data = Dataset(kinds, (AnnotatedImage("a.jpg", 64, 48, (*regions, *regions[:-6])),))
    write_annotations(data, tmp_path / "a.json", format="coco")
    _, page = made(tmp_path / "set", tmp_path / "out", annotations=tmp_path / "a.json")
    text = section(page, "damage")
    assert "The 6 rarest kinds are counted together" in text and "other kinds 1 6" in text


def test_an_empty_data_set(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    ingest(tmp_path / "share", tmp_path / "set")
    written, page = made(tmp_path / "set", tmp_path / "out")
    assert (written.rows, written.thumbnails, page.all("img")) == (0, 0, [])
    assert "The manifest has no rows" in section(page, "overview")
    assert all(section(page, name) for name in SECTIONS)


def test_a_data_set_of_which_all_is_set_aside(tmp_path: Path, write: Write) -> None:
    write("a.jpg", b"")
    write("b.jpg", jpeg(1)[:300])
    ingest(tmp_path / "share", tmp_path / "set")
    written, page = made(tmp_path / "set", tmp_path / "out")
    assert (written.pictures, written.set_aside) == (0, 2)
    assert "every path is set aside" in section(page, "pictures")
    assert "2 paths are in quarantine" in section(page, "set-aside")


def test_a_picture_without_a_thumbnail_is_named(mess: Path, tmp_path: Path) -> None:
    rows = [row for row in rows_of(mess).values() if row["state"] == "good"]
    gone, broken = (Layout(mess).object(row["hash"]) for row in rows[:2])
    gone.unlink()
    broken.chmod(0o644)
    broken.write_bytes(b"\xff\xd8\xff nothing")
    written, page = made(mess, tmp_path / "out")
    assert {path for path, _ in written.failures} == {row["source_path"] for row in rows[:2]}
    assert "its file is not in the store" in section(page, "about")
    assert not [reason for _, reason in written.failures if broken.name in reason]
    assert "no thumbnail: its file is not in the store" in section(page, "pictures")


def test_a_folder_that_cannot_be_a_report(mess: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(mess / "view")
    for out in (mess, mess / "view", mess / "objects" / "ab", mess / ".surfacedefect" / "x", tmp_path / "link"):
        with pytest.raises(OutputError, match=r"is a folder of the data set itself; expected one of its own"):
            report(mess, out)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<html>mine</html>")
    with pytest.raises(OutputError, match=r"holds 'index.html' and no report"):
        report(mess, tmp_path / "site")
    assert (tmp_path / "site" / "index.html").read_text() == "<html>mine</html>"
    assert report(mess, mess / "report").path.is_file()


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no manifest .* expected a data set"):
        report(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_changes_meanwhile_makes_no_page(
    mess: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(mess, tmp_path / "out")
    before = (tmp_path / "out" / "index.html").read_bytes()

    def change(*_: Any, **__: Any) -> Image.Image:
        later(mess, split=lambda n: f"{n}")
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(thumbnails, "shrunk", change)
    with pytest.raises(DatasetError, match=r"changed while the report was made"):
        report(mess, tmp_path / "out")
    assert (tmp_path / "out" / "index.html").read_bytes() == before
    assert tree(tmp_path / "out") == {"index.html", "quarantine.csv", "manifest.csv"}


def test_killed_in_the_middle_it_leaves_no_half_page(mess: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import sys, time, surfacedefect.datasets._thumbnails as t, surfacedefect.datasets as d\n"
        "t.shrunk = lambda *a, **k: (open(sys.argv[3], 'w').close(), time.sleep(60))\n"
        "d.report(sys.argv[1], sys.argv[2])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, str(mess), str(out), str(tmp_path / "begun")]
    process = subprocess.Popen(command, env=environment)
    end = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert process.poll() is None, "it was to be killed in the middle"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert tree(out) <= set()
    assert Page(report(mess, out).path).all("section")


def test_ctrl_c_from_the_callback_stops_it(mess: Path, tmp_path: Path) -> None:
    def stop(now: Any) -> None:
        if now.phase == "thumbnails":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(mess, tmp_path / "out", progress=stop)
    assert tree(tmp_path / "out") == set()


def test_thumbnails_show_the_picture_as_it_is_seen(tmp_path: Path) -> None:
    wide = np.zeros((600, 1200, 3), np.uint8)
    wide[:, :600] = (200, 40, 40)
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter to the right
    for name, extra in (("a.jpg", {"exif": exif}), ("a.png", {"exif": exif}), ("a.tif", {})):
        Image.fromarray(wide).save(tmp_path / name, **extra)
        small = shrunk(tmp_path / name, side_px=100)
        assert small.mode == "RGB" and small.size == ((100, 50) if name == "a.tif" else (50, 100))
        red = small.getpixel((25, 10) if name != "a.tif" else (10, 25))
        assert np.abs(np.subtract(red, (200, 40, 40))).max() < 12


def test_a_thumbnail_of_sixteen_bits_with_nothing_in_it(tmp_path: Path) -> None:
    alpha = np.zeros((80, 120, 4), np.uint8)
    alpha[:40] = (0, 0, 255, 255)
    Image.fromarray(alpha).save(tmp_path / "a.png")
    small = shrunk(tmp_path / "a.png", side_px=60)
    assert small.getpixel((30, 5)) == (0, 0, 255) and small.getpixel((30, 35)) == (128, 128, 128)
    Image.fromarray(np.full((80, 120), 65535, np.uint16)).save(tmp_path / "b.png")
    assert shrunk(tmp_path / "b.png", side_px=60).getpixel((30, 20)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (223, 7), (449, 900)])
def test_a_thumbnail_of_any_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    for name in ("a.jpg", "a.png", "a.tif"):
        Image.new("RGB", size, (10, 200, 30)).save(tmp_path / name)
        small = shrunk(tmp_path / name, side_px=100)
        assert max(small.size) == min(100, max(size)) and min(small.size) >= 1
        assert np.abs(np.asarray(small, int) - (10, 200, 30)).max() < 8


def test_no_thumbnail_of_too_many_pixels(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (200, 100)).save(tmp_path / name)
        with pytest.raises(ScanTooLargeError, match=r"20,000 px"):
            shrunk(tmp_path / name, side_px=50, max_pixels=19_999)


def test_a_copy_of_the_set_without_journal_and_view_has_a_report(mess: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    shutil.copytree(mess / "objects", tmp_path / "copy" / "objects")
    shutil.copy(mess / "manifest.parquet", tmp_path / "copy")
    assert report(tmp_path / "copy", tmp_path / "out").failures == ()
