"""What the scripted model says: scenarios, picked by a marker in what it was told, played from what it has heard.

`say("write", file="a.txt", content="…")` is a marker to put anywhere in a prompt. Nothing is remembered between two
requests: how far a scenario is follows from the results of tools after the last thing that a user said.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

MARKER = re.compile(r"\[\[say:([a-z0-9]+)((?: [a-z_]+=[^\s\]]*)*)\]\]")
SHELLS = ("bash", "Bash", "exec_command", "shell_command", "shell", "run_command")


@dataclass(frozen=True)
class Call:
    """A tool and what it is called with; without a name, the shell of whoever asks."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of the model, or what it does instead."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    stop: str = "stop"  # or `length`
    status: int = 200
    hold: str = ""  # nothing more until the test lets this go
    hangs: bool = False  # after the text nothing more, ever
    cut: bool = False  # after the text the connection ends
    tokens: tuple[int, int] = (11, 7)  # in, out


@dataclass(frozen=True)
class Told:
    """What a request says: who said what so far, the results since a user last spoke, and what may be called."""

    users: list[str]
    results: list[str]
    tools: dict[str, dict[str, Any]]
    everything: str = field(repr=False, default="")

    @property
    def last(self) -> str:
        return self.users[-1] if self.users else ""

    @property
    def turn(self) -> int:
        return len(self.results)


def say(scenario: str, **options: Any) -> str:
    """The marker of a scenario."""
    words = {key: value if isinstance(value, str) else json.dumps(value) for key, value in options.items()}
    return f"[[say:{scenario}" + "".join(f" {key}={quote(value, safe='')}" for key, value in words.items()) + "]]"


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    """A step of a `chain`: this tool is called."""
    return {"tool": name, "arguments": arguments}


def shell(command: str) -> dict[str, Any]:
    """A step of a `chain`: a command is run."""
    return {"shell": command}


def chosen(told: Told, model: str) -> tuple[str, dict[str, str]]:
    """The newest marker in what was said last, else the model's own name (`say-NAME`), else `plain`."""
    marks = MARKER.findall(told.last)
    if marks:
        name, options = marks[-1]
        pairs = (pair.partition("=") for pair in options.split())
        return name, {key: unquote(value) for key, _, value in pairs}
    named = re.search(r"say-([a-z0-9]+)$", model)
    return (named[1] if named else "plain"), {}


def answer(name: str, told: Told, options: dict[str, str]) -> Answer:
    """What the model answers now."""
    tokens = (int(options.pop("tokens_in", 11)), int(options.pop("tokens_out", 7)))
    given = SCENARIOS[name](told, **options)
    return Answer(**{**given.__dict__, "tokens": tokens})


def _plain(told: Told, text: str = "Hello from the model.") -> Answer:
    return Answer(text=text.replace("{result}", told.results[-1] if told.results else ""))


def _count(told: Told) -> Answer:
    return Answer(text=f"I was told {len(told.users)} things: " + " | ".join(user[:200] for user in told.users))


def _chain(told: Told, steps: str | list, then: str = "Done.") -> Answer:
    """One step after the other: a tool, a shell command, several of them at once (a list), or `{"hold": NAME}`."""
    left, behind = told.turn, json.loads(steps) if isinstance(steps, str) else steps
    for step in behind:
        at_once = step if isinstance(step, list) else [step]
        if "hold" in at_once[0]:
            if left == 0:
                return Answer(text=then, hold=at_once[0]["hold"])
            continue
        if left < len(at_once):
            return Answer(calls=tuple(_call(one, told.tools) for one in at_once)) if told.tools else _plain(told)
        left -= len(at_once)
    return _plain(told, then)


def _call(step: dict[str, Any], tools: dict[str, dict[str, Any]]) -> Call:
    if "tool" in step:
        return Call(step["tool"], step["arguments"])
    name = next((name for name in SHELLS if name in tools), "bash")
    if name == "exec_command":
        return Call(name, {"cmd": step["shell"], "yield_time_ms": 30000})
    if name == "shell":
        return Call(name, {"command": ["sh", "-c", step["shell"]]})
    described = {"description": "as it was told"} if name == "Bash" else {}
    return Call(name, {"command": step["shell"], **described})


