"""What holds for every test that trains."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Compute on one thread: the networks are so small that threads wait for each other longer than they compute.

    On a busy machine that is most of the time a test takes. No test here is about threads.
    """
    try:
        import torch
    except ImportError:  # a test that needs it says so itself
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
