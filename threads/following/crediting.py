"""What a command, or the run of an agent, made: written down with what it was made from and how, and told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artifacts.bare import Bare
from artifacts.made import Made
from artifacts.models import Derivation, Repository
from artifacts.recipes import COMMAND, TASK
from streams.events import few
from streams.outbox import announce
from threads.commands import Command
from threads.events import ArtifactMade
from threads.waiting import WaitingMessage

ANNOUNCED = 100  # files of one command that its thread is told of one by one; the rows tell of all
FROZEN = ("runtime", "bot", "bot_name", "model", "api", "address", "system_prompt", "version")
MEMORY = "memory"  # of a session: what its agent was told and has read in it, as a blob


@dataclass(frozen=True)
class Memory:
    """What an agent was told in its session so far, and which files it read: what it does next comes of that, too."""

    prompts: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def before(cls, run: Command, bare: Bare) -> "Memory":
        """As of the start of this run; an agent that began anew knows nothing."""
        kept = run.session.get(MEMORY) if run.session.get("before") else None
        told = json.loads(bare.read(kept)) if kept else {"prompts": [], "reads": {}}
        return cls(tuple(told["prompts"]), told["reads"])

    def after(self, run: Command, bare: Bare, reads: set[str] | None) -> "Memory":
        """With what was said to it in this run, at the start and while it worked."""
        steers = WaitingMessage.objects.filter(run=run.pk, taken_at__isnull=False, created_at__gt=run.created_at)
        said = [run.text, *steers.order_by("taken_at", "pk").values_list("text", flat=True)]
        assert run.before_tree is not None
        seen = bare.oids(run.before_tree, reads or ())
        return Memory((*self.prompts, *said), {**self.reads, **{path: oid for path, oid in seen.items() if oid}})

    def keep(self, bare: Bare) -> str:
        return bare.blob(json.dumps({"prompts": self.prompts, "reads": self.reads}).encode())


def credit(
    command: Command, repository: Repository, trees: tuple[str, str], reads: set[str] | None, exit_code: int
) -> None:
    """Derivations for everything that it made, between two trees; its thread is told."""
    bare = repository.bare
    before = Memory.before(command, bare) if command.is_run else Memory()
    made = Made(
        before=trees[0],
        after=trees[1],
        reads=reads,
        recipe=_task(command, before.after(command, bare, reads)) if command.is_run else _command(command),
        commit=repository.head,
        by=command.actor,
        asked_by=command.agent if command.is_run else None,
        thread_id=command.thread_id,
        command_id=command.pk,
        seconds=command.seconds,
        exit_code=exit_code,
        overlapped=command.overlapped,
        targets=command.targets,
        earlier=before.reads,
        own=_own(command, repository) if before.prompts else (),
    )
    for derivation in repository.record(made)[:ANNOUNCED]:
        _tell(command, derivation)


def _command(command: Command) -> dict[str, Any]:
    return {"kind": COMMAND, "command": command.text, **_place(command)}


def _task(run: Command, memory: Memory) -> dict[str, Any]:
    frozen = {name: run.task[name] for name in FROZEN}
    return {"kind": TASK, **frozen, "prompt": "\n\n".join(memory.prompts), **_place(run)}


def _place(command: Command) -> dict[str, Any]:
    return {"environment": command.environment.pk, "environment_digest": command.environment.digest}


def _own(run: Command, repository: Repository) -> set[str]:
    """What the agent made earlier in its session, and found as it had left it."""
    assert run.before_tree is not None
    mine = Derivation.objects.of(repository).filter(thread_id=run.thread_id)
    made = dict(mine.values_list("path", "oid"))
    present = repository.bare.oids(run.before_tree, made)
    return {path for path, oid in made.items() if present[path] == oid}


def _tell(command: Command, derivation: Derivation) -> None:
    inputs = [{"path": source.path, "oid": source.oid, "how": source.how} for source in derivation.inputs.all()]
    told = ArtifactMade(
        path=derivation.path,
        oid=derivation.oid,
        commit=derivation.commit,
        inputs=few(inputs),
        command_id=command.pk,
        repository_id=derivation.repository_id,
    )
    announce(command.thread, told, by=command.actor)
