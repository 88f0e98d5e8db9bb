"""What a command made, and from what: seen from its trees before and after, and from what it read."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from artifacts import graph
from artifacts.bare import Bare, Change
from artifacts.current import bot_of
from artifacts.derivations import DECLARED, OBSERVED, Derivation, Input
from artifacts.notes import append, canonical
from artifacts.paths import is_inside_repository
from artifacts.recipes import identity, is_task, named
from houses.models import Agent

if TYPE_CHECKING:
    from artifacts.repositories import Repository


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was done once: the trees before and after, what it read (None where that is not told), and its recipe.

    `commit` is the commit of the branch that holds what it made. `targets` are the files that it was asked to make
    again. Where it `overlapped` with other commands in its tree, their reads and writes cannot be told from its own.
    `earlier` is what a bot had read before, in the same session: path and object id; and `own` are the paths that it
    made in that, which it may go on to change.
    """

    before: str
    after: str
    reads: Collection[str] | None
    recipe: dict[str, Any]
    commit: str
    by: Agent
    asked_by: Agent | None = None
    thread_id: str = ""
    command_id: str = ""
    seconds: float = 0.0
    exit_code: int = 0
    overlapped: bool = False
    targets: Collection[str] = ()
    earlier: Mapping[str, str] = field(default_factory=dict)
    own: Collection[str] = ()

    @property
    def command(self) -> str:
        """Of a shell; a task has none."""
        return str(self.recipe.get("command", ""))


@transaction.atomic
def record(repository: "Repository", run: Made) -> list[Derivation]:
    """Derivations for what the run made. Saying it again gives the same ones."""
    repository.lock()
    told = Derivation.objects.filter(repository=repository, command_id=run.command_id)
    if run.command_id and told.exists():
        return list(told.order_by("path"))
    tree = graph.check(repository)
    changes = {change.path: change for change in repository.bare.changes(run.before, run.after)}
    outputs = _outputs(repository, run, changes, recipe_oid(repository.bare, _frozen(run.recipe)[1]))
    if not outputs:
        return []
    rows = _rows(repository, run, outputs)
    _save(repository, run, rows, _inputs(repository, run, {*changes, *outputs}))
    graph.assess(repository, tree, rows)
    return rows


def _rows(repository: "Repository", run: Made, outputs: dict[str, str]) -> list[Derivation]:
    digest, recipe = _frozen(run.recipe)
    oid = recipe_oid(repository.bare, recipe)
    bot, bot_digest = bot_of(recipe)
    return [
        Derivation(
            house_id=repository.house_id,
            repository=repository,
            path=path,
            oid=output,
            commit=run.commit,
            recipe=recipe,
            recipe_oid=oid,
            environment=str(recipe.get("environment") or ""),
            environment_digest=digest,
            bot=bot,
            bot_digest=bot_digest,
            thread_id=run.thread_id,
            command_id=run.command_id,
            made_by=run.by,
            made_by_name=str(run.by),
            asked_by_name=str(run.asked_by or ""),
            made_at=timezone.now(),
            seconds=run.seconds,
            known_complete=run.reads is not None and not run.overlapped,
            failed=run.exit_code != 0,
        )
        for path, output in sorted(outputs.items())
    ]


def recipe_oid(bare: Bare, recipe: dict[str, Any]) -> str:
    """The recipe as a file of the repository; recipes that come to the same have equal ids."""
    return bare.blob(canonical(identity(recipe)).encode())


