"""A Ray cluster gives what one machine gives, whatever is killed. Full sizes are marked slow."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from batch_runs import command, environment, inspecting, killed_when, recorded, results, table, write_fleet, write_scan

from surfacedefect.batch import BatchOptions, run
from surfacedefect.errors import BatchError

pytest.importorskip("ray.data")

DARK = "batch_fakes:dark"
TWO = BatchOptions(workers=2, group_pattern=r"(?P<group>car-\d+)")


def actors_over(children: set[int]) -> set[int]:
    """Processes that started these: the workers of a pool."""
    found = set()
    for child in children:
        try:
            text = Path(f"/proc/{child}/stat").read_text(encoding="ascii")
        except OSError:
            continue
        found.add(int(text.rpartition(")")[2].split()[1]))
    return found


def kill_an_actor(before: set[int], dest: Path, *, at: int, killed: list[int]) -> None:
    """Kill one worker of the pool, not only the process in it, once so many scans are recorded."""
    end = time.monotonic() + 200
    while time.monotonic() < end and not killed:
        if len(recorded(dest)) >= at and (actors := actors_over(inspecting() - before)):
            killed.append(sorted(actors)[0])
            os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_a_cluster_gives_the_same_files_and_table_though_a_worker_is_killed(tmp_path: Path) -> None:
    scans = write_fleet(tmp_path / "scans", 24, corrupt=2, killer=True)
    run(scans, tmp_path / "local", model=DARK, options=TWO)
    dest, killed = tmp_path / "ray", list[int]()
    watch = threading.Thread(target=kill_an_actor, args=(inspecting(), dest), kwargs={"at": 3, "killed": killed})
    watch.start()
    arguments = command(scans, dest, "--workers", "2", "--ray", "local")
    slowly = {**environment(), "BATCH_FAKE_SECONDS": "0.05"}
    done = subprocess.run(arguments, env=slowly, capture_output=True, text=True, timeout=240, check=False)
    watch.join()
    assert done.returncode == 1 and "3 set aside" in done.stdout, done.stderr
    assert killed and set(recorded(dest).values()) == {1}
    assert results(dest) == results(tmp_path / "local")
    assert table(dest) == table(tmp_path / "local")


@pytest.mark.slow
def test_two_hundred_scans_on_a_cluster_whose_driver_is_killed_twice_and_a_worker_once(tmp_path: Path) -> None:
    scans = write_fleet(tmp_path / "scans", 200, side=640, corrupt=5, killer=True)
    run(scans, tmp_path / "local", model=DARK, options=TWO)
    dest, killed = tmp_path / "ray", list[int]()
    arguments = command(scans, dest, "--workers", "2", "--ray", "local", model=DARK)
    first = killed_when(arguments, dest, done=40)
    second = killed_when(arguments, dest, done=len(first) + 40)
    watch = threading.Thread(
        target=kill_an_actor, args=(set(), dest), kwargs={"at": len(second) + 20, "killed": killed}
    )
    watch.start()
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=500, check=False)
    watch.join()
    assert done.returncode == 1 and "6 set aside" in done.stdout, done.stderr
    assert killed and first < second < set(recorded(dest))
    assert set(recorded(dest).values()) == {1}, "nothing is computed again once it is recorded"
    assert results(dest) == results(tmp_path / "local")
    assert table(dest) == table(tmp_path / "local")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_six_scans_with_the_shipped_weights(tmp_path: Path, shipped_weights: Path) -> None:
    scans = write_fleet(tmp_path / "scans", 6, side=640)
    run(scans, tmp_path / "local", options=TWO)
    arguments = command(scans, tmp_path / "ray", "--workers", "2", "--ray", "local", model="default")
    assert subprocess.run(arguments, env=environment(), capture_output=True, timeout=400, check=False).returncode == 0
    assert results(tmp_path / "ray") == results(tmp_path / "local") != {}
    assert table(tmp_path / "ray") == table(tmp_path / "local")


def test_a_cluster_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    write_scan(tmp_path / "scans" / "a.png")
    with pytest.raises(BatchError, match="cannot be joined"):
        run(tmp_path / "scans", tmp_path / "out", model=DARK, ray="nonsense://nowhere", options=TWO)
