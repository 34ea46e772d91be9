"""Which scans a command line means, and what the files written for them are called."""

from __future__ import annotations

import glob
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from surfacedefect._words import shortened
from surfacedefect.errors import OptionError

_PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


def expand(arguments: Sequence[str]) -> list[Path]:
    """Return the scans of a command line, each once, in order.

    Patterns that the shell left alone (on Windows, or quoted) are expanded here. Whether a file can be read is left to
    the detection, so that one bad file does not stop the others.

    Raises
    ------
    OptionError
        An argument is a folder, an address, or a pattern that matches no file.
    """
    scans: dict[Path, None] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            raise OptionError(f"'{shortened(argument)}' is a folder; expected scans. {_hint(path)}")
        if "://" in argument and not path.exists():
            from surfacedefect.datasets._sources import without_secrets

            raise OptionError(
                f"'{shortened(without_secrets(argument))}' is an address; expected files on this machine. Download it, "
                "or give `surfacedefect batch` a list (.txt) with an address a line"
            )
        if path.exists() or not glob.has_magic(argument):
            scans[path] = None
            continue
        matches = sorted(match for match in map(Path, _glob(argument)) if match.is_file())
        if not matches:
            raise OptionError(f"the pattern '{shortened(argument)}' matches no file; check the folder and the ending")
        scans.update(dict.fromkeys(matches))
    unique = {path.absolute(): path for path in reversed(scans)}
    return list(reversed(unique.values()))


def _glob(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns


def _hint(folder: Path) -> str:
    endings = Counter(file.suffix for file in folder.iterdir() if file.suffix.lower() in _PICTURES)
    if not endings:
        return "It holds no pictures."
    patterns = " ".join(f"'{folder / ('*' + ending)}'" for ending, _ in endings.most_common(2))
    return f"Name the scans in it: {patterns}"


def output_names(scans: Sequence[Path]) -> list[str]:
    """Return a name for the outputs of each scan, all different, also where upper and lower case are the same.

    The name is the stem. Scans that share it get their ending too, then folder by folder what is above them, as far
    as it takes: ``a/door.jpg`` and ``b/door.jpg`` become ``a-door.jpg`` and ``b-door.jpg``. What is chosen depends on
    the scans alone, not on their order.

    Examples
    --------
    >>> output_names([Path("left.jpg"), Path("a/door.jpg"), Path("b/door.jpg"), Path("b/door.png")])
    ['left', 'a-door.jpg', 'b-door.jpg', 'door.png']
    """
    longest = max((len(scan.absolute().parts) for scan in scans), default=0)
    levels = [[_name(scan, level) for scan in scans] for level in range(longest + 1)]
    counts = [Counter(name.casefold() for name in names) for names in levels]
    names = []
    for at, scan in enumerate(scans):
        alone = (names[at] for names, count in zip(levels, counts, strict=True) if count[names[at].casefold()] == 1)
        names.append(next(alone, scan.name))
    return _apart(names)


def _name(scan: Path, level: int) -> str:
    """Name at a level: 0 the stem, 1 with its ending, from 2 on with as many folders."""
    if level == 0:
        return scan.stem
    parts = [part.strip("/\\:") for part in scan.absolute().parts]
    return "-".join(part for part in parts[-level:] if part)


def _apart(names: list[str]) -> list[str]:
    """Add a number to what is still the same; it takes names made to be so, such as ``a/b.jpg`` and ``a-b.jpg.png``."""
    taken: set[str] = set()
    result = []
    for name in names:
        numbered = (name if count == 1 else f"{name}-{count}" for count in itertools.count(1))
        free = next(candidate for candidate in numbered if candidate.casefold() not in taken)
        taken.add(free.casefold())
        result.append(free)
    return result
