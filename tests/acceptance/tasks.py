"""Bots at work in a running arbe: set up, handed tasks, watched until they rest."""

import json
import time
from pathlib import Path
from typing import Any

import psutil

from tests.acceptance.hands import OVER, Hand, Workshop
from tests.acceptance.system import until
from tests.agents.model import KEY, Model

# In a process of arbe's own.
CREW = """
from houses.models import Agent, Bot, House, Member, Secret
from houses.tenancy import inside
with inside({house!r}):
    owner = Member.objects.filter(role="owner").first().agent
with inside({house!r}, owner):
    if not Secret.objects.named(["MODEL_KEY"]).exists():
        Secret.objects.put("MODEL_KEY", {key!r}, by=owner)
    bot = Agent.objects.create_bot({name!r}, {runtime!r})
    House.objects.get().admit(bot, by=owner)
    Bot.objects.create(
        house_id={house!r}, agent=bot, model="m", address={address!r}, api={api!r}, key_secret="MODEL_KEY"
    )
"""
AGREEMENT = "from tests.acceptance import agreement; agreement.tell({house!r})"
APIS = {"pi": "openai-completions", "claude-code": "anthropic-messages", "codex": "openai-responses"}


def bot(hand: Hand, name: str, runtime: str, model: Model) -> str:
    """A bot of that house; its name."""
    api = APIS[runtime]
    address = model.root if api == "anthropic-messages" else model.url
    how = {"house": hand.house, "name": name, "runtime": runtime, "address": address, "api": api, "key": KEY}
    hand.system.manage("shell", "-c", CREW.format(**how))
    return name


class Task:
    """What a bot was handed: a thread of its own, and the runs in it."""

    def __init__(self, hand: Hand, thread: dict[str, Any]) -> None:
        self.hand, self.thread, self.stream = hand, thread["id"], thread["stream"]

    @classmethod
    def handed(cls, shop: Workshop, bot: str, text: str) -> "Task":
        return cls(shop.hand, shop.hand.post(f"threads/{shop.thread}/tasks/", bot=bot, text=text))

    @property
    def status(self) -> str:
        return self.hand.get(f"threads/{self.thread}/")["status"]

    @property
    def last(self) -> dict[str, Any]:
        """The newest run."""
        return self.hand.get(f"threads/{self.thread}/runs/")["results"][0]

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return self.hand.events(self.stream, *kinds)

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        return [event["payload"] for event in self.events(kind)]

    def comes(self, kind: str, within: float = 60, **like: Any) -> dict[str, Any]:
        """The first event of that kind with that in it, when it has come."""
        found: list[dict[str, Any]] = []

        def told() -> bool:
            found[:] = [one for one in self.payloads(kind) if like.items() <= one.items()]
            return bool(found)

        until(told, within)
        return found[0]

    def rests(self, within: float = 60) -> dict[str, Any]:
        """The newest run when it is over, and that was told."""
        until(lambda: self.last["status"] in OVER, within)
        run = self.last
        self.comes("run_finished", within, run_id=run["id"])
        return run

    def say(self, text: str, **how: Any) -> None:
        self.hand.post(f"threads/{self.thread}/messages/", text=text, **how)

    def stop(self) -> None:
        self.hand.put(f"threads/{self.thread}/stop/")

    # From the side of the machine

    @property
    def place(self) -> Path:
        """The folder of the machine that its newest run works on."""
        return self.hand.system.var / "sandboxes" / self.last["sandbox"]

    def let_go(self, name: str) -> None:
        """A tool waits for this file, whatever becomes of arbe."""
        (self.place / "home" / name).touch()

    def warden(self) -> psutil.Process:
        told = (self.place / "processes" / self.last["id"] / "warden.pid").read_text()
        return psutil.Process(int(told.split()[0]))

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for the newest run, its warden first."""
        warden = self.warden()
        return [warden, *warden.children(recursive=True)]

    def program(self) -> psutil.Process:
        """The agent's own, inside."""
        return next(one for one in self.processes() if Path(one.exe()).name in ("node", "claude", "codex"))


def waits(name: str) -> str:
    """In the shell of an agent: until the test lets go of it."""
    return f"until [ -e ~/{name} ]; do sleep 0.05; done"


def disagreements(hand: Hand) -> tuple[list[str], dict[str, Any]]:
    """What streams and rows of the house do not agree about, and figures; asked when everything rests."""
    said = hand.system.manage("shell", "-c", AGREEMENT.format(house=hand.house))
    told = json.loads(said.partition("told ")[2].splitlines()[0])
    return told["wrong"], told["figures"]


def left_running(var: Path) -> list[psutil.Process]:
    """Processes that belong to some command or run."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.cwd().startswith(str(var / "sandboxes")) and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except psutil.Error:
            continue
    return found


def none_left(var: Path, within: float = 10) -> bool:
    """Nothing that belongs to a command or a run is there any more."""
    end = time.monotonic() + within
    while left_running(var):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
