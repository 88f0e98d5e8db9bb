"""A connection to NATS that leaves no socket behind, however it ends."""

from __future__ import annotations

import asyncio
from typing import Any

from nats.aio.client import Client


class Connection(Client):
    """The client forgets the socket of an attempt that failed half-way, and may connect anew while it is closed."""

    _is_over = False

    async def _connect_to_server(self, s: Any) -> None:
        self._drop()
        await super()._connect_to_server(s)
        if self._is_over:
            self._drop()
            raise asyncio.CancelledError

    async def close(self) -> None:
        self._is_over = True
        try:
            await super().close()
        finally:
            self._drop()

    def _drop(self) -> None:
        if self._transport:
            self._transport.close()  # type: ignore[no-untyped-call]  # nats-py leaves it so
