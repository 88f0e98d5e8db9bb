"""A worker does its jobs itself: starting one takes milliseconds, where a fork takes tens of them."""

import os
import sys
import threading
from types import FrameType
from typing import NoReturn

from django.db import close_old_connections
from rq import SimpleWorker
from rq.job import Job
from rq.queue import Queue

PATIENCE = 2.0  # seconds from the request to stop until the process is gone, whatever it does


class Worker(SimpleWorker):
    """Stops promptly; what it was following goes on in its sandbox, and the next worker reads on from there."""

    def perform_job(self, job: Job, queue: Queue) -> bool:
        close_old_connections()
        try:
            return bool(super().perform_job(job, queue))
        finally:
            close_old_connections()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        leave_within(PATIENCE)
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # rq comes without types


def leave_within(seconds: float) -> None:
    """A job or a thread in the middle of something does not hold up the end."""
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()


def leave() -> NoReturn:
    """Without waiting for threads that follow processes: a thread cannot be asked to stop."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
