"""XML of strangers: read without document types, so without entities that grow or reach for other files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from surfacedefect._words import shortened
from surfacedefect.errors import AnnotationError

_BYTE_ORDER_MARKS = b"\xef\xbb\xbf\xff\xfe"
_LOOKED_AT = 256


class _Seen(Exception):
    """The root element was met; the rest is not read."""


def looks_like_xml(source: Path) -> bool:
    """Whether a file begins as XML does; False for one that cannot be read."""
    try:
        with source.open("rb") as stream:
            return stream.read(_LOOKED_AT).lstrip(_BYTE_ORDER_MARKS + b"\0 \t\r\n").startswith(b"<")
    except OSError:
        return False


def root_name(source: Path, *, expected: str) -> str:
    """Return the name of an XML file's root element, read no further than that.

    Raises
    ------
    AnnotationError
        As `load_xml`.
    """
    found = ""

    def stop(name: str, _: Any) -> None:
        nonlocal found
        found = name
        raise _Seen

    parser = expat.ParserCreate()
    parser.StartElementHandler = stop
    with suppress(_Seen):
        _parse(source, parser, expected=expected)
    return found


def load_xml(source: Path, *, expected: str) -> Element:
    """Return the root element of an XML file.

    A document type is refused before it is read: entities can only be declared in there. This is what ``defusedxml``
    does with ``forbid_dtd``; these lines save a dependency.

    Raises
    ------
    AnnotationError
        The file cannot be read, is no XML or declares a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    _parse(source, parser, expected=expected)
    return builder.close()


def _parse(source: Path, parser: expat.XMLParserType, *, expected: str) -> None:
    name = shortened(source)

    def refuse(*_: Any) -> None:
        raise AnnotationError(
            f"{name} declares a document type, which could hide harm; expected {expected} without one"
        )

    parser.StartDoctypeDeclHandler = refuse
    try:
        with source.open("rb") as stream:
            parser.ParseFile(stream)
    except OSError as error:
        raise AnnotationError(f"{name} cannot be read: {error.strerror}. Expected {expected}") from error
    except (expat.ExpatError, ValueError, AssertionError, LookupError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{name} is not XML: {error}. Expected {expected}") from error
