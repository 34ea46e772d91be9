"""A WebDAV share: strange names, drops, ranges, retries, a process that is killed."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ingest_runs import assert_complete, assert_near_groups, killed_and_resumed
from messy_share import jpeg, make_mess
from webdav_server import Faults, Server, WebdavServer, WsgidavServer

from surfacedefect.datasets import IngestOptions, check, ingest, read_manifest
from surfacedefect.datasets._layout import Layout
from surfacedefect.errors import SourceError

QUICK = IngestOptions(connections=4, backoff_s=0.001, retries=4)


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "share").mkdir()
    server = WebdavServer(tmp_path / "share")
    yield server
    server.stop()


@pytest.fixture(params=["own", "wsgidav"])
def any_share(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "wsgidav":
        pytest.importorskip("wsgidav", reason="wsgidav is not installed; it comes with the extra 'test'")
        pytest.importorskip("cheroot", reason="cheroot is not installed; it comes with the extra 'test'")
    (tmp_path / "share").mkdir()
    server = (WsgidavServer if request.param == "wsgidav" else WebdavServer)(tmp_path / "share")
    yield server
    server.stop()


def test_a_mess_comes_whole_through_drops_and_refusals(tmp_path: Path, share: Server) -> None:
    mess = make_mess(share.folder, pictures=60)
    share.faults = Faults(drop_after_bytes=1500, drop_each=2, busy_each=7)
    report = ingest(share.url, tmp_path / "set", options=QUICK)
    assert report.listed == 60
    assert_complete(tmp_path / "set", mess)
    before = len(share.sent)
    share.faults = Faults()
    again = ingest(share.url, tmp_path / "set", options=QUICK)
    assert (again.fetched_files, len(share.sent), again.version) == (0, before, report.version)


def test_a_broken_file_goes_on_where_it_broke_off(tmp_path: Path, share: Server) -> None:
    (share.folder / "a.jpg").write_bytes(jpeg(1, width=400, height=300))
    share.faults = Faults(drop_after_bytes=20_000, drop_each=1)
    assert ingest(share.url, tmp_path / "set", options=QUICK).states == {"good": 1}
    starts = [start for _, start, _, _ in share.sent]
    assert starts == sorted(set(starts)) and len(starts) > 3 and starts[0] == 0
    assert sum(sent for _, _, sent, _ in share.sent) == (share.folder / "a.jpg").stat().st_size


def test_a_server_that_falls_silent_is_asked_again(tmp_path: Path, share: Server) -> None:
    (share.folder / "a.jpg").write_bytes(jpeg(1, width=130, height=100))
    share.faults = Faults(bytes_per_s=4000)  # two seconds of silence after every 8 kB
    ingest(share.url, tmp_path / "set", options=replace(QUICK, timeout_s=0.25))
    assert share.sent[1][1] == 8192
    assert [path.read_bytes() for path in (tmp_path / "set" / "view").iterdir()] == [jpeg(1, width=130, height=100)]


def test_folders_of_the_share_may_be_asked_for_by_any_name(tmp_path: Path, share: Server) -> None:
    for folder in ("a b", "c%20d", "e?f#g"):
        (share.folder / folder).mkdir()
        (share.folder / folder / "a.jpg").write_bytes(jpeg(1))
    for asked in ("a b", "a%20b", "c%2520d", "e?f#g", "e%3Ff%23g/"):
        ingest(f"{share.url}/{asked}", tmp_path / "set", options=QUICK)
    assert [row["source_path"] for row in read_manifest(tmp_path / "set").to_pylist()] == ["a.jpg"] * 5


def test_without_ranges_it_begins_again_and_gives_up_in_the_end(tmp_path: Path, share: Server) -> None:
    (share.folder / "a.jpg").write_bytes(jpeg(1, width=400, height=300))
    share.faults = Faults(drop_after_bytes=20_000, drop_each=1, ranges=False)
    assert ingest(share.url, tmp_path / "set", options=QUICK).states == {"failed": 1}
    (row,) = read_manifest(tmp_path / "set").to_pylist()
    assert row["hash"] is None and "RemoteProtocolError" in row["reason"]
    share.faults = Faults(drop_after_bytes=20_000, drop_each=2, ranges=False)
    assert ingest(share.url, tmp_path / "set", options=QUICK).states == {"good": 1}


@pytest.mark.parametrize("etags", [True, False])
def test_a_file_that_changes_is_never_glued_together(tmp_path: Path, share: Server, etags: bool) -> None:
    path = share.folder / "a.jpg"
    path.write_bytes(jpeg(1, width=400, height=300))
    share.faults = Faults(drop_after_bytes=20_000, drop_each=1, ranges=True, etags=etags)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        ingest(share.url, tmp_path / "set", options=QUICK, progress=pull_the_plug(after_bytes=30_000))
    path.write_bytes(jpeg(2, width=400, height=300))
    os.utime(path, (1e9, 1e9))
    share.faults = Faults(etags=etags)
    assert ingest(share.url, tmp_path / "set", options=QUICK).states == {"good": 1}
    assert share.sent[-1][1] == 0
    assert [view.read_bytes() for view in (tmp_path / "set" / "view").iterdir()] == [path.read_bytes()]


def pull_the_plug(*, after_bytes: int):
    def told(progress):
        if progress.size_bytes > after_bytes:
            raise RuntimeError("pulled the plug")

    return told


def test_a_folder_that_cannot_be_listed_is_in_the_manifest(tmp_path: Path, share: Server) -> None:
    for name in ("one/a.jpg", "two/b.jpg"):
        (share.folder / name).parent.mkdir()
        (share.folder / name).write_bytes(jpeg(len(name)))
    ingest(share.url, tmp_path / "set", options=QUICK)
    share.faults = Faults(silent={"two"})
    assert ingest(share.url, tmp_path / "set", options=QUICK).failed == 1
    rows = {row["source_path"]: row for row in read_manifest(tmp_path / "set").to_pylist()}
    assert rows["two/"]["state"] == "failed" and "status 503" in rows["two/"]["reason"]
    assert rows["two/b.jpg"]["state"] == "duplicate" and rows["two/b.jpg"]["in_source"]
    share.faults = Faults()
    report = ingest(share.url, tmp_path / "set", options=QUICK)
    assert (report.states, report.failed) == ({"good": 1, "duplicate": 1}, 0)


def test_a_password_is_asked_for_in_words_and_never_written(
    tmp_path: Path, share: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (share.folder / "a.jpg").write_bytes(jpeg(1))
    share.faults = Faults(credentials="Basic " + base64.b64encode(b"ann:open sesame").decode())
    address = share.url.replace("://", "://ann@")
    with pytest.raises(SourceError, match="SURFACEDEFECT_SOURCE_PASSWORD"):
        ingest(address, tmp_path / "set", options=QUICK)
    monkeypatch.setenv("SURFACEDEFECT_SOURCE_PASSWORD", "open sesame")
    ingest(address, tmp_path / "set", options=QUICK)
    (row,) = read_manifest(tmp_path / "set").to_pylist()
    assert row["source"] == share.url
    written = b"".join(path.read_bytes() for path in (tmp_path / "set").rglob("*") if path.is_file())
    assert b"sesame" not in written and b"ann@" not in written


def test_a_server_that_is_gone_ends_the_run_in_words(tmp_path: Path, share: Server) -> None:
    for number in range(40):
        (share.folder / f"{number}.jpg").write_bytes(jpeg(number))
    share.faults = Faults(silent={f"{number}.jpg" for number in range(40)})
    with pytest.raises(SourceError, match="no longer answers: .* run the same again"):
        ingest(share.url, tmp_path / "set", options=QUICK)
    share.faults = Faults()
    assert ingest(share.url, tmp_path / "set", options=QUICK).states == {"good": 40}
    with pytest.raises(SourceError, match="cannot be listed: .*status 404"):
        ingest(share.url + "/nowhere", tmp_path / "other", options=QUICK)


def test_killed_in_the_middle_it_goes_on(tmp_path: Path, any_share: Server) -> None:
    mess = make_mess(any_share.folder, pictures=40)
    any_share.faults = Faults(bytes_per_s=60_000, drop_after_bytes=2500, drop_each=5)
    killed_and_resumed(any_share, tmp_path / "set", files=40, kills=1)
    assert_complete(tmp_path / "set", mess)


@pytest.mark.slow
def test_killed_three_times_over_a_slow_and_broken_line(tmp_path: Path, any_share: Server) -> None:
    mess = make_mess(any_share.folder, pictures=400, near=0.1)
    any_share.faults = Faults(bytes_per_s=40_000, drop_after_bytes=2500, drop_each=5, busy_each=23)
    killed_and_resumed(any_share, tmp_path / "set", files=400, kills=3)
    assert_complete(tmp_path / "set", mess)
    check(tmp_path / "set")
    assert_near_groups(tmp_path / "set", mess)


@pytest.mark.parametrize("step", ["before", "after"])
def test_stopped_around_the_move_into_the_store_nothing_comes_twice(
    tmp_path: Path, share: Server, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    mess = make_mess(share.folder, pictures=4, duplicates=0, truncated=0, others=0)
    place = Layout.place

    def stop(layout: Layout, part: Path, digest: str) -> Path:
        if step == "after":
            place(layout, part, digest)
        raise RuntimeError("pulled the plug")

    monkeypatch.setattr(Layout, "place", stop)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        ingest(share.url, tmp_path / "set", options=IngestOptions(connections=1))
    monkeypatch.setattr(Layout, "place", place)
    ingest(share.url, tmp_path / "set", options=QUICK)
    assert_complete(tmp_path / "set", mess)
    assert share.paths_sent().count(min(mess.contents)) == 1
