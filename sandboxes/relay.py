"""The outer end of a sandbox's doors: each request goes to the address behind its door, with the headers that are put
in here alone. One request per connection, bodies and answers as they come. Standard library only.
"""

from __future__ import annotations

import _thread
import json
import select
import socket
from functools import cache
from ipaddress import ip_address
from threading import Semaphore

from sandboxes import heads, internet

TYPE_CHECKING = False  # see warden.py
if TYPE_CHECKING:
    import ssl
    from typing import Any

    Door = dict[str, Any]

BLOCK = 1 << 16
LONGEST_HEAD = 1 << 16
SLOW = 30.0  # for a head to come, and for a connection to be made
LAST_WORD = 2.0  # for a caller to take its answer
AT_ONCE = 128
STACK = 1 << 18


class Relay:
    """That of one command, until it is killed."""

    def __init__(self, listener: int, nonce: str, doors: list[Door]) -> None:
        self.listener = socket.socket(fileno=listener)
        self.nonce, self.doors = nonce, {door["prefix"]: door for door in doors}
        self.room = Semaphore(AT_ONCE)

    def serve(self) -> None:
        self.listener.setblocking(True)
        _thread.stack_size(STACK)
        while True:
            self.room.acquire()
            try:
                client, _ = self.listener.accept()
            except ConnectionError:  # gone before anybody came to the door
                self.room.release()
                continue
            _thread.start_new_thread(self.receive, (client,))

    def receive(self, client: socket.socket) -> None:
        try:
            with client:
                client.settimeout(SLOW)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.pass_on(client)
                linger(client)
        except OSError:
            return  # whoever called has gone
        finally:
            self.room.release()

    def pass_on(self, client: socket.socket) -> None:
        try:
            head, body = read_head(client)
            request = heads.request(head)
            door, path = request.door(self.nonce, self.doors)
            with connect(door) as upstream:
                Exchange(client, upstream, request.rewritten(door, path), request.length).run(body)
        except heads.Bad as bad:
            refuse(client, bad)


class Exchange:
    """One request and its answer; neither side waits for the other to read."""

    def __init__(self, client: socket.socket, upstream: socket.socket, head: bytes, length: int | None) -> None:
        self.client, self.upstream = client, upstream
        self.asking, self.left = bytearray(head), length
        self.heard: bytearray | None = bytearray()  # of an answer's head that is not complete
        self.telling, self.ended = bytearray(), False

    def run(self, body: bytes) -> None:
        self._ask(body)
        for side in (self.client, self.upstream):
            side.setblocking(False)
        while self.telling or not self.ended:
            if not any((self._from_client(), self._to_upstream(), self._from_upstream(), self._to_client())):
                self._wait()

    def _ask(self, data: bytes) -> None:
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        self.asking += data

    def _from_client(self) -> bool:
        if len(self.asking) >= BLOCK:
            return False
        data = received(self.client)
        if data == b"":
            raise ConnectionAbortedError  # then nobody wants the answer
        self._ask(data or b"")
        return data is not None

    def _to_upstream(self) -> bool:
        try:
            return sent(self.upstream, self.asking)
        except OSError:  # it may have answered all the same
            self.asking.clear()
            return False

    def _from_upstream(self) -> bool:
        if self.ended or len(self.telling) >= BLOCK:
            return False
        try:
            data = received(self.upstream)
        except OSError:
            data = b""
        if data is None:
            return False
        self.ended = not data
        self._tell(data)
        return True

    def _tell(self, data: bytes) -> None:
        if self.heard is None:
            self.telling += data
            return
        self.heard += data
        while self.heard is not None and (at := self.heard.find(heads.END)) >= 0:
            status, head = heads.answered(bytes(self.heard[:at]))
            self.telling += head
            del self.heard[: at + len(heads.END)]
            if status >= 200:
                self.telling += self.heard
                self.heard = None
        if self.heard is not None and (self.ended or len(self.heard) > LONGEST_HEAD):
            raise heads.Bad(502, "The connection ended before there was an answer.")

    def _to_client(self) -> bool:
        return sent(self.client, self.telling)

    def _wait(self) -> None:
        for side, happened in self.awaited().poll():
            if side == self.client.fileno() and happened & (select.POLLERR | select.POLLHUP):
                raise ConnectionAbortedError  # it has gone, and was not read

    def awaited(self) -> select.poll:
        """Whatever would bring this exchange on. Of a side that it waits for nothing of, only a caller's going does."""
        poll = select.poll()
        ready = select.POLLIN if len(self.asking) < BLOCK else 0
        poll.register(self.client, ready | (select.POLLOUT if self.telling else 0))
        ready = select.POLLIN if len(self.telling) < BLOCK else 0
        if not self.ended and (ready or self.asking):
            poll.register(self.upstream, ready | (select.POLLOUT if self.asking else 0))
        return poll


def received(side: socket.socket) -> bytes | None:
    """None when there is nothing yet, empty when there will be nothing more."""
    try:
        return side.recv(BLOCK)
    except OSError as error:
        if waits(error):
            return None
        raise


def sent(side: socket.socket, data: bytearray) -> bool:
    if not data:
        return False
    try:
        count = side.send(data[:BLOCK])
    except OSError as error:
        if waits(error):
            return False
        raise
    del data[:count]
    return True


def waits(error: OSError) -> bool:
    return isinstance(error, BlockingIOError) or type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")


def read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """A request's head, and what came of its body along with it."""
    data = bytearray()
    while (at := data.find(heads.END)) < 0:
        if len(data) > LONGEST_HEAD:
            raise heads.Bad(431, "The head of the request is too long.")
        block = client.recv(BLOCK)
        if not block:
            raise ConnectionAbortedError
        data += block
    return bytes(data[:at]), bytes(data[at + len(heads.END) :])


def connect(door: Door) -> socket.socket:
    try:
        upstream = called(door)
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return trust().wrap_socket(upstream, server_hostname=door["host"]) if door["scheme"] == "https" else upstream
    except OSError as error:
        raise heads.Bad(502, f"{door['authority']} cannot be reached: {error.strerror or error}") from error


def called(door: Door) -> socket.socket:
    """The first of the addresses behind the name that answers, of those a door may lead to."""
    why = OSError("its name leads nowhere that a door may lead to")
    for _, _, _, _, address in socket.getaddrinfo(door["host"], door["port"], type=socket.SOCK_STREAM):
        if not allowed(place := str(address[0]), door["public"]):
            continue
        try:
            return socket.create_connection((place, door["port"]), SLOW)
        except OSError as error:
            why = error
    raise why


def allowed(address: str, public: bool) -> bool:
    """What a name leads to can change after the name was looked at, so it is looked at here."""
    found = ip_address(address.partition("%")[0])
    return internet.is_public(found) if public else not internet.is_closed(found)


@cache
def trust() -> ssl.SSLContext:
    import ssl  # its time and memory are spared where no door leads to TLS

    return ssl.create_default_context()


def refuse(client: socket.socket, bad: heads.Bad) -> None:
    body = json.dumps({"error": {"message": str(bad), "type": "arbe_door"}}).encode()
    head = f"HTTP/1.1 {bad.status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    client.settimeout(LAST_WORD)
    client.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)


def linger(client: socket.socket) -> None:
    """What was not read of a request would otherwise take back an answer that is still on its way."""
    client.settimeout(LAST_WORD)
    client.shutdown(socket.SHUT_WR)
    for _ in range(1024):
        if not client.recv(BLOCK):
            return
