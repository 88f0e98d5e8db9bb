"""One readable log of every process: time, who, what; on the terminal and in a file."""

import os
import re
import selectors
import sys
import time
from contextlib import suppress
from io import TextIOWrapper
from logging import INFO, LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
LONGEST_LINE = 8_000  # characters
WIDTH = len("commands 1")


class PrivateFile(RotatingFileHandler):
    """What processes say may name people and houses."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=lambda path, how: os.open(path, how, 0o600))


class Console:
    """Lines of many processes, each told by its name, in the order they came."""

    def __init__(self, file: Path, *, hush: str = "$^", colour: bool | None = None) -> None:
        self._hush = re.compile(hush)
        self.file = file
        self._file = PrivateFile(file, maxBytes=20_000_000, backupCount=2, encoding="utf-8")
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ if colour is None else colour
        self._seen: dict[str, int] = {}
        self._selector = selectors.DefaultSelector()
        self._half_lines: dict[IO[bytes], bytes] = {}

    def say(self, who: str, line: str) -> None:
        stamp, line = time.strftime("%H:%M:%S"), _printable(line[:LONGEST_LINE])
        self._file.emit(
            LogRecord("up", INFO, "", 0, f"{time.strftime('%Y-%m-%d')} {stamp} {who:<{WIDTH}} {line}", (), None)
        )
        prefix = f"{stamp} {who:<{WIDTH}}"
        if self._colour:
            prefix = f"\x1b[{COLOURS[self._seen.setdefault(who, len(self._seen)) % len(COLOURS)]}m{prefix}\x1b[0m"
        self.show(f"{prefix} {line}")

    def show(self, text: str) -> None:
        """For the terminal alone; it is kept nowhere."""
        with suppress(OSError, ValueError):  # the terminal may be gone; that is no reason to end
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def listen(self, who: str, pipe: IO[bytes]) -> None:
        """From now on, `pump` says what comes out of this pipe."""
        os.set_blocking(pipe.fileno(), False)
        self._half_lines[pipe] = b""
        self._selector.register(pipe, selectors.EVENT_READ, who)

    def pump(self, seconds: float) -> None:
        """Wait up to so long for something to be said, and pass it on."""
        for key, _ in self._selector.select(seconds):
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]  # only `listen` and `wake_on` register
            if pipe not in self._half_lines:
                os.read(key.fd, 4096)
                continue
            data = os.read(key.fd, 65536)
            *lines, rest = (self._half_lines[pipe] + data).split(b"\n")
            for line in lines:
                self._pass_on(key.data, line)
            self._half_lines[pipe] = rest
            if not data or len(rest) > LONGEST_LINE:
                self._pass_on(key.data, rest)
                self._half_lines[pipe] = b""
            if not data:
                self._forget(pipe)

    def wake_on(self, descriptor: int) -> None:
        """Let `pump` return at once when a signal arrives."""
        self._selector.register(descriptor, selectors.EVENT_READ, "")

    def close(self) -> None:
        for pipe in list(self._half_lines):
            self._forget(pipe)
        self._selector.close()
        self._file.close()

    def _pass_on(self, who: str, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text and not self._hush.search(text):
            self.say(who, text)

    def _forget(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        del self._half_lines[pipe]
        pipe.close()


def _printable(line: str) -> str:
    """A log line must not steer the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "\N{REPLACEMENT CHARACTER}" for letter in line)
