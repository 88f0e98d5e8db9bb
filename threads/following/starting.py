"""Starting a command: what it is given, the machine it gets, the tree it finds. Nothing of that happens twice."""

import time

from django.db import transaction

from artifacts.merge import still_marked
from artifacts.repositories import author
from houses.refusals import Refused
from houses.tenancy import inside
from sandboxes.models import Sandbox
from sandboxes.provider import Exec
from streams.outbox import announce
from threads.commands import Command
from threads.events import CommandStarted
from threads.following.launching import adapter_of, bring_session, exec_of
from threads.following.resolving import place_of
from threads.handing import Handed, place
from threads.rights import NoLongerAllowed

PROGRESS = [
    "status", "reason", "stop_asked_by", "started_at", "before_tree", "overlapped", "handed",
    "sequence", "poured", "pouring", "style", "redactions", "session",
]  # fmt: skip


def start(command: Command) -> dict[str, str]:
    """See to it that it runs; returns the secrets it was started with. Raises `Refused`, `ProviderError`."""
    if command.is_ending and command.started_at is None:
        raise _stopped(command)
    with inside(command.house_id):
        if command.started_at is None:  # before a machine is made for it, which takes as long as it takes
            command.require_still()
        handed = command.handing()
        what = _exec(command, handed)
    if not _started(command, what, handed):  # somebody else was first, perhaps with other values
        with inside(command.house_id):
            handed = command.handing()
    return handed.hidden


def _exec(command: Command, handed: Handed) -> Exec:
    if command.is_run:
        return exec_of(command, handed)
    environment, here = command.environment, place(command.house_id, command.thread_id)
    return Exec(
        process_id=command.pk,
        command=command.text,
        env=author(command.agent).variables | environment.variables() | here | handed.values,
        limits=environment.limits,
        network=environment.network,
    )


def _started(command: Command, what: Exec, handed: Handed) -> bool:
    """Resolve the machine, bring its tree up to the branch, and start. False if somebody else did meanwhile."""
    began = time.monotonic()
    sandbox = place_of(command)
    resolved = time.monotonic()
    if command.started_at is not None:
        sandbox.machine.exec(sandbox.ref, what)
        return True
    with sandbox.alone():
        before = _prepare_tree(command, sandbox)
        if before is None:
            return False
        if command.is_run:
            with inside(command.house_id):
                bring_session(command, sandbox)
                what = exec_of(command, handed)  # in the session that is there
            _say_first_words(command, sandbox)
        prepared = time.monotonic()
        with inside(command.house_id):
            command.require_still()
            waited = command.note_start(before_tree=before, handed=handed)
            if waited is None:
                command.refresh_from_db(fields=PROGRESS)
                raise _stopped(command)
            # The first thing on commit: it runs while its start is being told.
            transaction.on_commit(lambda: sandbox.machine.exec(sandbox.ref, what))
            split = {
                "queue": round(waited - prepared + began, 4),
                "sandbox": round(resolved - began, 4),
                "tree": round(prepared - resolved, 4),
            }
            command.figures.queue, command.figures.sandbox, command.figures.tree = split.values()
            if command.is_run:
                command.tell_run_started(split)
            else:
                started = CommandStarted(command_id=command.pk, sandbox_id=sandbox.pk, split=split)
                announce(command.thread, started, by=command.agent)
    return True


def _say_first_words(run: Command, sandbox: Sandbox) -> None:
    """What the agent reads as soon as it runs; it is there before it, and once."""
    for number, line in enumerate(adapter_of(run).opening()):
        sandbox.machine.send(sandbox.ref, run.pk, f"opening {number}", line)


def _prepare_tree(command: Command, sandbox: Sandbox) -> str | None:
    """The tree that the command will find; None if somebody else started it while we waited for the machine.

    In the company of other commands the tree is taken as it is.
    """
    with inside(command.house_id):
        command.refresh_from_db(fields=PROGRESS)
        if command.is_over or (command.is_ending and command.started_at is None):
            raise _stopped(command)
        repository = command.environment.repository
        company = Command.objects.started_in(sandbox).exclude(pk=command.pk).exists()
    if command.started_at is not None:
        return None
    if company:
        return sandbox.look(repository).tree
    sandbox.level(repository, command.branch if command.is_run else None)
    sandbox.machine.arm(sandbox.ref)
    assert sandbox.tree is not None and sandbox.base_tree is not None
    if command.is_run:
        files = still_marked(repository.bare, sandbox.base_tree, sandbox.tree)
        command.session["marked"] = {"files": files[:20], "branch": repository.branch} if files else {}
    return sandbox.tree


def _stopped(command: Command) -> Refused:
    if command.reason and not command.is_over:
        return NoLongerAllowed(command.reason)
    by = f" by {command.stop_asked_by}" if command.stop_asked_by_id else ""
    return Refused(f"Stopped{by} before it began.")
