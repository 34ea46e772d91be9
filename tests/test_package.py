"""What is shipped: the wheel holds the weights, the demo keeps its promise, the README's figures have a source."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DETECT = (
    "import numpy, surfacedefect as sd\n"
    "scan = numpy.full((600, 700, 3), 128, numpy.uint8)\n"
    "found = sd.detect(scan)\n"
    "print(sd.__file__, found.coverage, found.kinds)\n"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    for package in ("build", "hatchling"):
        pytest.importorskip(package, reason="needs the extra [test]")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(python: Path, code: str, cwd: Path) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run([python, "-c", code], cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_code_weights_and_types_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"surfacedefect/__init__.py", "surfacedefect/py.typed", "surfacedefect/_weights/unet-lite0.onnx"} <= names
    assert "surfacedefect/_weights/unet-lite0.json" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]
    assert wheel.stat().st_size < 20 * 2**20


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert b"surfacedefect = surfacedefect.cli:app" in archive.read(entry_points)
        names = archive.namelist()
    assert metadata["License-Expression"] == "Apache-2.0" and metadata["Requires-Python"] == ">=3.11"
    assert any(name.endswith("licenses/LICENSE") for name in names)
    extras = set(metadata.get_all("Provides-Extra"))
    assert {"cpu", "gpu", "train", "geo", "data", "batch", "ray", "serve", "docs", "test", "all"} <= extras
    needed = {re.split(r"[<>=; \[]", one)[0] for one in metadata.get_all("Requires-Dist") if "extra ==" not in one}
    assert needed == {"numpy", "rasterio", "shapely", "scikit-image", "pillow", "typer", "rich"}, "the core is small"
    templates = [name for name in names if name.endswith((".j2", ".css"))]
    assert len(templates) == len([*ROOT.glob("src/**/*.j2"), *ROOT.glob("src/**/*.css")]) > 0


def test_the_archives_can_be_uploaded(wheel):
    """Twine reads what an index would: the description must be shown, the metadata whole."""
    pytest.importorskip("twine", reason="needs the extra [test]")
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(wheel)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "PASSED" in done.stdout, done.stdout + done.stderr


def test_the_workflows_call_what_make_knows():
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", make, flags=re.M)[1].split())
    called = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        for words in re.findall(r"run: make (.+)$", text, flags=re.M):
            matrix = re.search(r"target: \[(.+)\]", text)
            called |= set(matrix[1].split(", ") if "matrix" in words else words.split())
        assert not re.findall(r"run: (?!make )", text), f"{path.name} does what no developer can do by make"
    assert called <= targets and {"test", "test-slow", "docs", "dist", "test-oldest", "test-newest"} <= called


def test_the_citation_is_of_this_version():
    import surfacedefect

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {surfacedefect.__version__}\n" in citation and "\nlicense: Apache-2.0\n" in citation


def test_an_installed_wheel_detects_without_the_checkout(wheel, tmp_path):
    """In an environment of its own that borrows only the other packages of this one."""
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    python = python_of(environment)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel)], check=True
    )
    site = run(python, "import sysconfig; print(sysconfig.get_path('purelib'))", tmp_path).strip()
    Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    printed = run(python, DETECT, tmp_path)
    assert str(environment) in printed
    assert "('scratch', 'dent')" in printed


@pytest.mark.slow
def test_the_wheel_installs_and_detects_in_a_clean_environment(wheel, tmp_path):
    environment = tmp_path / "env"
    venv.create(environment, with_pip=True)
    python = python_of(environment)
    subprocess.run([python, "-m", "pip", "install", "-q", f"{wheel}[cpu]"], check=True)
    assert str(environment) in run(python, DETECT, tmp_path)
    assert "torch" not in run(
        python, "import importlib.metadata as m; print([d.name for d in m.distributions()])", tmp_path
    )


def test_the_version_is_written_in_one_place(wheel):
    import surfacedefect

    assert wheel.name.startswith(f"surfacedefect-{surfacedefect.__version__}-")
    assert surfacedefect.__version__ not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_links_between_the_pages_lead_somewhere():
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "benchmarks" / "README.md",
        ROOT / "weights" / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs").glob("*/*.md"),
    ]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to '{target}'"
        for name in re.findall(r"benchmarks/[\w/]+\.(?:json|py|png)", text):
            assert (ROOT / name).exists(), f"{page.name} names '{name}'"
        assert "{{" not in text, f"{page.name} has an unfilled place"


def test_the_repository_stays_small():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    sizes = {name: (ROOT / name).stat().st_size for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    large = {name: size for name, size in sizes.items() if size > (11 * 2**20 if name.endswith(".onnx") else 500_000)}
    assert not large


def test_the_demo_finds_most_of_what_it_rendered(shipped_weights, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "surfacedefect", "demo", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.search(r"(\d+) of (\d+) damaged regions found .*?, (\d+) false alarm", " ".join(done.stdout.split()))
    assert counts, done.stdout
    found, true, false = map(int, counts.groups())
    assert true >= 10
    assert found >= true / 2
    assert false <= 5
    assert {path.suffix for path in tmp_path.iterdir()} == {".jpg", ".png", ".tif", ".geojson"}
    for path in tmp_path.iterdir():
        assert path.name in done.stdout or path.name == "scan.jpg"
