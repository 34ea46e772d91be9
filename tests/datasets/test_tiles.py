"""Tiles on disk are those by which scores are counted: same places, same labels, same pixels."""

from __future__ import annotations

import csv
import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import coco, picture
from PIL import Image
from shapely.geometry import box

import surfacedefect as sd
from surfacedefect.annotations import AnnotatedImage, Dataset, Region, write_annotations
from surfacedefect.datasets import SplitOptions, TileOptions, TilesReport, ingest, split, write_tiles
from surfacedefect.datasets._tile_cutting import cut
from surfacedefect.errors import AnnotationError, DatasetError, OptionError, OutputError, ScanError
from surfacedefect.evaluation import Protocol, TileCounts, count_tiles, label_tiles, truth_of
from surfacedefect.scan import Scan

SMALL = Protocol(tile_px=32, tile_damaged_px=16)
KINDS = ("scratch", "dent", "ignore")


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@st.composite
def drawn_images(draw: Any) -> AnnotatedImage:
    """Bars of a few pixels, many of them over the border of two rows of tiles, and some large regions."""
    width, height = draw(st.integers(1, 110)), draw(st.integers(1, 150))
    regions = []
    for _ in range(draw(st.integers(0, 8))):
        x, y = (
            draw(st.integers(0, 100)),
            draw(st.sampled_from([28, 31, 32, 33, 60, 63, 64, 66, 95])) + draw(st.integers(-9, 9)),
        )
        wide, high = draw(st.sampled_from([(1, 19), (1, 20), (2, 9), (2, 10), (1, 5), (7, 3), (40, 4), (30, 45)]))
        regions.append(Region(draw(st.sampled_from(KINDS)), box(x, y, x + wide, y + high)))
    return AnnotatedImage("a.png", width, height, tuple(regions))


@given(drawn_images())
@settings(max_examples=300)
def test_labels_and_pixels_of_bands_are_those_of_the_whole_scan(image: AnnotatedImage) -> None:
    pixels = noise(image.width, image.height)
    truth = label_tiles(truth_of(image, protocol=SMALL).views["damage"], protocol=SMALL)
    tiles = list(cut(Scan.open(pixels), image, kinds=frozenset({"scratch", "dent"}), rules=SMALL))
    for name in ("labels", "damaged_px", "valid_px"):
        expected = getattr(truth, name)
        found = [getattr(tile, name.removesuffix("s")) for tile in tiles]
        assert found == expected.ravel().tolist(), name
    beyond = [(0, -side % 32) for side in image.shape]
    padded = np.pad(pixels, [*beyond, (0, 0)], mode="reflect" if min(image.shape) > 1 else "edge")
    for tile in tiles:
        if tile.rgb is not None and min(image.shape) > 1:
            row, col = 32 * tile.row, 32 * tile.col
            assert np.array_equal(tile.rgb, padded[row : row + 32, col : col + 32])
        assert (tile.rgb is None) == (tile.label == -1)


