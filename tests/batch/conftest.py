"""Processes of these tests carry a mark, as other tests may run beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from batch_runs import MARK, OURS


@pytest.fixture(autouse=True, scope="session")
def marked() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, OURS)
        yield
