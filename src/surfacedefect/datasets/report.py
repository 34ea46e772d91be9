"""`report`: one page on a data set that opens from a disk, asks nothing of the network and runs no script."""

from __future__ import annotations

import base64
import datetime
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surfacedefect._files import atomic_path, check_folder
from surfacedefect._version import __version__
from surfacedefect._words import counted, shortened
from surfacedefect.datasets import _report_page as page
from surfacedefect.datasets import _report_words as words
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._report_facts import Bounds, Facts, facts_of
from surfacedefect.datasets._tables import write_table
from surfacedefect.datasets._thumbnails import Thumbnail, make_thumbnails
from surfacedefect.datasets.manifest import manifest_batches, manifest_version, schema
from surfacedefect.datasets.progress import Meter, Told
from surfacedefect.datasets.quarantine import write_quarantine
from surfacedefect.errors import DatasetError, OutputError, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from surfacedefect.annotations import AnnotationIssue
    from surfacedefect.datasets._report_labels import LabelFacts

_PAGE, _QUARANTINE, _MANIFEST, _ISSUES = "index.html", "quarantine.csv", "manifest.csv", "annotation_issues.csv"
_GENERATOR = '<meta name="generator" content="surfacedefect data report">'
_HEAD_BYTES = 2000  # in which the line above stands
_ISSUE_COLUMNS = ("picture", "what", "done", "set_aside", "was")
_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class ReportPage:
    """What a report wrote.

    Attributes
    ----------
    path
        The page, ``index.html``; the tables lie beside it.
    rows, pictures, set_aside
        Rows of the manifest; good pictures; rows that are neither good nor copies of a good one.
    annotated
        Good pictures that annotations tell of; None when none were given.
    thumbnails
        Thumbnails on the page.
    failures
        (source path, reason) of each picture whose thumbnail could not be made; the page names them too.
    version
        SHA-256 of the manifest.
    """

    path: Path
    rows: int
    pictures: int
    set_aside: int
    annotated: int | None
    thumbnails: int
    failures: tuple[tuple[str, str], ...]
    version: str


def report(
    dest: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str] | None = None,
    format: str = "auto",
    kinds: Sequence[str] | Mapping[str, str] | None = None,
    title: str | None = None,
    progress: Told | None = None,
) -> ReportPage:
    """Write a page on a data set, with the tables that it shows a part of.

    ``index.html`` holds its thumbnails itself, of a bounded choice of pictures, so it can be sent as one file.
    ``quarantine.csv`` lists what was set aside, ``manifest.csv`` every row, ``annotation_issues.csv`` what was wrong in
    the annotations. Each file appears whole, the page last; what stood there before stays when anything fails.

    Parameters
    ----------
    dest
        Folder of the data set.
    out
        Folder to write, also one with an earlier report; not one of the data set's own.
    annotations, format, kinds
        As in `read_labels`; without annotations the page has no class balance and no prevalence, and says so.
    title
        Heading of the page; None for "Data set" and the name of the folder, where that says more.
    progress
        Called with a `Progress` at most ten times a second, never two at a time.

    Raises
    ------
    DatasetError
        There is no manifest, it cannot be read, or it changed meanwhile.
    AnnotationError
        The annotations cannot be understood.
    OutputError
        ``out`` cannot be written, is a folder of the data set, or holds a page that is no report.
    MissingExtraError
        A package of the extra ``data`` is missing.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from surfacedefect.datasets import ingest
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> Image.new("RGB", (40, 30)).save(share / "a.png")
    >>> _ = ingest(share, dest)
    >>> written = report(dest, dest.parent / "report")
    >>> written.path.name, written.pictures, written.thumbnails
    ('index.html', 1, 1)
    """
    require("jinja2", extra="data")
    layout, folder = Layout(dest), _checked_folder(out, layout=Layout(dest))
    version, meter = manifest_version(layout.folder), Meter(progress)
    facts = facts_of(layout.manifest, bounds=_BOUNDS)
    outlined = (
        None
        if annotations is None
        else _outlined(layout, annotations, facts.splits, format=format, kinds=kinds, meter=meter)
    )
    pictures = page.Pictures()
    sections = _sections(facts, outlined, pictures)
    meter.begin("thumbnails", of_files=len(pictures.orders))
    thumbnails = dict(zip(pictures.orders, make_thumbnails(layout, pictures.orders.values(), meter=meter), strict=True))
    meter.end()
    failures = _failures(pictures, thumbnails)
    text = _rendered(
        {
            **sections,
            "title": title or _title(layout.folder.name),
            "version": version,
            "made": datetime.datetime.now(datetime.UTC),
            "thumbnails": thumbnails,
            "failures": failures,
            "files": {"quarantine": _QUARANTINE, "manifest": _MANIFEST, "issues": _ISSUES},
        }
    )
    issues = None if outlined is None else outlined.labels.issues
    _write(folder, layout=layout, text=text, issues=issues, version=version)
    return ReportPage(
        path=folder / _PAGE,
        rows=facts.rows,
        pictures=facts.good.rows,
        set_aside=facts.set_aside_rows,
        annotated=None if outlined is None else outlined.total.pictures,
        thumbnails=sum(not one.failure for one in thumbnails.values()),
        failures=tuple((one["path"], one["reason"]) for one in failures),
        version=version,
    )


