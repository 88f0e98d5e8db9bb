"""Which kind of store a server has: of this machine alone, or one of several copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streams.storage.store import Store


def store_at(folder: str | Path, jetstream: Sequence[str] = (), credentials: str = "") -> Store:
    """With the addresses of a JetStream cluster, the copy of this process; `credentials` is the path of a file.

    Such a copy needs a running event loop, and is as the others know it once it is `ready`.
    """
    if not jetstream:
        return Store(folder)
    from streams.storage.jetstream import OrderedLog  # one machine alone needs no client of NATS
    from streams.storage.replica import Replica

    return Replica(folder, OrderedLog(jetstream, credentials or None))
