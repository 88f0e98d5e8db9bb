"""Read links: an address that lets whoever has it read one stream, for a while. Signed, and kept nowhere.

To what a read takes anyway (`offset`, `live`, …) a link adds `by` (the agent who made it), `expires` (Unix seconds),
`token` (the id of the token that asked for it, if one did) and `signature`: base64url of an HMAC-SHA256 over all of
them, the house and the stream. The key of that is derived from the server's, so that a signature says nothing of it;
keys that were replaced go on opening what they signed for as long as the settings name them, and sign nothing more.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streams.refusals import Refusal
from streams.root import PREFIX

LONGEST = 30 * 24 * 3600  # seconds that a link may live
VERSION = b"arbe read link 1"
_SECONDS = re.compile(r"[1-9]\d{0,11}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says: who lets whom read what, until when."""

    house: str
    stream: str
    by: str
    expires: int  # Unix seconds
    token: str = ""

    def address(self, origin: str, key: str) -> str:
        """The whole link; its parameters in the order of the alphabet, as caches like them."""
        told = {"by": self.by, "expires": str(self.expires), "signature": _signature(self, key)}
        if self.token:
            told["token"] = self.token
        path = f"{quote(self.house, safe='')}/{quote(self.stream, safe='')}"
        return f"{origin}{PREFIX}{path}?{urlencode(sorted(told.items()))}"


def comes_with(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request brings a link, right or wrong. A socket never does: it shows more than the stream."""
    query: bytes = scope.get("query_string", b"")
    if b"signature" not in query or scope.get("type") != "http":
        return False
    return any(part.partition(b"=")[0] == b"signature" for part in query.split(b"&"))


def read(scope: MutableMapping[str, Any], keys: Iterable[str]) -> Link:
    """The link that a request to `scope["house"]` and `scope["stream"]` brings, if one of the keys signed it.

    Refuses with 403: `bad_link` for what was never given out, `expired_link` for what was right once.
    """
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    given = {name: query[name] for name in ("by", "expires", "signature", "token") if name in query}
    one = {name: values[0] for name, values in given.items() if len(values) == 1}
    if one.keys() != given.keys() or not {"by", "expires"} <= one.keys() or not _SECONDS.fullmatch(one["expires"]):
        raise _bad()
    link = Link(scope.get("house", ""), scope.get("stream", ""), one["by"], int(one["expires"]), one.get("token", ""))
    sent = one.get("signature", "").encode()
    if not any(hmac.compare_digest(sent, _signature(link, key).encode()) for key in keys if key):
        raise _bad()
    if link.expires <= time.time():
        raise Refusal(403, "expired_link", "This link has expired; ask whoever gave it to you for another one.")
    return link


def _bad() -> Refusal:
    return Refusal(
        403, "bad_link", "This link is not valid: something of it is missing or was changed. Copy all of it again."
    )


def _signature(link: Link, key: str) -> str:
    told = orjson.dumps([link.house, link.stream, link.by, link.expires, link.token])
    return urlsafe_b64encode(hmac.digest(_derived(key), VERSION + told, "sha256")).rstrip(b"=").decode()


@lru_cache(maxsize=8)
def _derived(key: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=VERSION).derive(key.encode())
