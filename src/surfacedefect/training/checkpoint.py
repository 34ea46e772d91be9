"""The state of a run in one file, so that it can be interrupted at any step, and what it was made from."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from surfacedefect._files import atomic_path, without_nan, write_text
from surfacedefect.errors import TrainingError, require
from surfacedefect.training.config import TrainingConfig
from surfacedefect.training.pictures import TrainingPicture


class Checkpoint:
    """The state of a run in one file, written under a temporary name and renamed."""

    def __init__(self, path: Path, *, config: TrainingConfig, data: str, **parts: Any) -> None:
        self.path, self.config, self.data, self.parts = path, config, data, parts

    def load(self, device: str) -> tuple[int, list[dict[str, Any]]]:
        """Return the steps done and the history; (0, []) when there is no checkpoint yet."""
        torch = require("torch", extra="train")
        if not self.path.is_file():
            return 0, []
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
            given, saved = _recorded(self.config), {**_recorded(type(self.config)()), **state["config"]}
        except Exception as error:
            raise TrainingError(
                f"'{self.path}' is no checkpoint of a training ({type(error).__name__}); expected one that an earlier "
                "call wrote, or none: use another folder, or delete the file to start afresh"
            ) from error
        if given != saved:
            changed = sorted(key for key in given.keys() | saved.keys() if given.get(key) != saved.get(key))
            raise TrainingError(
                f"'{self.path}' was made with another recipe ({', '.join(changed)} differ); "
                "use the same recipe to go on, or another folder to start afresh"
            )
        if state.get("data", self.data) != self.data:  # a checkpoint from before this was kept has none
            raise TrainingError(
                f"'{self.path}' was made from other pictures, labels or starting weights; give the same ones to go on, "
                "or another folder to start afresh"
            )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return int(state["step"]), list(state["history"])

    def save(self, step: int, history: list[dict[str, Any]]) -> None:
        """Write the checkpoint and ``history.json`` beside it."""
        torch = require("torch", extra="train")
        state = {name: part.state_dict() for name, part in self.parts.items()}
        config = _recorded(self.config)
        with atomic_path(self.path) as temporary:
            torch.save(
                {**state, "step": step, "history": history, "config": config, "data": self.data}, temporary
            )  # fmt: skip
        write_text(self.path.with_name("history.json"), json.dumps(without_nan(history), indent=1) + "\n")


def fingerprint(pictures: Sequence[TrainingPicture], *, start: Path | None) -> str:
    """Return a digest of what is learned from: pictures, labels and starting weights."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.name} {picture.origin} {picture.image.shape} ".encode())
        for array in (picture.image, picture.labels):
            digest.update(zlib.crc32(array.tobytes()).to_bytes(4, "big"))
    if start is not None:
        digest.update(start.read_bytes())
    return digest.hexdigest()


def _recorded(config: TrainingConfig) -> dict[str, Any]:
    """As JSON keeps it. A recipe from before an entry existed lacks it, and had what is the default now."""
    record: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return record
