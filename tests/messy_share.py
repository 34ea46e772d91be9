"""A nested mess of pictures with known contents, as a share has them."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

STRANGE_NAMES = (
    "grün ß 車.jpg",
    "line\nbreak.jpg",
    "what?.jpg",
    "a#b%41.jpg",
    "100%.jpg",
    " spaces .jpg",
    "quo\"te's.jpg",
    "semi;colon&amp.jpg",
    "back\\slash.jpg",
    "..hidden.jpg",
    "tab\there.jpg",
    "e\u0301.jpg",
)
STRANGE_FOLDERS = ("", "car 1", "car 1/left?", "car 2/très\nbas", "car #3/%20/deep/er")


def near_copy(content: bytes) -> bytes:
    """The same picture mirrored, cropped by a column, a little darker and compressed again: other bytes."""
    image = Image.open(io.BytesIO(content))
    image = ImageOps.mirror(image).crop((0, 0, image.width - 1, image.height)).point(lambda value: round(value * 0.9))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def jpeg(seed: int, *, width: int = 64, height: int = 48, format: str = "JPEG") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, format)
    return out.getvalue()


@dataclass
class Mess:
    """What was written: contents by path, the state that each path should get, contents that show the same."""

    folder: Path
    contents: dict[str, bytes] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    near: set[frozenset[bytes]] = field(default_factory=set)

    def add(self, path: str, content: bytes, state: str) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        self.contents[path], self.states[path] = content, state

    def good_bytes(self) -> set[bytes]:
        return {content for path, content in self.contents.items() if self.states[path] in ("good", "duplicate")}


def make_mess(
    folder: Path,
    *,
    pictures: int,
    duplicates: float = 0.3,
    near: float = 0,
    truncated: float = 0.05,
    others: float = 0.02,
) -> Mess:
    """Write so many files: pictures, exact and near copies, cut ones and such that are none, under strange names."""
    draw, mess = random.Random(7), Mess(folder)
    folder.mkdir(parents=True, exist_ok=True)
    cut, none, copies = round(pictures * truncated), round(pictures * others), round(pictures * duplicates)
    first_near = pictures - round(pictures * near)
    originals: list[bytes] = []
    for number in range(pictures):
        strange = STRANGE_NAMES[number % len(STRANGE_NAMES)]
        path = f"{STRANGE_FOLDERS[number % len(STRANGE_FOLDERS)]}/{number:04d} {strange}".lstrip("/")
        content = jpeg(number, width=48 + number % 40)
        if number < cut:
            mess.add(path, content[: len(content) // 2], "truncated")
        elif number < cut + none:
            mess.add(path, f"notes {number}".encode(), "not_a_picture")
        elif number < cut + none + copies:
            originals.append(content)
            mess.add(path, content, "good")
        elif number < cut + none + 2 * copies:
            mess.add(path, draw.choice(originals), "duplicate")
        elif number >= first_near:
            original = originals[number - first_near]
            mess.add(path, near_copy(original), "good")
            mess.near.add(frozenset((original, mess.contents[path])))
        else:
            mess.add(path, content, "good")
    kept: dict[bytes, str] = {}
    for path in sorted(mess.contents, key=str.encode):
        if mess.states[path] in ("good", "duplicate"):
            mess.states[path] = "duplicate" if mess.contents[path] in kept else "good"
            kept.setdefault(mess.contents[path], path)
    return mess