def _title(name: str) -> str:
    said = "".join(filter(str.isalnum, name)).casefold() == "dataset"  # "Data set dataset" says it twice
    return "Data set" if said or not name else f"Data set {name}"


def _checked_folder(out: str | os.PathLike[str], *, layout: Layout) -> Path:
    """Refuse folders in which a report would be taken for something else, or something else for a report."""
    folder, shown = Path(out).expanduser().absolute(), shortened(out)
    real, own = Path(os.path.realpath(folder)), Path(os.path.realpath(layout.folder))
    if real == own or any(real.is_relative_to(own / name) for name in ("objects", "view", ".surfacedefect")):
        raise OutputError(
            f"'{shown}' is a folder of the data set itself; expected one of its own: choose another, such as "
            f"'{shortened(Path(layout.folder.name) / 'report')}'"
        )
    if not layout.manifest.is_file():
        next(manifest_batches(layout.manifest), None)  # says so, before a folder is made
    ours = [folder / name for name in (_PAGE, _QUARANTINE, _MANIFEST, _ISSUES)]
    if any(path.exists() for path in ours) and not _is_report(folder / _PAGE):
        found = next(path.name for path in ours if path.exists())
        raise OutputError(
            f"'{shown}' holds '{found}' and no report; expected a new or empty folder, or one with an earlier report: "
            "choose another"
        )
    check_folder(folder)
    return folder


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _GENERATOR.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _outlined(
    layout: Layout,
    annotations: str | os.PathLike[str],
    splits: Collection[str],
    *,
    format: str,
    kinds: Sequence[str] | Mapping[str, str] | None,
    meter: Meter,
) -> LabelFacts:
    from surfacedefect.datasets._report_labels import label_facts
    from surfacedefect.datasets.labels import read_labels

    labels = read_labels(layout.folder, annotations, format=format, kinds=kinds)
    return label_facts(layout.manifest, labels, splits=splits, bounds=_BOUNDS, meter=meter)


def _sections(facts: Facts, outlined: LabelFacts | None, pictures: page.Pictures) -> dict[str, Any]:
    from surfacedefect.datasets._report_outlines import outlines

    return {
        "bounds": _BOUNDS,
        "rows": facts.rows,
        "good": facts.good.rows,
        "key_figures": page.key_figures(facts),
        "overview": page.overview(facts),
        "sample": [pictures.want(shown) for shown in facts.sample],
        "sizes": page.sizes(facts),
        "set_aside": page.set_aside(facts, pictures),
        "set_aside_rows": facts.set_aside_rows,
        "copied": page.copied(facts, pictures),
        "near": page.near_duplicates(facts, pictures),
        "flags": page.flags(facts, pictures),
        "splits": page.splits(facts),
        "groups": page.groups(facts),
        "outlines": None if outlined is None else outlines(outlined, pictures, bounds=_BOUNDS),
    }


def _failures(pictures: page.Pictures, thumbnails: Mapping[tuple[str, bool], Thumbnail]) -> list[dict[str, str]]:
    """Name each picture once, also where it was wanted twice."""
    failed = {key[0]: (order.shown.path, thumbnails[key].failure) for key, order in pictures.orders.items()}
    return [{"path": path, "reason": failure} for path, failure in failed.values() if failure]


def _rendered(values: Mapping[str, Any]) -> str:
    """Fill the template; the policy allows its own style by hash, pictures in the page, and nothing else."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("surfacedefect.datasets", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for make in (words.name, words.reason, words.number, counted, words.size, words.percent):
        environment.filters[make.__name__] = make
    style = environment.loader.get_source(environment, "report.css")[0] if environment.loader else ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = environment.get_template("report.html.j2")
    head = {"style": Markup(style), "style_hash": Markup(digest), "generator": Markup(_GENERATOR)}
    return template.render(**values, **head, program=f"surfacedefect {__version__}")


def _write(
    folder: Path, *, layout: Layout, text: str, issues: tuple[AnnotationIssue, ...] | None, version: str
) -> None:
    """Write all under other names first, then rename, the page last: what it names is there when it is."""
    with ExitStack() as files:
        part = files.enter_context(atomic_path(folder / _PAGE))
        part.write_text(text, encoding="utf-8", newline="")
        write_quarantine(layout.folder, files.enter_context(atomic_path(folder / _QUARANTINE)))
        write_table(files.enter_context(atomic_path(folder / _MANIFEST)), schema().names, _manifest_rows(layout))
        if issues is not None:
            rows = (asdict(issue) for issue in issues)
            write_table(files.enter_context(atomic_path(folder / _ISSUES)), _ISSUE_COLUMNS, rows)
        if manifest_version(layout.folder) != version:
            raise DatasetError(
                f"the manifest of '{shortened(layout.folder)}' changed while the report was made; expected a data set "
                "at rest: make the report again when the other command has ended"
            )
    if issues is None:
        with suppress(FileNotFoundError):
            (folder / _ISSUES).unlink()  # of an earlier report


def _manifest_rows(layout: Layout) -> Iterator[dict[str, Any]]:
    for batch in manifest_batches(layout.manifest):
        for row in batch.to_pylist():
            yield {**row, "flags": None if row["flags"] is None else " ".join(sorted(row["flags"]))}
