"""The queue is bounded and fair, and gives places back however a request ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

from surfacedefect.serving._call import Call
from surfacedefect.serving._queue import FairQueue
from surfacedefect.serving._refusals import RequestError


def call(client="one", *, seconds=30.0):
    return Call("id", client, "test", time.monotonic() + seconds)


class Work:
    """Work that waits until it is let go, and notes who began when."""

    def __init__(self):
        self.begun, self.go = [], threading.Event()

    def named(self, name):
        def work():
            self.begun.append(name)
            assert self.go.wait(30)
            return name

        return work


async def until(condition):
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("did not happen")


def started(queue, work, names):
    """Tasks of requests; a name begins with its client's letter."""
    return [asyncio.ensure_future(queue.run(call(name[0]), work.named(name), accepted=lambda: None)) for name in names]


def run(test, **options):
    """Run a test with a queue; the threads end with it."""

    async def whole():
        queue, work = FairQueue(**options), Work()
        try:
            await asyncio.wait_for(test(queue, work), 60)
        finally:
            work.go.set()
            queue.shut_down()

    asyncio.run(whole())


def test_clients_take_turns_however_much_one_of_them_sends():
    async def test(queue, work):
        tasks = started(queue, work, ["a1"])
        await until(lambda: work.begun == ["a1"])
        tasks += started(queue, work, ["a2", "a3", "a4", "b1", "c1", "b2"])
        await until(lambda: queue.waiting == 6)
        work.go.set()
        assert await asyncio.gather(*tasks) == ["a1", "a2", "a3", "a4", "b1", "c1", "b2"]
        assert work.begun == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]

    run(test, workers=1, length=10)


def test_one_too_many_is_refused_at_once():
    async def test(queue, work):
        tasks = started(queue, work, ["a1", "a2", "a3", "b1"])
        await until(lambda: queue.waiting == 2 and queue.working == 2)
        with pytest.raises(RequestError) as caught:
            await queue.run(call("c"), work.named("c"), accepted=lambda: None)
        assert caught.value.reason == "queue_full"
        work.go.set()
        await asyncio.gather(*tasks)
        assert await queue.run(call("c"), work.named("c"), accepted=lambda: None) == "c"

    run(test, workers=2, length=2)


def test_who_leaves_the_queue_frees_a_place():
    async def test(queue, work):
        tasks = started(queue, work, ["a1", "b1", "b2"])
        await until(lambda: queue.waiting == 2)
        tasks[1].cancel()
        await until(lambda: queue.waiting == 1)
        tasks += started(queue, work, ["c1"])
        await until(lambda: queue.waiting == 2)
        work.go.set()
        assert await asyncio.gather(tasks[0], *tasks[2:]) == ["a1", "b2", "c1"]
        assert "b1" not in work.begun

    run(test, workers=1, length=2)


def test_who_leaves_while_he_is_served_keeps_the_thread_until_it_notices():
    async def test(queue, work):
        asked = call()
        task = asyncio.ensure_future(queue.run(asked, work.named("a"), accepted=lambda: None))
        await until(lambda: work.begun == ["a"])
        task.cancel()
        await until(lambda: asked.cancelled)
        assert queue.working == 1
        work.go.set()
        await until(lambda: queue.working == 0)
        await queue.drained()

    run(test, workers=1, length=1)


@pytest.mark.parametrize("busy", [True, False])
def test_a_deadline_ends_the_waiting(busy):
    async def test(queue, work):
        tasks = started(queue, work, ["a"]) if busy else []
        await until(lambda: queue.working == len(tasks))
        asked = call("b", seconds=0.05)
        with pytest.raises(RequestError) as caught:
            await queue.run(asked, work.named("b"), accepted=lambda: None)
        assert caught.value.reason == "deadline"
        assert queue.waiting == 0 and asked.cancelled != busy
        work.go.set()
        await asyncio.gather(*tasks)
        await queue.drained()

    run(test, workers=1, length=1)


def test_closed_it_finishes_what_it_took():
    async def test(queue, work):
        accepted = []
        tasks = started(queue, work, ["a", "b", "c"])
        await until(lambda: queue.waiting == 2)
        queue.close()
        with pytest.raises(RequestError) as caught:
            await queue.run(call("d"), work.named("d"), accepted=lambda: accepted.append("d"))
        assert caught.value.reason == "draining" and not accepted
        work.go.set()
        await queue.drained()
        assert await asyncio.gather(*tasks) == ["a", "b", "c"]

    run(test, workers=1, length=5)


def test_what_work_raises_comes_out_and_the_place_is_free():
    async def test(queue, work):
        def fail():
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await queue.run(call(), fail, accepted=lambda: None)
        await queue.drained()
        assert queue.working == 0

    run(test, workers=1, length=0)


def test_hundreds_of_requests_that_come_and_go_leave_it_whole():
    async def test(queue, work):
        work.go.set()

        async def one(number):
            task = asyncio.ensure_future(queue.run(call(str(number % 7)), work.named(number), accepted=lambda: None))
            await asyncio.sleep(number % 5 / 1000)
            if number % 3 == 0:
                task.cancel()
            return await task

        await asyncio.gather(*(one(number) for number in range(500)), return_exceptions=True)
        await queue.drained()
        assert (queue.waiting, queue.working) == (0, 0)
        assert await queue.run(call(), work.named("last"), accepted=lambda: None) == "last"

    run(test, workers=3, length=500)


def test_work_that_outlives_the_server_ends_in_silence(caplog):
    """After a second SIGTERM the loop is closed while a thread still works."""
    go_on, queue = threading.Event(), FairQueue(workers=1, length=0)

    async def dropped():
        started = threading.Event()

        def work():
            started.set()
            go_on.wait(30)

        call = Call("a", "b", "rest", time.monotonic() + 60)
        task = asyncio.create_task(queue.run(call, work, accepted=lambda: None))
        await asyncio.to_thread(started.wait, 30)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(dropped())
    go_on.set()
    queue._pool.shutdown(wait=True)
    assert not caplog.records
