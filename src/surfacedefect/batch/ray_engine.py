"""The engine of a cluster: Ray Data over pools of actors, on this machine or on many.

What Ray does by itself, read in Ray 2.60 (`actor_pool_map_operator.py`, `streaming_executor_state.py`): an actor of a
pool is restarted for ever (``max_restarts=-1``) and its task tried again for ever (``max_task_retries=-1``), so a scan
that kills its process would be tried for ever; and one block that fails in the end fails the whole data set
(``max_errored_blocks=0``). Therefore

- the model lives in a child process of the actor, the same `Station` as on one machine. A scan that kills its process
  kills the child; the actor sees it, tries the scan alone, and sets it aside. Ray notices nothing.
- what Ray does notice, a lost machine or a killed actor, is not a scan's fault: actors are restarted for ever, a task
  is tried again `_TASK_RETRIES` times, then its block is left out (``max_errored_blocks=-1``), its scans are missed
  here, tried once more each in a block of its own, and then named.

A data set of Ray is complete before it starts, and a source of a million names is not to be listed first: jobs go in
rounds of about five minutes' work. Between two rounds the actors start and the model is loaded anew.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from surfacedefect._words import shortened
from surfacedefect.batch._one_scan import Setup
from surfacedefect.batch._station import Exhausted, Station
from surfacedefect.batch.jobs import Job, Result
from surfacedefect.errors import BatchError, SurfaceDefectError, require

_TASK_RETRIES = 3
_TIMES_MISSED = 2
_JOBS_PER_TASK = 8
_ROUND_S, _LEAST_ROUND, _MOST_ROUND = 300.0, 512, 20_000
_AHEAD = 2  # tasks that an actor has: the next is there when one ends
_LOCAL_STORE_BYTES = 128 * 2**20  # jobs and rows are small, and pictures never go through Ray


class ScanActor:
    """One worker of a pool: takes a block of jobs, gives a block of results."""

    def __init__(self, setup: Setup) -> None:
        self._station = Station(setup)

    def __call__(self, batch: Any) -> Any:
        """Inspect the jobs of an Arrow table; errors that no scan would be spared are results too."""
        import pyarrow

        jobs: list[Job] = [pickle.loads(job) for job in batch.column("job").to_pylist()]
        waiting = iter(jobs)

        def pull(wait: bool) -> Job | None:
            for job in waiting:
                return job
            raise Exhausted

        try:
            results = list(self._station.work(pull))
        except SurfaceDefectError as error:
            results = [Result(job, "stop", str(error)) for job in jobs]
        return pyarrow.table({"result": pyarrow.array([pickle.dumps(one) for one in results], pyarrow.binary())})


class RayEngine:
    """Inspects on a Ray cluster.

    Parameters
    ----------
    setup
        What every worker must know.
    address
        ``"local"`` starts a cluster here; ``"auto"`` or an address joins one.

    Raises
    ------
    BatchError
        The cluster cannot be reached, or has no room for a worker.
    MissingExtraError
        Ray is not installed.
    """

    def __init__(self, setup: Setup, *, address: str) -> None:
        self._setup, self._address = setup, address
        require("ray.data", extra="ray")
        self.workers = 0

    def results(self, jobs: Iterator[Job]) -> Iterator[Result]:
        """Inspect every job; yield what became of each as blocks of them are done.

        Raises
        ------
        BatchError
            The cluster is lost.
        """
        first = next(jobs, None)
        if first is None:
            return
        with self._joined():
            size, batch = max(_LEAST_ROUND, 4 * self.workers), [first]
            missed: dict[str, int] = {}
            while True:
                batch += list(islice(jobs, size - len(batch)))
                if not batch:
                    return
                started, done = time.monotonic(), 0
                left = {job.name: job for job in batch}
                alone = [job for job in batch if job.name in missed]
                others = [job for job in batch if job.name not in missed]
                for result in self._round(others, alone):
                    if left.pop(result.job.name, None) is not None:  # a task that ran twice answers twice
                        missed.pop(result.job.name, None)
                        done += 1
                        yield result
                batch = []
                for job in left.values():
                    missed[job.name] = missed.get(job.name, 0) + 1
                    if missed[job.name] < _TIMES_MISSED:
                        batch.append(job)
                        continue
                    del missed[job.name]
                    yield Result(job, "unread", _lost_reason(), found={"lasting": False})
                rate = done / max(1e-3, time.monotonic() - started)
                size = int(min(_MOST_ROUND, 4 * size, max(_LEAST_ROUND, 4 * self.workers, rate * _ROUND_S)))

    def _round(self, others: Sequence[Job], alone: Sequence[Job]) -> Iterator[Result]:
        """Run one data set through the pool."""
        for jobs, per_task in ((others, None), (alone, 1)):
            if jobs:
                yield from self._inspected(jobs, per_task or self._per_task(len(jobs)))

    def _per_task(self, jobs: int) -> int:
        return max(1, min(_JOBS_PER_TASK, jobs // (4 * self.workers)))

    def _inspected(self, jobs: Sequence[Job], per_task: int) -> Iterator[Result]:
        data: Any = require("ray.data", extra="ray")
        options = self._setup.options
        items = [{"job": pickle.dumps(job)} for job in jobs]
        least = min(options.least_workers, self.workers)
        blocks = data.from_items(items, override_num_blocks=-(-len(items) // per_task))
        with warnings.catch_warnings():
            # How often a task is tried can be said in no other way up to Ray 2.63, which warns from 2.60 on.
            warnings.filterwarnings("ignore", message=".*ray_remote_args.*")
            found = blocks.map_batches(
                ScanActor,
                fn_constructor_args=(self._setup,),
                batch_size=None,
                batch_format="pyarrow",
                compute=data.ActorPoolStrategy(
                    min_size=least, max_size=self.workers, max_tasks_in_flight_per_actor=_AHEAD
                ),
                num_cpus=options.cpus_per_worker,
                num_gpus=options.gpus_per_worker or None,
                max_restarts=-1,
                max_task_retries=_TASK_RETRIES,
            )
        try:
            for block in found.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for result in block.column("result").to_pylist():
                    yield pickle.loads(result)
        except SurfaceDefectError:
            raise
        except Exception as error:
            raise BatchError(
                f"the Ray cluster failed ({type(error).__name__}: {_last_line(error)}); what was done is kept: see "
                "that the cluster runs, then run the same again"
            ) from error

    @contextmanager
    def _joined(self) -> Iterator[None]:
        """Be part of the cluster while the block runs; one that was joined before stays joined."""
        ray: Any = require("ray", extra="ray")
        ours = not ray.is_initialized()
        if ours:
            self._connect(ray)
        context: Any = require("ray.data", extra="ray").DataContext.get_current()
        before = context.max_errored_blocks, context.enable_progress_bars
        context.max_errored_blocks, context.enable_progress_bars = -1, False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            self.workers = self._room(ray)
            yield
        finally:
            context.max_errored_blocks, context.enable_progress_bars = before
            if ours:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        usual: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self._address != "local":
                ray.init(address=self._address, **usual)
                return
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            paths = os.pathsep.join(filter(None, sys.path))
            workers, each = self._setup.options.workers, self._setup.options.cpus_per_worker
            ray.init(
                address="local",
                num_cpus=None if workers is None else max(1, round(workers * each)),
                object_store_memory=_LOCAL_STORE_BYTES,
                include_dashboard=False,
                runtime_env={"env_vars": {"PYTHONPATH": paths}},
                **usual,
            )
        except Exception as error:
            raise BatchError(
                f"the Ray cluster '{self._address}' cannot be joined ({type(error).__name__}: {error}); expected "
                "'local', 'auto' or the address of a running cluster, such as ray://head:10001"
            ) from error

    def _room(self, ray: Any) -> int:
        """Count the workers to ask for: as told, else as many as the cluster has room for now."""
        options, there = self._setup.options, ray.cluster_resources()
        fits = [
            int((there.get(name, 0) + 1e-9) // each)
            for name, each in (("CPU", options.cpus_per_worker), ("GPU", options.gpus_per_worker))
            if each
        ]
        if options.workers is None or self._address == "local":
            if not fits or min(fits) < 1:
                have = ", ".join(f"{there.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
                raise BatchError(
                    f"the Ray cluster has {have}; expected room for a worker of {options.cpus_per_worker:g} CPU and "
                    f"{options.gpus_per_worker:g} GPU: ask for less, or say how many workers to wait for"
                )
            return min(fits) if options.workers is None else options.workers
        return options.workers


def _lost_reason() -> str:
    return (
        f"the machine or worker that looked at it was lost {_TIMES_MISSED * (_TASK_RETRIES + 1)} times; expected one "
        "that stays: look at the cluster's logs"
    )


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return shortened(lines[-1]) if lines else ""
