"""Whoever follows a command looks at its row now and then: it may have to end."""

from houses.tenancy import inside, need_not_last
from threads.commands import Command
from threads.followed import LEASE
from threads.rights import NoLongerAllowed

EVERY = LEASE.total_seconds() / 6  # seconds between two looks at the row


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
