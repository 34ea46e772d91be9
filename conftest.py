"""The code blocks of the pages are tests, one a block, in the order of the page; see tests/page_examples.py."""

from __future__ import annotations

import page_examples
import pytest

collect_ignore_glob = ["docs/*.py", "docs/figures/*.py", "benchmarks/*.py", "site/*"]
pytest_collect_file = page_examples.collector()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the blocks that take long."""
    for item in items:
        if page_examples.is_slow(item):
            item.add_marker(pytest.mark.slow)
