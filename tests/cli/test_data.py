"""`surfacedefect data ingest` and `data verify`: what they print and how they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from messy_share import jpeg, make_mess, near_copy
from pictures import drawn, png

from surfacedefect.datasets import manifest_version

Run = Callable[..., Any]


def test_ingest_and_verify_say_what_they_found(run: Run, tmp_path: Path) -> None:
    make_mess(tmp_path / "share", pictures=20)
    result = run("data", "ingest", tmp_path / "share", tmp_path / "set", "--connections", 2, "--max-mb-per-s", 50)
    assert result.exit_code == 0
    assert result.stdout.startswith("20 paths, 20 files with 0.")
    assert "duplicate" in result.stdout and "truncated" in result.stdout
    assert f"version {manifest_version(tmp_path / 'set')}" in result.stdout
    assert "fetching: 20 of 20 files" in result.stderr
    result = run("data", "verify", tmp_path / "set")
    assert result.exit_code == 0 and "0 changed" in result.stdout


def test_verify_names_a_lost_file_and_ends_with_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.jpg").write_bytes(jpeg(1))
    run("data", "ingest", tmp_path / "share", tmp_path / "set")
    next(path for path in (tmp_path / "set" / "objects").rglob("*") if path.is_file()).unlink()
    result = run("data", "verify", tmp_path / "set")
    assert result.exit_code == 1
    assert result.stdout.startswith("missing: 'a.jpg', objects/") and "ingest again" in result.stderr


def test_check_tells_flags_and_groups(run: Run, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (share / "a.png").write_bytes(png(drawn()))
    (share / "b.jpg").write_bytes(near_copy(png(drawn())))
    (share / "blank.png").write_bytes(png(drawn().point(lambda value: 128)))
    run("data", "ingest", share, tmp_path / "set")
    result = run("data", "check", tmp_path / "set", "--workers", 1)
    assert result.exit_code == 0
    assert result.stdout.startswith("3 pictures, 3 looked at and ")
    assert "blank  nothing to see" in result.stdout and "overexposed" not in result.stdout
    assert "1 group of near duplicates with 2 pictures\n  'a.png', 'b.jpg'\n" in result.stdout
    assert f"version {manifest_version(tmp_path / 'set')}" in result.stdout


def test_check_names_what_it_cannot_look_at(run: Run, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.jpg").write_bytes(jpeg(1))
    run("data", "ingest", tmp_path / "share", tmp_path / "set")
    next(path for path in (tmp_path / "set" / "objects").rglob("*") if path.is_file()).unlink()
    result = run("data", "check", tmp_path / "set")
    assert result.exit_code == 1
    assert "not looked at: 'a.jpg'" in result.stderr and "data verify" in result.stderr
    assert run("data", "check", tmp_path / "share").exit_code == 2
    assert run("data", "check", tmp_path / "set", "--workers", 0).exit_code == 2


def test_a_file_that_cannot_be_had_ends_with_1(run: Run, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", jpeg(1))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[60] ^= 0xFF  # its checksum no longer fits
    (tmp_path / "a.zip").write_bytes(content)
    result = run("data", "ingest", f"zip://{tmp_path}/a.zip", tmp_path / "set")
    assert result.exit_code == 1 and "failed" in result.stdout


def test_refuses(run: Run, tmp_path: Path) -> None:
    for arguments, words in (
        (("ingest", tmp_path / "nowhere", tmp_path / "set"), "is not there; expected a folder"),
        (("ingest", tmp_path, tmp_path / "set"), "overlap"),
        (("ingest", "memory://x", tmp_path / "set", "--connections", 0), "connections is 0"),
        (("ingest", "memory://x", tmp_path / "set", "--storage", "user"), "expected KEY=VALUE"),
        (("ingest", "memory://x"), "DEST"),
        (("ingest", "http://[bad", tmp_path / "set"), "is no address"),
        (("ingest", "", tmp_path / "set"), "the source is empty"),
        (("ingest", tmp_path, ""), "the folder of the data set is empty"),
        (("ingest", tmp_path, tmp_path / "set", "--storage", "user=ann"), "storage_options names user"),
        (("verify", tmp_path), "there is no manifest"),
    ):
        result = run("data", *arguments)
        assert result.exit_code == 2 and words in result.stderr
        assert result.stderr.startswith("surfacedefect: ") and result.stderr.count("\n") == 1