def _frozen(recipe: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The state of the environment is not what to do but where it was done: it is kept beside the recipe."""
    kept = {key: value for key, value in recipe.items() if key != "environment_digest"}
    return str(recipe.get("environment_digest") or ""), kept


def _outputs(repository: "Repository", run: Made, changes: dict[str, Change], recipe: str) -> dict[str, str]:
    """Path and object id of everything the run is credited with."""
    known = {d.path: d for d in Derivation.objects.of(repository).filter(recipe_oid=recipe)}
    expected = {*known, *run.targets, *run.own}
    outputs = {c.path: c.new for c in changes.values() if c.new and _is_made(repository.bare, run, c, expected)}
    if run.exit_code == 0:
        outputs |= _come_out_the_same(repository, run, {*known, *run.targets} - changes.keys())
    # A derivation names a commit that holds the output: what lost in the merge, or was merged, is not what was made.
    landed = repository.bare.oids(run.commit, outputs)
    return {path: oid for path, oid in outputs.items() if landed[path] == oid}


def _come_out_the_same(repository: "Repository", run: Made, paths: set[str]) -> dict[str, str]:
    """Expected files that the run left as they were made: they were made again, from what their inputs are now."""
    made = list(Derivation.objects.of(repository).filter(path__in=paths))
    present = repository.bare.oids(run.after, paths)
    left = [row for row in made if present[row.path] == row.oid]
    if is_task(run.recipe) and run.reads is not None:
        sources = graph.inputs_of(left)
        left = [row for row in left if _has_seen(repository, run, sources.get(row.pk, []))]
    return {row.path: row.oid for row in left}


def _has_seen(repository: "Repository", run: Made, sources: list[tuple[str, str]]) -> bool:
    """An agent may end well and have done nothing: only one that read what is new can say that nothing comes of it."""
    present = repository.bare.oids(run.before, [path for path, _ in sources])
    return all(present[path] in (None, oid) or path in (run.reads or ()) for path, oid in sources)


def _is_made(bare: Bare, run: Made, change: Change, expected: set[str]) -> bool:
    if not is_inside_repository(change.path):
        return False
    if change.path in expected:
        return True
    if run.overlapped and change.path not in named(run.recipe):
        return False
    return not _edited_in_place(bare, run, change)


def _edited_in_place(bare: Bare, run: Made, change: Change) -> bool:
    """True if the new content comes from the old (`sed -i`, `>>`): the file cannot be made again from its inputs."""
    if change.old is None or _is_redirected(run.command, change.path):
        return False
    if run.reads is not None and change.path in run.reads:
        return True
    appends = ">>" in run.command or re.search(r"\btee\s+(-a|--append)\b", run.command) is not None
    return appends and change.new is not None and bare.read(change.new).startswith(bare.read(change.old))


def _is_redirected(command: str, path: str) -> bool:
    return re.search(rf"(?<!>)>\|?\s*['\"]?(?:\./)?{re.escape(path)}(?![\w./-])", command) is not None


def _inputs(repository: "Repository", run: Made, written: set[str]) -> list[tuple[str, str, str]]:
    """Path, object id and how it is known, of every file that was read and was not itself written."""
    read = named(run.recipe) if run.reads is None else run.reads
    how = DECLARED if run.reads is None else OBSERVED
    paths = sorted(path for path in read if path not in written and is_inside_repository(path))
    entries = [repository.bare.entry(run.before, path) for path in paths]
    found = {entry.path: entry.oid for entry in entries if entry and not entry.is_folder}
    before = {path: oid for path, oid in run.earlier.items() if path not in written}
    return [(path, oid, how) for path, oid in sorted({**before, **found}.items())]


def _save(repository: "Repository", run: Made, rows: list[Derivation], inputs: list[tuple[str, str, str]]) -> None:
    Derivation.objects.of(repository).filter(path__in=[row.path for row in rows]).update(current=False)
    Derivation.objects.insert(rows)
    house = repository.house_id
    edges = [
        [Input(house_id=house, repository=repository, derivation=row, path=p, oid=o, how=h) for p, o, h in inputs]
        for row in rows
    ]
    Input.objects.bulk_create([edge for several in edges for edge in several], batch_size=2000)
    told = [row.story(several) for row, several in zip(rows, edges, strict=True)]
    append(repository.bare, run.commit, told, repository.bare.lookup(run.commit).author)
