"""Looking after an answer while it goes on: the lease, whether somebody stopped it, and whether it may still be."""

import time

from django.db import close_old_connections

from houses.refusals import Refused
from houses.rights import held
from houses.scopes import R, W
from houses.tenancy import inside, need_not_last
from threads.answers import Answer
from threads.following.holding import EVERY
from threads.rights import NoLongerAllowed


class TakenOver(Exception):
    """Another worker follows it now, or it is over."""


class Stopped(Refused):
    """Somebody wanted it to end."""

    code = "stopped"


class Watch:
    """Called again and again, it looks at the row once a second."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._last = 0.0

    def __call__(self) -> None:
        """Raises `TakenOver`, `Stopped`, `NoLongerAllowed`."""
        if time.monotonic() - self._last < EVERY:
            return
        answer = self.answer
        with inside(answer.house_id):
            need_not_last()
            if not answer.renew():
                raise TakenOver
            answer.refresh_from_db(fields=["stop_asked_by"])
            if answer.stop_asked_by is not None:
                raise Stopped(f"Stopped by {answer.stop_asked_by}.")
            self._require_still()
        close_old_connections()  # it may take long, and others have use for the connection
        self._last = time.monotonic()

    def _require_still(self) -> None:
        """Both the bot and who asked it have to be allowed to write here, now as before."""
        answer = self.answer
        found = held([answer.agent, answer.asked_by], [answer.thread])
        for agent in (answer.agent, answer.asked_by):
            if not {R, W} <= set(found[agent.pk, answer.thread_id].bits):
                raise NoLongerAllowed(f"Stopped: {agent} may not write in this thread any more.")
