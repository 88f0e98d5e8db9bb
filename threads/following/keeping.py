"""What is kept when a command has ended: the tree as it was left, what landed on the branch, and what made what."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from artifacts.bare import Change
from artifacts.models import Repository
from artifacts.repositories import author
from artifacts.tree import Snapshot
from houses.tenancy import inside
from sandboxes.provider import Exit, ProviderError
from sandboxes.redaction import Redactor
from streams.events import few
from threads.commands import Command
from threads.followed import CANCELLED, COMPLETED, FAILED
from threads.following.crediting import MEMORY, Memory, credit
from threads.following.landing import hold, land, land_run, title
from threads.following.launching import pack_session
from threads.leaving import leave
from threads.rights import NoLongerAllowed
from threads.runtimes.adapter import Outcome


@dataclass(frozen=True)
class Seen:
    """A machine at the end of a command: its tree, what was read in it, and of an agent the session, as a tree."""

    snapshot: Snapshot
    reads: set[str] | None
    session: str = ""


def keep(command: Command, ended: Exit, status: str, reason: str) -> None:
    """Look at the tree and record everything in one transaction, once: whoever comes second finds it done."""
    with _at_rest(command, ended) as (mine, seen):
        if mine is not None:
            _record(mine, ended, *(_wanted_end(mine) or (status, reason)), seen)
    leave(command)


def keep_run(command: Command, ended: Exit | None, outcome: Outcome) -> None:
    """The same for the run of an agent: `outcome` says how it went, by what it said and how its program ended."""
    with _at_rest(command, ended) as (mine, seen):
        if mine is not None:
            wanted = _wanted_end(mine)
            if wanted is not None:
                code = outcome.code if outcome.status == CANCELLED else "stopped"
                outcome = Outcome(wanted[0], code or "stopped", wanted[1], outcome.summary)
            _record_run(mine, ended, outcome, seen)
    leave(command)


@contextmanager
def _at_rest(command: Command, ended: Exit | None) -> Iterator[tuple[Command | None, Seen | None]]:
    """The row, locked, and what its machine holds; no row if somebody has recorded its end, no machine if it is gone.

    The machine is looked at outside of the transaction.
    """
    sandbox = command.sandbox
    assert sandbox is not None
    with sandbox.alone():
        seen = _look(command)
        with inside(command.house_id):
            mine = Command.objects.unfinished().select_for_update().filter(pk=command.pk).first()
            if mine is not None:
                mine.figures = command.figures
                mine.figures.exit = ended
                if mine.is_run:
                    mine.lock_around()
            yield mine, seen


def _look(command: Command) -> Seen | None:
    sandbox = command.sandbox
    assert sandbox is not None
    try:
        with inside(command.house_id):
            repository = command.environment.repository
            hidden = command.handing().hidden if command.is_run else {}
        snapshot, reads = sandbox.look(repository), sandbox.machine.reads(sandbox.ref)
    except ProviderError:  # the machine is gone, and its tree with it
        return None
    try:
        redactor = Redactor({name: value.encode() for name, value in hidden.items()})
        packed = pack_session(command, repository, redactor) if command.is_run else ""
        return Seen(snapshot, reads, packed)
    except ProviderError:  # what the agent made counts, whatever becomes of what it remembers
        return Seen(snapshot, reads)


def _wanted_end(command: Command) -> tuple[str, str] | None:
    """Status and reason of one whose end was asked for, or whose agent lost the right: nothing of it lands.

    Asked again in the transaction that records, however it ended: what is kept of it is kept for that agent.
    """
    if command.reason:
        return CANCELLED, command.reason
    if command.stop_asked_by_id:
        return CANCELLED, f"Stopped by {command.stop_asked_by}."
    try:
        command.require_still()
    except NoLongerAllowed as lost:
        return CANCELLED, lost.detail
    return None


def _record(command: Command, ended: Exit, status: str, reason: str, seen: Seen | None) -> None:
    kept: dict[str, Any] = {}
    if seen is not None and command.before_tree is not None:
        # A step of a make, a stopped command and one that broke a limit may have left half a file: not for the branch.
        whole = status == COMPLETED or (status == FAILED and ended.reason == "exited" and not command.make_id)
        kept = _keep(command, seen, whole=whole, exit_code=ended.code or 0)
    if kept.get("conflicts") and command.make_id:
        status, reason = FAILED, "What it made was changed on the branch meanwhile: " + _some(kept["conflicts"])
    by = command.stop_asked_by if status == CANCELLED and command.stop_asked_by else command.agent
    command.finish(status, by=by, reason=reason, exit_code=ended.code, **kept)


def _record_run(run: Command, ended: Exit | None, outcome: Outcome, seen: Seen | None) -> None:
    """Only what an agent has finished lands; what it left when it failed or was stopped is there when it goes on."""
    kept: dict[str, Any] = {}
    if seen is not None and run.before_tree is not None:
        kept = _keep(run, seen, whole=outcome.status == COMPLETED, exit_code=0)
        _keep_session(run, seen)
    elif outcome.status == COMPLETED:
        lost = "Its machine was gone before anybody could look at what it made; say something, and it does it again."
        outcome = Outcome(FAILED, "machine_gone", lost, outcome.summary)
    if kept.get("conflicts"):
        status = FAILED if run.make_id else outcome.status
        outcome = Outcome(status, "conflict", _how_to_go_on(run, kept["conflicts"]), outcome.summary)
    by = run.stop_asked_by if outcome.status == CANCELLED and run.stop_asked_by else run.actor
    run.finish_run(
        outcome.status,
        by=by,
        reason=outcome.sentence,
        code=outcome.code,
        summary=outcome.summary,
        exit_code=ended.code if ended else None,
        ended=ended,
        **kept,
    )


def _how_to_go_on(run: Command, conflicts: list[str]) -> str:
    branch = run.environment.repository.branch
    return (
        f"Nothing of it landed: {_some(conflicts)} changed on `{branch}` as well while it worked. "
        f"What it made is kept on the branch `{run.branch}`, to be merged by hand; or say what to do, and it goes on."
    )


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:20])


def _keep(command: Command, seen: Seen, *, whole: bool, exit_code: int) -> dict[str, Any]:
    """The tree always; of what it made in there what is `whole`, as far as it is on the branch after that."""
    assert command.before_tree is not None
    repository = command.environment.repository
    changes = repository.bare.changes(command.before_tree, seen.snapshot.tree)
    kept = _keep_tree(command, repository, seen.snapshot, changes)
    held = hold(command, repository, {change.path for change in changes}, whole=whole)
    if whole:
        # What an agent had left behind lands with the rest, and is its work as well.
        before = command.sandbox.base_tree if command.is_run and command.sandbox else command.before_tree
        landed = land_run if command.is_run else land
        kept |= landed(command, repository, seen.snapshot, held)
        reads = seen.reads - held if seen.reads else seen.reads
        if not kept.get("branch"):
            credit(command, repository, (before or command.before_tree, seen.snapshot.tree), reads, exit_code)
    return kept


def _keep_tree(command: Command, repository: Repository, seen: Snapshot, changes: list[Change]) -> dict[str, Any]:
    """The tree as it was left, as a commit under `refs/arbe/snapshots/`.

    The reference carries the command's id, and the event that tells of the command's end carries the commit: an event
    cannot know its own seq before it is written.
    """
    assert command.sandbox is not None
    parents = [command.sandbox.snapshot] if command.sandbox.snapshot else []
    bare = repository.bare
    snapshot = bare.commit(seen.tree, parents, author(command.actor), title(command))
    bare.keep(f"{command.thread_id}/{command.pk}", snapshot)
    command.sandbox.keep(snapshot)
    named = few({"path": c.path, "change": c.kind, "old": c.old, "new": c.new} for c in changes)
    return {
        "snapshot": snapshot,
        "changed": named,
        "more": len(changes) - len(named),
        "left_out": few({"path": left.path, "bytes": left.size, "reason": left.reason} for left in seen.left_out),
    }


def _keep_session(run: Command, seen: Seen) -> None:
    """For the next run: where the session is, what the agent was told in it and has read."""
    bare = run.environment.repository.bare
    memory = Memory.before(run, bare).after(run, bare, seen.reads).keep(bare)
    run.session = {**run.session, MEMORY: memory} | ({"tree": seen.session} if seen.session else {})
    Command.objects.filter(pk=run.pk).update(session=run.session)
