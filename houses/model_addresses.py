"""Addresses of those who provide models: where a bot's questions go, with its key.

Whoever manages a house says them, and need not be who runs this machine. So what only this machine reaches is allowed
where its operator says so (ARBE_LOCAL_MODELS), and otherwise an address is https and everybody's.
"""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from houses.internet import Address, is_closed, is_public, meant
from houses.refusals import Forbidden, Invalid
from houses.texts import text_of

LOCAL = re.compile(r"(?:.*\.)?(?:localhost|local|lan|internal|home\.arpa)|[^.]+")  # names of a network of one's own


def model_address(given: str) -> str:
    """A URL up to what the API adds to it, or nothing. Raises `Invalid`, `Forbidden`.

    What a name leads to is asked by whoever connects.
    """
    url = text_of(given, "address", 2000).rstrip("/")
    if not url:
        return ""
    parts = _parts(url)
    host = parts.hostname or ""
    literal = _literal(host)
    if literal is not None and is_closed(literal):
        raise Invalid("address: nobody provides models there.")
    inside = not is_public(literal) if literal is not None else bool(LOCAL.fullmatch(host))
    if inside and not settings.LOCAL_MODELS:
        raise Forbidden(
            "address: this installation asks models on the public internet alone; "
            "its operator can allow those of its own network (ARBE_LOCAL_MODELS)."
        )
    is_far = not inside or (literal is not None and is_public(meant(literal)))
    if parts.scheme == "http" and is_far:
        raise Invalid("address: over http everybody on the way reads the key; this is https beyond one's own network.")
    return url


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        raise Invalid("address: this is no URL.") from wrong
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"[\s\\\x00-\x20]", url):
        raise Invalid("address: this is a URL that begins with https:// or http:// and names a host.")
    if "@" in parts.netloc or parts.query or parts.fragment or "%" in parts.netloc:
        raise Invalid(
            "address: this is a host and a path alone, like https://api.example.com/v1; "
            "the key is a secret of the house, by its name."
        )
    if re.fullmatch(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)", parts.hostname) and _literal(parts.hostname) is None:
        raise Invalid("address: this is an odd way to write a host; give its name.")
    return parts


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
