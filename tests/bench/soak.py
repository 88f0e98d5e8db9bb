"""Agents at work for minutes while everything around them is killed: `python -m tests.bench.soak [--seed N]`.

Many tasks at once are handed out, steered, stopped, gone on with, and hand on tasks themselves, while workers, and now
and then the web process, Redis and Postgres, are killed at random. Afterwards streams, rows and what the programs
printed have to agree, and nothing may be left.
"""

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import httpx
import psutil

from sandboxes import lifetimes
from tests.acceptance.hands import OVER, Hand, Person, Workshop
from tests.acceptance.system import FIRST_OWNER, System, command_line
from tests.acceptance.tasks import Task, bot, disagreements, none_left
from tests.agents.model import KEY, Model
from tests.agents.scenarios import say, shell
from tests.runtimes import runtime

VICTIMS = {"worker": 16, "every worker": 4, "web": 2, "redis": 2, "postgres": 2}  # how likely each is
WORDS = {"worker": "worker", "web": "arbe.asgi:application", "redis": "redis-server", "postgres": "postgres"}
BETWEEN = (4.0, 12.0)  # seconds between two kills
PATIENCE = 60.0  # for an answer, while whoever answers is started again
LOOK = 1.0
REST = 180.0  # seconds for everything to come to rest afterwards
DEAD_FOR = 30.0  # seconds that a thread may be called running without a living process, while those live who would see


class Patient(Hand):
    """Asks again while nobody answers, and what it asks for is done once."""

    def ask(self, method: str, path: str, /, **options: Any) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        end = time.monotonic() + PATIENCE
        while True:
            try:
                answer = super().ask(method, path, headers=headers, **options)
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
            else:
                if (answer.status_code < 500 and "in_use" not in answer.text) or time.monotonic() > end:
                    return answer
            time.sleep(0.5)


class Soak:
    """One of them: who is at work, what is killed, and what was seen."""

    def __init__(self, system: System, hand: Hand, seed: int, seconds: float) -> None:
        self.system, self.hand, self.seed = system, hand, seed
        self.end = time.monotonic() + seconds
        self.over = threading.Event()
        self.did: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.dead: defaultdict[str, float] = defaultdict(float)  # seconds without a process, by thread
        self.unseen: defaultdict[str, float] = defaultdict(float)  # of these, since somebody who would see was killed
        self.struck = time.monotonic()

    def run(self, shops: list[Workshop], bots: list[str], runs: int) -> None:
        people = [Driver(self, number, shops[number % len(shops)], bots[number % len(bots)]) for number in range(runs)]
        killer = threading.Thread(target=self._kill, daemon=True)
        watch = threading.Thread(target=self._watch, daemon=True)
        for one in (*people, killer, watch):
            one.start()
        for one in (*people, killer):
            one.join()
        self.over.set()
        watch.join()

    # Killing

    def _kill(self) -> None:
        dice = random.Random(f"{self.seed} kills")  # the same with the same seed
        time.sleep(min(5.0, dice.uniform(*BETWEEN)))
        while time.monotonic() < self.end:
            [whom] = dice.choices(list(VICTIMS), list(VICTIMS.values()))
            found = self._processes(WORDS["worker" if whom == "every worker" else whom])
            for one in [dice.choice(found)] if found and whom == "worker" else found:
                self.struck = self.struck if command_line(one)[-1] == "commands" else time.monotonic()
                one.kill()
            self.did[f"killed {whom}"] += bool(found)
            time.sleep(dice.uniform(*BETWEEN))

    def _processes(self, word: str) -> list[psutil.Process]:
        mine = psutil.Process(self.system.process.pid).children()
        return [one for one in mine if any(word in part for part in command_line(one))]

    # Watching

    def _watch(self) -> None:
        """For how long a thread is called running that has no living process."""
        since: dict[str, float] = {}
        while not self.over.wait(2):
            running = self.hand.get("threads/", status="running", limit=200)["results"]
            now = time.monotonic()
            since = {one["id"]: since.get(one["id"], now) for one in running if not self._lives(one["sandbox"])}
            for name, began in since.items():
                self.dead[name] = max(self.dead[name], now - began)
                self.unseen[name] = max(self.unseen[name], now - max(began, self.struck))

    def _lives(self, sandbox: str | None) -> bool:
        folder = self.system.var / "sandboxes" / str(sandbox) / "processes"
        return any(map(_is_alive, folder.glob("*/warden.pid")))


