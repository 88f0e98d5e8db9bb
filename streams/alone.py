"""A stream server in a process of its own, on loopback, that lets everybody in.

`python -m streams.alone FOLDER --open`
"""

from __future__ import annotations

import argparse
from types import FrameType

import uvicorn

from streams.server import OpenStreams, create_app


class Alone(uvicorn.Server):
    """Uvicorn waits for open connections before it stops; a tail must be told that this is the end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = self.config.app
        if isinstance(app, OpenStreams) and app.server:
            app.server.hang_up()
        super().handle_exit(sig, frame)


def server(folder: str, host: str = "127.0.0.1", port: int = 4437, **options: float) -> Alone:
    app = create_app(folder, **options)
    return Alone(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--open", action="store_true", required=True, help="no authentication: for tests and trials")
    parser.add_argument("--port", type=int, default=4437)
    parser.add_argument("--long-poll", type=float, default=20.0)
    given = parser.parse_args()
    server(given.folder, port=given.port, long_poll=given.long_poll).run()


if __name__ == "__main__":
    main()
