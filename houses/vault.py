"""The vault: where secret values sit, sealed, out of reach of every query of the application.

Values are sealed with AES-GCM (the house's id is authenticated with them, so a value cannot be moved to another house)
and kept in a table of the `vault` schema that only the vault's own role can read; three database functions put, open
and drop one value, of the house we are inside of. Beside each box stands which key sealed it: the current one seals,
the old ones still open. `houses.resealing` brings everything under the current one.
"""

import base64
import hashlib
import os
import uuid
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection
from django.db.models import BinaryField, Func, UUIDField, Value

from houses.refusals import Refused
from houses.tenancy import current_house

NONCE = 12  # bytes, as AES-GCM wants it
NAMED = 12  # characters of a key's name, before a box that carries it
APART = b"kept "  # what is kept outside of the vault never opens as a value of it


class Sealed(Refused):
    """The value cannot be opened: its key is gone or it was tampered with."""

    code = "secret_sealed"


def put(value: str) -> uuid.UUID:
    """Seal a value for the house we are inside of; returns the id to open it with."""
    return uuid.UUID(str(_row("SELECT vault.put(%s, %s)", [*_sealed(value)])[0]))


def putting(value: str) -> Func:
    """The same as a part of a statement, which gives the id to a column."""
    box, key = _sealed(value)
    return Func(Value(box, BinaryField()), Value(key), function="vault.put", output_field=UUIDField())


def open_value(vault_id: uuid.UUID) -> str:
    """The value, for the moment of dispatch. Raises `Sealed` if no key of this installation opens it."""
    found = _row("SELECT key_id, box FROM vault.open(%s)", [vault_id])
    if found is None:
        raise Sealed("The vault has no value for this secret; put it in again.")
    return opened(found[0], bytes(found[1]), current_house().encode()).decode()


def drop(vault_id: uuid.UUID) -> None:
    """Forget a value."""
    _row("SELECT vault.drop(%s)", [vault_id])


def seal(what: bytes, *, to: str) -> bytes:
    """A box to keep elsewhere, which opens for the same agent or house alone, and names its key."""
    return current_key().encode() + boxed(what, APART + to.encode())


def unseal(box: bytes, *, to: str) -> bytes:
    """What is in such a box. Raises `Sealed`."""
    return opened(box[:NAMED].decode("ascii", "replace"), box[NAMED:], APART + to.encode())


def boxed(what: bytes, bound_to: bytes) -> bytes:
    """Sealed with the current key; what it is bound to has to be said again to open it."""
    nonce = os.urandom(NONCE)
    return nonce + _cipher(settings.VAULT_KEY).encrypt(nonce, what, bound_to)


def opened(key: str, box: bytes, bound_to: bytes) -> bytes:
    """What is in the box that this key sealed. Raises `Sealed`."""
    held = keys().get(key)
    if held is None:
        raise Sealed("The vault's keys do not open this secret; put its value in again.")
    try:
        return _cipher(held).decrypt(box[:NONCE], box[NONCE:], bound_to)
    except (InvalidTag, ValueError) as wrong:
        raise Sealed("The vault's key does not open this secret; put its value in again.") from wrong


def keys() -> dict[str, str]:
    """Every key of this installation by its name."""
    return {key_id(key): key for key in (settings.VAULT_KEY, *settings.VAULT_OLD_KEYS) if key}


def current_key() -> str:
    return key_id(settings.VAULT_KEY)


@lru_cache(maxsize=64)
def key_id(key: str) -> str:
    """A short public name for a key, kept beside what it sealed."""
    return hashlib.sha256(b"arbe vault" + key.encode()).hexdigest()[:NAMED]


@lru_cache(maxsize=64)
def _cipher(key: str) -> AESGCM:
    return AESGCM(base64.urlsafe_b64decode(key))


def _sealed(value: str) -> tuple[bytes, str]:
    return boxed(value.encode(), current_house().encode()), current_key()


def _row(sql: str, values: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()
