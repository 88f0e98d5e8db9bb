"""Loopback ports for embedded servers, kept from one start to the next where they are still free."""

import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Any port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def remembered(file: Path) -> int:
    """The port used last time if it is still free, else a new one, written down."""
    if file.exists() and (text := file.read_text().strip()).isdigit() and is_free(int(text)):
        return int(text)
    port = free_port()
    file.write_text(f"{port}\n")
    return port
