"""XML of strangers: read without document types, so without entities that grow or reach for other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from surfacedefect._words import shortened
from surfacedefect.errors import AnnotationError


def load_xml(source: Path, *, expected: str) -> Element:
    """Return the root element of an XML file.

    A document type is refused before it is read: entities can only be declared in there. This is what ``defusedxml``
    does with ``forbid_dtd``; these lines save a dependency.

    Raises
    ------
    AnnotationError
        The file cannot be read, is no XML or declares a document type.
    """
    name = shortened(source)

    def refuse(*_: Any) -> None:
        raise AnnotationError(
            f"{name} declares a document type, which could hide harm; expected {expected} without one"
        )

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        with source.open("rb") as stream:
            parser.ParseFile(stream)
        return builder.close()
    except OSError as error:
        raise AnnotationError(f"{name} cannot be read: {error.strerror}. Expected {expected}") from error
    except (expat.ExpatError, ValueError, AssertionError, LookupError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{name} is not XML: {error}. Expected {expected}") from error