class Driver(threading.Thread):
    """Somebody who always has one task at work, and does not leave it alone."""

    def __init__(self, soak: Soak, number: int, shop: Workshop, bot: str) -> None:
        super().__init__(name=f"driver {number}", daemon=True)
        self.soak, self.number, self.shop, self.bot = soak, number, shop, bot
        self.dice = random.Random(f"{soak.seed} {number}")  # the same with the same seed
        self.said = 0

    def run(self) -> None:
        task: Task | None = None
        try:
            time.sleep(self.dice.uniform(0, 5))
            while time.monotonic() < self.soak.end:
                if task is None or self.dice.random() < 0.5:
                    task = Task.handed(self.shop, self.bot, self._work())
                    self.soak.did["tasks"] += 1
                else:
                    task.say(self._work())
                    self.soak.did["next messages"] += 1
                self._see_through(task)
            self._see_through(task, meddles=False)
        except Exception as error:  # noqa: BLE001  # the edge of this thread
            self.soak.wrong.append(f"driver {self.number}: {error!r}"[:600])

    def _see_through(self, task: Task | None, *, meddles: bool = True) -> None:
        """Until it rests, with what comes to mind meanwhile."""
        end = time.monotonic() + REST
        while task is not None and task.last["status"] not in OVER:
            if time.monotonic() > end:
                self.soak.wrong.append(f"thread {task.thread} does not come to rest")
                return
            if meddles and time.monotonic() < self.soak.end:
                self._meddle(task)
            time.sleep(LOOK * self.dice.uniform(0.5, 1.5))

    def _meddle(self, task: Task) -> None:
        what = self.dice.random()
        if what < 0.04:
            task.say(self._work(steps=1))
            self.soak.did["steers"] += 1
        elif what < 0.06:
            task.say(self._work(steps=1), waits=True)
            self.soak.did["messages that waited"] += 1
        elif what < 0.07:
            task.stop()
            self.soak.did["stops"] += 1

    def _work(self, steps: int | None = None) -> str:
        """A chain of tools that take their time, print, write; now and then one hands on a task."""
        self.said += 1
        mine = f"{self.number}-{self.said}"
        chain = [shell(self._step(f"{mine}-{n}")) for n in range(steps or self.dice.randint(2, 6))]
        if steps is None and self.dice.random() < 0.2:
            waits = "--wait " if self.dice.random() < 0.3 else ""
            below = say("chain", steps=[shell(self._step(f"{mine}-below"))], then=f"Below {mine}.")
            chain.append(shell(f"arbe delegate {waits}--bot '{self.bot}' '{below}'"))
            self.soak.did["handed on"] += 1
        return say("chain", steps=chain, then=f"Done {mine}.")

    def _step(self, name: str) -> str:
        seconds, lines = self.dice.uniform(0.5, 5), self.dice.choice([1, 20, 500])
        return f"echo {name} >> {name}.txt; seq {lines}; sleep {seconds:.1f}; echo end {name}"


def _is_alive(told: Path) -> bool:
    try:
        return lifetimes.is_alive(told.read_text())
    except FileNotFoundError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="at once")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--programs", nargs="+", default=["pi"])
    given = parser.parse_args()
    print(f"{given.runs} runs at once for {given.seconds:g} s, seed {given.seed}", flush=True)
    system, model = System(), Model(KEY).start()
    try:
        system.start()
        wrong = soaked(system, model, given)
        if wrong:
            kept = shutil.copy(system.var / "arbe.log", f"{tempfile.gettempdir()}/soak-{given.seed}.log")
            print(f"the log is kept in {kept}")
    finally:
        system.remove()
        model.stop()
    for sentence in wrong[:50]:
        print("WRONG:", sentence)
    print("everything agrees" if not wrong else f"{len(wrong)} things are wrong")
    sys.exit(bool(wrong))


def soaked(system: System, model: Model, given: argparse.Namespace) -> list[str]:
    owner = Person(system, system.manage("sign_in_link", FIRST_OWNER))
    hand = owner.at_work(owner.found("Soak"))
    hand.__class__ = Patient
    for program in given.programs:
        runtime(program)
    bots = [bot(hand, f"Bot-{program}", program, model) for program in given.programs]
    shops = [hand.workshop(f"soak-{n}") for n in range(4)]
    soak = Soak(system, hand, given.seed, given.seconds)
    soak.run(shops, bots, given.runs)
    _settle(hand, soak)
    wrong, figures = disagreements(hand)
    wrong = soak.wrong + wrong
    if not none_left(system.var):
        wrong.append("processes are left")
    dead = {name: seconds for name, seconds in soak.unseen.items() if seconds > DEAD_FOR}
    wrong += [
        f"thread {name} was called running for {seconds:.0f} s without a process" for name, seconds in dead.items()
    ]
    for name, count in [*sorted(soak.did.items()), *sorted(figures.items())]:
        print(f"{name:<40} {count:>8}")
    print(f"{'requests to the model':<40} {len(model.requests):>8}")
    for what, times in (("longest running without a process", soak.dead), ("  … nobody being killed", soak.unseen)):
        print(f"{what:<40} {max(times.values(), default=0):>6.1f} s")
    return wrong


def _settle(hand: Hand, soak: Soak) -> None:
    """What was handed on, and what waited, comes to its end too."""
    end = time.monotonic() + REST
    while hand.get("threads/", status="running", limit=1)["results"] or _waiting(hand):
        if time.monotonic() > end:
            soak.wrong.append(f"not everything came to rest within {REST:g} s")
            return
        time.sleep(1)
    time.sleep(3)


def _waiting(hand: Hand) -> bool:
    return bool(hand.get("threads/", status="idle", limit=1)["results"])


if __name__ == "__main__":
    main()
