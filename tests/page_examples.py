"""Run the code blocks of the pages: Python as it stands, commands through the program, in a folder with what they name.

What differs from a reader's machine is written here and nowhere else: the default model is one that calls dark pixels
damaged, rendered scans are small, remote addresses are folders, and a server of this process answers for localhost.
A block that cannot run at all has ``<!-- not run: why -->`` above it, one that needs a package that the tests can do
without ``<!-- needs: package -->``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import page_world
import pytest
from sybil import Example, Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import CodeBlockParser
from typer.main import get_command
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "weights/README.md",
    "docs/*.md",
    "docs/deploy/README.md",
)
SLOW = re.compile(r"surfacedefect train --|--ray \w+|surfacedefect\.training\.loop")
UNTIL_STOPPED = ("ui",)
TYPED_BY_HAND = ("git clone <this repository>", "cd surfacedefect")
MARK = re.compile(r"<!-- (?P<what>not run|needs): (?P<words>.+?) -->\s*\Z")

# What a page says -> what a test can do, in the order in which they are tried.
IN_PYTHON = (
    (r"render_scan\((\d+)(?:, preset\((.+?)\))?\)", r"render_scan(\1, small(\2))"),
    (r'batch\.run\("scans/", "results/",', 'batch.run("scans/", "results/", model="batch_fakes:dark",'),
)
IN_COMMANDS = (
    (r"--out s3://\S+", "--out results"),
    (r"(webdavs|s3)://\S+?(?=/? dataset| --| results|$)", "share"),
    (r"--count \d+", "--count 1 --width 320 --height 240"),
    (r"--(ray) ray://\S+", r"--\1 local"),
    (r"--workers 64 --least-workers 4", "--workers 2"),
)


def collector() -> Callable[..., Any]:
    """Return the hook by which pytest collects the pages."""
    sybils = Sybil(
        parsers=[
            CodeBlockParser("python", evaluate_python),
            CodeBlockParser("py", evaluate_python),
            CodeBlockParser("sh", evaluate_commands),
        ],
        path=str(ROOT),
        patterns=list(PAGES),
        teardown=lambda namespace: namespace["_world"].close() if "_world" in namespace else None,
    )
    return sybils.pytest()


def is_slow(item: pytest.Item) -> bool:
    """Whether a test is a block that takes long: one that trains, or starts a cluster."""
    return isinstance(item, SybilItem) and SLOW.search(str(item.example.parsed)) is not None


def mark_of(text: str, start: int) -> tuple[str, str] | None:
    """Return the mark above a block of a page: what it asks for, and the words."""
    found = MARK.search(text, 0, start)
    return None if found is None else (found["what"], found["words"])


def evaluate_python(example: Example) -> None:
    """Run a block of Python in the names of its page."""
    with ready(example) as world:
        code = str(example.parsed)
        if "write_tiles(" in code:
            shutil.rmtree(world.folder / "tiles", ignore_errors=True)  # the page's commands wrote them already
        for pattern, instead in (*IN_PYTHON, *world.addresses):
            code = re.sub(pattern, instead, code)
        lines_above = example.line + example.parsed.line_offset
        exec(compile("\n" * lines_above + code, str(example.path), "exec", dont_inherit=True), example.namespace)


def evaluate_commands(example: Example) -> None:
    """Run the commands of a block one after the other."""
    with ready(example) as world:
        text = str(example.parsed).replace("\\\n", " ")
        if "curl" in text:
            run_shell(text, world)
            return
        for line in text.splitlines():
            for command in re.split(r" && ", re.sub(r"(^|\s)#.*", "", line).strip()):
                if command and command not in TYPED_BY_HAND:
                    run_command(command)


@contextmanager
def ready(example: Example) -> Iterator[page_world.World]:
    """Stand in the folder of the page, or skip what says that it cannot run."""
    mark = mark_of(example.document.text, example.start)
    if mark is not None and mark[0] == "not run":
        pytest.skip(f"not run: {mark[1]}")
    if mark is not None:
        pytest.importorskip(mark[1])
    page = Path(example.path).relative_to(ROOT).as_posix()
    if "_world" not in example.namespace:
        example.namespace["_world"] = page_world.World(page)
    world: page_world.World = example.namespace["_world"]
    with ExitStack() as stack:
        stack.enter_context(world.entered())
        for name, value in world.names().items():
            example.namespace.setdefault(name, value)
        yield world


def run_shell(text: str, world: page_world.World) -> None:
    """Run a block as a shell does, and see that it ends well and says something."""
    for pattern, instead in world.addresses:
        text = re.sub(pattern, instead, text)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and '"error"' not in done.stdout and done.stdout, done.stdout + done.stderr


def run_command(command: str) -> None:
    """Run one command of the program; of others, see that what they name exists."""
    words = shlex.split(re.sub(r"^(\.venv/bin/|python3? -m )", "", command))
    program = words[0]
    if program == "surfacedefect":
        run_program(command, words[1:])
    elif program == "pip":
        check_extras(words)
    elif program == "make":
        check_targets([word for word in words[1:] if "=" not in word])
    elif program in ("python", "python3", "venv", "pre-commit") or program.startswith("benchmarks/"):
        scripts = [word for word in words if "/" in word]
        assert all((ROOT / script).exists() for script in scripts), f"{command}: no such script"
    else:
        raise AssertionError(f"no test knows how to run '{command}'; mark the block or teach tests/page_examples.py")


def run_program(command: str, words: list[str]) -> None:
    """Run the command line here; where it would not end, or words are for a reader to fill in, look for its names."""
    if words[0] in UNTIL_STOPPED or any(re.fullmatch(r"[A-Z]+(\.\.\.)?|\.\.\.|[A-Z]", word) for word in words):
        check_names(words)
        return
    text = shlex.join(words)
    for pattern, instead in IN_COMMANDS:
        text = re.sub(pattern, instead, text)
    given = [name for word in shlex.split(text) for name in globbed(word)]
    if given[0] == "demo" and "--scan" not in given:
        given += ["--scan", "scan.jpg"]
    if given[0] == "batch" and given[1] != "status":
        given += ["--model", "batch_fakes:dark", *([] if "--workers" in given else ["--workers", "1"])]
    if given[0] == "train":
        given += page_world.SHORT_TRAINING
        given += [] if "tile-classifier" in given else ["--crop", "64"]
    with warnings.catch_warnings():
        if given[0] in ("train", "batch"):
            warnings.simplefilter("default")  # of torch and of Ray, which are not ours to mend
        result = CliRunner().invoke(program_(), given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    # 1 says that something was found: a leak, a picture set aside. 2 would be wrong usage.
    assert result.exit_code in (0, 1), f"{command}\n{result.output}"
    assert result.exit_code == 0 or given[0] in ("data", "batch"), f"{command}\n{result.output}"


def program_() -> Any:
    """Return the program."""
    from surfacedefect.cli import app

    return app


def globbed(word: str) -> list[str]:
    """Do what a shell does with a pattern."""
    return sorted(str(path) for path in Path().glob(word)) if "*" in word else [word]


def check_names(words: list[str]) -> None:
    """See that commands and options exist."""
    command: Any = get_command(program_())
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command = inner
    assert not hasattr(command, "commands"), f"no such command: {words}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    wrong = [word for word in words if word.startswith("--") and word not in known]
    assert not wrong, f"{words}: no such options: {wrong}"


def check_extras(words: list[str]) -> None:
    """See that the extras of a pip command exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [extra for word in words for found in re.findall(r"\[(.+)\]", word) for extra in found.split(",")]
    unknown = [extra for extra in extras if extra not in project["optional-dependencies"]]
    assert extras and not unknown, f"{words}: no such extras: {unknown}"


def check_targets(targets: list[str]) -> None:
    """See that make knows the targets."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    for target in targets:
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ}
        )
        assert done.returncode == 0, done.stderr
