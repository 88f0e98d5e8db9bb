"""Which machine a command runs on: live → use, dead → resume, none → create."""

from datetime import UTC, datetime

from django.db import transaction

from houses.agents import Agent
from houses.measures import SANDBOX_STARTS
from houses.refusals import Refused
from houses.tenancy import inside
from sandboxes.events import SandboxCreated, SandboxResumed
from sandboxes.machines import DEAD, PENDING
from sandboxes.models import Sandbox
from streams.outbox import announce
from threads.commands import Command
from threads.followed import RUNNING
from threads.runs import AT_WORK
from threads.thread import Thread
from threads.witnessing import LIVE, MADE, RESUMED


def place_of(command: Command) -> Sandbox:
    """The machine, ready. Raises `ProviderError`, `Refused`."""
    while True:
        with inside(command.house_id):
            sandbox = _row_for(command)
        if command.started_at is not None or sandbox.is_alive():
            command.figures.machine = command.figures.machine or LIVE
            return sandbox
        with sandbox.alone():
            if sandbox.is_alive():
                return sandbox
            if sandbox.status == PENDING:
                command.figures.machine = RESUMED if sandbox.snapshot else MADE
                _make(command, sandbox)
                return sandbox
            sandbox.bury()  # the row said live and the machine is gone: resume


def _make(command: Command, sandbox: Sandbox) -> None:
    try:
        seconds = sandbox.make_ready(lambda: _is_wanted(command))
    except BaseException:
        SANDBOX_STARTS.labels("failed").inc()
        sandbox.machine.destroy(sandbox.ref)  # half a machine is no machine; the row still waits for a whole one
        raise
    SANDBOX_STARTS.labels("made").inc()
    with inside(command.house_id):
        created = SandboxCreated(sandbox_id=sandbox.pk, seconds=round(seconds, 3))
        announce(command.thread, created, by=command.agent)


def _is_wanted(command: Command) -> bool:
    with inside(command.house_id):
        command.renew()  # a set-up takes as long as it takes
        return Command.objects.filter(pk=command.pk, status=RUNNING, stop_asked_by=None, reason="").exists()


@transaction.atomic
def _row_for(command: Command) -> Sandbox:
    """The row to use. A thread's machine is shared by its commands; another environment gets a machine for itself."""
    list(Command.objects.filter(pk=command.pk).select_for_update(no_key=True))  # as everywhere, before its thread
    thread = _locked_thread(command)
    mine = Sandbox.objects.filter(commands=command).first()
    if command.started_at is not None:
        if mine is None:
            raise Refused("The machine it ran on is gone.")
        command.sandbox = mine
        return mine
    sandbox = _threads_own(thread, command) if _is_usual(thread, command) else _apart(command, mine)
    if mine is None or mine.pk != sandbox.pk:
        Command.objects.filter(pk=command.pk).update(sandbox=sandbox)
    command.sandbox = sandbox
    return sandbox


def _locked_thread(command: Command) -> Thread:
    """The thread's row; before it that of its machine, dead or not, which all who share it lock first."""
    current = Thread.objects.filter(pk=command.thread_id).values("sandbox_id")
    list(Sandbox.objects.filter(pk__in=current).select_for_update(no_key=True))
    # The sandbox is read after the lock: joined, whoever waited would see the row from before the wait, without one.
    return Thread.objects.select_for_update(no_key=True).get(pk=command.thread_id)


def _is_usual(thread: Thread, command: Command) -> bool:
    """Whether the command runs in the environment that the thread has, or the house for it."""
    return bool(command.environment_id == thread.resolve_environment().pk)


def _threads_own(thread: Thread, command: Command) -> Sandbox:
    sandbox = thread.sandbox
    if sandbox is not None and sandbox.status == DEAD and sandbox.environment_id == command.environment_id:
        return resume(sandbox, by=command.agent)
    # None yet, or one of the house's default before this one.
    if sandbox is None or sandbox.environment_id != command.environment_id:
        sandbox = Sandbox.objects.born(command.environment)
        Thread.objects.filter(pk=thread.pk).update(sandbox=sandbox)
    return sandbox


def _apart(command: Command, mine: Sandbox | None) -> Sandbox:
    return mine if mine is not None and mine.status != DEAD else Sandbox.objects.born(command.environment)


def resume(dead: Sandbox, *, by: Agent) -> Sandbox:
    """A new machine with the dead one's tree, and every thread that shared it repointed together. Rows first."""
    # Whoever comes second finds the threads repointed: the row of the dead machine is the lock.
    Sandbox.objects.select_for_update(no_key=True).get(pk=dead.pk)
    sandbox = Sandbox.objects.born(dead.environment, from_=dead)
    lost = _lost(dead)
    for thread in Thread.objects.on(dead).select_for_update(no_key=True):
        Thread.objects.filter(pk=thread.pk).update(sandbox=sandbox)
        resumed = SandboxResumed(sandbox_id=sandbox.pk, restored_from=dead.snapshot, lost=lost)
        announce(thread, resumed, by=by)
    return sandbox


def _lost(dead: Sandbox) -> str:
    """What was in its tree and is nowhere else, as far as that is known."""
    if not dead.snapshot:
        return "Everything that was never committed: the machine died before its first snapshot."
    bare = dead.environment.repository.bare
    last = Command.objects.filter(sandbox=dead, finished_at__isnull=False, started_at__isnull=False)
    ended = last.order_by("-finished_at").first()
    kept = bare.lookup(dead.snapshot)
    if ended is None or (bare.kept(f"{ended.thread_id}/{ended.pk}") and not kept.message.endswith(AT_WORK)):
        return ""
    moment = datetime.fromtimestamp(kept.author.time, UTC)
    return f"What changed after its files were last kept, on {moment:%d %B at %H:%M:%S} UTC."
