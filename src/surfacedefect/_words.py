"""How messages name what they found: types without their module, long paths without their middle."""

from __future__ import annotations

_MOST_LETTERS = 200


def type_name(value: object) -> str:
    """Name of a value's type with its article, without ``builtins``; ``None`` for None.

    Examples
    --------
    >>> import pathlib
    >>> type_name(None), type_name(3), type_name([]), type_name(pathlib.PurePosixPath("a"))
    ('None', 'an int', 'a list', 'a pathlib.PurePosixPath')
    """
    if value is None:
        return "None"
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def shortened(text: object, *, most: int = _MOST_LETTERS) -> str:
    """Text with its middle left out where it is longer than `most` letters: both ends of a path say where it is.

    Examples
    --------
    >>> shortened("scan.jpg"), shortened("/data/" + 500 * "x" + "/scan.jpg", most=24)
    ('scan.jpg', '/data/xxxxx...x/scan.jpg')
    """
    whole = str(text)
    if len(whole) <= most:
        return whole
    tail = (most - 3) // 2
    return f"{whole[: most - 3 - tail]}...{whole[-tail:]}"


def counted(value: int, thing: str) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> counted(1, "picture"), counted(2000, "picture"), counted(3, "copy")
    ('1 picture', '2,000 pictures', '3 copies')
    """
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{value:,} {thing if value == 1 else several}"


def unnamed(message: str, *names: object) -> str:
    """Message without the file's name that it begins with, for where the name stands before it already.

    Examples
    --------
    >>> unnamed("scan.jpg: found text", "/data/scan.jpg", "scan.jpg"), unnamed("the disk is full", "scan.jpg")
    ('found text', 'the disk is full')
    """
    for name in map(str, names):
        readable = name.encode(errors="replace").decode()  # as messages have names that are not UTF-8
        for start in (name, readable, shortened(name), shortened(readable)):
            if start and message.startswith(f"{start}: "):
                return message.removeprefix(f"{start}: ")
    return message


def visible(text: str) -> str:
    r"""Text on one line in which what cannot be seen is spelled out: line breaks, marks that turn the direction.

    Examples
    --------
    >>> print(visible("line\nbreak \u202egpj.jpg"), visible("grün 車.jpg"))
    line\nbreak \u202egpj.jpg grün 車.jpg
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
