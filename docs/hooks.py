"""What MkDocs needs to publish the pages as they lie in the repository, where GitHub shows them too.

Files outside of docs/ that pages link to become part of the site, under `repository/`; links are led there. What the
repository holds and the site does not (a script, a folder) is named without a link.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PREFIX = "repository/"
PAGES = ("benchmarks/README.md", "weights/README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PUBLISHED = (
    "benchmarks/results/*.png",
    "benchmarks/results/*.json",
    "LICENSE",
    "CITATION.cff",
    "docs/deploy/*",
    "docs/notebooks/*.ipynb",
)

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}).*?^(?P=indent)(?P=fence) *$", flags=re.M | re.S)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)")
_NOT_RUN = re.compile(r"^<!-- not run: (.+?) -->\n", flags=re.M)
_MARK = re.compile(r"^<!--.*?-->\n", flags=re.M)
_PICTURE = re.compile(r'(?P<link><a\b[^>]*>\s*)?<img\b[^>]*?\bsrc="(?P<src>[^"]+)"[^>]*>')


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the files outside of docs/ that the site shows."""
    for name in sorted({*PAGES, *(str(path.relative_to(ROOT)) for glob in PUBLISHED for path in ROOT.glob(glob))}):
        site_name = site_path(name)
        if (ROOT / name).is_file() and files.get_file_from_path(site_name) is None:
            files.append(File.generated(config, site_name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where the site has what they mean; take the marks of the tables out."""
    here = repository_path(page.file.src_uri)
    return "".join(
        part if is_code else _LINK.sub(lambda found: led(found, here, page.file.src_uri, files), shown(part))
        for part, is_code in pieces(markdown)
    )


def shown(text: str) -> str:
    """Say what the tests do not run; take the other marks out."""
    return _MARK.sub("\n", _NOT_RUN.sub(r"\n*The tests do not run this: \1.*\n\n", text))


def pieces(markdown: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a page and whether each is a block of code."""
    start = 0
    for block in _FENCE.finditer(markdown):
        yield markdown[start : block.start()], False
        yield block[0], True
        start = block.end()
    yield markdown[start:], False


def led(found: re.Match[str], here: str, site_name: str, files: Files) -> str:
    """Return a link as the site needs it."""
    target, _, anchor = found["target"].partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return found[0]
    there = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
    if there == "README.md":
        there = "docs/index.md"
    if files.get_file_from_path(site_path(there)) is None:
        if (ROOT / there).exists() and not there.endswith(".md"):
            return found["text"] if "`" in found["text"] else f"{found['text']} (`{there}`)"
        return found[0]  # a page that is missing: MkDocs says so
    moved = posixpath.relpath(site_path(there), posixpath.dirname(site_name) or ".")
    return f"{found['image']}[{found['text']}]({moved}{'#' + anchor if anchor else ''})"


def site_path(name: str) -> str:
    """Return where a file of the repository lies in the site."""
    return name.removeprefix("docs/") if name.startswith("docs/") else PREFIX + name


def repository_path(site_name: str) -> str:
    """Return which file of the repository a file of the site is."""
    return site_name.removeprefix(PREFIX) if site_name.startswith(PREFIX) else "docs/" + site_name


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let a picture open in its own size: the column is narrower than most, and a telephone narrower still."""
    return _PICTURE.sub(lambda found: found[0] if found["link"] else f'<a href="{found["src"]}">{found[0]}</a>', html)


def on_page_context(context: dict[str, Any], *, page: Page, config: MkDocsConfig, nav: Any) -> dict[str, Any]:
    """Name the file a page is made from."""
    page.meta.setdefault("source", repository_path(page.file.src_uri))
    return context
