"""What a look at two splits finds in both."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelled import digest, row, write_rows

from surfacedefect.datasets import check_leaks
from surfacedefect.datasets.leaks import count_unsplit
from surfacedefect.errors import DatasetError


def test_names_what_two_splits_share(tmp_path: Path) -> None:
    one = digest("one")
    dest = write_rows(
        tmp_path / "set",
        [
            row("a.png", hash=one, split="train"),
            row("b.png", hash=one, split="test", state="duplicate"),
            row("c.png", group="car 1", split="train"),
            row("d.png", group="car 1", split="train"),
            row("e.png", group="car 1", split="valid"),
            row("f.png", group="car 1", split="test"),
            row("g.png", near_duplicate_group="n", split="valid"),
            row("h.png", near_duplicate_group="n", split="train"),
            row("i.png", near_duplicate_group="m", split="train"),
            row("j.png", near_duplicate_group="m"),
            row("k.png", group="car 1", split="test", state="corrupt"),
        ],
    )
    found = [(leak.by, leak.value, leak.source_path, leak.other_source_path) for leak in check_leaks(dest)]
    assert found == [
        ("hash", one, "a.png", "b.png"),
        ("group", "car 1", "c.png", "e.png"),
        ("group", "car 1", "c.png", "f.png"),
        ("group", "car 1", "e.png", "f.png"),
        ("near_duplicate_group", "n", "h.png", "g.png"),
    ]
    assert str(check_leaks(dest)[1]) == "the same group (car 1): 'c.png' in train, 'e.png' in valid"
    assert count_unsplit(dest) == (9, 1, 5)


def test_against_another_data_set(tmp_path: Path) -> None:
    one = digest("one")
    ours = write_rows(
        tmp_path / "ours",
        [row("a.png", hash=one, split="train"), row("b.png", group="car 1", split="test"),
         row("c.png", near_duplicate_group="n1", split="train")],
    )  # fmt: skip
    theirs = write_rows(
        tmp_path / "theirs",
        [row("x.png", hash=one), row("y.png", group="car 1", split="test"), row("z.png", group="car 1", split="train"),
         row("w.png", near_duplicate_group="n1")],
    )  # fmt: skip
    assert check_leaks(ours) == ()
    found = check_leaks(ours, against=theirs)
    assert [(leak.by, leak.split, leak.other_split, leak.other_source_path) for leak in found] == [
        ("hash", "train", "no split", "x.png"),
        ("group", "test", "train", "z.png"),
    ]
    assert str(found[1]).endswith(f"'z.png' in train of '{theirs}'") and found[0].other == theirs


def test_refuses(tmp_path: Path) -> None:
    dest = write_rows(tmp_path / "set", [row("a.png")])
    with pytest.raises(DatasetError, match=r"no picture of .* has a split; .* run 'surfacedefect data split' first"):
        check_leaks(dest)
    dest = write_rows(tmp_path / "set", [row("a.png", split="train")])
    with pytest.raises(DatasetError, match="is given twice"):
        check_leaks(dest, against=f"{dest}/../set")
    with pytest.raises(DatasetError, match="there is no manifest"):
        check_leaks(dest, against=tmp_path / "nowhere")
