"""The folder: what is listed, what may be asked for, and what an upload may be. Nothing outside of it is touched."""

from __future__ import annotations

import io
import os
import threading
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from web_runs import options, panel, save

from surfacedefect.errors import OptionError, OutputError, ScanError, ScanTooLargeError, WebError
from surfacedefect.web import Decision, WebOptions, Workspace
from surfacedefect.web import folder as folders
from surfacedefect.web.folder import Folder, safe_name, shown_name


def png(height=40, width=60, **more):
    data = io.BytesIO()
    Image.fromarray(panel(300, 700)[:height, :width]).save(data, format="PNG", **more)
    return data.getvalue()


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    with Workspace(folder, options=options(max_upload_bytes=200_000, max_pixels=1_000_000)) as made:
        yield made


@pytest.fixture
def outside(tmp_path):
    return save(tmp_path / "secret.png", panel())


HOSTILE = [
    "../secret.png",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/../../secret.png",
    "./door.png",
    "sub//door.png",
    "..\\secret.png",
    "C:\\secret.png",
    "door.png\0.jpg",
    "door.png/",
    ".surfacedefect/incoming/x.png",
    ".hidden.png",
    "sub/.hidden/door.png",
    "link.png",
    "linked/secret.png",
    "%2e%2e/secret.png",
    "door.png.review.json",
    "fifo.png",
    "a" * 300 + ".png",
    "a/" * 3000 + "x.png",
    "\ud800.png",
    "../scans/door.png",
    "~/door.png",
    None,
    7,
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:30])
def test_no_name_leads_out_of_the_folder(workspace, outside, name):
    save(workspace.folder / "door.png", panel())
    (workspace.folder / "link.png").symlink_to(outside)
    (workspace.folder / "linked").symlink_to(outside.parent)
    os.mkfifo(workspace.folder / "fifo.png")
    save(workspace.folder / ".surfacedefect" / "incoming" / "x.png", panel())
    save(workspace.folder / "sub" / ".hidden" / "door.png", panel())
    (workspace.folder / "loop.png").symlink_to("loop.png")
    for ask in (workspace.scan, workspace.thumbnail, workspace.info, workspace.run, workspace.review, workspace.found):
        with pytest.raises(WebError, match="no scan"):
            ask(name)
    with pytest.raises(WebError, match="no scan"):
        workspace.tile(name, "scan", 0, 0, 0)
    with pytest.raises(WebError, match="no scan"):
        workspace.export(name, "csv")
    assert [entry.name for entry in workspace.scans()] == ["door.png"]


@settings(max_examples=50, deadline=None)
@given(name=st.text(max_size=30))
def test_a_name_is_a_file_within_or_refused(tmp_path_factory, name):
    folder = Folder(tmp_path_factory.getbasetemp())
    try:
        path = folder.path(name)
    except WebError:
        return
    assert path.resolve().is_relative_to(folder.root)


def test_the_list(workspace, outside):
    for name in ("door-10.png", "door-2.PNG", "car 7/hood.png", "grün 車.png", "<img src=x onerror=alert(1)>.png"):
        save(workspace.folder / name, panel(), format="PNG")
    (workspace.folder / "notes.txt").write_text("no scan")
    (workspace.folder / "inside.png").symlink_to(workspace.folder / "door-10.png")
    names = [entry.name for entry in workspace.scans()]
    expected = {
        "door-10.png",
        "door-2.PNG",
        "car 7/hood.png",
        "grün 車.png",
        "<img src=x onerror=alert(1)>.png",
        "inside.png",
    }
    assert set(names) == expected
    assert names.index("door-2.PNG") < names.index("door-10.png")
    entry = workspace.scan("car 7/hood.png")
    assert entry == next(e for e in workspace.scans() if e.name == "car 7/hood.png")
    assert (entry.state, entry.width, entry.defects, entry.error, entry.shown) == ("new", None, None, None, entry.name)
    workspace.thumbnail("car 7/hood.png")
    assert (workspace.scan("car 7/hood.png").width, workspace.scan("car 7/hood.png").height) == (700, 300)
    (workspace.folder / "car 7" / "hood.png").unlink()
    assert "car 7/hood.png" not in [entry.name for entry in workspace.scans()]
    with pytest.raises(WebError):
        workspace.scan("car 7/hood.png")


