"""Windows of several requests -> one engine, several at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from surfacedefect.card import ModelCard
from surfacedefect.predictor import Predictor, Probabilities, Windows
from surfacedefect.serving._call import Call
from surfacedefect.serving._refusals import RequestError


class _Job:
    """Windows of one request, and what became of them."""

    def __init__(self, windows: Windows, call: Call) -> None:
        self.windows, self.call = windows, call
        self.done = False
        self.given: Probabilities | None = None
        self.error: BaseException | None = None


class Batcher:
    """One engine for the windows of all requests, in the order in which they come.

    A request has one job here at a time, so requests take turns, window by window: a small scan does not wait until
    a large one is done. There is no thread of its own: whichever request finds the engine free takes a batch of what
    waits, its own and others', so that a request that is alone never waits for another thread.

    Parameters
    ----------
    predictor
        The engine; called by one thread at a time.
    batch
        Most windows looked at together; a job that is larger comes alone.
    looked
        Called with the number of windows and the jobs they came from, after each batch.
    """

    def __init__(
        self, predictor: Predictor, *, batch: int, looked: Callable[[int, int], object] = lambda windows, jobs: None
    ) -> None:
        self.predictor = predictor
        self._batch, self._looked = batch, looked
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._busy = self._closed = False

    def look(self, windows: Windows, call: Call) -> Probabilities:
        """Have windows looked at, together with those of others; waits for them.

        Raises
        ------
        RequestError
            The deadline passed, the client has gone, or the server stops.
        Exception
            Whatever the engine raises for these windows.
        """
        call.check()
        job = _Job(windows, call)
        with self._changed:
            self._jobs.append(job)
        while (jobs := self._turn(job)) is not None:
            try:
                self._answer(jobs)
            except BaseException as error:  # nobody may wait for ever
                for each in jobs:
                    each.error = each.error or error
            with self._changed:
                self._busy = False
                for each in jobs:
                    each.done = True
                self._changed.notify_all()
        if job.error is not None:
            raise job.error
        if job.given is None:
            raise RuntimeError("the engine gave neither an answer nor an error")
        return job.given

    def close(self) -> None:
        """Refuse what waits and what comes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _turn(self, job: _Job) -> list[_Job] | None:
        """Wait until the job is done (None), or the engine is free: then return the jobs to look at now."""
        with self._changed:
            while not job.done:
                try:
                    job.call.check()
                    if self._closed:
                        raise RequestError("draining", "the server stops")
                except RequestError:
                    if job in self._jobs:
                        self._jobs.remove(job)
                        self._changed.notify_all()
                    raise
                if not self._busy and self._jobs:
                    self._busy = True
                    return self._taken()
                # A second at most: nobody tells this thread that its client has gone.
                self._changed.wait(timeout=min(job.call.seconds_left, 1.0))
            return None

    def _taken(self) -> list[_Job]:
        """Take as many jobs as fit into a batch."""
        jobs = [self._jobs.popleft()]
        windows = len(jobs[0].windows)
        while self._jobs and windows + len(self._jobs[0].windows) <= self._batch:
            jobs.append(self._jobs.popleft())
            windows += len(jobs[-1].windows)
        return jobs

    def _answer(self, jobs: list[_Job]) -> None:
        wanted = []
        for job in jobs:
            try:
                job.call.check()
                wanted.append(job)
            except RequestError as error:
                job.error = error
        if len(wanted) > 1 and self._answer_together(wanted):
            return
        for job in wanted:
            try:
                job.given = self.predictor(job.windows)
                self._looked(len(job.windows), 1)
            except Exception as error:
                job.error = error

    def _answer_together(self, jobs: list[_Job]) -> bool:
        """Look at several jobs in one batch; where that fails, each one is to get its own answer, or its own error."""
        try:
            given = self.predictor(np.concatenate([job.windows for job in jobs]))
        except Exception:
            return False
        ends = np.cumsum([len(job.windows) for job in jobs])
        if not isinstance(given, np.ndarray) or len(given) != ends[-1]:
            return False
        for job, part in zip(jobs, np.split(given, ends[:-1]), strict=True):
            job.given = part
        self._looked(int(ends[-1]), len(jobs))
        return True


class SharedPredictor:
    """A request's own view of the engine: a `Predictor`, so that a `Detector` does all the rest as always."""

    def __init__(self, batcher: Batcher, call: Call) -> None:
        self._batcher, self._call = batcher, call

    @property
    def card(self) -> ModelCard:
        """Card of the engine."""
        return self._batcher.predictor.card

    @property
    def runs_on_gpu(self) -> bool:
        """Whether the engine is on a GPU, where more windows a call are faster."""
        return bool(getattr(self._batcher.predictor, "runs_on_gpu", False))

    def __call__(self, windows: Windows) -> Probabilities:
        """Map uint8 (N, S, S, 3) windows to float32 (N, K, S, S) probabilities; ends at the request's deadline."""
        return self._batcher.look(windows, self._call)
