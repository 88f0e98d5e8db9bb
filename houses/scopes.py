"""Scopes: the things that rights are about, which are houses, threads, tools and resources.

A right is up to three bits, as Unix has them: `r` reads, `w` writes, and `x` executes, which on a house or a thread is
to manage its structure and its grants, on a tool to call it, and on a resource to operate on it.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models import Model

R, W, X = "r", "w", "x"
ALL = "rwx"
NONE = "none"  # an explicit grant of nothing
# What guardian needs of each scope's model, as `Meta.permissions`.
PERMISSIONS: Any = [(R, "may read"), (W, "may write"), (X, "may execute"), (NONE, "may do nothing")]
# What each bit lets somebody do with a kind of scope: the verb of a refusal, and what it means in a table.
DEEDS = {
    "house": {
        R: ("read", "see its lists, files and settings"),
        W: ("write in", "open threads and write files"),
        X: ("manage", "manage it: members, machines, secrets, grants"),
    },
    "thread": {
        R: ("read", "read it and what it delegates"),
        W: ("write in", "say, run, make, rename and close"),
        X: ("manage", "grant rights on it"),
    },
    "tool": {R: ("see", "see it"), W: ("change", "nothing yet"), X: ("call", "call it")},
    "resource": {R: ("see", "see it"), W: ("change", "nothing yet"), X: ("operate on", "operate on it")},
}


class Scope(Protocol):
    """A row that rights are about."""

    @property
    def pk(self) -> str: ...


@dataclass(frozen=True)
class Kind:
    """A kind of scope: its word, its model, and the column that leads to the nearest scope above, if not the house."""

    word: str
    model: type[Model]
    parent: str | None = None

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def is_managed_here(self) -> bool:
        """Whether x on it is to manage it; x on a tool or a resource is to use it, and the house manages those."""
        return self.word in ("house", "thread")

    @property
    def allows(self) -> list[tuple[str, str]]:
        """What each bit means here, as a table says it."""
        return [(bit, means) for bit, (_, means) in DEEDS[self.word].items()]

    def refused(self, bit: str) -> str:
        """The sentence for whoever may read it and not that."""
        verb, _ = DEEDS[self.word][bit]
        if self.word == "house" and bit == X:
            return "Only an owner of this house, or somebody with x on it, can do that."
        return f"You may not {verb} this {self.word}: that takes {bit}, which somebody with x on the house can grant."


KINDS: dict[type[Model], Kind] = {}


def scope(word: str, model: type[Model], parent: str | None = None) -> None:
    """Declare a kind of scope, once, beside its model."""
    KINDS[model] = Kind(word, model, parent)


def kind_of(thing: object) -> Kind:
    """The kind of a scope. Raises `KeyError` for what is none."""
    return KINDS[type(thing)]  # type: ignore[index]  # whatever is not in the table is none


def kind_named(word: str) -> Kind | None:
    """The kind of that word: house, thread, tool or resource."""
    return next((kind for kind in KINDS.values() if kind.word == word), None)


def as_bits(text: str) -> str:
    """The bits of a text like `rx`, in their order; a bit that is not known is not there."""
    return "".join(bit for bit in ALL if bit in text)
