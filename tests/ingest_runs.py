"""Ingests that are killed and go on, and what must hold at the end."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from messy_share import Mess
from webdav_server import Server

from surfacedefect.datasets import read_manifest, verify

Write = Callable[[str, bytes], Path]


def rows_of(dest: Path) -> dict[str, dict[str, Any]]:
    return {row["source_path"]: row for row in read_manifest(dest).to_pylist()}


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def states(dest: Path) -> dict[str, str]:
    rows = read_manifest(dest).to_pylist()
    assert len({row["source_path"] for row in rows}) == len(rows)
    return {row["source_path"]: row["state"] for row in rows}


def assert_complete(dest: Path, mess: Mess) -> None:
    """Every path is accounted for, and every good picture is there exactly once, byte for byte."""
    assert states(dest) == mess.states
    seen = [path.read_bytes() for path in (dest / "view").iterdir()]
    assert Counter(seen) == Counter(mess.good_bytes())
    for row in read_manifest(dest).to_pylist():
        content = mess.contents[row["source_path"]]
        assert row["hash"] == hashlib.sha256(content).hexdigest()
        assert (dest / "objects" / row["hash"][:2] / row["hash"][2:]).read_bytes() == content
    assert verify(dest).good


def near_groups(dest: Path) -> set[frozenset[str]]:
    """Groups of near duplicates, as hashes."""
    found: dict[str, set[str]] = {}
    for row in read_manifest(dest).to_pylist():
        if row["near_duplicate_group"] is not None:
            found.setdefault(row["near_duplicate_group"], set()).add(row["hash"])
    return {frozenset(group) for group in found.values()}


def assert_near_groups(dest: Path, mess: Mess) -> None:
    """The near copies of a mess, and nothing else, are groups of two."""
    assert mess.near
    assert near_groups(dest) == {
        frozenset(hashlib.sha256(content).hexdigest() for content in pair) for pair in mess.near
    }


def completed(dest: Path) -> set[str]:
    """Paths whose hash is in the journal: those are fetched, whatever happens next."""
    journal = dest / ".surfacedefect" / "journal.sqlite"
    if not journal.exists():
        return set()
    with sqlite3.connect(journal) as database:
        try:
            rows = database.execute("SELECT path FROM files WHERE hash IS NOT NULL").fetchall()
        except sqlite3.OperationalError:
            rows = []  # killed before the tables were made
    database.close()
    return {path.decode() for (path,) in rows}


def killed_and_resumed(share: Server, dest: Path, *, files: int, kills: int) -> None:
    """Kill the ingest so many times, each time a share of the files further, then let it end; nothing comes twice."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "surfacedefect", "data", "ingest", share.url, str(dest), "--connections", "4"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    fetched: list[tuple[set[str], int]] = []
    for kill in range(kills):
        process = subprocess.Popen(command, **quiet)
        goal, end = files * (kill + 1) // (kills + 2), time.monotonic() + 120
        while len(completed(dest)) < goal and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert process.poll() is None, "it was to be killed in the middle"
        process.send_signal(signal.SIGKILL)
        process.wait()
        fetched.append((completed(dest), len(share.sent)))
        assert len(fetched[-1][0]) >= goal
    subprocess.run(command, check=True, timeout=300, **quiet)
    for done, sent_before in fetched:
        assert not done & set(share.paths_sent()[sent_before:])
    assert not list((dest / ".surfacedefect" / "parts").iterdir())
