"""`inside(house, by)`: the only way to see a house's rows.

The database's row-level security compares every row with two settings of the transaction, `app.house_id` and
`app.agent_id`; outside of `inside` both are empty and no house's row can be read or written.
Whatever is rendered lazily after the block has closed sees nothing: render inside.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, transaction

if TYPE_CHECKING:
    from houses.models import Agent, House

_place: ContextVar[tuple[str, str]] = ContextVar("place", default=("", ""))
_acting: ContextVar[str] = ContextVar("acting", default="")


def current_house() -> str:
    """The id of the house we are inside of, or an empty string."""
    return _place.get()[0]


@contextmanager
def inside(house: "House | str", by: "Agent | UUID | str | None" = None) -> Iterator[None]:
    """A transaction in which the rows of one house exist. Nests; on the way out the outer house is back."""
    with _placed(house if isinstance(house, str) else house.pk, _agent_id(by) or _acting.get()):
        yield


@contextmanager
def acting(by: "Agent | UUID | str") -> Iterator[None]:
    """Work that goes on for somebody, in no transaction: `inside` names them where nobody else is named."""
    token = _acting.set(_agent_id(by))
    try:
        yield
    finally:
        _acting.reset(token)


@contextmanager
def as_agent(agent: "Agent | UUID | str") -> Iterator[None]:
    """A transaction in which an agent's own memberships, and the names of those houses, can be read. Nothing else."""
    with _placed("", _agent_id(agent)):
        yield


def need_not_last() -> None:
    """Do not wait for the disk at this commit: should the database crash within the second, doing it again is right.

    Not for what somebody is told about, nor for what decides whether something else happens again.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")


def _agent_id(by: "Agent | UUID | str | None") -> str:
    return str(getattr(by, "pk", by) or "")


@contextmanager
def _placed(house_id: str, agent_id: str) -> Iterator[None]:
    nested = connection.in_atomic_block
    with transaction.atomic():
        token = _place.set((house_id, agent_id))
        try:
            _tell_database()
            yield
        finally:
            _place.reset(token)
        if nested:  # a released savepoint keeps its settings; a rolled back one has already lost them
            _tell_database()


def _tell_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('app.house_id', %s, true), set_config('app.agent_id', %s, true)", _place.get()
        )
