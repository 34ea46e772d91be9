"""Run the tests of the core, its engine and its data sets on the oldest packages that are allowed, or on the newest.

    python .ci/dependencies.py oldest    # or newest; --list only says the versions

Both get an environment of their own below build/. uv resolves: pip cannot ask for the lowest versions.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("cpu", "geo", "data")
TESTING = ("pytest>=9", "hypothesis>=6.100", "sybil>=9", "jsonschema>=4.20", "pycocotools>=2.0.8", "pillow")
# Not: what needs other extras, what speaks to servers of test packages, and what builds or reads the repository itself.
TESTS = ("tests/test_*.py", "tests/annotations", "tests/datasets", "tests/evaluation", "tests/cli", "tests/runtimes")
LEFT_OUT = ("tests/test_package.py", "tests/test_docs.py", "tests/test_benchmarks.py", "tests/datasets/test_webdav.py")
# Where an old package is the yardstick and not what is tested: Pillow before 13 rounds palettes of TIFF and cannot read
# YCbCr without compression, before 11.3 it does not write the EXIF that the test gives it; shapely before GEOS 3.13
# takes minutes to compare, in the test alone, and shapely 2.1's own is_valid changes the filters of warnings, which are
# the process's, in whatever thread.
OLD_YARDSTICKS = (
    "tests/test_scan_files.py::test_streaming_equals_decoding_whole[tiff palette]",
    "tests/test_scan_files.py::test_decoded_whole[tiff ycbcr plain]",
    "tests/datasets/test_ingest.py::test_the_manifest_says_size_format_and_exif",
    "tests/test_detector.py::test_nothing_warns_in_threads",
    "tests/test_detections.py::TestNotInspected::test_area_is_that_of_the_uninspected_pixels",
)
# A warning of an old package is no fault of this one; what pyproject.toml ignores stays ignored.
WARNINGS = ("--override-ini=filterwarnings=", "-Wdefault", "-Wignore::rasterio.errors.NotGeoreferencedWarning")


def main() -> int:
    """Resolve, install, test; return the exit code of pytest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("oldest", "newest"))
    parser.add_argument("--python", default="python3", help="interpreter of the environment")
    parser.add_argument("--list", action="store_true", help="say which versions are taken, and install nothing")
    given = parser.parse_args()
    resolution = "lowest-direct" if given.which == "oldest" else "highest"
    extras = [f"--extra={extra}" for extra in EXTRAS]
    folder = ROOT / "build" / given.which
    folder.mkdir(parents=True, exist_ok=True)
    versions = folder / "requirements.txt"
    chosen = ["--resolution", resolution, "--python", given.python, "--upgrade", "--no-header", "--no-annotate"]
    uv("pip", "compile", "pyproject.toml", *extras, *chosen, "-o", str(versions), quiet=True)
    print(versions.read_text(encoding="utf-8"))
    if given.list:
        return 0
    environment = folder / "env"
    uv("venv", "--clear", "--python", given.python, str(environment))
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv("pip", "install", "--python", str(python), "-r", str(versions))
    # Afterwards, so that no package of the tests raises one of the library's.
    uv("pip", "install", "--python", str(python), "-c", str(versions), *TESTING)
    uv("pip", "install", "--python", str(python), "--no-deps", "-e", ".")
    named = [path.relative_to(ROOT).as_posix() for pattern in TESTS for path in sorted(ROOT.glob(pattern))]
    tests = [name for name in named if name not in LEFT_OUT]
    ignored = [f"--ignore={name}" for name in LEFT_OUT]
    if given.which == "oldest":
        ignored += [f"--deselect={name}" for name in OLD_YARDSTICKS]
    options = ["-q", "-m", "not slow", *WARNINGS, "-p", "no:cacheprovider"]
    return subprocess.run([python, "-m", "pytest", *options, *ignored, *tests], cwd=ROOT, check=False).returncode


def uv(*arguments: str, quiet: bool = False) -> None:
    """Run uv, and end with its message where it fails."""
    output = subprocess.DEVNULL if quiet else None
    subprocess.run([sys.executable, "-m", "uv", *arguments], cwd=ROOT, stdout=output, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
