"""Putting steps in order: no database and no git, only files, what they were made from, and why they are not fresh."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from artifacts.graph import Reason, short
from artifacts.recipes import headline, instructions, is_task
from houses.refusals import Refused


class EditedByHand(Refused):
    """Making would write over what somebody wrote."""

    code = "edited_by_hand"


class Cycle(Refused):
    """Files that are made from each other."""

    code = "cycle"


@dataclass(frozen=True)
class Node:
    """A made file: `reasons` are its own, `edited` is the object id of an edit by hand."""

    path: str
    key: str
    recipe: Mapping[str, Any]
    inputs: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()
    made: str = ""
    edited: str | None = None
    seconds: float = 0.0
    run: str = ""


@dataclass(frozen=True)
class Step:
    """One recipe to run again, the files that it writes, and why. `after` are the keys of the steps it waits for.

    `runs` are those that did it the last time.
    """

    key: str
    recipe: Mapping[str, Any]
    outputs: tuple[str, ...]
    reasons: tuple[Reason, ...]
    after: tuple[str, ...] = ()
    seconds: float = 0.0
    runs: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """Of a shell; a task has none."""
        return str(self.recipe.get("command", ""))

    @property
    def headline(self) -> str:
        """What is to be done, on one line."""
        return headline(self.recipe)

    @property
    def environment(self) -> str:
        return str(self.recipe.get("environment") or "")


def arrange(
    nodes: Mapping[str, Node], target: str | None = None, settled: Collection[str] = ()
) -> tuple[tuple[Step, ...], int]:
    """The steps that have to run, in dependency order, and the number of files that need nothing."""
    graph = _Graph(nodes, target)
    if target is not None and nodes[target].edited and nodes[target].key not in settled:
        raise _edited(nodes[target])
    steps: dict[str, Step] = {}
    for key in graph.order:
        if key in settled:
            continue
        step = graph.step(key, steps)
        if step.reasons:
            edited = next((node for node in graph.written[key] if node.edited), None)
            if edited:
                raise _edited(edited)
            steps[key] = step
    running = sum(len(graph.needed[key]) for key in steps)
    return tuple(steps.values()), sum(map(len, graph.needed.values())) - running


class _Graph:
    """The steps above a target: what each writes, and which of that is needed."""

    def __init__(self, nodes: Mapping[str, Node], target: str | None) -> None:
        self.nodes = nodes
        self.written: dict[str, list[Node]] = {}
        for path in sorted(nodes):
            self.written.setdefault(nodes[path].key, []).append(nodes[path])
        self.needed: dict[str, dict[str, Node]] = {}
        self.starts = sorted(nodes) if target is None else [target]

    @cached_property
    def order(self) -> list[str]:
        """The keys of the steps, each after those it needs; depth first, without recursion: chains may be long."""
        done: dict[str, None] = {}
        for start in self.starts:
            trail: dict[str, tuple[str, Iterator[str]]] = {}
            self._enter(start, trail, done)
            while trail:
                key, (_, inputs) = next(reversed(trail.items()))
                following = next(inputs, None)
                if following is not None:
                    self._enter(following, trail, done)
                else:
                    del trail[key]
                    done[key] = None
        return list(done)

    def step(self, key: str, running: Mapping[str, Step]) -> Step:
        """A step with the reasons of what is needed of it; without reasons it does not have to run."""
        needed = list(self.needed[key].values())
        own = [reason for node in needed for reason in node.reasons]
        sources = [path for path in self._inputs(key) if self.nodes[path].key in running]
        upstream = [Reason("upstream", path) for path in sources]
        return Step(
            key=key,
            recipe=self.written[key][0].recipe,
            outputs=tuple(node.path for node in self.written[key]),
            reasons=tuple(dict.fromkeys([*own, *upstream])),
            after=tuple(dict.fromkeys(self.nodes[path].key for path in sources)),
            seconds=max(node.seconds for node in self.written[key]),
            runs=tuple(dict.fromkeys(node.run for node in self.written[key] if node.run)),
        )

    def _enter(self, path: str, trail: dict[str, tuple[str, Iterator[str]]], done: Collection[str]) -> None:
        key = self.nodes[path].key
        self.needed.setdefault(key, {})[path] = self.nodes[path]
        if key in trail:
            passed = [passed for passed, _ in trail.values()]
            raise _cycle(passed[list(trail).index(key) :], path)
        if key not in done:
            trail[key] = (path, iter(self._inputs(key)))

    def _inputs(self, key: str) -> Iterable[str]:
        """The made files that a step reads."""
        paths = sorted({path for node in self.written[key] for path in node.inputs})
        return [path for path in paths if path in self.nodes and self.nodes[path].key != key]


def _cycle(trail: list[str], again: str) -> Cycle:
    # The trail runs from what is made to what it is made from; people read it the other way round.
    ring = [again, *reversed(trail[1:])]
    first = ring.index(min(ring))
    around = " → ".join(f"`{path}`" for path in [*ring[first:], *ring[: first + 1]])
    return Cycle(
        f"These files are made from each other: {around}. "
        "Make one of them once with a command that does not read the others."
    )


def _edited(node: Node) -> EditedByHand:
    return EditedByHand(
        f"`{node.path}` was edited by hand: it was made as {short(node.made)} and is {short(node.edited)} now, "
        f"and making it again would overwrite that. To keep the text, save it under another name; "
        f"to overwrite it, {_yourself(node.recipe)}"
    )


def _yourself(recipe: Mapping[str, Any]) -> str:
    if is_task(recipe):
        return f"have it done anew: {headline(recipe)}"
    return f"run its command again yourself: `$ {instructions(recipe)}`"