def share_of(tmp_path: Path, image: AnnotatedImage, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(tmp_path / image.file_name)
    return coco(tmp_path / "notes.json", [image], kinds=KINDS)


def table(report: TilesReport) -> list[dict[str, str]]:
    with (report.out / "tiles.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


SCRATCHED = AnnotatedImage(
    "a.png", 1000, 800,
    (Region("scratch", box(100, 100, 280, 104)), Region("dent", box(590, 590, 640, 640)),
     Region("dent", box(10, 350, 15, 360)), Region("ignore", box(650, 0, 900, 250))),
    "car 1",
)  # fmt: skip


def test_what_is_written(tmp_path: Path) -> None:
    pixels = noise(1000, 800)
    report = write_tiles(share_of(tmp_path, SCRATCHED, pixels), tmp_path / "tiles", images=tmp_path)
    expected = label_tiles(truth_of(SCRATCHED).views["damage"])
    assert expected.labels.tolist() == [[1, 0, -1, -1], [-1, 1, 1, -1], [0, 1, 1, -1]]
    rows = table(report)
    assert {(int(row["row"]), int(row["col"])): row["label"] for row in rows} == {
        (r, c): ("clean", "damaged")[label] for (r, c), label in np.ndenumerate(expected.labels) if label >= 0
    }
    assert report.counts == {"all": {"damaged": 5, "clean": 2}}
    assert report.left_out == {"too little damage": 1, "too little valid": 4}
    padded = np.pad(pixels, [(0, 100), (0, 200), (0, 0)], mode="reflect")
    for row in rows:
        r, c = int(row["row"]), int(row["col"])
        tile = np.asarray(Image.open(report.out / row["file"]))
        assert np.array_equal(tile, padded[300 * r : 300 * r + 300, 300 * c : 300 * c + 300])
        assert row["file"] == f"all/{row['label']}/a-{row['hash'][:16]}_{r}_{c}.png"
        assert int(row["damaged_px"]) == expected.damaged_px[r, c] and row["group"] == "car 1"
        assert float(row["valid_share"]) == pytest.approx(expected.valid_px[r, c] / 90_000, abs=1e-6)
    files = {path.relative_to(report.out).as_posix() for path in report.out.rglob("*.png")}
    assert files == {row["file"] for row in rows}
    told = json.loads((report.out / "tiles.json").read_text())
    assert told["options"]["kinds"] == ["scratch", "dent"] and told["options"]["damaged_px"] == 64
    assert told["left_out"] == report.left_out and len(told["annotations_sha256"]) == 64
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "notes.json", "tiles"]


def test_a_classifier_scores_on_the_files_as_on_the_scan(tmp_path: Path) -> None:
    def classify(tiles: np.ndarray) -> np.ndarray:
        return tiles[:, ::7, ::5, 0].astype(np.float32).mean(axis=(1, 2)) / 255

    # Brightness differs from tile to tile, so that every tile has a score of its own.
    pixels = (noise(1000, 800) * np.linspace(0.2, 1, 1000)[None, :, None]).astype(np.uint8)
    report = write_tiles(share_of(tmp_path, SCRATCHED, pixels), tmp_path / "tiles", images=tmp_path)
    scores: dict[str, list[int]] = {"damaged": [0] * 256, "clean": [0] * 256}
    for label, histogram in scores.items():
        for file in sorted((report.out / "all" / label).iterdir()):
            histogram[round(255 * float(classify(np.asarray(Image.open(file))[None])[0]))] += 1
    found = TileCounts(tuple(scores["damaged"]), tuple(scores["clean"]), sum(report.left_out.values()))
    scan = sd.Detector(sd.baselines.TileClassifier(classify)).probability_map(pixels)
    levels = np.rint(255 * scan.array("damage")).astype(np.uint8)
    assert found == count_tiles(levels, truth_of(SCRATCHED).views["damage"])
    assert found.average_precision == found.average_precision  # not nan


def test_torchvision_reads_the_folders(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    write_tiles(share_of(tmp_path, SCRATCHED, noise(1000, 800)), tmp_path / "tiles", images=tmp_path)
    found = datasets.ImageFolder(str(tmp_path / "tiles" / "all"))
    assert found.class_to_idx == {"clean": 0, "damaged": 1}
    assert sorted(label for _, label in found) == [0, 0, 1, 1, 1, 1, 1]
    assert {image.size for image, _ in found} == {(300, 300)}


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """A data set of 20 pictures of 64 x 64 px: half of them scratched, one drawn twice, one not annotated."""
    share, images = tmp_path / "share", []
    for n in range(20):
        picture(share / f"car{n % 10}" / f"{n}.png", n, size=(64, 64))
        regions = (Region("scratch", box(0, 0, 20, 10)),) if n % 2 else ()
        images.append(AnnotatedImage(f"car{n % 10}/{n}.png", 64, 64, regions))
    (share / "copy.png").write_bytes((share / "car0" / "0.png").read_bytes())
    picture(share / "bare.png", 99)
    copy = AnnotatedImage("copy.png", 64, 64, (Region("dent", box(40, 40, 60, 60)),))
    coco(tmp_path / "notes.json", [*images, copy], kinds=KINDS)
    ingest(share, tmp_path / "set")
    return tmp_path / "set"


def cut_set(dest: Path, out: str = "tiles", **options: Any) -> TilesReport:
    rules = TileOptions(**{"size_px": 32, **options})
    return write_tiles(dest, dest.parent / out, annotations=dest.parent / "notes.json", options=rules)


def test_tiles_of_a_data_set_go_where_their_pictures_are(tmp_path: Path, dest: Path) -> None:
    report = cut_set(dest, "before")
    assert list(report.counts) == ["all"] and report.not_annotated == 1 and report.pictures == 20
    assert report.counts["all"] == {"damaged": 11, "clean": 69}, "ten scratches and the dent of the copy"
    split(dest, options=SplitOptions(group_pattern="(?P<group>car[0-9]+)/"))
    report = cut_set(dest)
    rows = table(report)
    of_group: dict[str, set[str]] = {}
    for row in rows:
        of_group.setdefault(row["group"], set()).add(row["split"])
        assert row["file"].startswith(f"{row['split']}/{row['label']}/")
    assert len(of_group) == 10 and all(len(found) == 1 for found in of_group.values())
    assert set(report.counts) == {"train", "valid", "test"}
    assert sum(of["damaged"] for of in report.counts.values()) == 11
    told = json.loads((report.out / "tiles.json").read_text())
    assert told["data_set_version"] == sd.datasets.manifest_version(dest)
    again = cut_set(dest, "again")
    for path in report.out.rglob("*.*"):
        assert (again.out / path.relative_to(report.out)).read_bytes() == path.read_bytes()


def test_pictures_with_and_without_split_are_not_mixed(tmp_path: Path, dest: Path) -> None:
    split(dest)
    picture(tmp_path / "share" / "new.png", 200, size=(64, 64))
    ingest(tmp_path / "share", dest)
    coco(tmp_path / "more.json", [AnnotatedImage(name, 64, 64) for name in ("new.png", "car0/0.png")])
    with pytest.raises(DatasetError, match=r"1 of 2 annotated pictures .* have no split"):
        write_tiles(dest, tmp_path / "tiles", annotations=tmp_path / "more.json")


def test_kinds_that_are_not_named_are_ignored(tmp_path: Path, dest: Path) -> None:
    report = cut_set(dest, kinds=("dent",))
    assert report.counts["all"]["damaged"] == 1
    assert report.counts["all"]["clean"] + sum(report.left_out.values()) == 79
    with pytest.raises(OptionError, match="kinds names 'rust'"):
        cut_set(dest, "other", kinds=("rust",))


def test_threshold_and_what_shows_nothing(tmp_path: Path) -> None:
    pixels = np.dstack([noise(64, 32), np.full((32, 64), 255, np.uint8)])
    pixels[:, 32:52, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = AnnotatedImage("a.png", 64, 32, (Region("dent", box(4, 4, 10, 10)), Region("dent", box(40, 4, 50, 10))))
    notes = coco(tmp_path / "notes.json", [image])

    def counts(out: str, **options: Any) -> tuple[Any, Any]:
        report = write_tiles(notes, tmp_path / out, images=tmp_path, options=TileOptions(size_px=32, **options))
        return report.counts["all"], report.left_out

    nothing = {"too little damage": 0, "too little valid": 1}
    assert counts("at", damaged_px=36) == ({"damaged": 1, "clean": 0}, nothing)
    assert counts("above", damaged_px=37) == ({"damaged": 0, "clean": 0}, {**nothing, "too little damage": 1})
    assert counts("share", damaged_px=36, valid_share=0.2)[0] == {"damaged": 1, "clean": 1}


def test_copies_in_an_annotation_file_become_one(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name, 1)
    images = [AnnotatedImage("a.png", 64, 48), AnnotatedImage("b.png", 64, 48, (Region("dent", box(0, 0, 20, 20)),))]
    report = write_tiles(
        coco(tmp_path / "n.json", images), tmp_path / "t", images=tmp_path, options=TileOptions(size_px=48)
    )
    assert report.counts == {"all": {"damaged": 1, "clean": 0}} and "annotated 2 times" in str(report.issues[0])


def test_yolo_says_where_its_pictures_are(tmp_path: Path) -> None:
    picture(tmp_path / "yolo" / "images" / "a b\n.png".replace("\n", ""), 1)
    write_annotations(Dataset(("dent",), (AnnotatedImage("a b.png", 64, 48),)), tmp_path / "yolo", format="yolo")
    report = write_tiles(tmp_path / "yolo", tmp_path / "t", options=TileOptions(size_px=48))
    assert report.counts == {"all": {"damaged": 0, "clean": 1}}
    assert [path.name[:4] for path in (tmp_path / "t" / "all" / "clean").iterdir()] == ["a_b-"]


def test_memory_does_not_grow_with_the_height_of_a_scan(tmp_path: Path) -> None:
    def peak_of(height: int) -> int:
        picture(tmp_path / f"{height}.png", 1, size=(400, height))
        image = AnnotatedImage(f"{height}.png", 400, height, (Region("scratch", box(0, 100, 9, height)),))
        notes, out = coco(tmp_path / f"{height}.json", [image]), tmp_path / f"tiles {height}"
        shutil.rmtree(out, ignore_errors=True)
        tracemalloc.start()
        report = write_tiles(notes, out, images=tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert report.counts["all"]["damaged"] == -(-height // 300)
        return peak

    peak_of(1200)  # what is imported on the way counts too
    low, high = peak_of(1200), peak_of(15_000)
    assert high - low < 400 * 15_000 // 10, "the pixels of the scan are thrice its width times its height"


@pytest.mark.parametrize(
    "values",
    [{"size_px": 7}, {"size_px": 300.0}, {"damaged_px": 0}, {"damaged_px": 90_001}, {"valid_share": 0},
     {"valid_share": 1.1}, {"kinds": ()}, {"kinds": "dent"}, {"max_pixels": 0}],
)  # fmt: skip
def test_refuses_options(values: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(values))):
        TileOptions(**values)


def test_refuses(tmp_path: Path, dest: Path) -> None:
    notes, out = tmp_path / "notes.json", tmp_path / "out"
    for arguments, error, words in (
        ({"source": dest}, OptionError, "is a data set; expected annotations"),
        ({"source": dest, "annotations": notes, "images": tmp_path}, OptionError, "and no folder of images"),
        ({"source": notes, "annotations": notes}, OptionError, "is no data set"),
        ({"source": notes}, OptionError, "does not say where its pictures are"),
        ({"source": notes, "images": notes}, OptionError, "which is no folder"),
        ({"source": notes, "images": tmp_path}, DatasetError, "has no annotated picture"),
        ({"source": tmp_path / "nowhere"}, AnnotationError, "there is nothing"),
        ({"source": dest, "annotations": "nowhere"}, AnnotationError, "nor a path of the manifest"),
        ({"source": dest, "annotations": notes, "out": dest}, OutputError, "expected a new or an empty folder"),
        ({"source": dest, "annotations": notes, "out": notes}, OutputError, "is there already"),
        ({"source": dest, "annotations": notes, "out": notes / "a"}, OutputError, "notes.json"),
        ({"source": dest, "annotations": notes, "out": tmp_path / ("x" * 300)}, OutputError, "name too long"),
        ({"source": dest, "annotations": "x" * 5000}, AnnotationError, "nor a path of the manifest"),
    ):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(error, match=words):
            write_tiles(arguments.pop("source"), arguments.pop("out", out), **arguments)
        assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind"


def test_all_or_nothing(tmp_path: Path, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = sorted(path for path in (dest / "objects").rglob("*") if path.is_file() and path.stat().st_size > 100)[3]
    broken.chmod(0o644)
    whole = broken.read_bytes()
    broken.write_bytes(whole[:60])
    with pytest.raises(ScanError):
        cut_set(dest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.json", "set", "share"]
    broken.write_bytes(whole)
    (tmp_path / "tiles").mkdir()
    assert cut_set(dest).pictures == 20, "an empty folder is fine"
    monkeypatch.setattr(Image.Image, "save", _full)
    with pytest.raises(OutputError, match="No space left on device"):
        cut_set(dest, "full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.json", "set", "share", "tiles"]


def _full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")
