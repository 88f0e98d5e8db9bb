"""Kills a stream server again and again while many write to it, and looks at what is left.

`python -m tests.bench.crash --kills 300`
"""

import argparse
import http.client
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from streams.offsets import START
from tests.streams.model import TYPES, Chance, Model, Op

WRITERS = 6
JOURNAL = 60_000


class Writer(threading.Thread):
    """Asks for one thing after another, until the server is gone; knows what was answered and what was not."""

    def __init__(self, number, seed):
        super().__init__(daemon=True)
        self.names = [f"oak{number}/{letter}" for letter in "abcd"]
        self.model, self.chance = Model(), Chance(f"{seed} {number}", self.names, spares=("ttl", "retain"))
        self.open, self.acked, self.wrong = None, 0, []  # `open` is what was asked for and never answered

    def live(self, port):
        thread = threading.Thread(target=self._live, args=(port,), daemon=True)
        thread.start()
        return thread

    def _live(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            while True:
                self.open = self.open or self.chance.op(self.model)
                answer = ask(connection, self.open, self.model)
                expected = self.model.apply(self.open)
                if self.open.verb == "append" and not self.open.producer and expected == "duplicate":
                    expected = "done"  # one cannot tell from the answer that it was closed already
                if answer != expected:
                    self.wrong.append(f"{self.open} was answered {answer}, not {expected}")
                self.open, self.acked = None, self.acked + 1
        except (OSError, http.client.HTTPException):
            connection.close()

    def look(self, port):
        """After a restart: whether the server has what was acknowledged, and with or without what was not."""
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            missing = self._differences(connection)
            if missing and self.open:
                self.model.apply(self.open)
                more = self._differences(connection)
                missing = more and [*missing, "or, with the request that was not answered:", *more]
                self.open = None  # it happened; had it not, it would be asked for again
        return missing

    def _differences(self, connection):
        return [what for name in self.names for what in difference(connection, name, self.model.streams.get(name))]


def ask(connection, op, model):
    """`done`, `duplicate` or the code of the refusal."""
    path, headers = f"/v1/stream/{op.name}", {"Content-Type": TYPES[op.kind]}
    body = b"[" + b",".join(op.messages) + b"]" if op.kind == "json" and op.messages else b"".join(op.messages)
    if op.close:
        headers["Stream-Closed"] = "true"
    if op.producer:
        headers |= {"Producer-Id": "p", "Producer-Epoch": f"{op.producer[0]}", "Producer-Seq": f"{op.producer[1]}"}
    if op.verb == "fork":
        source = model.streams.get(op.source)
        headers["Stream-Forked-From"] = f"/v1/stream/{op.source}"
        headers["Stream-Fork-Offset"] = str(source.offset(op.at) if source else START)
        if op.sub:
            headers["Stream-Fork-Sub-Offset"] = str(op.sub)
    verb = {"create": "PUT", "fork": "PUT", "delete": "DELETE", "append": "POST"}[op.verb]
    connection.request(verb, path, body, headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status >= 500:
        raise http.client.HTTPException(said)
    if answer.status >= 400:
        return said.split(b'"code":"')[1].split(b'"')[0].decode()
    if op.producer and not (op.close and not op.messages):
        return "done" if answer.status == 200 else "duplicate"
    return "duplicate" if verb == "PUT" and answer.status == 200 else "done"


def difference(connection, name, wanted):
    connection.request("GET", f"/v1/stream/{name}?offset=-1")
    answer = connection.getresponse()
    body = answer.read()
    status = 404 if wanted is None else 410 if wanted.is_soft_deleted else 200
    if answer.status != status:
        return [f"{name}: {answer.status}, not {status}"]
    if status != 200:
        return []
    held = b"[" + b",".join(wanted.messages) + b"]" if wanted.kind == "json" else b"".join(wanted.messages)
    if body != held:
        return [f"{name} holds {body!r}, not {held!r}"]
    told = answer.headers["Stream-Next-Offset"], answer.headers.get("Stream-Closed", "false")
    if told != (str(wanted.offset()), str(wanted.closed).lower()):
        return [f"{name} ends at and is closed: {told}, not {wanted.offset()} and {wanted.closed}"]
    if wanted.producer and not wanted.closed:
        again = Op("append", name, wanted.kind, (b'"never"',), producer=wanted.producer)
        if (said := ask(connection, again, None)) != "duplicate":
            return [f"{name}: its producer was answered {said}"]
    return []


class Killing:
    """A server, its writers, and the end of it at a random moment."""

    def __init__(self, folder, seed, say):
        self._folder, self._random, self._say = Path(folder), random.Random(seed), say
        self._writers = [Writer(number, seed) for number in range(WRITERS)]

    @property
    def acked(self):
        return sum(writer.acked for writer in self._writers)

    def run(self, kills):
        """What was found, in sentences."""
        found = []
        for kill in range(kills):
            server, port = self._start()
            try:
                found += [what for writer in self._writers for what in writer.look(port)]
                found += [what for writer in self._writers for what in writer.wrong]
                if found:
                    break
                living = [writer.live(port) for writer in self._writers]
                time.sleep(self._random.uniform(0.02, 0.4))
            finally:
                server.send_signal(signal.SIGKILL)
                server.wait(20)
            for thread in living:
                thread.join(30)
            self._tear()
            self._say(f"{kill + 1} kills, {self.acked:,} requests answered")
        return found

    def _start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [sys.executable, "-m", "streams.serving.alone", self._folder, "--open", "--port", str(port)]
        server = subprocess.Popen([*words, "--journal-size", str(JOURNAL)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return server, port
            except OSError:
                if server.poll() is not None or time.monotonic() > end:
                    server.kill()
                    raise RuntimeError("The stream server did not start.") from None
                time.sleep(0.02)

    def _tear(self):
        """Garbage behind the last batch, as a write leaves it that the end of the process cut off."""
        journals = sorted((self._folder / "journal").glob("*.*"))
        if not journals or self._random.random() < 0.3:
            return
        mark = bytes.fromhex(journals[-1].suffix[1:])
        with journals[-1].open("r+b") as file:
            raw = file.read()
            file.seek(len(raw.rstrip(b"\0")))  # no batch of these ends with a zero
            file.write(self._random.choice((mark, mark + b"\x11\x22\x33\x44\x40\0\0\0", b"\xff" * 100)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"seed {given.seed}")
        killing = Killing(folder, given.seed, lambda line: print(line, end="\r", flush=True))
        found = killing.run(given.kills)
        print()
        print("\n".join(found) or f"After each of {given.kills} kills, all of it was there and nothing else.")
        sys.exit(bool(found))


if __name__ == "__main__":
    main()
