"""Addresses of those who provide models: where a bot's questions go, with its key.

Whoever manages a house says them, and need not be who runs this machine. So what only this machine reaches is allowed
where its operator says so (ARBE_LOCAL_MODELS), and otherwise an address is https and everybody's.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from houses.refusals import Forbidden, Invalid
from houses.texts import text_of

Address = IPv4Address | IPv6Address
LOCAL = re.compile(r"(?:.*\.)?(?:localhost|local|lan|internal|home\.arpa)|[^.]+")  # names of a network of one's own


def model_address(given: str) -> str:
    """A URL up to what the API adds to it, or nothing. Raises `Invalid`, `Forbidden`."""
    url = text_of(given, "address", 2000).rstrip("/")
    if not url:
        return ""
    parts = _parts(url)
    host = parts.hostname or ""
    literal = _literal(host)
    if literal is not None and (literal.is_link_local or literal.is_multicast or literal.is_unspecified):
        raise Invalid("address: nobody provides models there.")
    inside = not _is_outside(literal) if literal is not None else bool(LOCAL.fullmatch(host))
    if inside and not settings.LOCAL_MODELS:
        raise Forbidden(
            "address: this installation asks models on the public internet alone; "
            "its operator can allow those of its own network (ARBE_LOCAL_MODELS)."
        )
    if parts.scheme == "http" and not inside:
        raise Invalid("address: over http everybody on the way reads the key; this is https beyond one's own network.")
    return url


def _is_outside(address: Address) -> bool:
    """Whether this is a place on the public internet. What a name leads to is asked by whoever connects."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = inner or address
    return address.is_global and not address.is_multicast and not address.is_reserved


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
