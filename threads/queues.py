"""The queues of work: Redis only says that there is something to do; the rows say what."""

import logging

import django_rq
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def ring_command(house_id: str, command_id: str, *, is_run: bool = False) -> None:
    """Somebody is to run it. Called after commit. Runs of agents are long: nobody who runs a command waits for them."""
    _ring("runs" if is_run else "commands", "threads.jobs.drive", house_id, command_id)


def ring_stop(house_id: str, command_id: str) -> None:
    """Somebody is to end its process."""
    _ring("commands", "threads.jobs.stop", house_id, command_id)


def ring_make(house_id: str, make_id: str) -> None:
    """A make can go on."""
    _ring("runs", "threads.jobs.advance", house_id, make_id)


def ring_answer(house_id: str, answer_id: str) -> None:
    """A bot is to answer. Called after commit."""
    _ring("commands", "threads.jobs.answer", house_id, answer_id)


def _ring(queue: str, job: str, *args: str) -> None:
    try:
        django_rq.get_queue(queue).enqueue(job, *args, result_ttl=0, failure_ttl=3600)
    except RedisError as error:  # the row waits; the sweep rings when Redis is back
        logger.warning("nobody could be called for %s %s: %s", job, args, error)
