"""What is kept when a command has ended: the tree as it was left, what landed on the branch, and what made what."""

from typing import Any

from artifacts.made import Made
from artifacts.models import Repository
from artifacts.repositories import author
from artifacts.tree import Snapshot
from houses.tenancy import inside
from sandboxes.models import Sandbox
from sandboxes.provider import Exit, ProviderError
from streams.outbox import announce
from threads.commands import COMPLETED, FAILED, Command
from threads.events import ArtifactMade


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
                _record(mine, ended, status, reason, seen, reads)
    if command.make_id:
        sandbox.destroy()  # a step has its machine for itself; the snapshot stays


def _record(
    command: Command, ended: Exit, status: str, reason: str, seen: Snapshot | None, reads: set[str] | None
) -> None:
    kept: dict[str, Any] = {}
    if seen is not None and command.before_tree is not None:
        repository = Repository.objects.get(pk=command.environment.config["repository"])
        kept = _keep_tree(command, repository, seen)
        # A step of a make, a stopped command and one that broke a limit may have left half a file: not for the branch.
        if status == COMPLETED or (status == FAILED and ended.reason == "exited" and not command.make_id):
            kept |= _land(command, repository, seen)
            _tell_made(command, repository, seen, reads, ended.code)
    if kept.get("conflicts") and command.make_id:
        status, reason = FAILED, "What it made was changed on the branch meanwhile: " + ", ".join(kept["conflicts"])
    by = command.stop_asked_by if status == "cancelled" and command.stop_asked_by else command.agent
    command.finish(status, by=by, reason=reason, exit_code=ended.code, **kept)


def _keep_tree(command: Command, repository: Repository, seen: Snapshot) -> dict[str, Any]:
    """The tree as it was left, as a commit under `refs/arbe/snapshots/`.

    The reference carries the command's id, and the event that tells of the command's end carries the commit: an event
    cannot know its own seq before it is written.
    """
    assert command.sandbox is not None and command.before_tree is not None
    parents = [command.sandbox.snapshot] if command.sandbox.snapshot else []
    bare = repository.bare
    snapshot = bare.commit(seen.tree, parents, author(command.agent), f"$ {command.text}")
    bare.keep(f"{command.thread_id}/{command.pk}", snapshot)
    Sandbox.objects.filter(pk=command.sandbox_id).update(snapshot=snapshot)
    changes = bare.changes(command.before_tree, seen.tree)
    return {
        "snapshot": snapshot,
        "changed": [
            {"path": change.path, "change": change.kind, "old": change.old, "new": change.new} for change in changes
        ],
        "left_out": [{"path": left.path, "bytes": left.size, "reason": left.reason} for left in seen.left_out],
    }


def _land(command: Command, repository: Repository, seen: Snapshot) -> dict[str, Any]:
    """Merge what is new in the tree onto the branch. What both sides changed stays as the branch has it; it is told."""
    sandbox = command.sandbox
    assert sandbox is not None and sandbox.base_tree is not None
    landing = repository.land(
        sandbox.base_tree, seen.tree, by=command.agent, message=f"$ {command.text}", key=command.pk
    )
    old = repository.bare.oids(sandbox.base_tree, list(landing.conflicts))
    base = repository.bare.edit(seen.tree, old) if landing.conflicts else seen.tree
    Sandbox.objects.filter(pk=command.sandbox_id).update(base_tree=base)
    return {"landed": landing.commit if landing.changes else None, "conflicts": list(landing.conflicts)}


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
    for derivation in repository.record(run):
        inputs = [{"path": source.path, "oid": source.oid, "how": source.how} for source in derivation.inputs.all()]
        announce(
            command.thread,
            ArtifactMade(
                path=derivation.path,
                oid=derivation.oid,
                commit=derivation.commit,
                inputs=inputs,
                command_id=command.pk,
                repository_id=repository.pk,
            ),
            by=command.agent,
        )
