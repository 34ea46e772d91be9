"""Where scans come from: folders, lists, data sets and servers, one after the other."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from batch_runs import write_scan
from PIL import Image
from webdav_server import WebdavServer

from surfacedefect.batch import BatchOptions, run
from surfacedefect.batch._reading import Reader, UnreadError
from surfacedefect.batch.sources import open_scans
from surfacedefect.datasets import ingest
from surfacedefect.errors import SourceError

DARK = "batch_fakes:dark"
ONE = BatchOptions(workers=1, retries=1, backoff_s=0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A plain web server over tmp_path/served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    (tmp_path / "served").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_a_folder_gives_its_pictures_and_what_may_hide_some(tmp_path: Path) -> None:
    write_scan(tmp_path / "a" / "one.png")
    write_scan(tmp_path / "a" / "TWO.JPG")
    write_scan(tmp_path / ".hidden" / "three.png")
    (tmp_path / "a" / "notes.txt").write_text("no scan")
    (tmp_path / "a" / "link.png").symlink_to("/etc/passwd")
    source = open_scans(tmp_path, options=BatchOptions(), dest=None)
    jobs = {job.name: job for job in source.jobs()}
    assert set(jobs) == {"a/one.png", "a/TWO.JPG", "a/link.png"}
    assert "out of the source" in jobs["a/link.png"].trouble and not jobs["a/one.png"].trouble
    assert source.count is not None and source.count() == 3


def test_a_list_is_read_as_far_as_it_is_used(tmp_path: Path) -> None:
    write_scan(tmp_path / "a b.png")
    read: list[str] = []

    class Names:
        """A list without end, which no one may want whole."""

        def __enter__(self) -> Names:
            return self

        def __exit__(self, *_: object) -> None: ...

        def readline(self, _: int) -> bytes:
            read.append("line")
            return b"a b.png\tcar 7\r\n"

    (tmp_path / "names.txt").touch()
    source = open_scans(tmp_path / "names.txt", options=BatchOptions(), dest=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: Names())
        jobs = list(islice(source.jobs(), 3))
    assert len(read) == 3 and {(job.name, job.group, job.trouble) for job in jobs} == {("a b.png", "car 7", "")}


def test_bad_lines_of_a_list_are_told_apart(tmp_path: Path) -> None:
    write_scan(tmp_path / "good.png")
    lines = [b"good.png", b"absent.png", b".", b"folder/", b"nul\0l.png", b"webdav://host/a.png", b"\xff.png"]
    (tmp_path / "names.lst").write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    jobs = list(open_scans(tmp_path / "names.lst", options=BatchOptions(), dest=None).jobs())
    assert [job.name for job in jobs][0] == "good.png"
    assert [bool(job.trouble) for job in jobs] == [False, True, True, True, True, True, True]
    assert jobs[6].name == "\\xff.png"
    (tmp_path / "picture.txt").write_bytes(bytes(20_000))
    with pytest.raises(SourceError, match="line of over"):
        list(open_scans(tmp_path / "picture.txt", options=BatchOptions(), dest=None).jobs())


def test_a_pattern_finds_the_car_in_the_name(tmp_path: Path) -> None:
    write_scan(tmp_path / "b-77" / "1.png")
    options = BatchOptions(group_pattern=r"(?P<group>[a-z]-\d+)/")
    assert [job.group for job in open_scans(tmp_path, options=options, dest=None).jobs()] == ["b-77"]


def test_a_data_set_gives_its_good_pictures_by_their_readable_names(tmp_path: Path) -> None:
    for number in range(2):
        write_scan(tmp_path / "share" / f"{number}.png", number=number)
    (tmp_path / "share" / "copy.png").write_bytes((tmp_path / "share" / "0.png").read_bytes())
    (tmp_path / "share" / "bad.png").write_bytes(b"nothing")
    ingest(tmp_path / "share", tmp_path / "set")
    for source in (tmp_path / "set", tmp_path / "set" / "manifest.parquet"):
        report = run(source, tmp_path / f"out-{source.suffix}", model=DARK, options=ONE)
        assert (report.done, report.complete) == (2, True)
    texts = [path.read_text() for path in (tmp_path / "out-" / "results").rglob("*.geojson")]
    assert len(texts) == 2 and all('"scan": "' in text and ".png" in text.split('"scan": "')[1][:80] for text in texts)


def test_scans_of_a_webdav_server_are_fetched_and_not_again(tmp_path: Path) -> None:
    write_scan(tmp_path / "served" / "car" / "a.png")
    (tmp_path / "served" / "car" / "b.png").write_bytes(b"no picture")
    share = WebdavServer(tmp_path / "served")
    try:
        report = run(share.url, tmp_path / "out", model=DARK, options=ONE)
        assert (report.done, report.set_aside) == (1, 1)
        sent = len(share.sent)
        again = run(share.url, tmp_path / "out", model=DARK, options=ONE)
        assert (again.skipped, again.computed) == (2, 0) and len(share.sent) == sent
    finally:
        share.stop()


def test_a_list_of_addresses_is_fetched_and_asked_for_changes(tmp_path: Path, server: str) -> None:
    path = write_scan(tmp_path / "served" / "a.png", number=1)
    (tmp_path / "names.txt").write_text(f"{server}/a.png\n{server}/absent.png\n")
    report = run(tmp_path / "names.txt", tmp_path / "out", model=DARK, options=ONE)
    assert (report.done, report.unread) == (1, 1)
    assert run(tmp_path / "names.txt", tmp_path / "out", model=DARK, options=ONE).skipped == 1
    write_scan(path, number=2)
    assert run(tmp_path / "names.txt", tmp_path / "out", model=DARK, options=ONE).computed == 1
    path.unlink()  # gone for now: what is known of it stays
    gone = run(tmp_path / "names.txt", tmp_path / "out", model=DARK, options=ONE)
    assert (gone.unread, gone.done) == (2, 0) and list((tmp_path / "out" / "results").rglob("*.geojson"))


def test_what_was_fetched_is_removed(tmp_path: Path, server: str) -> None:
    write_scan(tmp_path / "served" / "a.png")
    (tmp_path / "names.txt").write_text(f"{server}/a.png\n{server}/b.png\n")
    good, bad = open_scans(tmp_path / "names.txt", options=ONE, dest=None).jobs()
    reader = Reader(tmp_path / "scratch", options=ONE)
    fetched = reader.fetch(good)
    with Image.open(fetched.path) as image:
        assert image.size == (160, 160)
    fetched.drop()
    with pytest.raises(UnreadError) as caught:
        reader.fetch(bad)
    assert caught.value.lasting and not list((tmp_path / "scratch").iterdir())


def test_a_server_may_have_names_that_no_disk_takes(tmp_path: Path) -> None:
    """Every path of it is the same picture."""
    content = write_scan(tmp_path / "a.png").read_bytes()

    class Same(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Same) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{served.server_port}"
        names = ["n" * 300 + ".png", "%e8%bb%8a" * 40 + ".png", "folder/.."]
        (tmp_path / "list.txt").write_text("".join(f"{address}/{name}\n" for name in names))
        reader = Reader(tmp_path / "scratch", options=ONE)
        for job in open_scans(tmp_path / "list.txt", options=ONE, dest=None).jobs():
            fetched = reader.fetch(job)
            assert fetched.path.read_bytes() == content
            fetched.drop()
        served.shutdown()


def test_a_remote_list_with_a_key_in_its_address_finds_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.txt").write_text("a.png\n")
    fsspec = pytest.importorskip("fsspec")
    real = fsspec.open
    monkeypatch.setattr(fsspec, "open", lambda _, *rest, **more: real(str(tmp_path / "list.txt"), *rest, **more))
    source = open_scans("https://host/share/list.txt?key=a/b", options=BatchOptions(), dest=None)
    assert [job.locator for job in source.jobs()] == ["https://host/share/a.png"]
