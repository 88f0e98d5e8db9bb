"""Addresses and headers of tools that are called over HTTP: said once, filled in when something is called."""

import re
from typing import Any
from urllib.parse import urlsplit

from houses.particulars import TELLS, particulars
from houses.refusals import Invalid
from houses.texts import text_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TRANSPORTS = ("streamable-http", "sse")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
SECRET = re.compile(r"\$\{([A-Z_][A-Z0-9_]{0,99})\}")


def mcp_config(config: dict[str, Any]) -> dict[str, Any]:
    """`{url, transport, headers}`: where an MCP server is. Raises `Invalid`."""
    _only(config, ("url", "transport", "headers"))
    kept = {"url": address(config.get("url")), "transport": config.get("transport", TRANSPORTS[0])}
    if kept["transport"] not in TRANSPORTS:
        raise Invalid(f"config.transport: this is one of {', '.join(TRANSPORTS)}.")
    return _with_headers(kept, config)


def http_config(config: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """`{method, url, headers}`; each {placeholder} of the URL is a property that every call has. Raises `Invalid`."""
    _only(config, ("method", "url", "headers"))
    method = text_of(config.get("method", "GET"), "config.method", 10).upper()
    if method not in METHODS:
        raise Invalid(f"config.method: this is one of {', '.join(METHODS)}.")
    url = address(config.get("url"))
    scheme, host = urlsplit(url)[:2]
    if PLACEHOLDER.search(scheme + host):
        raise Invalid("config.url: the host is always the same one; placeholders stand in the path or after it.")
    for name in PLACEHOLDER.findall(url):
        if name not in schema.get("properties", {}) or name not in schema.get("required", []):
            raise Invalid(
                f"config.url: `{{{name[:60]}}}` has to be a property of the schema, and a required one: "
                "without it there is no address to call."
            )
    return _with_headers({"method": method, "url": url}, config)


def address(given: Any) -> str:
    """A URL of the web, without credentials in it. Raises `Invalid`."""
    url = text_of(given if given is not None else "", "config.url", 2000, needed=True)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        raise Invalid("config.url: this is no URL.") from wrong
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"[\s\\\x00-\x1f]", url):
        raise Invalid("config.url: this is a URL that begins with https:// or http:// and names a host.")
    if "@" in parts.netloc:
        raise Invalid(
            "config.url: everybody in the house reads this, so it carries no credentials; "
            "send them in a header, by the name of a secret: `Bearer ${API_KEY}`."
        )
    return url


def _with_headers(kept: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    headers = config.get("headers", {})
    if not isinstance(headers, dict) or len(headers) > 50:
        raise Invalid("config.headers: these are texts by name, at most 50 of them.")
    for name, value in headers.items():
        _check_header(name, value)
    particulars(kept, "config")
    return kept | ({"headers": headers} if headers else {})


def _check_header(name: str, value: Any) -> None:
    where = f"config.headers.{name[:60]}" if HEADER.fullmatch(name) else "config.headers"
    if where == "config.headers" or not isinstance(value, str) or not re.fullmatch(r"[\x20-\x7e]{0,2000}", value):
        raise Invalid(f"{where}: a header is a name and one line of plain characters.")
    particulars({"value": value}, where)
    telling = name.lower().replace("-", "").replace("_", "")
    if (TELLS.search(telling) or telling.endswith("key")) and not SECRET.search(value):
        raise Invalid(
            f"{where}: everybody in the house reads this, so it names a secret and is none: `Bearer ${{API_KEY}}`. "
            "Keep the value under Settings → Secrets."
        )


def _only(config: dict[str, Any], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(config) - set(known)):
        raise Invalid(f"config.{unknown[0][:60]}: there is no such thing here; there is {', '.join(known)}.")
