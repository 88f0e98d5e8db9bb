"""From a message to the first request of the agent that does what it says, less the agent's own start; and how much
memory arbe takes for each agent at work: `python -m tests.bench.agents`.

In each round the program alone is started beside it: in bubblewrap with the same files, told the same, without arbe.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil

from sandboxes import bubble
from tests.acceptance.hands import Hand, Person, Workshop
from tests.acceptance.system import FIRST_OWNER, System, until
from tests.acceptance.tasks import APIS, Task, bot
from tests.agents.model import KEY, Model
from tests.agents.scenarios import say
from tests.runtimes import FOLDER, runtime

Line = tuple[str, str, str]
FILES, ROUNDS, WARMING = 1000, 15, 2
AT_WORK = 10  # agents at once, for the memory
DOOR, TOLD = "@DOOR@", "what it is told"
# In a process of arbe's own: how the program is started.
LAUNCH = """
import json
from threads.runtimes.adapter import Task
from threads.runtimes.adapters import adapter
what = dict(thread_id="alone", session="", resumes=False, prompt={told!r}, model="m", api={api!r}, system_prompt="")
one = adapter({program!r}, Task(**what))
launch, opening = one.launch(), b"".join(one.opening()).decode()
print("launch " + json.dumps([launch.argv, launch.env, launch.files, opening]))
"""
# What ends at each moment, in order; all in milliseconds after the request that says the message.
PARTS = {
    "row": "row: request, child thread, run, and a worker has claimed it",
    "sandbox": "sandbox made",
    "tree": "tree of the repository in it",
    "exec": "exec: warden, bubblewrap, door, files, less the agent's own start",
}


def main() -> None:
    system = System()
    try:
        system.start()
        owner = Person(system, system.manage("sign_in_link", FIRST_OWNER))
        for line in told(owner.at_work(owner.found("Bench")), *(sys.argv[1:] or ["pi"])):
            print("{:<76} {:>20}   {}".format(*line), flush=True)
    finally:
        system.remove()


def told(hand: Hand, *programs: str) -> list[Line]:
    """Lines of the table: what, how much, and what of that."""
    model = Model(KEY).start()
    try:
        with _files() as source:
            shop = hand.workshop("agents", source)
            lines = []
            for program in programs:
                runtime(program)
                name = bot(hand, f"{program} at work", program, model)
                alone = Alone(hand.system, model, program, source)
                rounds = [_round(shop, model, name, alone) for _ in range(WARMING + ROUNDS)][WARMING:]
                lines += _times(program, rounds)
            return lines + _memory(shop, model, name)
    finally:
        model.stop()


@contextmanager
def _files() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="arbe-bench-") as folder:
        for number in range(FILES):
            path = Path(folder) / f"part{number % 20}" / f"file{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"file {number}\n" * 20)
        yield Path(folder)


class Alone:
    """The program by itself, in bubblewrap, with what arbe would give it in a tree like that of a task."""

    def __init__(self, system: System, model: Model, program: str, tree: Path) -> None:
        said = system.manage("shell", "-c", LAUNCH.format(told=TOLD, program=program, api=APIS[program]))
        # Whoever speaks for a model knows what is asked by the end of the path alone.
        parts = json.loads(said.partition("launch ")[2].splitlines()[0].replace(DOOR, model.root))
        self.argv, self.env, self.files, self.opening = parts
        self.model, self.tree = model, tree

    def first_request(self) -> float:
        """Milliseconds from exec to the first request."""
        text = say("plain", text=f"Alone {time.monotonic()}.")
        home = Path(tempfile.mkdtemp(prefix="arbe-bench-home-"))
        for path, content in self.files.items():
            place = home / Path(path).relative_to(bubble.HOME)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
        program = self._waiting(home)
        try:
            assert program.stdin
            began = time.monotonic()
            program.stdin.write(b"\n" + self.opening.replace(TOLD, text).encode())
            program.stdin.flush()
            return (self.model.awaits(user=text).at - began) * 1000
        finally:
            program.kill()
            program.wait()
            os.close(self.heard)
            shutil.rmtree(home)

    def _waiting(self, home: Path) -> "subprocess.Popen[bytes]":
        """Behind a gate, as a warden has it."""
        self.heard, telling = os.pipe()
        arguments = bubble.arguments(
            home=str(home),
            tree=str(self.tree),
            objects=None,
            programs=str(FOLDER),
            data={},
            env={**self.env, "IS_SANDBOX": "1"},
            cwd=bubble.TREE,
            network=True,
            tmp_mb=512,
        )
        gate = ["/bin/sh", "-c", 'read -r _ && exec "$@"', "sh", *self.argv]
        program = subprocess.Popen(
            ["bwrap", *arguments, "--json-status-fd", str(telling), "--", *gate],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[telling],
        )
        os.close(telling)
        os.read(self.heard, 4096)  # the first process inside is there
        time.sleep(0.1)
        return program


# Times


def _round(shop: Workshop, model: Model, name: str, alone: Alone) -> dict[str, float]:
    """One task in a sandbox of its own, a second message to it, and the program alone."""
    first = _timed(shop, model, name, None)
    task: Task = first.pop("task")
    second = _timed(shop, model, name, task)
    return {"alone": alone.first_request(), **{f"first {k}": v for k, v in first.items()}} | {
        f"second {k}": v for k, v in second.items() if k != "task"
    }


def _timed(shop: Workshop, model: Model, name: str, task: Task | None) -> dict:
    """When each part ended, in milliseconds after it was said."""
    known, text = len(model.requests), say("plain", text=f"Done {time.monotonic()}.")
    wall, began = time.time(), time.monotonic()
    if task is None:
        task = Task.handed(shop, name, text)
    else:
        task.say(text)
    model.awaits(user=text)
    asked = model.requests[known].at - began
    run = task.rests()
    mine = [event for event in task.events("run_started") if event["payload"]["run_id"] == run["id"]]
    split = mine[0]["payload"]["split"]
    row = datetime.fromisoformat(run["created_at"]).timestamp() - wall + split["queue"]
    at = {"row": row, "sandbox": row + split["sandbox"], "asked": asked}
    at["tree"] = at["sandbox"] + split["tree"]
    return {"task": task, **{part: seconds * 1000 for part, seconds in at.items()}}


def _times(program: str, rounds: list[dict[str, float]]) -> list[Line]:
    lines, alone = [], [one["alone"] for one in rounds]
    for which, what in (("first", "a task, sandbox and all"), ("second", "the next message in its thread")):
        over = [one[f"{which} asked"] - one["alone"] for one in rounds]
        worst = f"of {len(over)}: quickest {min(over):.0f}, worst {max(over):.0f}; {program} alone takes "
        worst += (
            f"{statistics.median(alone):.0f}, with arbe {statistics.median(r[f'{which} asked'] for r in rounds):.0f}"
        )
        aim = " (aim < 400)"
        lines.append((f"{program}: {what} → first model request", f"{statistics.median(over):.0f} ms{aim}", worst))
        before = 0.0
        for part, said in PARTS.items():
            at = statistics.median(over if part == "exec" else [one[f"{which} {part}"] for one in rounds])
            lines.append((f"  … {said}", f"{at - before:+.1f} ms", f"at {at:.1f} ms"))
            before = at
    return lines


# Memory


def _memory(shop: Workshop, model: Model, name: str) -> list[Line]:
    """Agents that wait for their model: what arbe needs for each of them beside the agent itself."""
    workers = shop.hand.system.processes("worker", "runs")
    before = sum(worker.memory_full_info().uss for worker in workers)
    tasks = [Task.handed(shop, name, say("hold", name="memory", text=f"Task {n}.")) for n in range(AT_WORK)]
    until(lambda: len(model.heard(scenario="hold")) >= AT_WORK, 60)
    time.sleep(3)
    after = sum(worker.memory_full_info().uss for worker in workers)
    each = [_beside(task) for task in tasks]
    model.let_go("memory")
    for task in tasks:
        task.rests()
    ours = [sum(one.values()) for one in each]
    parts = ", ".join(f"{part} {statistics.median(one[part] for one in each):.1f}" for part in each[0])
    grown = (after - before) / AT_WORK / 1e6
    return [
        ("memory of arbe for each agent at work", f"{statistics.median(ours) + grown:.1f} MB", f"of {AT_WORK} at once"),
        ("  … its warden and its relay, of their own", f"{statistics.median(ours):.1f} MB", f"(PSS) {parts}"),
        ("  … growth of the workers that follow it", f"{grown:.1f} MB", f"{after / 1e6:.0f} MB in all"),
    ]


def _beside(task: Task) -> dict[str, float]:
    """Megabytes, by process, shared pages shared out."""
    warden = task.warden()
    ours = {"warden": warden}
    for one in warden.children():
        if one.name() != "bwrap":
            ours["relay"] = one
    return {part: psutil.Process(one.pid).memory_full_info().pss / 1e6 for part, one in ours.items()}


if __name__ == "__main__":
    main()
