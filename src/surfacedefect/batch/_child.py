"""The process that inspects: reads jobs from its input, fetches one ahead, answers on its output.

It ends with the process that started it, however that ended: then its input ends. What a library prints goes to the
error output, so that answers stay whole.
"""

from __future__ import annotations

import os
import pickle
import queue
import shutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surfacedefect.batch._reading import Reader
    from surfacedefect.batch.jobs import Job, Result

READY, FAILED, BEGUN, ENDED = "ready", "failed", "begun", "ended"
"""First word of an answer: the model is loaded; it cannot be; a scan is begun (with its hash); what became of it."""


def main() -> None:
    """Run until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    jobs, answers = _streams()
    with suppress(OSError):  # the kernel is to take this process for want of memory, not the one that started it
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    setup, scratch = pickle.load(jobs)
    came: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(jobs, came, scratch), daemon=True).start()  # it sees the parent's end
    from surfacedefect.errors import SurfaceDefectError

    try:
        from surfacedefect.batch._one_scan import Inspector
        from surfacedefect.batch._reading import Reader

        inspector, reader = Inspector(setup), Reader(scratch, options=setup.options)
    except SurfaceDefectError as error:
        _tell(answers, (FAILED, error))
        return
    _tell(answers, (READY, None))
    ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_fetch, args=(came, ready, reader), daemon=True).start()
    while True:
        job, fetched, failure = ready.get()
        if fetched is None:
            _tell(answers, (ENDED, failure))
            continue
        if fetched.same:
            _tell(answers, (ENDED, _same(job, fetched)))
        else:
            _tell(answers, (BEGUN, (job.name, fetched.picture, fetched.version)))
            _tell(answers, (ENDED, inspector.inspect(job, fetched)))
        fetched.drop()


def _streams() -> tuple[IO[bytes], IO[bytes]]:
    """Take input and output for ourselves; whatever else prints writes to the error output."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdout = sys.stderr
    return jobs, answers


def _receive(jobs: IO[bytes], came: queue.SimpleQueue[Job], scratch: Path) -> None:
    """Take jobs in while others are computed; end all at once when the parent is gone or lets go."""
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            came.put(pickle.load(jobs))
    shutil.rmtree(scratch.parent, ignore_errors=True)  # the parent may not be there to do it
    os._exit(0)


def _fetch(came: queue.SimpleQueue[Job], ready: queue.SimpleQueue[Any], reader: Reader) -> None:
    """Fetch one scan while another is computed; the parent sends few enough that they do not pile up."""
    from surfacedefect.batch._reading import UnreadError
    from surfacedefect.batch.jobs import Result

    while True:
        job = came.get()
        try:
            ready.put((job, reader.fetch(job), None))
        except UnreadError as error:
            found = {"lasting": error.lasting}
            ready.put((job, None, Result(job, "unread", " ".join(str(error).split()), found=found)))
        except Exception as error:  # no room for what is fetched, or an error of ours: it would not go away
            ready.put((job, None, Result(job, "stop", f"{type(error).__name__}: {error}")))


def _same(job: Job, fetched: Any) -> Result:
    from surfacedefect.batch.jobs import Result

    return Result(job, "same", "", fetched.picture, fetched.version)


def _tell(answers: IO[bytes], message: tuple[str, Any]) -> None:
    pickle.dump(message, answers, protocol=pickle.HIGHEST_PROTOCOL)
    answers.flush()


if __name__ == "__main__":
    main()
