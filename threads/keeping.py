"""What is kept when a command has ended: the tree as it was left, what landed on the branch, and what made what."""

from collections.abc import Iterable
from typing import Any

from artifacts.bare import Bare, Change, Entry
from artifacts.made import Made, words
from artifacts.models import Repository
from artifacts.paths import is_inside_repository
from artifacts.repositories import Landing, author
from artifacts.tree import Snapshot
from houses.tenancy import inside
from sandboxes.provider import Exit, ProviderError
from streams.events import few
from streams.outbox import announce
from threads.commands import CANCELLED, COMPLETED, FAILED, Command
from threads.events import ArtifactMade
from threads.resolving import leave
from threads.rights import NoLongerAllowed

ANNOUNCED = 100  # files of one command that its thread is told of one by one; the rows tell of all


def keep(command: Command, ended: Exit, status: str, reason: str) -> None:
    """Look at the tree and record everything in one transaction, once: whoever comes second finds it done."""
    sandbox = command.sandbox
    assert sandbox is not None
    with sandbox.alone():
        try:
            with inside(command.house_id):
                repository = command.environment.repository
            seen, reads = sandbox.look(repository), sandbox.machine.reads(sandbox.ref)
        except ProviderError:  # the machine is gone, and its tree with it
            seen, reads = None, None
        with inside(command.house_id):
            mine = Command.objects.unfinished().select_for_update().filter(pk=command.pk).first()
            if mine is not None:
                mine.figures = command.figures
                mine.figures.exit = ended
                _record(mine, ended, *(_wanted_end(mine) or (status, reason)), seen, reads)
    leave(command)


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


def _record(
    command: Command, ended: Exit, status: str, reason: str, seen: Snapshot | None, reads: set[str] | None
) -> None:
    kept: dict[str, Any] = {}
    if seen is not None and command.before_tree is not None:
        repository = command.environment.repository
        changes = repository.bare.changes(command.before_tree, seen.tree)
        kept = _keep_tree(command, repository, seen, changes)
        # A step of a make, a stopped command and one that broke a limit may have left half a file: not for the branch.
        whole = status == COMPLETED or (status == FAILED and ended.reason == "exited" and not command.make_id)
        held = _hold(command, repository, {change.path for change in changes}, whole=whole)
        if whole:
            kept |= _land(command, repository, seen, held)
            _tell_made(command, repository, seen, reads - held if reads else reads, ended.code)
    if kept.get("conflicts") and command.make_id:
        status, reason = (
            FAILED,
            "What it made was changed on the branch meanwhile: " + ", ".join(kept["conflicts"][:20]),
        )
    by = command.stop_asked_by if status == CANCELLED and command.stop_asked_by else command.agent
    command.finish(status, by=by, reason=reason, exit_code=ended.code, **kept)


def _keep_tree(command: Command, repository: Repository, seen: Snapshot, changes: list[Change]) -> dict[str, Any]:
    """The tree as it was left, as a commit under `refs/arbe/snapshots/`.

    The reference carries the command's id, and the event that tells of the command's end carries the commit: an event
    cannot know its own seq before it is written.
    """
    assert command.sandbox is not None
    parents = [command.sandbox.snapshot] if command.sandbox.snapshot else []
    bare = repository.bare
    snapshot = bare.commit(seen.tree, parents, author(command.agent), f"$ {command.text}")
    bare.keep(f"{command.thread_id}/{command.pk}", snapshot)
    command.sandbox.keep(snapshot)
    named = few({"path": c.path, "change": c.kind, "old": c.old, "new": c.new} for c in changes)
    return {
        "snapshot": snapshot,
        "changed": named,
        "more": len(changes) - len(named),
        "left_out": few({"path": left.path, "bytes": left.size, "reason": left.reason} for left in seen.left_out),
    }


def _hold(command: Command, repository: Repository, written: set[str], *, whole: bool) -> set[str]:
    """Which paths of the tree do not land: those that nobody has finished writing since they were first held.

    What a command leaves half done is held until another writes it. What it wrote in the company of others may be
    theirs, and half done: of that only what its own text names is let go, until it is the last.
    """
    sandbox = command.sandbox
    assert sandbox is not None
    held = before = sandbox.held_paths(repository)
    if whole:
        company = Command.objects.started_in(sandbox).exclude(pk=command.pk).exists()
        finished = written & words(command.text) if company else written
        held = (held | written) - finished if company else held - finished
    else:
        held = held | written
    if held != before:
        sandbox.hold(repository, held)
    return held


def _land(command: Command, repository: Repository, seen: Snapshot, held: set[str]) -> dict[str, Any]:
    """Merge what is new in the tree onto the branch. What both sides changed stays as the branch has it; it is told."""
    sandbox, bare = command.sandbox, repository.bare
    assert sandbox is not None and sandbox.base_tree is not None
    base = sandbox.base_tree
    tree = bare.edit(seen.tree, _entries(bare, base, held)) if held else seen.tree
    landing = repository.land(base, tree, by=command.agent, message=f"$ {command.text}", key=command.pk)
    if landing.replayed:
        level = _as_landed_before(bare, base, landing)
    else:
        # The branch has all of it now, but for the conflicts: there the next landing compares with the old base again.
        level = bare.edit(tree, _entries(bare, base, landing.conflicts)) if landing.conflicts else tree
    sandbox.note_landing(level)
    return {"landed": landing.commit if landing.changes else None, "conflicts": few(landing.conflicts)}


def _as_landed_before(bare: Bare, base: str, landing: Landing) -> str:
    """The base after a landing whose worker died before it was written down.

    What landed is the tree of that time. Other commands may have gone on in it since: what they changed is not on the
    branch, and called landed it never would be. So the base follows that commit alone, and only where nothing landed
    over it: there it still is what the commit replaced.
    """
    present = bare.oids(base, [change.real for change in landing.changes])
    followed = [change for change in landing.changes if present[change.real] == change.old]
    return bare.edit(base, {change.real: bare.holding(landing.tree, change.real) for change in followed})


def _entries(bare: Bare, tree: str, paths: Iterable[str]) -> dict[str, Entry | None]:
    return {path: bare.entry(tree, path) for path in paths if is_inside_repository(path)}


def _tell_made(
    command: Command, repository: Repository, seen: Snapshot, reads: set[str] | None, exit_code: int | None
) -> None:
    environment = command.environment
    assert command.before_tree is not None
    run = Made(
        before=command.before_tree,
        after=seen.tree,
        reads=reads,
        recipe={
            "kind": "command",
            "command": command.text,
            "environment": environment.pk,
            "environment_digest": environment.digest,
        },
        commit=repository.head,
        by=command.agent,
        thread_id=command.thread_id,
        command_id=command.pk,
        seconds=command.seconds,
        exit_code=exit_code or 0,
        overlapped=command.overlapped,
        targets=command.targets,
    )
    for derivation in repository.record(run)[:ANNOUNCED]:
        inputs = [{"path": source.path, "oid": source.oid, "how": source.how} for source in derivation.inputs.all()]
        announce(
            command.thread,
            ArtifactMade(
                path=derivation.path,
                oid=derivation.oid,
                commit=derivation.commit,
                inputs=few(inputs),
                command_id=command.pk,
                repository_id=repository.pk,
            ),
            by=command.agent,
        )
