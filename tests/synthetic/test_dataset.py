"""Folders of synthetic scans: what is in them, going on after an interruption, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from surfacedefect import _workers
from surfacedefect.annotations import rasterise, read_coco, read_mended
from surfacedefect.errors import OptionError, OutputError
from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, SyntheticConfig, dataset, presets, render_scan
from surfacedefect.synthetic.dataset import write_dataset

SMALL = SyntheticConfig(
    width=160, height=120, scratches=(1, 2), chips=(1, 1), scuffs=(0, 1), dents=(1, 1), lookalikes=0.0
)
PRESETS = {"rental": SMALL, "hail": replace(SMALL, scratches=(0, 0)), "bench-v1": replace(SMALL, jpeg_quality=None)}


@pytest.fixture(autouse=True)
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "_PRESETS", PRESETS)
    monkeypatch.setattr(presets, "PRESETS", tuple(PRESETS))


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds that were rendered in this process, in order."""
    seeds: list[int] = []

    def noted(seed: int, config: SyntheticConfig) -> Any:
        seeds.append(seed)
        return render_scan(seed, config)

    monkeypatch.setattr(dataset, "render_scan", noted)
    return seeds


def contents(folder: Path) -> dict[str, str]:
    """Sum of every file by its path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stop_at(number: int) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        if done == number:
            raise KeyboardInterrupt

    return told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans made by one process."""
    out = tmp_path_factory.mktemp("made") / "set"
    assert write_dataset(out, count=3, seed=5, config=SMALL, workers=1) == out / "manifest.json"
    return out


