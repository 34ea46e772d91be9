"""Inspections: progress, cancelling, servers that die and come back, and files that are none."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import web_server
from hypothesis import given, settings
from hypothesis import strategies as st
from web_runs import SERVER, inspect, options, panel, save, wait

import surfacedefect as sd
from surfacedefect import FunctionPredictor
from surfacedefect.errors import OptionError
from surfacedefect.web import WebOptions, Workspace

NAME = "door.png"
SLOW = 0.05


def until(true, *, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


@contextlib.contextmanager
def named_server(port, *arguments):
    """A server that the workspace did not start."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    command = [sys.executable, str(SERVER), "--orphan", "--port", str(port), *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if '"ready"' in line:
                break
        yield process
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def child_of(workspace):
    return workspace._line.embedded._process.pid


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def library(path, **more):
    return sd.detect(path, model=FunctionPredictor(web_server.graded, card=web_server.CARD), **more)


@pytest.mark.parametrize("threshold", [None, 0.55, 0.7, 0.9])
def test_outlines_are_the_library_s_own_at_every_threshold(inspected, threshold):
    workspace, folder = inspected
    first = library(folder / NAME, mm_per_px=0.1)
    own = first if threshold is None else first.at(threshold)
    found = workspace.found(NAME, threshold)
    assert len(found) == len(own) > 0
    by_place = {outline.polygon: outline for outline in found}
    for defect in own:
        outline = by_place[tuple(defect.polygon.exterior.coords)]
        assert (outline.kind, outline.score) == (defect.kind, defect.score)
        assert (outline.length_px, outline.width_px, outline.area_px) == (
            defect.length_px,
            defect.width_px,
            defect.area_px,
        )
        assert (outline.length_mm, outline.area_mm2) == (defect.length_mm, defect.area_mm2)
        assert outline.holes == tuple(tuple(hole.coords) for hole in defect.polygon.interiors)
        assert outline.decision is None


def test_what_was_measured_is_kept_exactly(inspected):
    """The model's own defects are read back, not measured again; without the file they are the same."""
    from surfacedefect.web.results import Results

    folder = inspected[1]
    (place,) = (folder / ".surfacedefect" / "scans").iterdir()
    (kept,) = place.glob("map-*/defects.json")
    read = list(Results().of(place, scan=folder / NAME).at(None).detections)
    text = kept.read_text()
    for damage in ("{", '{"defects": [1]}', '{"defects": [{"polygon": "zz"}]}', None):
        kept.unlink(missing_ok=True) if damage is None else kept.write_text(damage)
        assert list(Results().of(place, scan=folder / NAME).at(None).detections) == read
    kept.write_text(text)
    assert read == list(library(folder / NAME, mm_per_px=0.1))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), threshold=st.sampled_from([0.05, 0.3, 0.7]))
def test_a_map_on_disk_is_outlined_as_one_in_memory(tmp_path_factory, seed, threshold):
    """Through its reduced levels: rings, diagonals, regions within others' boxes and along edges."""
    from surfacedefect.web import regions, results

    generator = np.random.default_rng(seed)
    values = np.zeros((2, 700, 1100), np.uint8)
    for _ in range(25):
        kind, row, col = generator.integers(0, 2), *generator.integers(0, (690, 1090))
        high, wide = generator.integers(1, 60, 2)
        values[kind, row : row + high, col : col + wide] = generator.integers(1, 255)
        if generator.random() < 0.5:
            values[kind, row + 2 : row + high - 2, col + 2 : col + wide - 2] = 0
    for step in range(200):
        values[0, 300 + step, 400 + step] = 250
    pm = sd.ProbabilityMap.from_arrays(values, ("scratch", "dent"))
    options = {"threshold": threshold, "kinds": pm.kinds, "least_area_px": 5, "simplify_px": 0.5}
    own = sd.Detections.from_map(pm, scan_reference=None, **options)
    place = tmp_path_factory.mktemp("map")
    results.save(own, place, when="")
    (folder,) = place.glob("map-*")
    on_disk = sd.ProbabilityMap.open(folder / "level-0.tif")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "_COARSE_PX", 300)
        patch.setattr(regions, "regions_of", None)  # not the library's way
        found = regions.scored_regions(
            on_disk, folder, own.thresholds, least_scores=dict(own.least_scores), least_area_px=5, simplify_px=0.5
        )
    key = lambda region: (region[1], region[0].bounds, region[0].area)  # noqa: E731
    expected = sorted(((d.polygon, d.kind, d.score) for d in own), key=key)
    for one, other in zip(sorted(found, key=key), expected, strict=True):
        assert one[1:] == other[1:] and one[0].equals_exact(other[0], 1e-9)


