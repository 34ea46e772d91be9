"""The pages: their links lead somewhere, their blocks are all tests, and the site shows what GitHub shows."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import page_examples
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "benchmarks" / "README.md",
        ROOT / "weights" / "README.md",
    }
)
EXAMPLES = sorted({path for pattern in page_examples.PAGES for path in ROOT.glob(pattern)})
PARSER = MarkdownIt("commonmark").enable("table")
NOT_RUN = {
    "docs/data.md": "DVC is no package of this library",
    "docs/deploy/README.md": "Docker and Kubernetes; the files are checked by tests/serving/test_deploy.py",
}
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.fixture(scope="module")
def hooks() -> Iterator[ModuleType]:
    pytest.importorskip("mkdocs", reason="needs the extra [docs]")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "site_hooks", module)
        spec.loader.exec_module(module)
        yield module


def tokens(page: Path) -> Iterator[Token]:
    for token in PARSER.parse(page.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    found = PARSER.parse(page.read_text(encoding="utf-8"))
    names = set()
    for opened, inline in zip(found, found[1:], strict=False):
        if opened.type == "heading_open":
            text = "".join(child.content for child in inline.children or ())
            names.add(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return names


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page: Path) -> None:
    for token in tokens(page):
        target = token.attrs.get("href") or token.attrs.get("src")
        if target is None:
            continue
        parts = urlsplit(str(target))
        if parts.scheme or parts.netloc:
            assert parts.scheme == "https" and re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", parts.netloc), target
            assert token.type == "link_open", f"{target} would be loaded from elsewhere"
            continue
        there = (page.parent / parts.path).resolve() if parts.path else page
        assert there.exists() and there.is_relative_to(ROOT), f"there is no '{target}'"
        if parts.fragment:
            assert parts.fragment in anchors(there), f"'{target}': no such heading"
        if token.type == "image":
            assert len(token.content) >= 10, f"{target} says nothing to those who cannot see it"


def test_every_page_is_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"([\w./-]+\.md)\s*$", text[text.index("\nnav:") :], flags=re.M)
    meant = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} | {
        f"repository/{name}" for name in NAMES if not name.startswith("docs/") and name != "README.md"
    }
    assert len(listed) == len(set(listed)) >= 20
    assert set(listed) - {"web.md"} == meant - {"web.md"}


def test_every_block_is_a_test_or_says_why_not() -> None:
    not_run = {}
    for page in EXAMPLES:
        text = page.read_text(encoding="utf-8")
        blocks = [token for token in tokens(page) if token.type in ("fence", "code_block")]
        assert {token.info for token in blocks} <= {"python", "py", "sh", ""}, page.name
        assert [token.content for token in blocks if not token.info and "──" not in token.content] == [], page.name
        assert len(parsed(page)) == len([token for token in blocks if token.info]), page.name
        marks = re.findall(r"^<!-- not run: (.+?) -->\n```", text, flags=re.M)
        assert len(marks) == len(re.findall("^<!-- not run", text, flags=re.M)), (
            f"{page.name}: a mark stands right above its block"
        )
        if marks:
            (not_run[str(page.relative_to(ROOT))],) = marks
    assert not_run == NOT_RUN, "what the tests cannot run is counted here"


def parsed(page: Path) -> list[object]:
    """What Sybil collects of a page."""
    from sybil import Sybil
    from sybil.document import Document
    from sybil.parsers.markdown import CodeBlockParser

    parsers = [CodeBlockParser(language, print) for language in ("python", "py", "sh")]
    return list(Document.parse(str(page), *Sybil(parsers=parsers, pattern="*.md", path=str(ROOT)).parsers))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_site_shows_what_github_shows(page: Path, hooks: ModuleType) -> None:
    """Python-Markdown and CommonMark differ in what begins a list, a table or a block."""
    import markdown

    if "reference" in page.parts:
        return  # filled from docstrings on the site alone
    text = page.read_text(encoding="utf-8")
    text = "".join(part if is_code else hooks.shown(part) for part, is_code in hooks.pieces(text))
    ours = markdown.markdown(text, extensions=["tables", "pymdownx.superfences", "md_in_html", "attr_list"])
    theirs = PARSER.render(text)
    for tag in ("h1", "h2", "h3", "li", "tr", "td", "img", "ol", "ul"):
        assert len(re.findall(rf"<{tag}\b", ours)) == len(re.findall(rf"<{tag}\b", theirs)), f"<{tag}>"
    assert ours.count('class="highlight"') == theirs.count("<pre>")


def test_links_are_led_to_where_the_site_has_them(hooks: ModuleType) -> None:
    class Files:
        def get_file_from_path(self, name: str) -> object:
            known = ("serve.md", "index.md", "repository/CONTRIBUTING.md", "repository/benchmarks/results/a.png")
            return name if name in known else None

    def led(text: str, page: str) -> str:
        (found,) = hooks._LINK.finditer(text)
        return hooks.led(found, hooks.repository_path(page), page, Files())

    assert led("[a](serve.md#b)", "index.md") == "[a](serve.md#b)"
    assert led("[a](../CONTRIBUTING.md)", "index.md") == "[a](repository/CONTRIBUTING.md)"
    assert led("![a](../benchmarks/results/a.png)", "index.md") == "![a](repository/benchmarks/results/a.png)"
    assert led("[a](docs/serve.md)", "repository/CONTRIBUTING.md") == "[a](../serve.md)"
    assert led("[a](../README.md)", "deploy/README.md") != "", "a page that is missing stays for MkDocs to name"
    assert led("[`Makefile`](../Makefile)", "index.md") == "`Makefile`"
    assert led("[a](https://example.org/serve.md)", "index.md") == "[a](https://example.org/serve.md)"


def test_a_picture_opens_in_its_own_size_and_a_link_stays_what_it_is(hooks: ModuleType) -> None:
    def shown(html: str) -> str:
        return hooks.on_page_content(html, page=None, config=None, files=None)

    assert (
        shown('<p><img alt="a" src="../b.png" /></p>') == '<p><a href="../b.png"><img alt="a" src="../b.png" /></a></p>'
    )
    linked = '<a href="../web/"><img alt="a" src="b.png" /></a>'
    assert shown(linked) == linked


def test_figures_in_running_text_are_those_of_the_results() -> None:
    """Tables are made from the results; these sentences are written by hand."""

    def result(name: str) -> Any:
        return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))

    def page(name: str) -> str:
        return " ".join((ROOT / "docs" / name).read_text(encoding="utf-8").split())

    validation = result("validation")["reports"]["valid/all"]
    scratches = validation["kinds"]["scratch"]["metrics"]
    found, alarms = scratches["object_recall"]["value"], scratches["false_alarms_per_scan"]["value"]
    assert f"{100 * found:.0f} % of the scratches are reported by default, at {alarms:.1f} false" in page("limits.md")
    assert f"{validation['scans']} validation pictures" in page("limits.md")
    tiles = page("why-not-accuracy.md")
    rows = dict(re.findall(r"\| (\d+\.\d)% \| (\d\.\d+)", tiles))
    assert float(rows["20.0"]) == 0.8, "over 80 % accurate as soon as fewer than a fifth are damaged"