def test_what_a_folder_holds(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    assert (manifest["preset"], manifest["first_seed"], manifest["count"], manifest["complete"]) == (None, 5, 3, True)
    assert manifest["config"]["width"] == 160
    assert [image["seed"] for image in manifest["images"]] == [5, 6, 7]
    sums = contents(made)
    for image in manifest["images"]:
        assert (image["width"], image["height"], image["mm_per_px"]) == (160, 120, SMALL.mm_per_px)
        assert image["sha256"] == sums[image["file"]]
        assert image["mask_sha256"] == sums[image["mask"]]
    assert set(sums) == {"manifest.json", "annotations.json"} | {
        f"{folder}/synthetic-{seed:010d}.{ending}"
        for seed in (5, 6, 7)
        for folder, ending in (("images", "jpg"), ("masks", "png"), ("records", "json"))
    }


def test_pictures_are_the_renderers_pixels(made: Path, tmp_path: Path) -> None:
    """A JPEG holds the compression that the renderer applies, not a second one on top."""
    scan = render_scan(6, SMALL)
    assert np.array_equal(np.asarray(Image.open(made / "images/synthetic-0000000006.jpg")), scan.image)
    plain = replace(SMALL, jpeg_quality=None)
    write_dataset(tmp_path, count=1, seed=6, config=plain, workers=1)
    found = np.asarray(Image.open(tmp_path / "images/synthetic-0000000006.png"))
    assert np.array_equal(found, render_scan(6, plain).image)


def test_masks_and_outlines_are_the_renderers_truth(made: Path) -> None:
    read = read_coco(made / "annotations.json", images_dir=made / "images")
    assert read.categories == ("scratch", "dent", "ignore")
    manifest = json.loads((made / "manifest.json").read_text())
    for image, listed in zip(read.images, manifest["images"], strict=True):
        assert image.id == listed["seed"]
        assert image.group == Path(listed["file"]).stem
        assert image.origin == "synthetic"
        counts = {kind: sum(region.kind == kind for region in image.regions) for kind in read.categories}
        assert counts == listed["regions"]
        codes = np.asarray(Image.open(made / listed["mask"]))
        truth = render_scan(listed["seed"], SMALL).truth
        drawn = rasterise(image, read.categories)
        assert (codes.dtype, codes.shape) == (np.uint8, (120, 160))
        for kind, coded in (("scratch", codes & 1), ("dent", codes >> 1 & 1)):
            assert np.array_equal(coded * (codes < 255), truth.masks[kind])
            assert np.array_equal(drawn[kind], truth.masks[kind])
        assert np.array_equal(codes == 255, truth.ignore)
        assert np.array_equal(drawn["ignore"], truth.ignore)
    assert sum(image["regions"]["scratch"] for image in manifest["images"]) > 0


def test_what_is_written_is_read_without_a_word(made: Path) -> None:
    read = read_mended(made / "annotations.json", images_dir=made / "images")
    at_the_edge = [
        region
        for image in read.dataset.images
        for region in image.regions
        if 0 in region.polygon.bounds[:2] or region.polygon.bounds[2] == 160 or region.polygon.bounds[3] == 120
    ]
    assert at_the_edge and read.issues == ()


def test_codes_of_a_mask() -> None:
    scratch, dent, ignore = np.eye(4, dtype=np.uint8)[:3]
    truth = SimpleNamespace(masks={"scratch": scratch, "dent": dent | scratch}, ignore=ignore | dent)
    assert dataset._mask(truth).tolist() == [3, 2, 255, 0]


def test_same_bytes_with_two_workers(made: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_dataset(tmp_path, count=3, seed=5, config=SMALL, workers=2, progress=lambda *counts: told.append(counts))
    assert contents(tmp_path) == contents(made)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_goes_on_after_an_interruption(made: Path, tmp_path: Path, rendered: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, count=3, seed=5, config=SMALL, workers=1, progress=stop_at(2))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["complete"], manifest["images"]) == (False, [])
    assert rendered == [5, 6]
    write_dataset(tmp_path, count=3, seed=5, config=SMALL, workers=1)
    assert rendered == [5, 6, 7]
    assert contents(tmp_path) == contents(made)


def test_renders_again_what_is_gone_or_damaged(made: Path, tmp_path: Path, rendered: list[int]) -> None:
    out = shutil.copytree(made, tmp_path / "set")
    write_dataset(out, count=3, seed=5, config=SMALL)
    assert rendered == []
    (out / "images/synthetic-0000000005.jpg").unlink()
    (out / "masks/synthetic-0000000006.png").write_bytes(b"damaged")
    (out / "records/synthetic-0000000007.json").write_text('{"image": {}, "outlines": [3]}')
    (out / "images/.synthetic-0000000007-0123456789ab.part.jpg").write_bytes(b"of a killed run")
    write_dataset(out, count=3, seed=5, config=SMALL, workers=1)
    assert rendered == [5, 6, 7]
    assert contents(out) == contents(made)


def test_a_larger_count_adds_to_the_folder(made: Path, tmp_path: Path, rendered: list[int]) -> None:
    out = shutil.copytree(made, tmp_path / "set")
    with pytest.raises(KeyboardInterrupt):
        write_dataset(out, count=4, seed=5, config=SMALL, progress=stop_at(3))
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["count"], manifest["complete"], len(manifest["images"])) == (4, False, 3)
    write_dataset(out, count=4, seed=5, config=SMALL)
    assert rendered == [8]
    assert len(read_coco(out / "annotations.json", images_dir=out / "images").images) == 4
    with pytest.raises(OptionError, match="count is 4 there and 3 here"):
        write_dataset(out, count=3, seed=5, config=SMALL)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seed": 1}, "first_seed is 0 there and 1 here"),
        ({"preset": "hail"}, "preset is 'rental' there and 'hail' here"),
        ({"config": SMALL}, "preset is 'rental' there and None here"),
    ],
)
def test_refuses_a_folder_of_other_arguments(tmp_path: Path, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, count=1, workers=1, progress=stop_at(0))
    before = contents(tmp_path)
    with pytest.raises(OptionError, match=re.escape(named)):
        write_dataset(tmp_path, count=1, workers=1, **arguments)
    assert contents(tmp_path) == before


def test_refuses_another_config_or_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, count=1, config=SMALL, workers=1, progress=stop_at(0))
    with pytest.raises(OptionError, match=r"config\.width is 160 there and 320 here; config\.dents is \[1, 1\] there"):
        write_dataset(tmp_path, count=1, config=replace(SMALL, width=320, dents=(0, 0)), workers=1)
    monkeypatch.setattr(dataset, "__version__", "99.0")
    with pytest.raises(OptionError, match=r"version is .* there and '99\.0' here"):
        write_dataset(tmp_path, count=1, config=SMALL, workers=1)


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "other"}', '{"count": 1, "images": []}', '{"count": {}}'])
def test_refuses_a_folder_with_a_foreign_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(OutputError, match="no manifest of synthetic scans"):
        write_dataset(tmp_path, count=1, config=SMALL)
    assert contents(tmp_path).keys() == {"manifest.json"}


