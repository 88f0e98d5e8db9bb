"""Stream servers as processes of their own, ours and upstream's, that may be killed and started again."""

import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from arbe.ports import free_port
from tests.streams.upstream import installed

OURS, NODE, NODE_ON_DISK = "ours", "node", "node-on-disk"


@dataclass
class Server:
    """One server at one loopback port, over one folder."""

    kind: str
    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url_of_others(self) -> str:
        """The same server for a client that has read nothing of it yet: what is known is known of an address."""
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        with tempfile.TemporaryFile() as said:
            command, where = self._command(), installed() if self.kind != OURS else None
            # Upstream's ends with us, whatever becomes of us: when its input does.
            self.process = subprocess.Popen(
                command, cwd=where, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT
            )
            until = time.monotonic() + 30
            while not self._answers():
                if self.process.poll() is not None or time.monotonic() > until:
                    said.seek(0)
                    raise AssertionError(f"{self.kind} did not start: {said.read().decode()}")
                time.sleep(0.02)

    def kill(self) -> None:
        """As if it had been struck dead."""
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()

    def _command(self) -> list[str]:
        if self.kind == OURS:
            options = ["--open", "--port", str(self.port), "--long-poll", "1.5"]
            return [sys.executable, "-m", "streams.serving.alone", str(self.folder), *options]
        return ["node", "serve.mjs", str(self.port), *([str(self.folder)] if self.kind == NODE_ON_DISK else [])]

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def running(kind: str, folder: Path):
    server = Server(kind, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
