"""Refuse a release whose tag, in the variable TAG, is not the version; without a tag there is nothing to check."""

from __future__ import annotations

import os
import sys

from surfacedefect import __version__

tag = os.environ.get("TAG", "")
if tag not in ("", f"v{__version__}"):
    sys.exit(f"the tag is {tag!r}, expected v{__version__}: set it in src/surfacedefect/_version.py, or tag anew")