def test_a_file_whose_name_turns_the_direction_shows_what_it_is(workspace):
    name = "\u202egpj.\nexe.png"
    save(workspace.folder / name, panel(), format="PNG")
    assert workspace.scan(name).shown == "\\u202egpj.\\nexe.png"


def test_tiles_that_fail_in_a_way_nobody_foresaw_are_told(workspace, monkeypatch):
    save(workspace.folder / "door.png", panel())
    monkeypatch.setattr(workspace._shelf, "picture", lambda *_: 1 / 0)
    workspace._shelf._preparing["door.png"] = None
    workspace._shelf._prepare("door.png", workspace.folder / "door.png")
    with pytest.raises(ZeroDivisionError):
        workspace.prepare("door.png")


def test_a_folder_that_is_none(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    file = save(tmp_path / "file.png", panel())
    for folder in (tmp_path / "missing", file, loop, str(tmp_path / "a\0b"), tmp_path / ("a" * 5000), "~nobody-at-all"):
        with pytest.raises(WebError, match="is no folder.*expected one with scans"):
            Workspace(folder, options=options())


@pytest.mark.parametrize("folder", ["", "  ", None, 3, b"scans", ["scans"]], ids=repr)
def test_a_folder_that_is_no_path(folder):
    with pytest.raises(OptionError, match="folder is .*expected the path"):
        Workspace(folder)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"options": "x"}, "options is 'x'"),
        ({"options": {}}, "options is {}"),
        ({"server": "nope"}, "server is 'nope'; expected host and gRPC port"),
        ({"server": ""}, "host and gRPC port"),
        ({"server": 8081}, "host and gRPC port"),
        ({"tls": "nofile.pem"}, "tls is 'nofile.pem'; expected the PEM file"),
        ({"tls": "a\0b"}, "expected the PEM file"),
        ({"tls": "."}, "expected the PEM file"),
        ({"tls": 3}, "tls is 3; expected True, False or the path"),
        ({"token": 3}, "token is an int"),
        ({"token": ""}, "token is empty"),
        ({"token": "secret\n"}, "line ends"),
        ({"server": "localhost:8081", "tls": "nofile.pem"}, "expected the PEM file"),
    ],
    ids=repr,
)
def test_what_leads_to_no_server_is_refused_before_anything_is_started(tmp_path, given, word):
    with pytest.raises(OptionError, match=word) as refused:
        Workspace(tmp_path, **given)
    assert "secret" not in str(refused.value)
    assert not list(tmp_path.iterdir())


