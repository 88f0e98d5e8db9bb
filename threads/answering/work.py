"""The tools of the installation, for a bot that answers: each is the verb that people have, and the bot acts."""

import re
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from artifacts.content import text_of
from artifacts.models import Repository
from houses.models import Memory
from houses.refusals import NotFound, Refused
from houses.rights import here
from houses.scopes import R, W
from houses.tenancy import current_house, inside
from houses.tools import DELEGATE_TASK, MAKE, READ_FILE, RECALL, REMEMBER, RUN_COMMAND
from sandboxes.models import Environment
from streams.client import streams
from threads.answering.calling import LONGEST, Begun, Result, Work, cut
from threads.answering.watch import Stopped
from threads.delegating import bot_named
from threads.followed import COMPLETED
from threads.models import Command, Make
from threads.rights import NoLongerAllowed

EVERY = 0.2  # seconds between two looks at what is being waited for
MOST_FILE = 1_000_000  # bytes that are read of a file
REMEMBERED = 20  # memories of one answer
PAGE, PAGES = 200, 5  # events that are looked through for the output of a command
ESCAPES = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")


def run_command(work: Work, given: dict[str, Any]) -> Begun:
    """On the thread's sandbox; everybody sees it run."""
    return Begun({"command": work.thread.run(given["command"], by=work.bot).pk})


def its_output(work: Work, note: dict[str, Any]) -> Result:
    """Wait for the end of a command; one that is not wanted any more is ended too."""
    command: Command = _awaited(work, lambda: Command.objects.get(pk=note["command"]))
    printed = cut(ESCAPES.sub("", _printed(work, command)))
    how = f"exit code {command.exit_code}" if command.exit_code is not None else command.status
    reason = f" ({command.reason})" if command.reason else ""
    return Result(f"{how}{reason}\n{printed}", is_error=command.status != COMPLETED)


def _printed(work: Work, command: Command) -> str:
    """The end of what it printed, as everybody reads it."""
    chunks: list[str] = []
    at: str | None = "now"
    for _ in range(PAGES):
        page = streams().before(command.house_id, work.answer.thread.stream_id, at or "now", PAGE)
        mine = [event for event in reversed(page.events) if event["payload"].get("command_id") == command.pk]
        chunks += [event["payload"]["text"] for event in mine if event["type"] == "command_output"]
        at = page.prev
        if at is None or sum(map(len, chunks)) > LONGEST or any(e["type"] == "command_queued" for e in mine):
            break
    return "".join(reversed(chunks))


def delegate_task(work: Work, given: dict[str, Any]) -> Result:
    """To a coding agent, in a thread of its own; nobody waits for it here."""
    bot = bot_named(given["agent"])
    environment = _named(Environment, given["environment"]) if given.get("environment") else None
    child = work.thread.delegate(given["prompt"], bot=bot, by=work.bot, environment=environment, above=work.answer.pk)
    address = settings.ARBE_URL.rstrip("/") + reverse("thread", args=[child.house_id, child.pk])
    return Result(f"{bot} works on it in {address}; when it is done, this thread is told. Do not wait for it.")


def make(work: Work, given: dict[str, Any]) -> Begun:
    """A file, and what it is made from."""
    return Begun({"make": work.thread.make(given["target"], by=work.bot).pk})


def what_was_made(work: Work, note: dict[str, Any]) -> Result:
    """Wait for the end of a make; one that is not wanted any more is ended too."""
    made: Make = _awaited(work, lambda: Make.objects.get(pk=note["make"]))
    reason = f": {made.reason}" if made.reason else ""
    return Result(f"{made.target}: {made.status}{reason}", is_error=made.status != COMPLETED)


def read_file(work: Work, given: dict[str, Any]) -> Result:
    """As the branch of its repository has it; by default that of the thread's environment."""
    work.require(R, here())
    name = given.get("repository", "")
    repository = _named(Repository, name) if name else work.thread.resolve_environment().repository
    content = repository.read(given["path"].lstrip("/"), MOST_FILE)
    text = text_of(content)
    if text is None:
        return Result(f"{given['path']} is no text: {len(content):,} bytes.", is_error=True)
    return Result(cut(text))


def remember(work: Work, given: dict[str, Any]) -> Result:
    """For the house."""
    work.require(W, here())
    asked = {name: given[name] for name in ("subject", "kind", "tags") if given.get(name)}
    Memory.objects.remember(given["text"], source=work.answer.thread_id, by=work.bot, **asked)
    return Result("Remembered.")


def recall(work: Work, given: dict[str, Any]) -> Result:
    """Of what the house remembers, and the bot."""
    work.require(R, here())
    found = Memory.objects.seen_by(work.bot).recall(given["query"])[:REMEMBERED]
    lines = [f"- {memory.created_at:%Y-%m-%d} {memory.subject or memory.kind}: {memory.text}" for memory in found]
    return Result(cut("\n".join(lines)) or "Nothing is remembered about that.")


def _named(rows: Any, name: str) -> Any:
    """The row of the house with that id or name. Raises `NotFound`."""
    row = rows.objects.filter(Q(pk=name) | Q(name=name), house_id=current_house()).order_by("created_at").first()
    if row is None:
        raise NotFound(f"This house has no {rows.__name__.lower()} called {name[:80]!r}.")
    return row


def _awaited(work: Work, look: Callable[[], Any]) -> Any:
    """What was begun, when it is over. Raises what `Watch` does."""
    while True:
        try:
            work.watch()
        except (Stopped, NoLongerAllowed) as over:  # whoever takes over would wait on; these do not
            _end(work, look, over)
            raise
        with inside(work.answer.house_id):
            found = look()
        if found.finished_at is not None:
            return found
        time.sleep(EVERY)


def _end(work: Work, look: Callable[[], Any], over: Refused) -> None:
    with inside(work.answer.house_id):
        found, by = look(), work.answer.stop_asked_by
        if found.agent_id == work.bot.pk:  # else somebody was making the same already, and still wants it
            found.end(by=by, reason="" if by else over.detail)


VERBS: dict[str, tuple[Any, ...]] = {
    RUN_COMMAND: (run_command, its_output),
    DELEGATE_TASK: (delegate_task,),
    MAKE: (make, what_was_made),
    READ_FILE: (read_file,),
    REMEMBER: (remember,),
    RECALL: (recall,),
}
