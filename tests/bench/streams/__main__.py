"""`python -m tests.bench.streams [--rounds N] [--seconds S] [appends] [batches] [catch-up] [live]`

Every figure is the median of the rounds, with the least and the most. Appends of arbe and of Node on disk are synced
before they are answered; Node in memory keeps nothing.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.streams.live import latency
from tests.bench.streams.load import LONG, appends, catch_up, fill
from tests.bench.streams.servers import DISK, MEMORY, OURS, Server, servers
from tests.bench.streams.trials import Aim, Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each append and latency measurement")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which; all, if none is named")
    given = parser.parse_args()
    for command, package in (("wrk", "wrk"), ("node", "nodejs"), ("npm", "npm")):
        if not shutil.which(command):
            raise SystemExit(f"{command} is missing; on Debian and Ubuntu `apt-get install {package}` brings it.")
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the start, rounds: {given.rounds}")
    with tempfile.TemporaryDirectory(prefix="arbe-bench-", dir=_on_disk()) as folder, servers(Path(folder)) as there:
        for part in given.parts or PARTS:
            for trial in PARTS[part](there, given.seconds):
                trial.run(given.rounds)
                print("\n".join(trial.told()), flush=True)


def _appends(there: dict[str, Server], seconds: int) -> Iterator[Trial]:
    aims = [Aim(OURS, DISK, at_least=6), Aim(OURS, MEMORY, at_least=1)]
    for number, where in ((1, "one stream"), (64, "64 streams")):
        take = partial(appends, connections=64, streams=number, seconds=seconds)
        yield Trial(f"appends, 64 connections on {where}", "/s", _each(there, take), aims)


def _batches(there: dict[str, Server], seconds: int) -> Iterator[Trial]:
    take = partial(appends, connections=8, batch=50, seconds=seconds)
    name = "appends of 50 messages a request, 8 connections on one stream"
    yield Trial(name, "messages/s", _each(there, take), [Aim(OURS, DISK, at_least=4)])


def _catch_up(there: dict[str, Server], seconds: int) -> Iterator[Trial]:
    takers = {name: partial(catch_up, server, fill(server)) for name, server in there.items()}
    aims = [Aim(OURS, DISK, at_least=10), Aim(OURS, MEMORY, at_least=10)]
    yield Trial(f"catching up with {LONG // 1_000_000} MB of JSON", "MB/s", takers, aims)


def _live(there: dict[str, Server], seconds: int) -> Iterator[Trial]:
    for number in (1, 100):
        take = partial(latency, subscribers=number, seconds=seconds)
        name = f"append → SSE, {number} subscriber{'s' if number > 1 else ''}, half within"
        both = {each: there[each] for each in (OURS, MEMORY)}
        yield Trial(name, "ms", _each(both, take), [Aim(OURS, MEMORY, at_most=1)])
    take = partial(latency, there[OURS], 10, seconds)
    takers = {"empty stream": take, "long stream": partial(take, path=fill(there[OURS]))}
    name = f"append → SSE of arbe, 10 subscribers, new stream and one of {LONG // 1_000_000} MB, half within"
    yield Trial(name, "ms", takers, [Aim("long stream", "empty stream", at_most=2)])


def _each(there: dict[str, Server], take: Callable) -> dict[str, Callable]:
    return {name: partial(take, server) for name, server in there.items()}


def _on_disk() -> Path | None:
    """Where temporary files are, unless that is memory: a sync there would cost nothing."""
    wanted = Path(tempfile.gettempdir())
    with open("/proc/mounts") as mounts:
        kinds = {place: kind for _, place, kind, *_ in map(str.split, mounts)}
    holding = next(str(place) for place in (wanted, *wanted.parents) if str(place) in kinds)
    if kinds[holding] not in ("tmpfs", "ramfs"):
        return wanted
    return Path.cwd()


PARTS = {"appends": _appends, "batches": _batches, "catch-up": _catch_up, "live": _live}


if __name__ == "__main__":
    main()
