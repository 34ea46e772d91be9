"""Small shares with annotations, and data sets made of them without an ingest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from PIL import Image

from surfacedefect.annotations import AnnotatedImage, Dataset, write_annotations
from surfacedefect.datasets.manifest import LATER_COLUMNS, schema


def picture(path: Path, number: int, *, size: tuple[int, int] = (64, 48)) -> Path:
    """Write a picture of one colour, another one for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (number % 256, number // 256, 90)).save(path, "PNG")
    return path


def coco(path: Path, images: Iterable[AnnotatedImage], *, kinds: tuple[str, ...] = ("scratch", "dent")) -> Path:
    write_annotations(Dataset(kinds, tuple(images)), path, format="coco")
    return path


def digest(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def row(source_path: str, **values: Any) -> dict[str, Any]:
    """Row of a manifest of a good picture of 64 x 48 px."""
    content = values.pop("hash", digest(source_path))
    return {
        **dict.fromkeys(schema().names),
        "source": "share",
        "source_path": source_path,
        "hash": content,
        "size_bytes": 100,
        "width_px": 64,
        "height_px": 48,
        "format": "PNG",
        "state": "good",
        "view_name": f"{source_path.replace('/', '__')}-{content[:16]}.png",
        "in_source": True,
        **values,
    }


def write_rows(dest: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a manifest; the data set has no objects. What later steps filled before is kept, as an ingest does."""
    dest.mkdir(parents=True, exist_ok=True)
    (dest / ".surfacedefect").mkdir(exist_ok=True)
    kept = {(r["source"], r["source_path"], r["hash"]): r for r in rows_of(dest)} if manifest(dest).exists() else {}
    whole = []
    for new in sorted(rows, key=lambda r: (r["source"], r["source_path"])):
        old = kept.get((new["source"], new["source_path"], new["hash"]), {})
        later = {name: old[name] for name in LATER_COLUMNS if old.get(name) is not None and new.get(name) is None}
        whole.append({**new, **later})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(whole, schema=schema()), manifest(dest))
    return dest


def manifest(dest: Path) -> Path:
    return dest / "manifest.parquet"


def rows_of(dest: Path) -> list[dict[str, Any]]:
    return pyarrow.parquet.read_table(manifest(dest)).to_pylist()
