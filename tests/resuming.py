"""Training runs that several tests make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from surfacedefect.training.config import TrainingConfig
from surfacedefect.training.loop import TrainingResult, train
from surfacedefect.training.pictures import TrainingPicture


def whole_and_resumed(
    pictures: Sequence[TrainingPicture], folder: Path, config: TrainingConfig
) -> tuple[TrainingResult, TrainingResult]:
    """Train once undisturbed in folder/whole, and once stopped after two steps and taken up again in folder/cut."""

    class Stop(Exception):
        pass

    def stop_after_two(done: int, of: int, figures: str) -> None:
        if done == 2:
            raise Stop

    whole = train(pictures, folder / "whole", config=config, validation=pictures[:1], workers=0)
    with pytest.raises(Stop):
        train(pictures, folder / "cut", config=config, validation=pictures[:1], workers=0, progress=stop_after_two)
    return whole, train(pictures, folder / "cut", config=config, validation=pictures[:1], workers=0)
