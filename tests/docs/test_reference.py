"""Every public name has an entry, and every docstring says what a caller needs."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import surfacedefect

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "surfacedefect"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.stem == "__init__" or not path.stem.startswith("_"))


@pytest.fixture(scope="module")
def make_reference() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def test_the_pages_are_those_of_the_names(make_reference: ModuleType) -> None:
    made = make_reference.pages()
    written = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert written == made, "run docs/make_reference.py"


def test_every_public_name_has_one_entry(make_reference: ModuleType) -> None:
    text = "".join(make_reference.pages().values())
    entries = re.findall(r"^::: (\S+)", text, flags=re.M)
    assert len(entries) == len(set(entries))
    last = {entry.rpartition(".")[2] for entry in entries}
    packages = {one.name for one in pkgutil.iter_modules(surfacedefect.__path__) if one.ispkg}
    missing = set(surfacedefect.__all__) - last - packages - {"__version__"}
    assert not missing
    for package in packages - {"cli", "runtimes"}:
        names = getattr(importlib.import_module(f"surfacedefect.{package}"), "__all__", ())
        assert not [name for name in names if f"surfacedefect.{package}.{name}" not in entries], package


def test_every_entry_exists_and_says_what_it_is(make_reference: ModuleType) -> None:
    for entry in re.findall(r"^::: (\S+)", "".join(make_reference.pages().values()), flags=re.M):
        module, _, name = entry.rpartition(".")
        value = getattr(importlib.import_module(module), name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert (value.__doc__ or "").strip(), f"{entry} has no docstring"
        else:
            assert described(module, name), f"{entry}: write a string below it that says what it is"


def described(module: str, name: str) -> bool:
    """Whether a string stands below a constant, here or where it comes from."""
    loaded = importlib.import_module(module)
    tree = ast.parse(Path(str(loaded.__file__)).read_text(encoding="utf-8"))
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return described(str(node.module), name)
    homes = getattr(loaded, "_HOMES", {})
    return name in homes and described(f"{module}.{homes[name]}", name)


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT / "src")) for path in SOURCES])
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module"
    missing = [name for name, node in public(tree) if not ast.get_docstring(node)]
    assert not missing


def public(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield public classes, functions and methods; an overload is told by what it overloads."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if any(getattr(one, "id", "") == "overload" for one in node.decorator_list):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from public(node, f"{node.name}.")


def test_a_docstring_names_the_parameters_there_are(make_reference: ModuleType) -> None:
    """A name under Parameters or Attributes is one of the signature, and of two or more parameters all are told."""
    faults = []
    for entry in re.findall(r"^::: (\S+)", "".join(make_reference.pages().values()), flags=re.M):
        module, _, name = entry.rpartition(".")
        value = getattr(importlib.import_module(module), name)
        if inspect.isclass(value) and not issubclass(value, BaseException):
            faults += checked(entry, value)
            for method, function in vars(value).items():
                inner = getattr(function, "__func__", function)
                if not method.startswith("_") and inspect.isfunction(inner):
                    faults += checked(f"{entry}.{method}", inner)
        elif inspect.isfunction(value):
            faults += checked(entry, value)
    assert not faults, "\n".join(faults)


def checked(entry: str, value: Any) -> list[str]:
    told = told_in(inspect.getdoc(value) or "")
    if not told:
        return []
    try:
        names = set(inspect.signature(value).parameters) - {"self", "cls"}
    except ValueError:
        return []
    fields = set(dir(value)) | set(getattr(value, "__annotations__", {})) if inspect.isclass(value) else set()
    unknown = told - names - fields
    if inspect.isclass(value) and not dataclasses.is_dataclass(value) and "Parameters\n---" not in value.__doc__:
        return []  # made by its own class methods; what is told are its attributes
    left_out = {one for one in names - told if not one.startswith("_")} if told & names else set()
    return [
        f"{entry}: {what} {sorted(which)}" for what, which in (("unknown", unknown), ("not told", left_out)) if which
    ]


def told_in(text: str) -> set[str]:
    found: set[str] = set()
    for section in re.split(r"\n(?=\w[\w ]*\n-{3,}\n)", text):
        if re.match(r"(Parameters|Attributes)\n", section):
            for line in section.splitlines()[2:]:
                if line and not line.startswith(" "):
                    found |= {name.strip().lstrip("*") for name in line.partition(":")[0].split(",")}
    return found
