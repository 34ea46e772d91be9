"""Windows of several requests share a batch, and nobody's trouble becomes another's."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from serving_calls import CARD, graded, pixels, predictor

import surfacedefect as sd
from surfacedefect import DetectOptions, Detector, FunctionPredictor
from surfacedefect.errors import PredictorError
from surfacedefect.serving._batcher import Batcher, SharedPredictor
from surfacedefect.serving._call import Call
from surfacedefect.serving._refusals import RequestError

SIDE = CARD.window_px


def call(seconds=30.0):
    return Call("id", "client", "test", time.monotonic() + seconds)


class Held:
    """A predictor that waits until it is let go, and notes the size of each batch."""

    def __init__(self, function=graded):
        self.function, self.card = function, CARD
        self.batches, self.go, self.entered = [], threading.Event(), threading.Event()

    def __call__(self, windows):
        self.batches.append(len(windows))
        self.entered.set()
        assert self.go.wait(30)
        return self.function(windows)


def windows(*levels):
    return np.stack([np.full((SIDE, SIDE, 3), level, np.uint8) for level in levels])


def gathered(batcher, held, jobs):
    """Ask for all jobs at once: the first is looked at alone, the others meet behind it."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        first = pool.submit(batcher.look, *jobs[0])
        assert held.entered.wait(30)
        others = []
        for number, job in enumerate(jobs[1:], start=1):
            others.append(pool.submit(batcher.look, *job))
            while len(batcher._jobs) < number:
                time.sleep(0.001)
        held.go.set()
        return [first, *others]


def test_windows_of_several_requests_go_together():
    held, looked = Held(), []
    batcher = Batcher(held, batch=4, looked=lambda count, jobs: looked.append((count, jobs)))
    jobs = [(windows(level), call()) for level in (1, 50, 100, 150, 200, 250)]
    answers = [future.result(30) for future in gathered(batcher, held, jobs)]
    batcher.close()
    assert held.batches == [1, 4, 1] and looked == [(1, 1), (4, 4), (1, 1)]
    for (given, _), answer in zip(jobs, answers, strict=True):
        assert (answer == graded(given)).all()


def test_jobs_larger_than_a_batch_come_alone():
    held = Held()
    batcher = Batcher(held, batch=2)
    jobs = [(windows(*range(size)), call()) for size in (1, 3, 2, 1)]
    answers = [future.result(30) for future in gathered(batcher, held, jobs)]
    batcher.close()
    assert held.batches == [1, 3, 2, 1] and [len(answer) for answer in answers] == [1, 3, 2, 1]


def test_one_request_s_bad_window_fails_alone():
    def picky(given):
        if (given == 13).any():
            raise ValueError("thirteen")
        return graded(given)

    held = Held(picky)
    batcher = Batcher(held, batch=8)
    first, bad, good = gathered(batcher, held, [(windows(level), call()) for level in (1, 13, 200)])
    assert len(first.result(30)) == 1 and (good.result(30) == graded(windows(200))).all()
    with pytest.raises(ValueError, match="thirteen"):
        bad.result(30)
    batcher.close()


def test_an_answer_of_the_wrong_length_is_asked_for_again_one_by_one():
    held = Held(lambda given: graded(given)[:1])
    batcher = Batcher(held, batch=8)
    for future in gathered(batcher, held, [(windows(level), call()) for level in (1, 2, 3)]):
        assert len(future.result(30)) == 1
    batcher.close()


def test_nobody_s_windows_are_not_looked_at():
    held = Held()
    batcher = Batcher(held, batch=1)
    gone = call()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batcher.look, windows(1), call())
        assert held.entered.wait(30)
        second = pool.submit(batcher.look, windows(2), gone)
        while not batcher._jobs:
            time.sleep(0.001)
        gone.cancel()
        with pytest.raises(RequestError) as caught:
            second.result(30)
        held.go.set()
        first.result(30)
    batcher.close()
    assert caught.value.reason == "cancelled" and held.batches == [1]


def test_a_deadline_ends_the_waiting_for_a_slow_engine():
    held = Held()
    batcher = Batcher(held, batch=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(batcher.look, windows(1), call())
        assert held.entered.wait(30)
        with pytest.raises(RequestError) as caught:
            batcher.look(windows(2), call(0.05))
        assert caught.value.reason == "deadline" and not batcher._jobs
        held.go.set()
        first.result(30)
    batcher.close()
    with pytest.raises(RequestError):
        batcher.look(windows(1), call())


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_many_requests_at_once_get_what_each_would_get_alone(batch):
    scans = [pixels(100 + 7 * number, 90 + 11 * number, seed=number) for number in range(6)]
    own = [sd.detect(scan, model=predictor()).to_geojson() for scan in scans]
    batcher = Batcher(predictor(), batch=batch)

    def ask(scan):
        return Detector(SharedPredictor(batcher, call()), options=DetectOptions()).detect(scan).to_geojson()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, scans)) == own
    batcher.close()


def test_a_window_that_fails_is_skipped_as_in_the_library():
    def picky(given):
        if (given[:, 0, 0, 0] == 0).any():
            raise RuntimeError("dark corner")
        return graded(given)

    scan = pixels(120, 150)
    scan[48:52, 48:52] = 0
    alone = FunctionPredictor(picky, card=CARD)
    own = sd.detect(scan, model=alone, on_error="skip")
    batcher = Batcher(alone, batch=4)
    shared = Detector(SharedPredictor(batcher, call()), options=DetectOptions(on_error="skip")).detect(scan)
    assert shared.to_geojson() == own.to_geojson() and 0 < own.coverage < 1
    with pytest.raises(PredictorError, match="dark corner"):
        Detector(SharedPredictor(batcher, call())).detect(scan)
    batcher.close()
