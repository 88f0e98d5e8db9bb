"""Letting machines go: one at a time, and never under somebody who has work on them, or is about to."""

from django.db.models import Q

from houses.tenancy import inside
from sandboxes.models import Sandbox
from threads.commands import Command
from threads.thread import Thread


def leave(command: Command) -> None:
    """Let a machine go that no thread and no other command needs: a step's, or one of another environment.

    Call it outside of any transaction. Its snapshot stays.
    """
    with inside(command.house_id):
        sandbox = command.sandbox
        if sandbox is None or _is_needed(sandbox, command):
            return
    with sandbox.alone():
        with inside(command.house_id):
            # Whoever resolves a machine locks its row first: they come before this, or find it dead.
            list(Sandbox.objects.filter(pk=sandbox.pk).select_for_update(no_key=True))
            if _is_needed(sandbox, command):
                return
            sandbox.bury()
        sandbox.machine.destroy(sandbox.ref)


def _is_needed(sandbox: Sandbox, command: Command) -> bool:
    if command.make_id is None and Thread.objects.on(sandbox).exists():
        return True
    comes = Q(sandbox=None, thread__sandbox=sandbox)
    others = Command.objects.unfinished().exclude(pk=command.pk)
    return others.filter(Q(sandbox=sandbox) | comes).exists()
