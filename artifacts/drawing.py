"""Where the files of a lineage stand when it is drawn, left to right."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

NODE_HEIGHT = 44
COLUMN_GAP = 56
ROW_GAP = 12
CHARACTER = 7.25
LONGEST_LABEL = 28


@dataclass
class Node:
    path: str
    state: str
    sub: str
    url: str
    current: bool = False
    rank: int = 0
    x: float = 0
    y: float = 0
    width: float = 0
    before: list["Node"] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.path if len(self.path) <= LONGEST_LABEL else "…" + self.path[-LONGEST_LABEL + 1 :]

    @property
    def tx(self) -> float:
        return self.x + 12

    @property
    def ty(self) -> float:
        return self.y + 19

    @property
    def sy(self) -> float:
        return self.y + 35


def draw(nodes: list[Node], edges: list[tuple[str, str]]) -> dict[str, Any]:
    """`edges` go from an input to what was made of it; the answer is the context of `_lineage.html`."""
    by_path = {node.path: node for node in nodes}
    pairs = [(by_path[a], by_path[b]) for a, b in edges if a in by_path and b in by_path]
    for source, made in pairs:
        made.before.append(source)
    _rank(nodes)
    width, height = _stand(nodes)
    return {"nodes": nodes, "edges": [_edge(a, b) for a, b in pairs], "width": width, "height": height}


def _rank(nodes: list[Node]) -> None:
    """A file stands one column right of the furthest of its inputs; cycles stop at the number of nodes."""
    for _ in nodes:
        moved = False
        for node in nodes:
            rank = max((one.rank + 1 for one in node.before), default=0)
            if rank > node.rank and rank < len(nodes):
                node.rank, moved = rank, True
        if not moved:
            break
    for node in nodes:  # what nothing was made into stands right before its first use, so that no edge runs far
        after = [one.rank for one in nodes if node in one.before]
        if not node.before and after:
            node.rank = min(after) - 1


def _stand(nodes: list[Node]) -> tuple[int, int]:
    columns: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        columns[node.rank].append(node)
    tallest = max((len(column) for column in columns.values()), default=1)
    height = tallest * (NODE_HEIGHT + ROW_GAP) - ROW_GAP + 4
    x = 2.0
    for rank in sorted(columns):
        column = sorted(columns[rank], key=lambda node: (_middle_of_inputs(node), node.path))
        width = max(max(len(one.label) * CHARACTER, len(one.sub) * 6.0) for one in column) + 24
        top = (height - len(column) * (NODE_HEIGHT + ROW_GAP) + ROW_GAP) / 2
        for place, node in enumerate(column):
            node.x, node.y, node.width = x, top + place * (NODE_HEIGHT + ROW_GAP), width
        x += width + COLUMN_GAP
    return round(x - COLUMN_GAP + 2), round(height)


def _middle_of_inputs(node: Node) -> float:
    return sum(one.y for one in node.before) / len(node.before) if node.before else 0


def _edge(source: Node, made: Node) -> dict[str, str]:
    x1, y1 = source.x + source.width, source.y + NODE_HEIGHT / 2
    x2, y2 = made.x, made.y + NODE_HEIGHT / 2
    bend = max(24.0, (x2 - x1) / 2)
    state = "stale" if made.state == "stale" and source.state in ("stale", "changed") else ""
    return {
        "d": f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}",
        "state": state,
    }
