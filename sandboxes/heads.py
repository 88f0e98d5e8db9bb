"""The heads of requests and answers that pass through a door: read, checked and rewritten. Standard library only."""

from __future__ import annotations

import re
from _operator import _compare_digest as same

TYPE_CHECKING = False  # see warden.py
if TYPE_CHECKING:
    from typing import Any

END = b"\r\n\r\n"
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
TARGET = re.compile(r"/[!-~]*")
# Of one connection only, and here each has one request; nothing turns into another protocol on the way.
OF_THE_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade", "host")
)


class Bad(Exception):
    """A request that is not passed on, with the status that says so."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Request:
    """A request's head; `length` is that of its body, None when the body itself says where it ends."""

    def __init__(self, method: str, target: str, headers: list[tuple[str, str]]) -> None:
        self.method, self.target, self.headers = method, target, headers
        self.length = _length(headers)

    def door(self, nonce: str, doors: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], str]:
        """The door it knocks at, and the rest of its path."""
        path, mark, query = self.target.partition("?")
        parts = path.split("/", 3)
        given, prefix = [*parts, "", ""][1:3]
        if not same(given, nonce) or (door := doors.get(prefix)) is None:
            raise Bad(404, "There is no such door.")
        onward = "/" + parts[3] if len(parts) > 3 else ""
        if ".." in onward.lower().replace("%2e", ".").replace("%5c", "/").replace("%2f", "/").split("/"):
            raise Bad(400, "A path may not lead back.")
        if door["only"] and f"{self.method} {onward}" not in door["only"]:
            raise Bad(403, f"Through this door goes {', '.join(door['only'])}, and nothing else.")
        return door, onward + mark + query

    def rewritten(self, door: dict[str, Any], path: str) -> bytes:
        """As the door's own address gets it."""
        dropped = OF_THE_CONNECTION | {name.lower() for name in (*door["drops"], *door["headers"])}
        kept = [(name, value) for name, value in self.headers if name.lower() not in dropped]
        ours = [("Host", door["authority"]), *door["headers"].items(), ("Connection", "close")]
        target = door["path"] + path
        if not target.startswith("/"):
            target = "/" + target
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in [*ours, *kept])]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def request(head: bytes) -> Request:
    """Only what every server reads alike is let through."""
    lines = head.decode("latin-1").split("\r\n")
    method, target, version = [*lines[0].split(" "), "", "", ""][:3]
    if lines[0].count(" ") != 2 or not NAME.fullmatch(method) or version not in ("HTTP/1.1", "HTTP/1.0"):
        raise Bad(400, "This is not an HTTP/1.1 request.")
    if not TARGET.fullmatch(target) or method == "CONNECT":
        raise Bad(400, "A request names a path.")
    return Request(method, target, [_header(line) for line in lines[1:]])


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    value = value.strip(" \t")
    if not colon or not NAME.fullmatch(name) or any(ord(letter) < 32 and letter != "\t" for letter in value):
        raise Bad(400, "A header of the request is not one.")
    return name, value


def _length(headers: list[tuple[str, str]]) -> int | None:
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    codings = [value.lower() for name, value in headers if name.lower() == "transfer-encoding"]
    if codings:
        if lengths or codings != ["chunked"]:
            raise Bad(400, "The request does not say clearly where its body ends.")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,12}", lengths[0]):
        raise Bad(400, "The request does not say clearly how long its body is.")
    return int(lengths[0])


def answered(head: bytes) -> tuple[int, bytes]:
    """An answer's status, and its head as the caller gets it: the connection ends with the answer."""
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not re.fullmatch(rb"[1-5][0-9][0-9]", words[1]):
        raise Bad(502, "What answered does not speak HTTP/1.1.")
    status = int(words[1])
    if status < 200:
        return status, head + END
    own = (b"connection", b"keep-alive", b"proxy-connection", b"upgrade")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in own]
    return status, b"\r\n".join([first, *kept, b"Connection: close", b"", b""])
