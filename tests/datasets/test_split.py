"""What a split promises: units stay whole, what was given stays given, and the shares are as near as units allow."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import digest, manifest, row, rows_of, write_rows
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.datasets import (
    SPLITS,
    Labels,
    SplitOptions,
    check_leaks,
    ingest,
    manifest_version,
    read_labels,
    read_manifest,
    split,
)
from surfacedefect.datasets.manifest import schema
from surfacedefect.errors import DatasetError, DatasetLockedError, OptionError

CAR = "(?P<group>car[0-9]+)/"
Rows = list[dict[str, Any]]


@st.composite
def shares_of_cars(draw: Any, *, most: int = 40) -> Rows:
    """Paths of pictures in folders of cars, some of them the same bytes, some near duplicates, some set aside."""
    rows = []
    for number in range(draw(st.integers(1, most))):
        car = draw(st.integers(0, 14))
        content = draw(st.integers(0, 60))
        near = draw(st.none() | st.none() | st.integers(0, 8))
        state = draw(st.sampled_from(["good"] * 6 + ["duplicate", "truncated"]))
        folder = f"car{car}" if car else "others"
        values: dict[str, Any] = {"hash": digest(content), "state": state, "flags": []}
        rows.append(
            row(f"{folder}/{number:03}.png", near_duplicate_group=None if near is None else f"n{near}", **values)
        )
    rows[0]["state"], rows[0]["source_path"] = "good", "car1/first.png"
    return rows


def sound(rows: Iterable[dict[str, Any]]) -> Rows:
    return [row for row in rows if row["state"] in ("good", "duplicate")]


def splits_of(dest: Path) -> dict[str, str]:
    return {row["hash"]: row["split"] for row in sound(rows_of(dest))}


def components(rows: Rows) -> list[set[str]]:
    """Hashes that hang together, found by growing a set until nothing more fits: slow, and plainly right."""
    rest, found = sound(rows), []
    while rest:
        hashes, keys = {rest[0]["hash"]}, set()
        while True:
            inside = [row for row in rest if row["hash"] in hashes or keys & set(links(row))]
            grown = {row["hash"] for row in inside}
            if grown == hashes and keys == {key for row in inside for key in links(row)}:
                break
            hashes, keys = grown, {key for row in inside for key in links(row)}
        found.append(hashes)
        rest = [row for row in rest if row["hash"] not in hashes]
    return found


def links(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, row[name]) for name in ("group", "near_duplicate_group") if row[name]]


@given(shares_of_cars())
@settings(max_examples=60)
def test_units_stay_whole_and_only_sound_pictures_are_split(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as place:
        dest = write_rows(Path(place) / "set", rows)
        report = split(dest, options=SplitOptions(group_pattern=CAR))
        written, given_splits = rows_of(dest), splits_of(dest)
        assert check_leaks(dest) == ()
    assert all((row["split"] in SPLITS) == (row["state"] in ("good", "duplicate")) for row in written)
    folders = ((found["group"], found["source_path"].split("/")[0]) for found in sound(written))
    assert all(group == (None if folder == "others" else folder) for group, folder in folders)
    units = components(written)
    assert all(len({given_splits[digest] for digest in unit}) == 1 for unit in units)
    # Every split that has too much was short of pictures before it got its last unit.
    total, biggest = len(given_splits), max(map(len, units))
    for name, share in report.shares.items():
        count = report.splits[name]
        assert count.pictures == sum(found == name for found in given_splits.values())
        assert total * share - 2 * biggest - 1e-6 <= count.pictures < total * share + biggest
    assert sum(count.units for count in report.splits.values()) == len(units)


@given(shares_of_cars(), shares_of_cars(most=15))
@settings(max_examples=60)
def test_what_has_a_split_keeps_it_but_for_what_it_comes_to_hang_together_with(old: Rows, new: Rows) -> None:
    new = [{**row, "source_path": f"{row['source_path']}.new.png"} for row in new]
    with tempfile.TemporaryDirectory() as place:
        dest = write_rows(Path(place) / "set", old)
        split(dest, options=SplitOptions(group_pattern=CAR, seed=3))
        before, version = splits_of(dest), manifest_version(dest)
        assert not split(dest).moved and manifest_version(dest) == version, "nothing new, nothing changes"
        write_rows(dest, [*old, *new])
        report = split(dest)
        after, whole = splits_of(dest), rows_of(dest)
        assert check_leaks(dest) == () and report.seed == 3 and report.group_pattern == CAR
    for unit in components(whole):
        had = {before[digest] for digest in unit if digest in before}
        if had:
            assert {after[digest] for digest in unit} == {min(had, key=SPLITS.index)}
    moved = {digest: (before[digest], after[digest]) for digest in before if before[digest] != after[digest]}
    assert {move.hash: (move.before, move.after) for move in report.moved} == moved
    assert report.new == len(set(after) - set(before))


@given(shares_of_cars(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_order_and_names_of_sources_do_not_matter(rows: Rows, draw: random.Random) -> None:
    shuffled = [{**row, "source": draw.choice(["a", "b"])} for row in rows]
    draw.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as place:
        one = write_rows(Path(place) / "one", rows)
        two = write_rows(Path(place) / "two", [])
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(shuffled, schema=schema()), manifest(two))
        for dest in (one, two):
            split(dest, options=SplitOptions(group_pattern=CAR))
        assert splits_of(one) == splits_of(two)


def annotated(number: int, *, kinds: Sequence[str], side: float, group: str | None = None) -> AnnotatedImage:
    regions = tuple(Region(kind, box(0, 0, side, side)) for kind in kinds)
    return AnnotatedImage(f"{number}.png", 64, 48, regions, group)


@pytest.fixture
def labels() -> Labels:
    """300 pictures of 150 cars: a third of them clean, one in ten with a rare dent."""
    draw, by_hash = random.Random(5), {}
    for number in range(300):
        kinds = ["scratch"] if draw.random() < 0.67 else []
        kinds += ["dent"] if draw.random() < 0.1 else []
        kinds += ["ignore"] if draw.random() < 0.5 else []
        image = annotated(number, kinds=kinds, side=draw.choice([0.5, 4, 12, 40]), group=f"car {number // 2}")
        by_hash[digest(f"{number}.png")] = image
    return Labels(by_hash, ("scratch", "dent", "ignore"), ())


def test_kinds_and_damaged_shares_are_spread(tmp_path: Path, labels: Labels) -> None:
    dest = write_rows(tmp_path / "set", [row(f"{number}.png") for number in range(300)])
    report = split(dest, labels=labels)
    assert check_leaks(dest) == () and report.splits["train"].units + report.splits["test"].units < 150
    every = Counter(kind for image in labels.by_hash.values() for kind in {region.kind for region in image.regions})
    for name, count in report.splits.items():
        assert set(count.of_kind) == {"scratch", "dent"} and count.annotated == count.pictures
        for kind, found in count.of_kind.items():
            assert abs(found - report.shares[name] * every[kind]) <= 4, f"{name} {kind}: two cars of two pictures"
        undamaged = sum(not {"scratch", "dent"} & {r.kind for r in i.regions} for i in labels.by_hash.values())
        assert abs(count.undamaged - report.shares[name] * undamaged) <= 4
        assert count.pictures == pytest.approx(report.shares[name] * 300, abs=4)
    shares = [count.damaged_share for count in report.splits.values()]
    assert max(shares) < 1.3 * min(shares)
    # Blind to the kinds, by the same seed, the rare one is spread worse.
    grouped = {key: annotated(0, kinds=(), side=1, group=image.group) for key, image in labels.by_hash.items()}
    blind = split(dest, labels=Labels(grouped, (), ()), options=SplitOptions(again=True))
    splits, dents = splits_of(dest), Counter[str]()
    for key, image in labels.by_hash.items():
        dents[splits[key]] += any(region.kind == "dent" for region in image.regions)
    aware = {name: count.of_kind["dent"] for name, count in report.splits.items()}
    assert _worst(aware, blind.shares, every["dent"]) < _worst(dents, blind.shares, every["dent"])


def _worst(found: Mapping[str, int], shares: Mapping[str, float], total: int) -> float:
    return max(abs(found[name] - share * total) for name, share in shares.items())


def test_damage_is_counted_once_and_ignore_is_none(tmp_path: Path) -> None:
    dest = write_rows(tmp_path / "set", [row("0.png")])
    image = annotated(0, kinds=("scratch", "dent"), side=24)
    seen = AnnotatedImage("0.png", 64, 48, (*image.regions, Region("ignore", box(30, 0, 64, 48))))
    report = split(dest, labels=Labels({digest("0.png"): seen}, ("scratch", "dent", "ignore"), ()))
    (count,) = (count for count in report.splits.values() if count.pictures)
    assert count.damaged_share == 24 * 24 / (64 * 48) and count.of_kind == {"scratch": 1, "dent": 1}


def test_a_new_picture_that_joins_two_splits_moves_to_train(tmp_path: Path) -> None:
    old = [row(f"car{n}/a.png", near_duplicate_group=None, flags=[]) for n in range(30)]
    dest = write_rows(tmp_path / "set", old)
    split(dest, options=SplitOptions(group_pattern=CAR))
    by_split = defaultdict(list)
    for old_row in rows_of(dest):
        by_split[old_row["split"]].append(old_row)
    ends = [by_split[name][0] for name in ("test", "valid")]
    joined = [{**old_row, "near_duplicate_group": "n1"} for old_row in ends]
    rest = [old_row for old_row in old if old_row["hash"] not in {end["hash"] for end in ends}]
    write_rows(dest, [*rest, *joined])
    assert {leak.by for leak in check_leaks(dest)} == {"near_duplicate_group"}
    report = split(dest)
    assert [(move.source_path, move.before, move.after) for move in report.moved] == [
        (ends[0]["source_path"], "test", "valid")
    ]
    assert check_leaks(dest) == ()


def test_the_seed_is_kept_and_another_one_needs_again(tmp_path: Path) -> None:
    dest = write_rows(tmp_path / "set", [row(f"{n}.png") for n in range(40)])
    first = split(dest, options=SplitOptions(seed=1))
    before = splits_of(dest)
    with pytest.raises(OptionError, match=r"seed is 2, but the pictures were split with seed 1; .* again"):
        split(dest, options=SplitOptions(seed=2))
    assert splits_of(dest) == before and split(dest, options=SplitOptions(seed=1)).version == first.version
    report = split(dest, options=SplitOptions(seed=2, again=True))
    assert splits_of(dest) != before and report.new == 40 and not report.moved
    split(dest, options=SplitOptions(seed=1, again=True))
    assert splits_of(dest) == before, "a seed gives one result"
    assert json.loads((dest / "split.json").read_text()) == {
        "seed": 1,
        "shares": [0.7, 0.15, 0.15],
        "group_pattern": None,
    }


def test_groups_of_pattern_annotations_and_the_last_time(tmp_path: Path) -> None:
    dest = write_rows(tmp_path / "set", [row("car1/a.png"), row("car1/b.png"), row("c.png"), row("d.png")])
    labels = Labels({digest(n): annotated(0, kinds=(), side=1, group="7") for n in ("c.png", "car1/b.png")}, (), ())

    def groups() -> dict[str, str | None]:
        return {row["source_path"]: row["group"] for row in rows_of(dest)}

    split(dest, labels=labels)
    assert groups() == {"car1/a.png": None, "car1/b.png": "7", "c.png": "7", "d.png": None}
    report = split(dest, options=SplitOptions(group_pattern=CAR))
    assert groups() == {"car1/a.png": "car1", "car1/b.png": "car1", "c.png": "7", "d.png": None}
    assert any("1 of 4 pictures without a group" in line for line in report.warnings)
    split(dest, options=SplitOptions(again=True, group_pattern="(?P<group>[a-d])[.]png"))
    assert groups() == {"car1/a.png": "a", "car1/b.png": "b", "c.png": "c", "d.png": "d"}
    split(dest, options=SplitOptions(again=True))
    assert groups() == {"car1/a.png": "a", "car1/b.png": "b", "c.png": "c", "d.png": "d"}, "remembered"


def test_what_is_set_aside_later_loses_its_split(tmp_path: Path) -> None:
    dest = write_rows(tmp_path / "set", [row("a.png"), row("b.png")])
    split(dest)
    write_rows(dest, [row("a.png"), row("b.png", state="truncated")])
    assert rows_of(dest)[1]["split"] and not split(dest).moved
    assert rows_of(dest)[1]["split"] is None


def test_warnings(tmp_path: Path) -> None:
    dest = write_rows(tmp_path / "set", [row("a.png"), row("b.png", flags=[])])
    lines = split(dest).warnings
    assert lines[0].startswith("1 of 2 pictures not compared for near duplicates; run 'surfacedefect data check")
    assert lines[1].startswith("no picture has a group, such as one car")
    assert any(line.startswith("test is empty: 2 units cannot fill its share of 15%") for line in lines)
    logo = [row(f"car{n}/logo.png", hash=digest("logo"), state="good" if n == 0 else "duplicate") for n in range(6)]
    dest = write_rows(tmp_path / "logo", [*logo, *(row(f"car{n}/a.png") for n in range(12))])
    (line,) = (
        line for line in split(dest, options=SplitOptions(group_pattern=CAR)).warnings if "hang together" in line
    )
    assert line.startswith("7 of 13 pictures hang together, more than the share of a split")
    assert line.endswith("6 groups in it, 6 of them joined by 'car0/logo.png'")
    labels = Labels({digest("a.png"): annotated(0, kinds=(), side=1)}, (), ())
    dest = write_rows(tmp_path / "bare", [row("a.png"), row("b.png")])
    assert any("1 of 2 pictures without annotations" in line for line in split(dest, labels=labels).warnings)


def test_a_split_with_no_share_stays_empty_without_a_warning(tmp_path: Path) -> None:
    dest = write_rows(tmp_path / "set", [row(f"car/{n}.png", group=f"{n}", flags=[]) for n in range(20)])
    report = split(dest, options=SplitOptions(shares=(80, 20, 0)))
    assert [count.pictures for count in report.splits.values()] == [16, 4, 0] and not report.warnings


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    dest = write_rows(tmp_path / "set", [row(f"{n}.png") for n in range(9)])
    (dest / ".surfacedefect").rmdir()
    before = {path: path.read_bytes() for path in dest.rglob("*") if path.is_file()}
    report = split(dest, dry_run=True)
    assert report.new == 9 and report.version is None
    assert {path: path.read_bytes() for path in dest.rglob("*")} == before


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shares": (0.5, 0.5)}, "three numbers"),
        ({"shares": (0, 50, 50)}, "the first above 0"),
        ({"shares": (1, -1, 1)}, "three numbers"),
        ({"shares": (1, float("nan"), 1)}, "three numbers"),
        ({"shares": "abc"}, "three numbers"),
        ({"seed": -1}, "whole number"),
        ({"seed": True}, "whole number"),
        ({"group_pattern": "car"}, r"\(\?P<group>"),
        ({"group_pattern": "(?P<group>car"}, "unterminated"),
        ({"group_pattern": 3}, "regular expression"),
    ],
)
def test_refuses_options(values: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        SplitOptions(**values)


def test_refuses(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no manifest"):
        split(tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is left behind"
    with pytest.raises(DatasetError, match="has no good picture"):
        split(write_rows(tmp_path / "none", [row("a", state="corrupt")]))
    dest = write_rows(tmp_path / "set", [row("a.png")])
    with pytest.raises(OptionError, match=r"fits no path of a picture, such as 'a.png'"):
        split(dest, options=SplitOptions(group_pattern=CAR))
    (dest / "split.json").write_text('{"seed": "x"}')
    with pytest.raises(DatasetError, match=r"split.json' cannot be understood"):
        split(dest)
    with pytest.raises(DatasetError, match="the split 'training'; expected a hash and one of train, valid, test"):
        split(write_rows(tmp_path / "wrong", [row("a.png", split="training")]))


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    from surfacedefect.datasets._layout import Layout

    dest = write_rows(tmp_path / "set", [row("a.png")])
    with Layout(dest).locked(), pytest.raises(DatasetLockedError):
        split(dest)


def test_an_ingest_keeps_the_split_and_a_copy_without_journal_can_be_split(tmp_path: Path) -> None:
    from labelled import picture

    share, dest = tmp_path / "share", tmp_path / "set"
    for n in range(10):
        picture(share / f"car{n % 5}" / f"{n}.png", n)
    ingest(share, dest)
    split(dest, options=SplitOptions(group_pattern=CAR))
    before = splits_of(dest)
    picture(share / "car1" / "more.png", 77)
    picture(share / "car9" / "more.png", 78)
    ingest(share, dest)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("manifest.parquet", "split.json"):
        shutil.copy(dest / name, copy)
    assert split(dest).new == 2 and not before.items() - splits_of(dest).items()
    assert "there is no split.json" not in "".join(split(copy).warnings)
    assert splits_of(copy) == splits_of(dest)
    (copy / "split.json").unlink()
    assert split(copy).warnings[0].startswith("there is no split.json") and splits_of(copy) == splits_of(dest)


def test_real_cars_stay_whole(tmp_path: Path, real_data: Path) -> None:
    share, dest = tmp_path / "share", tmp_path / "set"
    for part in ("train", "valid"):
        shutil.copytree(real_data / part, share / part)
    ingest(share, dest)
    labels = read_labels(dest, ["train/annotations.json", "valid/annotations.json"])
    report = split(dest, labels=labels)
    for name, count in report.splits.items():
        assert count.annotated == count.pictures == pytest.approx(591 * report.shares[name], abs=8)
        for kind, found in count.of_kind.items():
            every = sum(other.of_kind[kind] for other in report.splits.values())
            assert found == pytest.approx(every * report.shares[name], abs=8), f"{name} {kind}: one car of up to 8"
    assert check_leaks(dest) == () and report.seed == 0
    by_group = defaultdict(set)
    for found in sound(read_manifest(dest).to_pylist()):
        by_group[found["group"]].add(found["split"])
    assert len(by_group) > 300 and None not in by_group
    assert all(len(splits) == 1 for splits in by_group.values())
