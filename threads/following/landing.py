"""How what a command left in its tree comes to the branch: what is held back, what is merged, what cannot be."""

from collections.abc import Iterable
from typing import Any

from artifacts.bare import Bare, Entry
from artifacts.history import taken_from
from artifacts.merge import still_marked
from artifacts.models import Repository
from artifacts.paths import is_inside_repository
from artifacts.recipes import mentioned, words
from artifacts.repositories import Landing, author
from artifacts.tree import Snapshot
from streams.events import few
from threads.commands import Command
from threads.followed import COMPLETED

LONGEST_TITLE = 100  # characters


def hold(command: Command, repository: Repository, written: set[str], *, whole: bool) -> set[str]:
    """Which paths of the tree do not land: those that nobody has finished writing since they were first held.

    What a command leaves half done is held until another writes it, or until the agent that left it comes to an end.
    What it wrote in the company of others may be theirs, and half done: of that only what its own text names is let
    go, until it is the last.
    """
    sandbox = command.sandbox
    assert sandbox is not None
    held = before = sandbox.held_paths(repository)
    if whole:
        company = Command.objects.started_in(sandbox).exclude(pk=command.pk).exists()
        written = written | _left_behind(command, repository)
        finished = written & _named(command) if company else written
        held = (held | written) - finished if company else held - finished
    else:
        held = held | written
    if held != before:
        sandbox.hold(repository, held)
    return held


def _named(command: Command) -> set[str]:
    return mentioned(command.text) if command.is_run else words(command.text)


def _left_behind(run: Command, repository: Repository) -> set[str]:
    """What this agent wrote in the runs before this one that came to no good end; in this one it has gone on."""
    if not run.is_run:
        return set()
    paths: set[str] = set()
    for before in run.thread.commands.filter(bot=run.bot_id).over().exclude(pk=run.pk).order_by("-created_at"):
        kept = repository.bare.kept(f"{run.thread_id}/{before.pk}")
        if before.status == COMPLETED and repository.bare.head(before.branch) is None:
            break
        if kept and before.before_tree:
            changes = repository.bare.changes(before.before_tree, repository.bare.tree_of(kept))
            paths |= {change.path for change in changes}
    return paths


def land(command: Command, repository: Repository, seen: Snapshot, held: set[str]) -> dict[str, Any]:
    """Merge what is new in the tree onto the branch. What both sides changed stays as the branch has it; it is told."""
    sandbox, bare = command.sandbox, repository.bare
    assert sandbox is not None and sandbox.base_tree is not None
    base = sandbox.base_tree
    tree = bare.edit(seen.tree, _entries(bare, base, held)) if held else seen.tree
    landing = repository.land(base, tree, by=command.agent, message=title(command), key=command.pk)
    if landing.replayed:
        level = _as_landed_before(bare, base, landing)
    else:
        # The branch has all of it now, but for the conflicts: there the next landing compares with the old base again.
        level = bare.edit(tree, _entries(bare, base, landing.conflicts)) if landing.conflicts else tree
    sandbox.note_landing(level)
    return _told(landing)


def land_run(run: Command, repository: Repository, seen: Snapshot, held: set[str]) -> dict[str, Any]:
    """The same for what an agent did: all of it lands or nothing. A branch of its own keeps what cannot."""
    sandbox, bare = run.sandbox, repository.bare
    assert sandbox is not None and sandbox.base_tree is not None
    base = sandbox.base_tree
    tree = bare.edit(seen.tree, _entries(bare, base, held)) if held else seen.tree
    conflicts = still_marked(bare, base, tree)
    if not conflicts:
        told = {"message": title(run), "key": run.pk, "trailers": _trailers(run)}
        landing = repository.land(base, tree, by=run.actor, whole=True, **told)
        if landing.replayed or not landing.conflicts:
            sandbox.note_landing(_as_landed_before(bare, base, landing) if landing.replayed else tree)
            return _told(landing)
        conflicts = landing.conflicts
    _branch_off(run, repository, base, tree)
    sandbox.hold(repository, held | {change.path for change in bare.changes(base, tree)})
    return {"conflicts": few(conflicts), "branch": run.branch}


def _told(landing: Landing) -> dict[str, Any]:
    return {"landed": landing.commit if landing.changes else None, "conflicts": few(landing.conflicts)}


def title(command: Command) -> str:
    """What its commits say: the command, or the first line of what an agent was told."""
    if not command.is_run:
        return f"$ {command.text}"
    line = next((line.strip() for line in command.text.splitlines() if line.strip()), "")
    return line if len(line) <= LONGEST_TITLE else line[: LONGEST_TITLE - 1] + "…"


def _trailers(command: Command) -> tuple[str, ...]:
    if not command.is_run:
        return ()
    who = author(command.agent).signature
    return (f"Arbe-Run: {command.pk}", f"Asked-by: {who.name} <{who.email}>")


def _branch_off(run: Command, repository: Repository, base: str, tree: str) -> None:
    """Keep it as a branch that git merges well: from where the run began."""
    bare, by = repository.bare, author(run.actor)
    began = run.started_at.timestamp() if run.started_at else 0
    parent = taken_from(bare, repository.head, base, began)
    if bare.tree_of(parent) != base:  # the tree had more than the branch when the run began
        parent = bare.commit(base, [parent], by, "What was in the tree already")
    told = "\n".join([title(run), "", *_trailers(run), ""])
    bare.put_branch(run.branch, bare.commit(tree, [parent], by, told))


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
