"""Worker processes: how they begin, how they end, and whose fault it was."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batch_runs import command, environment, inspecting, write_fleet, write_scan

from surfacedefect.batch import BatchOptions, run, status
from surfacedefect.batch._one_scan import Setup
from surfacedefect.batch._station import Child, Exhausted, Station
from surfacedefect.batch.jobs import Job
from surfacedefect.errors import BatchError, ModelError

DARK = "batch_fakes:dark"


def started_by(process: subprocess.Popen[bytes]) -> set[int]:
    return {
        pid
        for pid in inspecting()
        if f"PPid:\t{process.pid}\n" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    }


def gone(pids: set[int], *, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while pids & inspecting() and time.monotonic() < end:
        time.sleep(0.05)
    return not pids & inspecting()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_driver_that_ends_while_models_load_takes_its_workers_along(tmp_path: Path, number: int, code: int) -> None:
    write_fleet(tmp_path / "scans", 2)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    arguments = command(tmp_path / "scans", tmp_path / "out", "--workers", "2", model="batch_fakes:hangs_in_workers")
    with subprocess.Popen(arguments, env={**environment(), "TMPDIR": str(scratch)}, stderr=subprocess.DEVNULL) as ours:
        end = time.monotonic() + 60
        while len(list(scratch.glob("*/log"))) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(2)  # until they are in the middle of loading
        workers = started_by(ours)
        ours.send_signal(number)
        assert ours.wait(timeout=25) == code, "it does not wait until the model is loaded"
    assert len(workers) == 2 and gone(workers, within_s=10)
    assert not list(scratch.iterdir())


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "tgkill"), reason="needs tgkill")
def test_a_signal_that_another_thread_takes_ends_the_driver_too(tmp_path: Path) -> None:
    write_fleet(tmp_path / "scans", 2)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    arguments = command(tmp_path / "scans", tmp_path / "out", "--workers", "2", model="batch_fakes:hangs_in_workers")
    with subprocess.Popen(arguments, env={**environment(), "TMPDIR": str(scratch)}, stderr=subprocess.DEVNULL) as ours:
        end = time.monotonic() + 60
        while len(list(scratch.glob("*/log"))) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1)
        threads = sorted({int(path.name) for path in Path(f"/proc/{ours.pid}/task").iterdir()} - {ours.pid})
        assert ctypes.CDLL(None).tgkill(ours.pid, threads[0], signal.SIGINT) == 0
        assert ours.wait(timeout=25) == 130


def test_a_module_in_the_folder_of_the_day_does_not_stand_in_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scan(tmp_path / "scans" / "a.png")
    (tmp_path / "queue.py").write_text("raise ImportError('not the one of Python')")
    monkeypatch.chdir(tmp_path)
    assert run("scans", "out", model=DARK, options=BatchOptions(workers=1)).done == 1


def test_a_model_that_ends_the_program_is_no_success(tmp_path: Path) -> None:
    write_scan(tmp_path / "scans" / "a.png")
    with pytest.raises(ModelError, match="cannot be made \\(SystemExit: 0\\)"):
        run(tmp_path / "scans", tmp_path / "out", model="batch_fakes:ends_the_program")


def test_no_room_for_what_a_process_needs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scan(tmp_path / "scans" / "a.png")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(BatchError, match="worker process cannot be started.*TMPDIR"):
        run(tmp_path / "scans", tmp_path / "out", model=DARK, options=BatchOptions(workers=1))
    assert status(tmp_path / "out").states == {}


def test_what_a_process_said_before_it_died_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies on the first scan before the second is handed over; only what it said tells which scan it was."""
    path = write_scan(tmp_path / "killer.png", kills=True)
    import batch_fakes

    from surfacedefect.batch._model import card_hash

    setup = Setup(DARK, "auto", card_hash(batch_fakes.CARD), str(tmp_path / "out"), BatchOptions(tries=1), 1)
    waiting = [Job(path.name, str(path)), Job("other.png", str(write_scan(tmp_path / "other.png")))]
    send, handed = Child.send, []

    def late(child: Child, job: Job) -> None:
        if job.name == "other.png" and not handed:
            handed.append(child._process.wait(timeout=60))
        send(child, job)

    def pull(_: bool) -> Job:
        if not waiting:
            raise Exhausted
        return waiting.pop(0)

    monkeypatch.setattr(Child, "send", late)
    station = Station(setup)
    try:
        first, second = station.work(pull)
    finally:
        station.end()
    assert (first.job.name, first.state, second.state) == ("killer.png", "crashed", "done")
    assert os.path.exists(tmp_path / "out" / f"{second.job.stem}.geojson")  # noqa: PTH110
