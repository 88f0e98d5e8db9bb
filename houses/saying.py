"""Saying it twice does it once, also for two who say it at once: waiting for the other, and telling what is new."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from houses.refusals import NotFound, Refused
from houses.tenancy import current_house


def one_at_a_time(*what: str) -> None:
    """Wait for whoever is at the same thing in this house, and keep others waiting until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 4))", [" ".join((current_house(), *what))])


def hold(row: Model) -> None:
    """The row becomes what it is now, and nobody else changes it until this transaction ends."""
    try:
        row.refresh_from_db(from_queryset=type(row)._default_manager.select_for_update(of=("self",)))
    except ObjectDoesNotExist as gone:
        raise NotFound("It is not there any more: somebody removed it just now.") from gone


@contextmanager
def taken_as(refusal: Refused) -> Iterator[None]:
    """What the database does not take, because something like it is there, is this refusal."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise refusal from error


def changed(row: Model, given: Mapping[str, Any]) -> bool:
    """Set what is given on the row; whether any of it says something else than before."""
    if says(row, given):
        return False
    for name, value in given.items():
        setattr(row, name, value)
    return True


def says(row: Model, given: Mapping[str, Any]) -> bool:
    """Whether the row says exactly this already."""
    return all(_same(getattr(row, name), value) for name, value in given.items())


def _same(one: Any, other: Any) -> bool:
    """As JSON has it, where 1 is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
