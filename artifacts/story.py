"""Why a file is what it is: where it comes from, what made it stale, who did that, and what hangs on it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from artifacts import graph
from artifacts.bare import Commit
from artifacts.current import Current
from artifacts.derivations import EDITED, FRESH, STALE, Derivation, Input
from artifacts.graph import Reason
from artifacts.plan import UnknownTarget
from houses.agents import signed
from houses.models import Member

if TYPE_CHECKING:
    from artifacts.repositories import Repository

SOURCE = "source"


@dataclass(frozen=True)
class Cause:
    """What happened, to which made file, and the commit and person behind it where there is one."""

    target: str
    reason: Reason
    commit: str | None = None
    author_id: UUID | None = None
    author: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Why:
    """The answer to "why is this file as it is": the state, the causes behind it, and what is downstream."""

    path: str
    state: str
    derivation: Derivation | None
    inputs: tuple[Input, ...]
    reasons: tuple[Reason, ...]
    causes: tuple[Cause, ...]
    downstream: tuple[str, ...]
    written: Commit | None


@dataclass(frozen=True)
class Drawn:
    """A file of a lineage; `state` is fresh, stale, edited, missing or source."""

    path: str
    oid: str | None
    state: str
    command: str = ""


@dataclass(frozen=True)
class Lineage:
    """Files and the edges between them, from an input to what was made of it."""

    nodes: tuple[Drawn, ...]
    edges: tuple[tuple[str, str], ...]
    is_cut: bool = False


def why(repository: "Repository", path: str, now: Current) -> Why:
    """The story of a path; the causes are those of everything that it was made from, too."""
    tree = graph.check(repository)
    rows = Derivation.objects.of(repository)
    row = rows.filter(path=path).first()
    written = repository.bare.changed_by(repository.branch, path)
    if row is None and repository.bare.entry(tree, path) is None:
        raise UnknownTarget(f"There is no file `{path}` in this repository, and nobody has made one.")
    downstream = tuple(sorted(_reach(repository, path, up=False)[0] - {path}))
    if row is None:
        return Why(path, SOURCE, None, (), (), (), downstream, written)
    above = _reach(repository, path, up=True)[0]
    late = sorted(rows.filter(path__in=above).due(now), key=lambda r: (r.path != path, r.path))
    reasons = graph.own_reasons(repository, tree, late, graph.inputs_of(late), now)
    causes = list(_causes(repository, tree, late, reasons))
    state = row.state if row.state != FRESH or not any(reasons.values()) else STALE
    mine = graph.stale(repository, now).get(path) if late else None
    inputs = tuple(row.inputs.order_by("path"))
    return Why(path, state, row, inputs, mine.reasons if mine else (), tuple(causes), downstream, written)


def lineage(repository: "Repository", path: str, now: Current, limit: int) -> Lineage:
    """What a path was made from and what was made from it, all the way, up to `limit` files."""
    graph_tree = graph.check(repository)
    above, edges_above, cut_above = _reach(repository, path, up=True, limit=limit)
    below, edges_below, cut_below = _reach(repository, path, up=False, limit=max(1, limit - len(above) + 1))
    paths = sorted(above | below)
    rows = {row.path: row for row in Derivation.objects.of(repository).filter(path__in=paths)}
    stale = graph.stale(repository, now)
    present = repository.bare.oids(graph_tree, paths)
    nodes = [_drawn(one, rows.get(one), present[one], stale) for one in paths]
    return Lineage(tuple(nodes), tuple(sorted(edges_above | edges_below)), cut_above or cut_below)


def _drawn(path: str, row: Derivation | None, oid: str | None, stale: Mapping[str, graph.Staleness]) -> Drawn:
    if row is None:
        return Drawn(path, oid, SOURCE if oid else "missing")
    return Drawn(path, oid, stale[path].state if path in stale else FRESH, row.headline)


def _causes(
    repository: "Repository", tree: str, late: Iterable[Derivation], reasons: Mapping[str, tuple[Reason, ...]]
) -> Iterable[Cause]:
    here = members()
    for row in late:
        edit = graph.edit_of(repository, tree, row) if row.state == EDITED else None
        for reason in (*([edit] if edit else []), *reasons[row.path]):
            yield _cause(repository, row.path, reason, here)


def _cause(repository: "Repository", target: str, reason: Reason, here: Collection[UUID]) -> Cause:
    if reason.kind not in graph.OF_FILES:
        return Cause(target, reason)
    commit = repository.bare.changed_by(repository.branch, reason.path, reason.old)
    if commit is None:
        return Cause(target, reason)
    at = datetime.fromtimestamp(commit.author.time, UTC)
    return Cause(target, reason, commit.oid, author_of(commit, here), commit.author.name, at)


def author_of(commit: Commit, here: Collection[UUID]) -> UUID | None:
    """Who of those here it is by. Elsewhere anybody signs with any address: for others it is only a claim."""
    who = signed(commit.author.email)
    return who if who in here else None


def members() -> set[UUID]:
    """Everybody of this house."""
    return set(Member.objects.values_list("agent_id", flat=True))


def _reach(
    repository: "Repository", path: str, *, up: bool, limit: int = 10_000
) -> tuple[set[str], set[tuple[str, str]], bool]:
    """The paths above or below a path, itself too, and the edges between them; and whether the limit cut it short."""
    edges = Input.objects.filter(house=repository.house_id, repository=repository, derivation__current=True)
    reached, frontier = {path}, {path}
    found: set[tuple[str, str]] = set()
    while frontier:
        here = edges.filter(derivation__path__in=frontier) if up else edges.filter(path__in=frontier)
        pairs = sorted(here.values_list("path", "derivation__path"))
        further: set[str] = set()
        for source, made in pairs:
            other = source if up else made
            if other not in reached and len(reached) >= limit:
                return reached, found, True
            if other not in reached:
                further.add(other)
                reached.add(other)
            found.add((source, made))
        frontier = further
    return reached, found, False
