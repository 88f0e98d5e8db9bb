"""Doors: what a command may reach though its sandbox has no network. A listener on the loopback inside, whose other end
is a relay outside. Standard library only, because the warden imports it.
"""

from __future__ import annotations

import _socket
import os
from ctypes import CDLL, get_errno

TYPE_CHECKING = False  # see warden.py
if TYPE_CHECKING:
    from typing import Any

LOOPBACK, PORT = "127.0.0.1", 4180
BACKLOG = 128
MOST_RELAYS = 100  # of one command, one after the other
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
OWNER_OF = 0xB701  # of a namespace: the user namespace that it belongs to
FREE_BIND = 15  # the loopback may not be up yet
RIGHTS = 1
DEATH_SIGNAL, KILL = 1, 9
LIBC = CDLL(None, use_errno=True)


class Doors:
    """Those of one command; who has not the nonce, finds none."""

    def __init__(self, doors: list[dict[str, Any]], network: bool) -> None:
        self.doors, self.nonce = doors, os.urandom(18).hex()
        self.listener = listen(0) if network else None
        self.relay, self.relays = 0, 0

    @property
    def address(self) -> str:
        port = self.listener.getsockname()[1] if self.listener else PORT
        return f"http://{LOOPBACK}:{port}/{self.nonce}"

    def open(self, init: int) -> None:
        """From here on somebody listens; `init` is a process inside."""
        if self.listener is None:
            self.listener = listen_inside(init)

    def keep(self) -> None:
        """The relay begins, as a process of its own; what has called already is answered then."""
        assert self.listener
        warden = os.getpid()
        self.relays += 1
        self.relay = os.fork()
        if self.relay:
            return
        try:
            self._become_relay(warden)
        except BaseException as error:  # noqa: BLE001 - a copy of the warden must not live on
            os.write(2, f"The relay ended: {error!r}\n".encode())
        os._exit(70)

    def tend(self) -> None:
        """Another relay takes the place of one that ended, which nobody but a kill makes it do."""
        if self.relay and os.waitpid(self.relay, os.WNOHANG)[0]:
            self.relay = 0
            if self.relays < MOST_RELAYS:
                self.keep()

    def close(self) -> None:
        try:
            if self.relay and not os.waitpid(self.relay, os.WNOHANG)[0]:
                os.kill(self.relay, KILL)
                os.waitpid(self.relay, 0)
        except ChildProcessError:
            pass  # it had ended, and was buried with what the command left
        self.relay = 0

    def _become_relay(self, warden: int) -> None:
        assert self.listener
        LIBC.prctl(DEATH_SIGNAL, KILL, 0, 0, 0)
        if os.getppid() != warden:
            return
        os.dup2(self.listener.detach(), 0)
        os.closerange(3, 4096)
        from sandboxes.relay import Relay

        Relay(0, self.nonce, self.doors).serve()


def listen(port: int) -> _socket.socket:
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_IP, FREE_BIND, 1)
    listener.bind((LOOPBACK, port))
    listener.listen(BACKLOG)
    return listener


def listen_inside(init: int) -> _socket.socket:
    """A listener in the network namespace of that process. Whoever enters it cannot leave: so a copy of us does."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    pid = os.fork()
    if not pid:
        try:
            enter_network(init)
            listener = listen(PORT)
            theirs.sendmsg([b"."], [(_socket.SOL_SOCKET, RIGHTS, listener.fileno().to_bytes(4, "little"))])
        except BaseException as error:  # noqa: BLE001 - a copy of the warden must not live on
            theirs.sendmsg([str(error).encode()[:500]])
        os._exit(0)
    theirs.close()
    said, rights, *_ = ours.recvmsg(512, _socket.CMSG_SPACE(4))
    ours.close()
    os.waitpid(pid, 0)
    if not rights:
        raise OSError(said.decode() or "it was gone")
    return _socket.socket(fileno=int.from_bytes(rights[0][2][:4], "little"))


def enter_network(pid: int) -> None:
    """By way of the user namespace that owns it: there alone has an unprivileged user the right to."""
    import fcntl

    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    owner = fcntl.ioctl(network, OWNER_OF)
    for fd, kind in ((owner, NEW_USER), (network, NEW_NETWORK)):
        if LIBC.setns(fd, kind):
            raise OSError(get_errno(), f"setns: {os.strerror(get_errno())}")
