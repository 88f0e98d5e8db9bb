"""The measured figures of arbe, with medians: `make bench`."""

import os
import re
import subprocess
import sys

from tests.acceptance.hands import Person
from tests.acceptance.system import FIRST_OWNER, System
from tests.bench import agents, latency, pages, watchers

Line = tuple[str, str, str]


def main() -> None:
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    for measure in (_running, _plans, _mutations, _tenancy):
        for what, how_much, more in measure():
            print(f"{what:<76} {how_much:>20}   {more}", flush=True)


def _running() -> list[Line]:
    """What is measured from outside, at a whole arbe."""
    system = System()
    try:
        system.start()
        owner = Person(system, system.manage("sign_in_link", FIRST_OWNER))
        hand = owner.at_work(owner.found("Bench"))
        lines = latency.told(latency.measure(hand)) + pages.told(pages.measure(hand, system.told["ARBE_STREAMS_KEY"]))
        return lines + agents.told(hand, "pi") + watchers.told(watchers.measure(hand))
    finally:
        system.remove()


def _plans() -> list[Line]:
    lines = []
    for targets in (100, 10_000):
        said = _said("tests.bench.plan", str(targets))
        found = re.search(r"plan of one target, nothing changed: median ([\d.]+) ms, worst ([\d.]+) ms", said)
        assert found, said
        lines.append((f"no-op plan, {targets:,} targets", f"{found[1]} ms (aim < 10)", f"worst {found[2]}"))
    return lines


def _mutations() -> list[Line]:
    said = _said("tests.bench.mutations")
    lines = re.findall(r"(.*?): (\d+) ms, audited (\d+) ms, ([+-][\d.]+%) .*, (\d+) rows", said)
    assert lines, said
    return [
        (f"{name}, {int(rows):,} at once: what auditing adds", f"{more} (aim < 15%)", f"{off} ms → {on} ms")
        for name, off, on, more, rows in lines
    ]


def _tenancy() -> list[Line]:
    """A thousand houses and a million threads, and what the walls between them cost."""
    found = re.findall(r"^ +(.+?) +(p50 .*?)   (p95 .*)$|^ +in (.+):$", _said("tests.bench.tenancy"), re.MULTILINE)
    assert found
    return [(what or f"with 1,000,000 threads, in {where}", middle, more) for what, middle, more, where in found]


def _said(module: str, *words: str) -> str:
    return subprocess.run([sys.executable, "-m", module, *words], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
