"""The edge: an answer is claimed and followed in a thread of a worker, beside the commands that it follows."""

import logging
import threading
from collections.abc import Sequence

from django.db import close_old_connections, connection

from houses.refusals import Refused
from houses.tenancy import inside
from streams.client import StreamError
from threads.answering.loop import PAUSES, Answering
from threads.answers import Answer
from threads.followed import FAILED, MOST_ATTEMPTS, RUNNING
from threads.following.holding import held

logger = logging.getLogger(__name__)
PLACES = threading.BoundedSemaphore(16)  # answers that one worker gives at a time; the rest wait as rows


def answer_aside(house_id: str, answer_id: str) -> None:
    """Claim an answer and give it in a thread of this process. Without a place to spare it waits for the sweep."""
    if PLACES.acquire(blocking=False):
        name = f"answer {answer_id}"
        threading.Thread(target=_answer_here, args=[house_id, answer_id], name=name, daemon=True).start()


def _answer_here(house_id: str, answer_id: str) -> None:
    close_old_connections()
    try:
        with inside(house_id):
            answer = Answer.objects.claim(answer_id)
        if answer is not None:
            follow(answer)
    except StreamError:
        logger.warning("the stream of answer %s cannot be reached; another worker will go on", answer_id)
    except Exception:  # the edge of this thread: what is not written down is taken over by the sweep
        logger.exception("answer %s lost its follower", answer_id)
    finally:
        connection.close()
        PLACES.release()


def follow(answer: Answer, pauses: Sequence[float] = PAUSES) -> None:
    """From the claim to the rest. A provider that does not answer as it should is asked again after these pauses."""
    if answer.attempts <= MOST_ATTEMPTS:
        with held(answer):
            _see_through(answer, pauses)
        return
    failed = Refused(f"arbe failed to answer, {MOST_ATTEMPTS} times; its operator finds the reason in the log.")
    with inside(answer.house_id):
        row = Answer.objects.select_for_update().filter(pk=answer.pk, status=RUNNING).first()
        if row is not None:
            row.finish(FAILED, code="failed", reason=failed.detail)


def _see_through(answer: Answer, pauses: Sequence[float]) -> None:
    try:
        Answering(answer, pauses).see_through()
    except StreamError as error:
        if not error.permanent:  # the server is away for a while: nobody could have given it
            with inside(answer.house_id):
                answer.uncount()
        raise