def test_progress_cancel_and_once_more(tmp_path):
    save(tmp_path / NAME, panel(600, 900))
    with Workspace(tmp_path, options=options("--delay", SLOW)) as workspace:
        assert workspace.progress(NAME) is None and workspace.scan(NAME).state == "new"
        workspace.run(NAME)
        workspace.run(NAME)  # goes on already
        assert workspace.scan(NAME).state == "running"
        until(lambda: workspace.progress(NAME).done > 2)
        told = workspace.progress(NAME)
        assert told.done < told.of == library_windows(tmp_path / NAME) and "windows" in told.message
        until(lambda: (workspace.progress(NAME) or told).seconds_left is not None)
        workspace.cancel(NAME)
        wait(workspace, NAME)
        assert workspace.scan(NAME).state == "new" and workspace.scan(NAME).error is None
        assert not workspace.info(NAME).has_map and workspace.found(NAME) == []
        workspace.cancel(NAME)  # nothing goes on
        inspect(workspace, NAME)
        assert workspace.scan(NAME).state == "inspected" and workspace.scan(NAME).defects == len(workspace.found(NAME))


def library_windows(path):
    return sd.plan(path, model=FunctionPredictor(web_server.graded, card=web_server.CARD)).windows


def test_an_embedded_server_that_dies_is_started_again_and_the_scan_goes_on(tmp_path):
    save(tmp_path / NAME, panel(600, 900))
    with Workspace(tmp_path, options=options("--delay", SLOW)) as workspace:
        workspace.run(NAME)
        until(lambda: workspace.progress(NAME).done > 1)
        before = child_of(workspace)
        os.kill(before, signal.SIGKILL)
        wait(workspace, NAME)
        assert workspace.scan(NAME).state == "inspected" and workspace.scan(NAME).error is None
        after = child_of(workspace)
        assert after != before and workspace.server().ready
    assert not alive(after)


