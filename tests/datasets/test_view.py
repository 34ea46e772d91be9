"""Names of the view: inside the folder, no two alike, whatever the source calls its files."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

from hypothesis import given
from hypothesis import strategies as st

from surfacedefect.datasets import view_name

TEXT = st.text(max_size=12)
PATHS = st.lists(st.text(st.characters(), max_size=60), min_size=1, max_size=4).map("/".join)
DIGESTS = st.integers(0, 2**256 - 1).map("{:064x}".format)


@given(PATHS | st.sampled_from(["../x.jpg", "/etc/passwd", "..", "a\0b", "CON", "x/" * 300, ".jpg", "-rf"]), DIGESTS)
def test_a_name_stays_in_its_folder_on_any_system(path: str, digest: str) -> None:
    name = view_name(path, digest=digest, suffix=".jpg")
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name
    assert name not in (".", "..") and not name.startswith((".", "-"))
    assert len(os.fsencode(name)) <= 255
    assert name.endswith(f"-{digest[:16]}.jpg")
    assert not any(unicodedata.category(letter).startswith("C") or letter in '<>:"/\\|?*' for letter in name)


@given(st.dictionaries(st.integers(0, 2**64 - 1), TEXT, min_size=2, max_size=6))
def test_names_of_different_bytes_differ_also_without_case(pictures: dict[int, str]) -> None:
    named = ((path, f"{start:016x}" + 48 * "0") for start, path in pictures.items())
    names = {view_name(path, digest=digest, suffix=".jpg").casefold() for path, digest in named}
    assert len(names) == len(pictures)


def test_a_name_can_be_read() -> None:
    digest = "0123456789abcdef" * 4
    assert view_name("car 7/front left.JPEG", digest=digest, suffix=".jpg") == "car_7__front_left-0123456789abcdef.jpg"
    assert view_name("車/é.png", digest=digest, suffix=".png") == "車__é-0123456789abcdef.png"
    assert view_name("...", digest=digest, suffix=".png", digits=4) == "picture-0123.png"
