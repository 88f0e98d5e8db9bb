"""The plan of a make: which steps have to run, in which order and why. The graph is what the edges say."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from artifacts import graph
from artifacts.current import Current
from artifacts.derivations import EDITED, FRESH, Derivation
from artifacts.graph import Reason
from artifacts.paths import as_target
from artifacts.steps import Node, Step, arrange
from houses.refusals import Refused

if TYPE_CHECKING:
    from artifacts.repositories import Repository


__all__ = ["Due", "Plan", "Reason", "Step", "UnknownTarget", "due", "plan"]


class UnknownTarget(Refused):
    """Nobody has made that file."""

    code = "unknown_target"
    status = 404


@dataclass(frozen=True)
class Plan:
    """The steps that have to run, in an order that works, and how many of the files looked at are fresh."""

    target: str | None
    steps: tuple[Step, ...] = ()
    fresh: int = 0

    @property
    def seconds(self) -> float:
        """How long the steps took the last time."""
        return sum(step.seconds for step in self.steps)


class Due(NamedTuple):
    """The steps that can run now, all at once if one likes, and those that wait for them and may be spared."""

    ready: tuple[Step, ...]
    waiting: tuple[Step, ...]


def plan(repository: "Repository", target: str | None, now: Current, settled: Collection[str] = ()) -> Plan:
    """The plan for one target, or for everything that was ever made. Refuses unknown, edited and circular ones.

    Steps whose key is in `settled` count as done, whatever came of them.
    """
    if target is not None:
        target = as_target(target)
    tree = graph.check(repository)
    rows = Derivation.objects.of(repository)
    if target is not None and not rows.filter(path=target).exists():
        raise UnknownTarget(_unknown(repository, tree, target))
    if not rows.any_due(now):
        return Plan(target, fresh=1 if target else rows.count())
    made = list(rows) if target is None else _upstream(repository, target)
    inputs = graph.inputs_of(made)
    nodes = _nodes(repository, tree, made, inputs, now)
    steps, fresh = arrange(nodes, target, settled)
    return Plan(target, steps, fresh)


def due(repository: "Repository", target: str | None, done: Collection[str], now: Current) -> Due:
    """The plan as it is now, told apart by what can run at once and what waits."""
    steps = plan(repository, target, now, done).steps
    return Due(tuple(s for s in steps if not s.after), tuple(s for s in steps if s.after))


def _unknown(repository: "Repository", tree: str, target: str) -> str:
    entry = repository.bare.entry(tree, target)
    if entry and entry.is_folder:
        return f"`{target}` is a folder; name one of the files that were made in it."
    if entry:
        return f"Nobody has made `{target}` with a command, it is a source: there is nothing to make it again with."
    return f"Nobody has made `{target}` yet: run a command that writes it once, and `make {target}` works from then on."


def _upstream(repository: "Repository", target: str) -> list[Derivation]:
    """The target, everything made that it was made from, and what the same steps write besides."""
    rows = Derivation.objects.of(repository)
    found: dict[str, Derivation] = {}
    frontier = {target}
    while frontier:
        reached = list(rows.filter(path__in=frontier))
        recipes = {row.recipe_oid for row in reached}
        beside = [row for row in rows.filter(recipe_oid__in=recipes) if row.path not in found]
        new = {row.path: row for row in [*reached, *beside]}
        found |= new
        inputs = graph.inputs_of(new.values())
        frontier = {path for several in inputs.values() for path, _ in several} - found.keys()
    return list(found.values())


def _nodes(
    repository: "Repository",
    tree: str,
    made: Iterable[Derivation],
    inputs: Mapping[str, list[tuple[str, str]]],
    now: Current,
) -> dict[str, Node]:
    late = [row for row in made if row.state != FRESH or _moved(row, now)]
    reasons = graph.own_reasons(repository, tree, late, inputs, now)
    present = repository.bare.oids(tree, [row.path for row in late])
    return {
        row.path: Node(
            path=row.path,
            key=row.recipe_oid,
            recipe=row.recipe,
            inputs=tuple(path for path, _ in inputs.get(row.pk, [])),
            reasons=reasons.get(row.path, ()),
            made=row.oid,
            edited=present[row.path] if row.state == EDITED else None,
            seconds=row.seconds,
            run=row.command_id,
        )
        for row in made
    }


def _moved(row: Derivation, now: Current) -> bool:
    bot = now.bots.get(row.bot)
    moved = now.environments.get(row.environment, row.environment_digest) != row.environment_digest
    return moved or (bot is not None and bot.digest != row.bot_digest)