def test_refuses_a_folder_with_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text("somebody's work")
    with pytest.raises(OutputError, match=r"holds 'annotations\.json' but no 'manifest\.json'"):
        write_dataset(tmp_path, count=1, config=SMALL)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"count": 0}, "count is 0; expected a whole number, 1 or more"),
        ({"count": 1.5}, "count is 1.5"),
        ({"count": True}, "count is True"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "3"}, "seed is '3'"),
        ({"seed": FIRST_BENCHMARK_SEED}, "kept for benchmarks"),
        ({"seed": FIRST_BENCHMARK_SEED - 1, "count": 2}, "kept for benchmarks"),
        ({"seed": FIRST_BENCHMARK_SEED, "preset": "bench-v1"}, "adds 1000000000 itself"),
        ({"seed": 2**63, "config": SMALL}, "expected at most 2**63 - 1"),
        ({"seed": 2**63 - 1, "count": 2, "config": SMALL}, "expected at most 2**63 - 1"),
        ({"preset": "rentl"}, "preset is 'rentl'; expected one of rental, hail, bench-v1"),
        ({"format": "yolo"}, "format is 'yolo'; expected one of coco"),
        ({"preset": "rental", "config": SMALL}, "both preset 'rental' and a config"),
        ({"config": {"width": 160}}, "config is dict; expected a SyntheticConfig"),
        ({"workers": 0}, "workers is 0; expected a whole number, 1 or more"),
    ],
)
def test_refuses_bad_options_before_it_writes(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    out = tmp_path / "set"
    with pytest.raises(OptionError, match=re.escape(words)):
        write_dataset(out, **{"count": 1, **arguments})
    assert not out.exists()


def test_refuses_a_path_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "set", "a\0b"):
        with pytest.raises(OutputError):
            write_dataset(out, count=1, config=SMALL)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a person without all rights")
def test_refuses_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no right to write"):
        write_dataset(tmp_path / "set", count=1, config=SMALL)


def test_a_full_disk_leaves_whole_files_and_the_next_run_goes_on(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rendered: list[int]
) -> None:
    write_bytes, calls = Path.write_bytes, iter(range(9))

    def full(path: Path, content: bytes) -> int:
        if next(calls) < 3:  # the second scan's mask is the fourth file
            return write_bytes(path, content)
        write_bytes(path, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OutputError, match="the disk is full"):
        patched.setattr(Path, "write_bytes", full)
        write_dataset(tmp_path, count=3, seed=5, config=SMALL, workers=1)
    whole = contents(made)
    found = contents(tmp_path)
    assert sorted(found) == [
        "images/synthetic-0000000005.jpg",
        "images/synthetic-0000000006.jpg",
        "manifest.json",
        "masks/synthetic-0000000005.png",
        "records/synthetic-0000000005.json",
    ]
    assert all(found[name] == whole[name] for name in found if name != "manifest.json")
    write_dataset(tmp_path, count=3, seed=5, config=SMALL, workers=1)
    assert rendered == [5, 6, 6, 7]
    assert contents(tmp_path) == whole


def test_a_dead_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(_workers.WorkerDiedError):
        _workers.in_processes(os._exit, [3, 3], workers=2)

    def died(*_: object, **__: object) -> None:
        raise _workers.WorkerDiedError

    monkeypatch.setattr(dataset, "in_processes", died)
    with pytest.raises(OutputError, match="fewer than 2 workers"):
        write_dataset(tmp_path, count=2, config=SMALL, workers=2)


def test_a_failed_job_in_a_worker_is_raised_here() -> None:
    before = dict(os.environ)
    with pytest.raises(TypeError):
        _workers.in_processes(len, [3], workers=1)
    assert dict(os.environ) == before


def test_too_little_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(dataset, "render_scan", hungry)
    with pytest.raises(OutputError, match="not enough memory"):
        write_dataset(tmp_path, count=1, config=SMALL, workers=1)


def test_another_size_than_the_presets(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "small", count=1, preset="hail", size={"width": 128, "height": 96}, workers=1)
    (image,) = json.loads(manifest.read_text())["images"]
    assert (image["width"], image["height"]) == (128, 96)
    for wrong in ({"preset": "bench-v1", "size": {"width": 128}}, {"size": {"depth": 1}}, {"size": {"width": 3}},
                  {"config": SyntheticConfig(width=64, height=64), "size": {"width": 128}}):  # fmt: skip
        with pytest.raises(OptionError, match="size|width"):
            write_dataset(tmp_path / "wrong", count=1, workers=1, **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "wrong" / "images").exists()


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="notes.txt.*empty folder"):
        write_dataset(tmp_path, count=1, config=SyntheticConfig(width=64, height=64), workers=1)
