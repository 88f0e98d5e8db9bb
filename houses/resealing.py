"""Changing the vault's key: every value of every house, opened with the key that sealed it, sealed with the current.

It works as the owner role, which no web process and no worker is, on boxes alone. Each batch is one statement that
replaces the boxes that are still the same, so it can be killed anywhere and begun again, while values come and go.
"""

from collections import Counter
from typing import Any
from uuid import UUID

from django.db import connections

from houses import vault
from houses.refusals import Refused

OWNER = "owner"  # the database connection
BATCH = 200
FIRST = UUID(int=0)


class KeyMissing(Refused):
    """Some values are sealed with a key that nobody named."""

    code = "vault_key_missing"

    def __init__(self, missing: dict[str, int]) -> None:
        each = ", ".join(f"{count} with the key {key}" for key, count in sorted(missing.items()))
        super().__init__(f"Keys are missing that values are sealed with: {each}. Nothing was changed.")


def reseal(batch: int = BATCH) -> tuple[int, int]:
    """Bring every value under the current key; returns how many were, and how many no key opens. Raises `KeyMissing`.

    Values that come meanwhile under an old key, from a process that was not started again, are brought too.
    """
    count_missing()
    done: int = 0
    broken: Counter[str] = Counter()
    while old := {key: count for key, count in _count().items() if key != vault.current_key()}:
        if all(broken[key] >= count for key, count in old.items()):
            break
        count_missing()
        for key in old:
            moved, broken[key] = _reseal_key(key, batch)
            done += moved
    return done, broken.total()


def count_missing() -> None:
    """Refuse, before anything is changed, if a key is not here."""
    known = vault.keys()
    if missing := {key: count for key, count in _count().items() if key not in known}:
        raise KeyMissing(missing)


def _reseal_key(key: str, batch: int) -> tuple[int, int]:
    """How many values of that key were brought over, and how many it does not open."""
    after, done, broken = FIRST, 0, 0
    while rows := _ask("SELECT id, house_id, box FROM vault.sealed_with(%s, %s, %s)", [key, after, batch]):
        after = rows[-1][0]
        ids, olds, news = [], [], []
        for box_id, house_id, box in rows:
            bound_to, old = house_id.encode(), bytes(box)
            try:
                new = vault.boxed(vault.opened(key, old, bound_to), bound_to)
            except vault.Sealed:  # tampered with, or carried over from another house: it opened for nobody before
                broken += 1
                continue
            ids.append(box_id)
            olds.append(old)
            news.append(new)
        swap = "SELECT vault.swap(%s::uuid[], %s::bytea[], %s::bytea[], %s)"
        done += _ask(swap, [ids, olds, news, vault.current_key()])[0][0]
    return done, broken


def _count() -> dict[str, int]:
    return dict(_ask("SELECT key_id, count FROM vault.count_by_key()", []))


def _ask(sql: str, values: list[Any]) -> list[Any]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())
