"""What all adapters share: lines come in, and what they mean is gathered; unknown ones are kept, never fatal."""

import re
from dataclasses import dataclass, field
from typing import Any

from sandboxes.provider import Exit
from streams.events import Event
from threads.agent_events import PiAssistant, PiLine, PiRetry, PiToolCall, PiToolOutput, PiToolResult, PiUsage
from threads.runtimes import saying
from threads.runtimes.adapter import Heard, Outcome, Task
from threads.runtimes.outcome import DONE, Facts, Last, decide
from threads.runtimes.outputs import Printed

LINE_ROOM = 4 * 1024  # bytes of a line that nobody knows
LINES = 200  # of them in one run
LONGEST_NAME = 200  # characters of a session's
CALLS = 1000  # whose output is followed at once


@dataclass
class Gathered:
    """What the line that is heard right now means."""

    events: list[Event] = field(default_factory=list)
    send: list[bytes] = field(default_factory=list)
    took: list[str] = field(default_factory=list)
    session: str | None = None
    over: bool = False


class Listening:
    """One program in one run, as far as all programs are alike."""

    noise: re.Pattern[bytes] | None = None  # lines that are no JSON and say nothing

    def __init__(self, task: Task) -> None:
        self.task = task
        self.now = Gathered()
        self.last: Last | None = None
        self.said = ""
        self.answered = False
        self._spoke = False
        self._stray = ""
        self._strays = 0
        self._prompt_was_heard = False
        self._printed: dict[str, Printed] = {}

    def hear(self, line: bytes) -> Heard:
        self.now = now = Gathered()
        if line.strip():
            said = saying.parse(line)
            if said is None or not self.understand(said):
                self._keep(line)
            else:
                self._spoke = True
        return Heard(
            events=tuple(now.events), send=tuple(now.send), over=now.over, session=now.session, took=tuple(now.took)
        )

    def understand(self, said: dict[str, Any]) -> bool:
        """Gather what it means; False if it is of a kind that is not known."""
        raise NotImplementedError

    def outcome(self, exit: Exit | None, *, stop_asked: bool) -> Outcome:  # noqa: A002  # it is the word for it
        facts = Facts(
            last=self.last,
            said=self.said,
            answered=self.answered,
            spoke=self._spoke,
            stray=self._stray,
            model=self.task.model,
        )
        return decide(facts, exit, stop_asked=stop_asked)

    # What lines mean, for adapters to say

    def begins(self) -> None:
        """It starts to work on something: what it said before was not its last word."""
        self.last = None

    def ends(self, how: str = DONE, error: str = "", status: int | None = None, *, over: bool = True) -> None:
        self.last = Last(how=how, error=error[:LINE_ROOM], status=status)
        self.now.over = over

    def names_session(self, session: str) -> None:
        if 0 < len(session) <= LONGEST_NAME:
            self.now.session = session

    def takes(self, text: str) -> None:
        """It reads what somebody said. The first such thing is its task."""
        if not self._prompt_was_heard and text.strip() == self.task.prompt.strip():
            self._prompt_was_heard = True
        elif text:
            self.now.took.append(text)

    def says(self, text: str) -> None:
        if text.strip():
            self.said, self.answered = text, True
            self.now.events.append(PiAssistant(run_id=self.task.run_id, text=saying.cut(text, saying.SAID_ROOM)[0]))

    def calls(self, call_id: str, tool: str, arguments: dict[str, Any], title: str = "") -> None:
        self.answered = True
        self.now.events.append(
            PiToolCall(
                run_id=self.task.run_id,
                call_id=saying.one_line(call_id),
                tool=saying.one_line(tool) or "tool",
                title=title or saying.title(tool, arguments),
                arguments=saying.short(arguments),
            )
        )

    def prints(self, call_id: str, text: str, *, whole: bool = False) -> None:
        """A tool printed something; with `whole`, this is all that it has printed so far, or the end of that."""
        if len(self._printed) >= CALLS:
            self._printed.clear()
        printed = self._printed.setdefault(call_id, Printed())
        new = printed.whole(text) if whole else printed.more(text)
        if new:
            shown = saying.cut(new, saying.ROOM * 2)[0]
            self.now.events.append(PiToolOutput(run_id=self.task.run_id, call_id=saying.one_line(call_id), text=shown))

    def hears_back(
        self,
        call_id: str,
        tool: str,
        text: str,
        *,
        is_error: bool,
        exit_code: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._printed.pop(call_id, None)
        shown, left_out = saying.cut(text)
        self.now.events.append(
            PiToolResult(
                run_id=self.task.run_id,
                call_id=saying.one_line(call_id),
                tool=saying.one_line(tool) or "tool",
                text=shown,
                left_out=left_out,
                is_error=is_error,
                exit_code=exit_code,
                seconds=seconds,
            )
        )

    def spends(
        self, *, read: int, wrote: int, cached: int = 0, kept: int = 0, usd: float | None = None, model: str = ""
    ) -> None:
        if read or wrote or cached or kept or usd:
            self.now.events.append(
                PiUsage(
                    run_id=self.task.run_id,
                    input=read,
                    output=wrote,
                    cache_read=cached,
                    cache_write=kept,
                    usd=min(usd, saying.MOST_USD) if usd is not None else None,
                    model=saying.one_line(model) or self.task.model,
                )
            )

    def tries_again(self, attempt: int, attempts: int | None, seconds: float | None, reason: str) -> None:
        why = saying.reason(reason)
        self.now.events.append(
            PiRetry(run_id=self.task.run_id, attempt=attempt, attempts=attempts, seconds=seconds, reason=why)
        )

    def _keep(self, line: bytes) -> None:
        if self.noise is not None and self.noise.match(line):
            return
        text = saying.clean(line[:LINE_ROOM].decode(errors="replace"))
        self._stray = text
        self._strays += 1
        if self._strays <= LINES:
            self.now.events.append(PiLine(run_id=self.task.run_id, text=text, bytes=len(line)))
        elif self._strays == LINES + 1:
            more = "There are more such lines, which are not shown."
            self.now.events.append(PiLine(run_id=self.task.run_id, text=more, bytes=0))
