"""``surfacedefect detect``: what it writes, prints and answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio
from PIL import Image

from surfacedefect.cli import _scans
from surfacedefect.errors import MissingExtraError, ModelError, OutputError

Run = Callable[..., Any]
Picture = Callable[..., Path]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_every_format(run: Run, picture: Picture, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    result = run("detect", picture("door.png", dent=True), "--out", out, "--format", "geojson,coco,csv,png,tif")
    assert result.exit_code == 0, result.output
    expected = ["door.coco.json", "door.csv", "door.geojson", "door.map.tif", "door.overlay.png"]
    assert names_in(out) == expected
    assert all(name in result.stdout for name in expected)
    features = json.loads((out / "door.geojson").read_text())["features"]
    assert [(f["properties"]["kind"], f["properties"]["area_px"]) for f in features] == [
        ("dent", 1200),
        ("scratch", 480),
    ]
    with rasterio.open(out / "door.map.tif") as dataset:
        assert (dataset.width, dataset.height, dataset.count) == (200, 150, 3)
    with Image.open(out / "door.overlay.png") as overlay:
        assert overlay.width == 200


def test_prints_a_plain_table_in_a_pipe(run: Run, picture: Picture, tmp_path: Path) -> None:
    result = run("detect", picture("door.png", dent=True), "--out", tmp_path / "out", "--mm-per-px", "0.5")
    lines = result.stdout.splitlines()
    assert "200 x 150 px" in lines[0]
    assert "2 defects (1 scratch, 1 dent)" in lines[0]
    assert lines[1].split() == ["kind", "score", "length", "mm", "width", "mm", "area", "mm2", "x", "px", "y", "px"]
    assert lines[2].split()[:3] == ["#1", "dent", "0.80"]
    assert lines[3].split()[-3:] == ["120.0", "90", "22"]
    assert result.stderr == ""
    assert "\x1b" not in result.stdout


def test_long_tables_say_how_many_are_left_out(run: Run, tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 300), (160, 160, 160))
    for number in range(25):
        image.paste(
            (0, 0, 0),
            (10 + 40 * (number % 9), 10 + 40 * (number // 9), 20 + 40 * (number % 9), 20 + 40 * (number // 9)),
        )
    image.save(tmp_path / "many.png")
    result = run("detect", tmp_path / "many.png", "--out", tmp_path / "out")
    assert "25 defects" in result.stdout
    assert "and 5 more" in result.stdout


def test_json_lines(run: Run, picture: Picture, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    result = run("detect", picture("a.png"), bad, picture("b.png", scratch=False), "--json", "--out", tmp_path / "out")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["status"] for record in records] == ["complete", "failed", "complete"]
    assert records[0]["defects"][0]["kind"] == "scratch"
    assert records[0]["defects"][0]["box"] == [30, 20, 150, 24]
    assert Path(records[0]["outputs"]["geojson"]).is_file()
    assert "expected a picture" in records[1]["error"]
    assert records[2]["defects"] == []
    assert result.exit_code == 1


def test_one_bad_file_stops_no_other_and_is_named_at_the_end(run: Run, picture: Picture, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 broken")
    result = run("detect", bad, tmp_path / "missing.tif", picture("good.png"), "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert names_in(tmp_path / "out") == ["good.geojson", "good.overlay.png"]
    head, *named = result.stderr.splitlines()
    assert head.startswith("2 of 3 scans")
    assert "bad.jpg" in named[0]
    assert "missing.tif" in named[1]
    assert "Traceback" not in result.output


def test_quiet_prints_failures_only(run: Run, picture: Picture, tmp_path: Path) -> None:
    result = run("detect", picture("a.png"), tmp_path / "missing.png", "--quiet", "--out", tmp_path / "out")
    assert result.stdout == ""
    assert "missing.png" in result.stderr


def test_window_that_fails(run: Run, picture: Picture, tmp_path: Path) -> None:
    path, out = picture("door.png", stumbles=True), tmp_path / "out"
    raised = run("detect", path, "--out", out)
    assert raised.exit_code == 1
    assert names_in(out) == []
    skipped = run("detect", path, "--out", out, "--on-error", "skip")
    assert skipped.exit_code == 1
    assert "% inspected" in skipped.stderr
    record = json.loads((out / "door.geojson").read_text())
    assert record["coverage"] < 1
    assert record["not_inspected"]["type"] == "MultiPolygon"
    assert run("detect", path, "--out", out, "--on-error", "skip", "--json").stdout.count('"incomplete"') == 1


def test_transparent_pixels_are_neither_damage_nor_missing(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture("door.png")
    with Image.open(path) as image:
        image.putalpha(Image.new("L", image.size, 255))
        image.paste((0, 0, 0, 0), (0, 100, 200, 150))
        image.save(path)
    result = run("detect", path, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "door.geojson").read_text())
    assert (record["coverage"], record["not_inspected"], len(record["features"])) == (1, None, 1)


def test_same_stem_twice_overwrites_nothing(run: Run, picture: Picture, tmp_path: Path) -> None:
    one, two = picture("a/door.png"), picture("b/door.png", scratch=False)
    result = run("detect", one, two, one, "--out", tmp_path / "out", "--format", "geojson")
    assert names_in(tmp_path / "out") == ["a-door.png.geojson", "b-door.png.geojson"]
    assert json.loads((tmp_path / "out" / "b-door.png.geojson").read_text())["features"] == []
    assert result.stdout.count("200 x 150") == 2, "the same file is inspected once"


def test_options_reach_the_detector(run: Run, picture: Picture, tmp_path: Path, loaded: list[dict[str, Any]]) -> None:
    path = picture("door.png", dent=True)

    def kinds(*options: str) -> list[str]:
        run("detect", path, "--out", tmp_path / "out", *options)
        features = json.loads((tmp_path / "out" / "door.geojson").read_text())["features"]
        return [feature["properties"]["kind"] for feature in features]

    assert kinds() == ["dent", "scratch"]
    assert kinds("--kinds", "scratch") == ["scratch"]
    assert kinds("--threshold", "0.9") == []
    assert kinds("--threshold", "dent=0.9") == ["scratch"]
    assert kinds("--least-area", "1000") == ["dent"]
    assert kinds("--least-score", "1.0") == []
    assert kinds("--least-score", "dent=1.0") == ["scratch"]
    assert kinds("--batch", "2", "--max-memory", "0", "--simplify", "1.5") == ["dent", "scratch"]
    kinds("--model", "other", "--runtime", "onnx", "--threads", "1", "--overlap", "0", "--max-pixels", "99999")
    assert loaded[-1] == {"model": "other", "runtime": "onnx", "threads": 1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "xml"], "'xml'"),
        (["--format", ","], "nothing"),
        (["--threshold", "high"], "high"),
        (["--threshold", "2"], "(0, 1]"),
        (["--threshold", "rust=0.5"], "rust"),
        (["--kinds", "rust"], "rust"),
        (["--kinds", ","], "kinds"),
        (["--overlap", "64"], "64"),
        (["--mm-per-px", "-1"], "-1"),
        (["--on-error", "ignore"], "ignore"),
        (["--no-such-option"], "--no-such-option"),
        (["--batch", "0"], "batch is 0"),
        (["--batch", "many"], "'--batch'"),
        (["--max-memory", "-1"], "max_memory is -1"),
        (["--simplify", "-1"], "simplify_px is -1"),
    ],
)
def test_wrong_usage_is_2_before_anything_is_written(
    run: Run, picture: Picture, tmp_path: Path, options: list[str], words: str
) -> None:
    result = run("detect", picture("door.png"), "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.startswith("surfacedefect: ") and result.stderr.count("\n") == 1, "one style: one plain line"
    assert not (tmp_path / "out").exists()


def test_batch_memory_and_simplify_reach_the_detector(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from surfacedefect import detector

    given = []
    real = detector.Detector.__init__

    def spy(self: Any, *args: Any, **named: Any) -> None:
        given.append(named["options"])
        real(self, *args, **named)

    monkeypatch.setattr(detector.Detector, "__init__", spy)
    run("detect", picture("door.png"), "--out", tmp_path, "--batch", 2, "--max-memory", 0, "--simplify", 1.5)
    assert (given[0].batch, given[0].max_memory, given[0].simplify_px) == (2, 0, 1.5)


@pytest.mark.parametrize("command", [("detect",), ("demo", "--scan")])
def test_a_scan_that_cannot_be_read_is_1_in_every_command(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(*command, tmp_path / "missing.jpg", "--out", tmp_path / "out")
    assert result.exit_code == 1
    head, named = result.stderr.splitlines()
    assert head == "1 of 1 scan failed or not inspected in full:"
    assert named.startswith(f"  {tmp_path / 'missing.jpg'}: there is no such file"), "named once"


def test_what_fails_is_named_once_as_it_was_given(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = picture("whole.jpg").read_bytes()
    Path("trunc.jpg").write_bytes(whole[: len(whole) // 2])
    detected, planned = run("detect", "trunc.jpg", "nope.jpg"), run("plan", "nope.jpg", "whole.jpg")
    head, *named = detected.stderr.splitlines()
    assert head == "2 of 2 scans failed or not inspected in full:" and detected.exit_code == 1
    assert named[0].startswith("  trunc.jpg: cannot be read") and named[0].count("trunc.jpg") == 1
    assert named[1].startswith("  nope.jpg: there is no such file") and named[1].count("nope.jpg") == 1
    assert planned.exit_code == 1
    assert planned.stderr.splitlines()[0] == "1 of 2 scans could not be planned:", "plan inspects nothing"
    assert planned.stderr.count("nope.jpg") == 1


@pytest.mark.parametrize("command", ["detect", "plan"])
def test_an_address_is_2_and_told_where_addresses_are_read(run: Run, command: str) -> None:
    result = run(command, "https://ann:secret@host/x.jpg")
    assert result.exit_code == 2 and "secret" not in result.stderr
    assert "'https://host/x.jpg' is an address; expected files on this machine" in result.stderr
    assert "`surfacedefect batch` a list" in result.stderr


@pytest.mark.parametrize("error", [ModelError("no shipped model"), MissingExtraError("pip install it")])
def test_missing_model_or_engine_is_2(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("surfacedefect.detector.load_predictor", fail)
    result = run("detect", picture("door.png"), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr == f"surfacedefect: {error}\n"


def test_folder_as_scan_is_2_with_a_hint(run: Run, picture: Picture, tmp_path: Path) -> None:
    folder = picture("scans/door.png").parent
    result = run("detect", folder, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "*.png" in result.stderr
    assert run("detect", tmp_path / "none*.png").exit_code == 2


def test_pattern_that_the_shell_left_alone(run: Run, picture: Picture, tmp_path: Path) -> None:
    for name in ("s/b.png", "s/a.png", "s/a[1].png"):
        picture(name)
    result = run("detect", tmp_path / "s" / "*.png", "--out", tmp_path / "out", "--format", "csv")
    assert names_in(tmp_path / "out") == ["a.csv", "a[1].csv", "b.csv"]
    assert result.exit_code == 0
    assert run("detect", tmp_path / "s" / "a[1].png", "--out", tmp_path / "o2").exit_code == 0


def test_place_where_nothing_can_be_written_is_2(run: Run, picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    result = run("detect", picture("door.png"), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "is a file, not a folder" in result.stderr


def test_full_disk_stops_one_scan_only(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from surfacedefect.detections import Detections

    writes = Detections.to_csv

    def fail_once(self: Detections, path: Path) -> None:
        if "a.csv" in str(path):
            raise OutputError("the disk is full")
        writes(self, path)

    monkeypatch.setattr(Detections, "to_csv", fail_once)
    result = run("detect", picture("a.png"), picture("b.png"), "--out", tmp_path / "out", "--format", "csv")
    assert result.exit_code == 1
    assert "disk is full" in result.stderr
    assert names_in(tmp_path / "out") == ["b.csv"]


def test_scan_is_never_overwritten(run: Run, picture: Picture, tmp_path: Path) -> None:
    one, other = picture("door.png"), picture("door.overlay.png")
    result = run("detect", one, other, "--out", tmp_path)
    assert result.exit_code == 2
    assert "would be overwritten" in result.stderr


class TestOutputNames:
    def names(self, *paths: str) -> list[str]:
        return _scans.output_names([Path(path) for path in paths])

    def test_stem_where_it_is_alone(self) -> None:
        assert self.names("/x/a.jpg", "/y/b.tif") == ["a", "b"]

    def test_only_what_tells_them_apart_is_added(self) -> None:
        assert self.names("/x/a.jpg", "/x/a.tif", "/x/b.jpg") == ["a.jpg", "a.tif", "b"]
        assert self.names("/x/1/a.jpg", "/x/2/a.jpg") == ["1-a.jpg", "2-a.jpg"]
        assert self.names("/x/1/z/a.jpg", "/x/2/z/a.jpg") == ["1-z-a.jpg", "2-z-a.jpg"]

    def test_case_and_names_made_to_collide(self) -> None:
        for paths in (
            ["/x/A.jpg", "/x/a.jpg"],
            ["/x/1/a.jpg", "/x/2/a.jpg", "/x/1-a.jpg.png"],
            ["/a/b-c.jpg", "/a-b/c.jpg", "/a/b/c.jpg", "/c.jpg"],
        ):
            names = self.names(*paths)
            assert len({name.casefold() for name in names}) == len(paths), names

    def test_order_does_not_matter(self) -> None:
        paths = ["/x/1/a.jpg", "/x/2/a.jpg", "/x/2/a.png", "/x/b.jpg"]
        there = dict(zip(paths, self.names(*paths), strict=True))
        back = dict(zip(reversed(paths), self.names(*reversed(paths)), strict=True))
        assert there == back