def test_the_embedded_server_ends_with_its_parent_however_that_ends(tmp_path):
    save(tmp_path / NAME, panel())
    program = (
        "import sys, json, time; from pathlib import Path; from web_runs import options, inspect\n"
        "from surfacedefect.web.workspace import Workspace\n"
        f"workspace = Workspace(Path({str(tmp_path)!r}), options=options()); inspect(workspace, {NAME!r})\n"
        "print(workspace._line.embedded._process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, text=True)
    try:
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
        until(lambda: not alive(child), seconds=20)
    finally:
        parent.kill()
        parent.stdout.close()
        parent.wait()


def test_strangers_cannot_use_the_embedded_server(inspected):
    from surfacedefect.errors import TokenError
    from surfacedefect.serving import Client

    workspace, folder = inspected
    address = workspace.server().address
    assert address.startswith("127.0.0.1:")
    with Client(address) as client, pytest.raises(TokenError):
        client.detect(folder / NAME)


def test_a_named_server_that_dies_is_told_and_jobs_go_on_when_it_is_back(tmp_path):
    save(tmp_path / NAME, panel(600, 900))
    port = free_port()
    with contextlib.ExitStack() as held:
        first = held.enter_context(named_server(port, "--delay", SLOW))
        workspace = held.enter_context(
            Workspace(tmp_path, server=f"127.0.0.1:{port}", options=WebOptions(who="tester"))
        )
        assert workspace.server().ready and workspace.card_row(0.5) is None
        workspace.run(NAME)
        until(lambda: workspace.progress(NAME).done > 1)
        first.kill()
        until(lambda: not workspace.server().ready)
        assert "no server answers" in workspace.server().message and str(port) in workspace.server().message
        until(lambda: "waits" in workspace.progress(NAME).message)
        assert workspace.scan(NAME).state == "running"
        with named_server(port):
            wait(workspace, NAME)
            assert workspace.scan(NAME).state == "inspected"
            until(lambda: workspace.server().ready)


def test_an_older_server_is_asked_without_progress(own, monkeypatch):
    from surfacedefect.serving import Client

    asked, detect = [], Client.detect

    def older(client, scan, *, progress=None, **more):
        asked.append(progress)
        if progress is not None:
            raise OptionError("unknown parameter 'progress'; expected some of threshold, kinds")
        return detect(client, scan, **more)

    monkeypatch.setattr(Client, "detect", older)
    inspect(own, NAME)
    assert len(asked) == 2 and asked[1] is None and own.found(NAME)


def test_without_its_server_a_workspace_still_shows_and_can_be_cancelled(tmp_path):
    save(tmp_path / NAME, panel())
    with Workspace(tmp_path, server=f"127.0.0.1:{free_port()}", options=WebOptions(who="tester")) as workspace:
        assert not workspace.server().ready
        workspace.run(NAME)
        until(lambda: "waits" in workspace.progress(NAME).message)
        assert workspace.tile(NAME, "scan", 0, 0, 0).data and workspace.info(NAME).width == 700
        workspace.cancel(NAME)
        wait(workspace, NAME)
        assert workspace.scan(NAME).state == "new"
    with pytest.raises(OptionError, match="host and gRPC port"):
        Workspace(tmp_path, server="http://elsewhere/")


def test_a_server_that_does_not_come_up_says_why(tmp_path):
    save(tmp_path / NAME, panel())
    with Workspace(tmp_path, options=WebOptions(model="no-such-model", who="tester")) as workspace:
        workspace.run(NAME)
        wait(workspace, NAME)
        entry = workspace.scan(NAME)
        assert entry.state == "failed" and "no shipped model is called 'no-such-model'" in entry.error
        assert not workspace.server().ready and "no-such-model" in workspace.server().message
        assert workspace.tile(NAME, "scan", 0, 0, 0).data


def test_what_is_wrong_with_a_file_is_said_and_the_rest_goes_on(own):
    (own.folder / "text.jpg").write_text("this is no picture")
    (own.folder / "cut.png").write_bytes((own.folder / NAME).read_bytes()[:3000])
    save(own.folder / "tiny.png", np.zeros((4, 4, 3), np.uint8))
    for name in ("text.jpg", "cut.png", "tiny.png"):
        own.run(name)
    for name in ("text.jpg", "cut.png", "tiny.png"):
        wait(own, name)
        entry = own.scan(name)
        assert entry.state == "failed" and name in entry.error and "expected" in entry.error, entry
        assert str(own.folder) not in entry.error
    inspect(own, NAME)
    save(own.folder / "tiny.png", panel())  # mended
    assert own.scan("tiny.png").state == "new" and own.scan("tiny.png").error is None


def test_a_copy_is_known_and_two_windows_share_one_inspection(tmp_path):
    path = save(tmp_path / NAME, panel(600, 900))
    with (
        Workspace(tmp_path, options=options("--delay", SLOW)) as one,
        Workspace(tmp_path, options=options("--delay", SLOW)) as other,
    ):
        one.run(NAME)
        until(lambda: one.progress(NAME).done > 1)
        other.run(NAME)
        until(lambda: "another window" in other.progress(NAME).message)
        wait(one, NAME)
        wait(other, NAME)
        assert other._line.embedded._process is None  # it never had to ask
        assert other.scan(NAME).state == "inspected" and other.found(NAME) == one.found(NAME)
        (tmp_path / "copy.png").write_bytes(path.read_bytes())
        assert one.info("copy.png").has_map and one.found("copy.png") == one.found(NAME)
        assert one.scan("copy.png").state == "inspected"


def test_no_room_for_the_result_is_said(own, monkeypatch):
    from surfacedefect.web import pyramid

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    before = own.found(NAME)
    monkeypatch.setattr(pyramid, "write_levels", full)
    own.run(NAME)
    wait(own, NAME)
    assert "No space left" in own.scan(NAME).error and "make room" in own.scan(NAME).error
    monkeypatch.undo()
    assert own.found(NAME) == before
    assert len(list((own.folder / ".surfacedefect" / "scans").glob("*/map-*"))) == 1


def test_the_card_s_figures(inspected, tmp_path):
    from surfacedefect.runtimes import shipped_models

    card = shipped_models()["unet-lite0"]
    with Workspace(tmp_path, options=WebOptions(who="tester")) as workspace:
        for threshold in (None, 0.5):
            rows = workspace.card_row(threshold)
            for kind in card.kinds:
                point, *others = card.measured(kind, threshold)
                assert rows[kind]["threshold"] == point.threshold and rows[kind]["pixel_recall"] == point.pixel_recall
                assert [row["data"] for row in rows[kind]["others"]] == [other.data for other in others]
        assert json.dumps(rows, allow_nan=False)
    assert inspected[0].card_row(0.5, name=NAME) is None  # of the fake nothing was measured


def test_a_scan_that_is_replaced_while_it_is_inspected_gets_no_result_of_another(own, monkeypatch):
    asked = own._jobs._asked
    before = own._shelf.result(NAME, own.folder / NAME).token

    def replaced(job):
        found = asked(job)
        save(job.path, panel(seed=7))
        return found

    monkeypatch.setattr(own._jobs, "_asked", replaced)
    save(own.folder / "copy.png", panel())
    own.run(NAME)
    wait(own, NAME)
    entry = own.scan(NAME)
    assert entry.state == "failed" and "was replaced" in entry.error
    assert not own.info(NAME).has_map
    assert own._shelf.result("copy.png", own.folder / "copy.png").token == before


def test_notes_that_are_deleted_while_it_is_inspected_are_made_again(own, monkeypatch):
    asked = own._jobs._asked

    def deleted(job):
        found = asked(job)
        shutil.rmtree(own.folder / ".surfacedefect")
        return found

    monkeypatch.setattr(own._jobs, "_asked", deleted)
    own.run(NAME)
    wait(own, NAME)
    assert own.scan(NAME).state == "inspected" and own.info(NAME).has_map
