"""Which machine a command runs on: live → use, dead → resume, none → create (seed 003, "Resume flow")."""

from django.db import transaction

from houses.agents import Agent
from houses.tenancy import inside
from sandboxes.events import SandboxCreated, SandboxResumed
from sandboxes.machines import PENDING
from sandboxes.models import Sandbox
from streams.outbox import announce
from threads.commands import Command
from threads.thread import Thread


def place_of(command: Command) -> Sandbox:
    """The machine, ready. Raises `ProviderError`, `Refused`."""
    while True:
        with inside(command.house_id):
            sandbox = _row_for(command)
        if command.started_at is not None:
            return sandbox
        with sandbox.alone():
            if sandbox.is_alive():
                return sandbox
            if sandbox.status == PENDING:
                _make(command, sandbox)
                return sandbox
            sandbox.bury()  # the row said live and the machine is gone: resume


def _make(command: Command, sandbox: Sandbox) -> None:
    try:
        seconds = sandbox.make_ready()
    except Exception:
        sandbox.destroy()  # half a machine is no machine; the next command starts from the beginning
        raise
    with inside(command.house_id):
        created = SandboxCreated(sandbox_id=sandbox.pk, seconds=round(seconds, 3))
        announce(command.thread, created, by=command.agent)


@transaction.atomic
def _row_for(command: Command) -> Sandbox:
    """The row to use. A thread's machine is shared by its commands; another environment gets a machine for itself."""
    thread = Thread.objects.select_for_update(no_key=True).get(pk=command.thread_id)
    if command.sandbox_id and command.started_at is not None:
        return Sandbox.objects.get(pk=command.sandbox_id)
    sandbox = thread.sandbox or Sandbox.objects.born(command.environment)
    if sandbox.environment_id != command.environment_id:
        sandbox = _own(command)
    elif sandbox.status == "dead":
        sandbox = resume(sandbox, by=command.agent)
    elif thread.sandbox_id is None:
        Thread.objects.filter(pk=thread.pk).update(sandbox=sandbox)
    Command.objects.filter(pk=command.pk).update(sandbox=sandbox)
    command.sandbox = sandbox
    return sandbox


def _own(command: Command) -> Sandbox:
    mine = command.sandbox
    return mine if mine is not None and mine.status != "dead" else Sandbox.objects.born(command.environment)


def resume(dead: Sandbox, *, by: Agent) -> Sandbox:
    """A new machine with the dead one's tree, and every thread that shared it repointed together. Rows first."""
    # Whoever comes second finds the threads repointed: the row of the dead machine is the lock.
    Sandbox.objects.select_for_update().get(pk=dead.pk)
    heir = Thread.objects.on(dead).first()
    if heir is None:
        return Sandbox.objects.born(dead.environment, from_=dead)
    sandbox = Sandbox.objects.born(dead.environment, from_=dead)
    lost = "" if dead.snapshot else "Everything that was never committed: the machine died before its first snapshot."
    for thread in Thread.objects.on(dead).select_for_update(no_key=True):
        Thread.objects.filter(pk=thread.pk).update(sandbox=sandbox)
        resumed = SandboxResumed(sandbox_id=sandbox.pk, restored_from=dead.snapshot, lost=lost)
        announce(thread, resumed, by=by)
    return sandbox