def _tools(told: Told, name: str, args: str = "{}", then: str = "Done: {result}") -> Answer:
    return _chain(told, [{"tool": name, "arguments": json.loads(args)}], then)


def _shell(told: Told, command: str, then: str = "It printed: {result}") -> Answer:
    return _chain(told, [shell(command)], then)


def _write(told: Told, file: str = "out.txt", content: str = "hello from the agent\n") -> Answer:
    return _shell(told, f"printf %s {shlex.quote(content)} > {shlex.quote(file)}", f"Done: wrote {file}.")


def _report(told: Told, file: str = "data.csv", report: str = "report.md") -> Answer:
    """Reads lines of `name,number` and writes how many they are and what they come to: as the tool really showed it."""
    numbers = [int(found) for result in told.results for found in re.findall(r"(?m)^\w+,(\d+)\s*$", result)]
    text = f"# Report\n\n{len(numbers)} rows, {sum(numbers)} in all.\n"
    steps = [shell(f"cat {shlex.quote(file)}"), shell(f"printf %s {shlex.quote(text)} > {shlex.quote(report)}")]
    return _chain(told, steps, f"{report} says: {sum(numbers)}.")


def _toolfail(told: Told, code: str = "3") -> Answer:
    return _shell(told, f"echo oops >&2; exit {code}", f"The command failed with status {code}.")


def _slow(told: Told, seconds: str = "600", mark: str = "began") -> Answer:
    """A tool that says it has begun, and then takes its time."""
    return _shell(told, f"echo {mark}; touch {mark}; sleep {seconds}; echo slept", "The slow tool ended.")


def _hold(told: Told, name: str, text: str = "I was let go.") -> Answer:
    return Answer(text=text, hold=name)


def _noise(told: Told, size: str = "100000000") -> Answer:
    return _shell(told, f"yes noise | head -c {size}", "That was loud.")


def _longline(told: Told, size: str = "20000000") -> Answer:
    return _shell(told, f"head -c {size} /dev/zero | tr '\\0' x", "That was long.")


def _long(told: Told, size: str = "20000000") -> Answer:
    """The answer itself is that long, and has no end of line."""
    return Answer(text="x" * int(size))


def _ask(told: Told, whom: str, question: str) -> Answer:
    return _shell(told, f"arbe ask @{whom} {shlex.quote(question)}", "It was answered: {result}")


def _delegate(told: Told, text: str, bot: str = "") -> Answer:
    to = f"--bot {shlex.quote(bot)} " if bot else ""
    return _shell(told, f"arbe delegate {to}{shlex.quote(text)}", "I passed it on: {result}")


def _make(told: Told, path: str) -> Answer:
    return _shell(told, f"arbe make {shlex.quote(path)}", "Made: {result}")


SCENARIOS: dict[str, Callable[..., Answer]] = {
    "plain": _plain,
    "count": _count,
    "chain": _chain,
    "tools": _tools,
    "shell": _shell,
    "write": _write,
    "report": _report,
    "toolfail": _toolfail,
    "slow": _slow,
    "hold": _hold,
    "noise": _noise,
    "longline": _longline,
    "long": _long,
    "ask": _ask,
    "delegate": _delegate,
    "make": _make,
    "empty": lambda told: Answer(),
    "length": lambda told: Answer(text="This answer is cut at the limit", stop="length"),
    "hang": lambda told: Answer(text="Thinking about it", hangs=True),
    "cut": lambda told: Answer(text="Half an ans", cut=True),
    "http": lambda told, status: Answer(status=int(status), text=f"The model refuses with {status}."),
    "http400": lambda told: Answer(status=400, text="This request makes no sense."),
    "http401": lambda told: Answer(status=401, text="This key opens nothing."),
    "http429": lambda told: Answer(status=429, text="Too many requests."),
    "http500": lambda told: Answer(status=500, text="The model is broken."),
}
