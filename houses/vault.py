"""The vault: where secret values sit, sealed, out of reach of every query of the application.

Values are sealed with AES-GCM (the house's id is authenticated with them, so a value cannot be moved to another house)
and kept in a table of the `vault` schema that only the vault's own role can read; three database functions put, open
and drop one value, of the house we are inside of.
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

from houses.refusals import Refused
from houses.tenancy import current_house

NONCE = 12  # bytes, as AES-GCM wants it


class Sealed(Refused):
    """The value cannot be opened: its key is gone or it was tampered with."""

    code = "secret_sealed"


def put(value: str) -> uuid.UUID:
    """Seal a value for the house we are inside of; returns the id to open it with."""
    nonce = os.urandom(NONCE)
    box = nonce + _cipher(settings.VAULT_KEY).encrypt(nonce, value.encode(), current_house().encode())
    return uuid.UUID(str(_call("SELECT vault.put(%s, %s)", [box, key_id(settings.VAULT_KEY)])))


def open_value(vault_id: uuid.UUID) -> str:
    """The value, for the moment of dispatch. Raises `Sealed` if this installation's key does not open it."""
    box = _call("SELECT vault.open(%s)", [vault_id])
    if box is None:
        raise Sealed("The vault has no value for this secret; put it in again.")
    box = bytes(box)
    try:
        return _cipher(settings.VAULT_KEY).decrypt(box[:NONCE], box[NONCE:], current_house().encode()).decode()
    except InvalidTag as wrong:
        raise Sealed("The vault's key does not open this secret; put its value in again.") from wrong


def drop(vault_id: uuid.UUID) -> None:
    """Forget a value."""
    _call("SELECT vault.drop(%s)", [vault_id])


def key_id(key: str) -> str:
    """A short public name for a key, kept beside what it sealed."""
    return hashlib.sha256(b"arbe vault" + key.encode()).hexdigest()[:12]


@lru_cache(maxsize=4)
def _cipher(key: str) -> AESGCM:
    return AESGCM(base64.urlsafe_b64decode(key))


def _call(sql: str, values: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]
