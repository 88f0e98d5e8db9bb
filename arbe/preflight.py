"""What is in the way of a start, in sentences, before anything is started."""

import sys

from arbe import ports
from sandboxes.local import Local

NEEDED_PYTHON = (3, 11)


class CannotStart(RuntimeError):
    """A sentence that says what is in the way."""


def refuse_if_impossible(host: str, port: int) -> None:
    """Raises `CannotStart` for what nothing can be done about later."""
    if sys.version_info[:2] < NEEDED_PYTHON:
        raise CannotStart(f"arbe needs Python {NEEDED_PYTHON[0]}.{NEEDED_PYTHON[1]}; this is {sys.version.split()[0]}.")
    if not ports.is_free(port, host):
        raise CannotStart(f"Port {port} on {host} is taken by another program; choose one with --port.")


def missing(machines: Local) -> list[str]:
    """What is absent without being in the way: arbe starts, and says what it will refuse."""
    problem = machines.check()
    return [f"Commands will be refused, as nothing runs outside a sandbox: {problem}"] if problem else []
