"""Staleness: a comparison of object ids, kept up to date by looking only at what changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from django.db import transaction

from artifacts.current import Current, SetUp
from artifacts.derivations import EDITED, STALE, Derivation, Input
from artifacts.recipes import maker

if TYPE_CHECKING:
    from artifacts.repositories import Repository

Kind = Literal[
    "input_changed",
    "input_missing",
    "environment_changed",
    "runtime_changed",
    "model_changed",
    "system_prompt_changed",
    "output_missing",
    "failed",
    "upstream",
    "edited",
]
OF_FILES = ("input_changed", "input_missing", "output_missing", "upstream", "edited")  # which a commit did
_SENTENCES = {
    "input_changed": "`{path}` changed: {old} → {new}.",
    "input_missing": "`{path}`, which it was made from, is gone.",
    "environment_changed": "The environment changed: {old} → {new}.",
    "runtime_changed": "{path} works with another program: {was} → {now}.",
    "model_changed": "The model of {path} changed: {was} → {now}.",
    "system_prompt_changed": "What {path} is told before anything else changed.",
    "output_missing": "`{path}` is not there.",
    "failed": "The command that wrote `{path}` failed.",
    "upstream": "`{path}` is made again first; if that comes out the same, this is spared.",
    "edited": "`{path}` was edited by hand: {old} → {new}.",
}
_MANY = 2000  # changed paths, from which on looking at every derivation is cheaper than looking them up


@dataclass(frozen=True)
class Reason:
    """Why a file is not fresh: what happened to which path, and its object id before and now."""

    kind: Kind
    path: str
    old: str | None = None
    new: str | None = None

    def __str__(self) -> str:
        words = {"path": self.path, "was": self.old, "now": self.new, "old": short(self.old), "new": short(self.new)}
        return _SENTENCES[self.kind].format(**words)


@dataclass(frozen=True)
class Staleness:
    """The state of a made file that is not fresh: stale, edited or missing."""

    state: str
    reasons: tuple[Reason, ...]


def short(oid: str | None) -> str:
    """An object id as people read it."""
    return oid[:7] if oid else "nothing"


def check(repository: "Repository") -> str:
    """Bring the states of derivations up to date with the branch; the branch's tree.

    When nothing changed since the last time this is one comparison, however many derivations there are.
    """
    tree = repository.tree
    if repository.checked_tree != tree:
        with transaction.atomic():
            repository.lock()
            repository.refresh_from_db(fields=["checked_tree"])
            tree = repository.tree
            if repository.checked_tree != tree:
                _catch_up(repository, tree)
    return tree


def stale(repository: "Repository", now: Current) -> dict[str, Staleness]:
    """Every made file that is not fresh, those downstream of others too."""
    tree = check(repository)
    due = list(Derivation.objects.of(repository).due(now))
    reasons = own_reasons(repository, tree, due, inputs_of(due), now)
    found = {d.path: Staleness(STALE if d.state == "fresh" else d.state, reasons[d.path]) for d in due}
    frontier = {path for path, one in found.items() if one.reasons}
    while frontier:
        edges = Input.objects.filter(
            house=repository.house_id, repository=repository, path__in=frontier, derivation__current=True
        )
        reached: dict[str, list[Reason]] = {}
        for path, source in edges.order_by("path").values_list("derivation__path", "path"):
            reached.setdefault(path, []).append(Reason("upstream", source))
        frontier = {path for path in reached if path not in found or not found[path].reasons}
        for path, why in reached.items():
            known = found.get(path, Staleness(STALE, ()))
            found[path] = Staleness(known.state, (*known.reasons, *(r for r in why if r not in known.reasons)))
    return found


def own_reasons(
    repository: "Repository",
    tree: str,
    rows: Iterable[Derivation],
    inputs: Mapping[str, list[tuple[str, str]]],
    now: Current,
) -> dict[str, tuple[Reason, ...]]:
    """Why each of these would have to be made again, looking no further than its own inputs. An edit is no reason."""
    rows = list(rows)
    paths = {row.path for row in rows} | {path for row in rows for path, _ in inputs.get(row.pk, [])}
    present = repository.bare.oids(tree, paths)
    return {row.path: tuple(_reasons(row, inputs.get(row.pk, []), present, now)) for row in rows}


def inputs_of(rows: Iterable[Derivation]) -> dict[str, list[tuple[str, str]]]:
    """The inputs, path and object id, of each derivation by its id."""
    found: dict[str, list[tuple[str, str]]] = {}
    edges = Input.objects.filter(derivation__in=[row.pk for row in rows]).order_by("path")
    for derivation, path, oid in edges.values_list("derivation_id", "path", "oid"):
        found.setdefault(derivation, []).append((path, oid))
    return found


def _reasons(
    row: Derivation, inputs: list[tuple[str, str]], present: Mapping[str, str | None], now: Current
) -> Iterable[Reason]:
    if present[row.path] is None:
        yield Reason("output_missing", row.path, row.oid)
    for path, old in inputs:
        new = present[path]
        if new != old:
            yield Reason("input_changed" if new else "input_missing", path, old, new)
    digest = now.environments.get(row.environment, row.environment_digest)
    if digest != row.environment_digest:
        yield Reason("environment_changed", row.environment, row.environment_digest, digest)
    yield from _other_bot(row, now)
    if row.failed:
        yield Reason("failed", row.path)


def _other_bot(row: Derivation, now: Current) -> Iterable[Reason]:
    bot = now.bots.get(row.bot)
    if bot is None or bot.digest == row.bot_digest:
        return
    before, name = SetUp.of(row.recipe), maker(row.recipe)
    if before.runtime != bot.runtime:
        yield Reason("runtime_changed", name, before.runtime, bot.runtime)
    if before.model != bot.model:
        yield Reason("model_changed", name, before.model, bot.model)
    if before.system_prompt != bot.system_prompt:
        yield Reason("system_prompt_changed", name)


def edit_of(repository: "Repository", tree: str, row: Derivation) -> Reason | None:
    """The edit by hand, if what is there is not what was made."""
    present = repository.bare.oids(tree, [row.path])[row.path]
    return Reason("edited", row.path, row.oid, present) if row.state == EDITED else None


def _catch_up(repository: "Repository", tree: str) -> None:
    rows = Derivation.objects.of(repository)
    if repository.checked_tree is not None and repository.bare.repo.get(repository.checked_tree) is not None:
        changed = [c.path for c in repository.bare.changes(repository.checked_tree, tree)]
        if len(changed) < _MANY:
            rows = Derivation.objects.touched_by(repository, filter(str.isprintable, changed))
    assess(repository, tree, list(rows))
    repository.checked_tree = tree
    repository.save(update_fields=["checked_tree"])


def assess(repository: "Repository", tree: str, rows: list[Derivation]) -> None:
    """Look at these derivations again, and save the states that changed."""
    inputs = inputs_of(rows)
    paths = {row.path for row in rows} | {path for several in inputs.values() for path, _ in several}
    present = repository.bare.oids(tree, paths)
    moved = []
    for row in rows:
        state = row.assess(inputs.get(row.pk, []), present)
        if state != row.state:
            row.state = state
            moved.append(row)
    Derivation.objects.bulk_update(moved, ["state"], batch_size=1000)