NAMES = ["<img onerror=alert(1)>.png", '"><script>.png', "../../door.png", "C:\\temp\\door.png", "door\n\r.png"]
NAMES += [
    "grün 車.png",
    "nul.png",
    "-rf.png",
    "=1+1.png",
    ".png.png",
    "a" * 400 + ".png",
    "\u202egnp.png",
    "e\u0301.png",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_upload_may_be_called_anything(workspace, outside, name):
    entry = workspace.add(name, io.BytesIO(png()))
    assert entry.state == "new" and workspace.scan(entry.name) == entry and "/" not in entry.name
    assert len(os.fsencode(entry.name)) < 200 and entry.name.isprintable() and not set(entry.name) & set('<>:"|?*\\')
    if "<" in name:
        assert entry.shown == name  # shown as it was; whoever shows it escapes it
    assert entry.shown.isprintable() and "/" not in entry.shown
    with Workspace(workspace.folder, options=workspace.options) as again:
        assert again.scans() == [entry]
    assert sorted(path.name for path in workspace.folder.parent.iterdir()) == ["scans", "secret.png"]


@settings(deadline=None)
@given(name=st.text(max_size=60))
def test_a_safe_name_is_plain_and_stays_what_it_is(name):
    safe = safe_name(name)
    assert safe and folders._is_plain(safe) and "/" not in safe and safe.isprintable()
    assert safe_name(safe) == safe and safe == unicodedata.normalize("NFC", safe)
    assert shown_name(name).isprintable()


def test_uploads_never_overwrite(workspace):
    first = workspace.add("door.png", io.BytesIO(png()))
    entries, threads = [], []
    for _ in range(6):
        thread = threading.Thread(target=lambda: entries.append(workspace.add("door.png", io.BytesIO(png(50, 70)))))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    assert {entry.name for entry in entries} == {f"door-{number}.png" for number in range(2, 8)}
    assert (workspace.folder / first.name).read_bytes() == png()
    assert {entry.shown for entry in entries} == {"door.png"}


def bomb():
    """A small file with very many pixels."""
    data = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(data, format="PNG")
    return data.getvalue()


def test_what_an_upload_may_not_be(workspace):
    interlaced = io.BytesIO()
    Image.fromarray(np.zeros((1200, 1000), np.uint8)).save(interlaced, format="WEBP", lossless=True)
    for name, data, error, words in [
        ("large.png", os.urandom(300_000), WebError, "200,000 bytes"),
        ("text.png", b"no picture", ScanError, "text.png"),
        ("page.png", b"<html><script>alert(1)</script>", ScanError, "HTML"),
        ("empty.png", b"", ScanError, "empty"),
        ("cut.png", png()[:-20], ScanError, "cut.png"),
        ("many.webp", interlaced.getvalue(), ScanTooLargeError, "1,000,000"),
        ("notes.txt", png(), WebError, "no picture by its name"),
        ("door", png(), WebError, "no picture by its name"),
        ("door.png.exe", png(), WebError, "no picture by its name"),
    ]:
        with pytest.raises(error, match=words):
            workspace.add(name, io.BytesIO(data))
    assert workspace.scans() == [] and not list((workspace.folder / ".surfacedefect").rglob("*.*"))


def test_a_picture_that_is_damaged_at_its_end_does_not_count(workspace):
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 300, 3), dtype=np.uint8)).save(data, format="JPEG")
    with pytest.raises(ScanError):
        workspace.add("door.jpg", io.BytesIO(data.getvalue()[:-5000]))
    assert workspace.scans() == []


def test_many_pixels_in_few_bytes(tmp_path):
    from dataclasses import replace

    limits = replace(options(), max_pixels=1_000_000, max_tiled_pixels=10_000_000)
    with Workspace(tmp_path, options=limits) as workspace:
        with pytest.raises(ScanTooLargeError, match="8000 x 8000"):
            workspace.add("bomb.png", io.BytesIO(bomb()))
        (tmp_path / "bomb.png").write_bytes(bomb())  # copied into the folder
        for ask in (workspace.thumbnail, workspace.info):
            with pytest.raises(ScanTooLargeError, match="8000 x 8000"):
                ask("bomb.png")
        assert workspace.scan("bomb.png").state == "failed"


def test_an_upload_that_breaks_off_or_finds_no_room_leaves_nothing(workspace, monkeypatch):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise ConnectionResetError("gone")

    with pytest.raises(OutputError):
        workspace.add("door.png", Broken())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OutputError, match="make room"):
        workspace.add("door.png", io.BytesIO(png()))
    monkeypatch.undo()
    assert workspace.scans() == [] and not list((workspace.folder / ".surfacedefect" / "incoming").iterdir())


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "turned"])
def test_thumbnails(workspace, kind):
    scan = panel()
    scan[:, :350] = 255
    exif = Image.Exif()
    exif[274] = 6 if kind == "turned" else 1
    name = "door.jpg" if kind == "turned" else f"door.{kind}"
    save(workspace.folder / name, scan, exif=exif)
    image = Image.open(io.BytesIO(workspace.thumbnail(name)))
    assert image.format == "JPEG" and max(image.size) == 256
    wide = kind != "turned"
    assert (image.width > image.height) == wide
    pixels = np.asarray(image.convert("L"))
    bright, dark = (pixels[:, 20], pixels[:, -20]) if wide else (pixels[20], pixels[-20])
    assert bright.mean() > 240 and dark.mean() < 200
    assert workspace.thumbnail(name) == workspace.thumbnail(name)
    info = workspace.info(name)
    assert (info.width, info.height) == ((700, 300) if wide else (300, 700))


