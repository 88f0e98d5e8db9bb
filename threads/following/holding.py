"""Whoever follows a row of work holds it by a lease, and looks at it now and then: it may have to end."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error, connection

from houses.tenancy import inside, need_not_last
from threads.commands import Command
from threads.followed import LEASE
from threads.rights import NoLongerAllowed

logger = logging.getLogger(__name__)
EVERY = LEASE.total_seconds() / 6  # seconds between two looks at the row
STUCK = 900.0  # seconds without a look after which nobody believes that its follower gets on


@contextmanager
def held(row: Any) -> Iterator[None]:
    """Renews the lease of its follower, who may be busy for long: with a machine, with files, with a stream that is
    away. One that is stuck for good loses it, and so does whoever was overtaken.
    """
    over = threading.Event()
    row.looked_at = time.monotonic()
    threading.Thread(target=_hold, args=[row, over], name=f"lease {row.pk}", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _hold(row: Any, over: threading.Event) -> None:
    """While its follower looks at the row often enough by itself, this costs nothing."""
    while not over.wait(LEASE.total_seconds() / 3):
        if not LEASE.total_seconds() / 3 < time.monotonic() - row.looked_at < STUCK:
            continue
        try:
            with inside(row.house_id):
                need_not_last()
                row.prolong()
        except Error as error:  # the database may be away for a moment, and is asked again
            logger.warning("the lease of %s was not renewed: %s", row.pk, error)
        finally:
            connection.close()


def still_mine(command: Command) -> bool:
    """Renew the lease, and end the process if somebody asked for that, or if nobody may have it run any more.

    A lost bell must not keep it running, nor must a right that was lost.
    """
    with inside(command.house_id):
        need_not_last()
        mine = command.renew()
        command.refresh_from_db(fields=["stop_asked_by", "reason"])
        if mine and not command.is_ending and command.seconds > EVERY:  # its start has just asked
            _end_if_not_allowed(command)
    if mine and command.is_ending:
        command.end_process()
    return mine


def _end_if_not_allowed(command: Command) -> None:
    try:
        command.require_still()
    except NoLongerAllowed as lost:
        Command.objects.get(pk=command.pk).end(reason=lost.detail)
        command.reason = lost.detail