def test_a_scan_that_is_replaced_is_another_one(own):
    before = own.tile("door.png", "scan", 2, 0, 0)
    own.decide("door.png", Decision(own.found("door.png")[0].id, "reject"), version=0)
    assert own.review("door.png").warning is None
    save(own.folder / "door.png", panel(400, 500, seed=3))
    assert own.scan("door.png").state == "new" and own.info("door.png").width == 500
    assert not own.info("door.png").has_map and own.found("door.png") == []
    assert own.tile("door.png", "scan", 1, 0, 0).data != before.data
    own.set_note("door.png", "still the same?", version=1)
    assert not own.review("door.png").reviewed
    assert "another picture of this name" in own.review("door.png").warning


def test_a_folder_that_cannot_be_written_can_be_looked_at(own):
    if os.geteuid() == 0:
        pytest.skip("the administrator may write everywhere")
    own.folder.chmod(0o555)
    try:
        assert own.found("door.png")
    finally:
        own.folder.chmod(0o755)


WRONG = {
    "max_pixels": (-1, 0, "a", True, None),
    "max_upload_bytes": (-1, 1.5),
    "max_tiled_pixels": (-1, "many"),
    "model": (3, None, "", "a\0b"),
    "runtime": ("zz", 3, None),
    "who": (3, "", "x\ny", "a" * 201),
    "program": ("x", (), ("python", 3), ["python"]),
}


@pytest.mark.parametrize(("name", "wrong"), [(name, value) for name, values in WRONG.items() for value in values])
def test_an_option_that_is_none_is_refused_at_once(name, wrong):
    with pytest.raises(OptionError, match=f"{name} is .*; expected "):
        WebOptions(**{name: wrong})


def test_options_that_are_good_are_taken(tmp_path):
    made = WebOptions(model=tmp_path / "m.onnx", runtime="onnx", max_pixels=np.int64(9), who="Ann Grün", program=("x",))
    assert (made.max_pixels, made.who) == (9, "Ann Grün")


@pytest.mark.parametrize("wrong", [float("nan"), 0, -0.1, "wide"])
def test_a_scale_that_is_none_is_refused_before_the_page_opens(wrong):
    with pytest.raises(OptionError, match="mm_per_px"):
        WebOptions(mm_per_px=wrong)


def test_a_kind_that_a_spreadsheet_would_reckon_with_is_refused(own):
    found = own.found("door.png")[0].id
    with pytest.raises(WebError, match="expected a short name"):
        own.decide("door.png", Decision(found, "kind", kind="=1+1"), version=0)


def test_a_review_that_is_a_link_is_not_followed(own, tmp_path):
    (tmp_path / "elsewhere.json").write_text("{}")
    (own.folder / "door.png.review.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(WebError, match="is a link"):
        own.review("door.png")
    assert (tmp_path / "elsewhere.json").read_text() == "{}"


def test_another_picture_under_a_reviewed_name_is_not_reviewed(own):
    own.found("door.png")
    assert own.set_reviewed("door.png", True, version=0).reviewed and own.scan("door.png").state == "reviewed"
    save(own.folder / "door.png", panel(400, 500, seed=3))
    assert own.scan("door.png").state == "new", "before anybody opens it"
    assert own.info("door.png").width == 500 and own.tile("door.png", "scan", 0, 0, 0).data
    assert own.scan("door.png").state != "reviewed" and not own.review("door.png").reviewed
    again = own.set_reviewed("door.png", True, version=own.review("door.png").version)
    assert again.reviewed and own.scan("door.png").state == "reviewed"
