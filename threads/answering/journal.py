"""What came of an answer so far, as its row keeps it: whoever takes over goes on from there.

Entries, in their order: `told`, what the model was told at first; `said`, a response of the model; `began`, a call of
a tool that something was begun for, with a note of what; `heard`, what the call came to.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)

from houses.tenancy import inside
from streams.events import Event
from streams.outbox import announce
from threads.agent_events import PiUsage
from threads.answering.watch import TakenOver
from threads.answers import Answer
from threads.runtimes.saying import as_tokens
from threads.spending import Spending
from threads.tokens import Tokens


class Journal:
    """The entries of one answer, and what follows from them."""

    def __init__(self, answer: Answer, clean: Callable[[Any], Any]) -> None:
        self.answer, self.clean = answer, clean
        self.entries: list[dict[str, Any]] = list(answer.done)

    @property
    def instructions(self) -> str | None:
        """What the model was told before anything else; None if it was told nothing yet."""
        return self.entries[0]["instructions"] if self.entries else None

    @property
    def text(self) -> str:
        """All that the model said to the end."""
        return joined(said_in(response) for response in self.said())

    @property
    def tokens(self) -> Tokens:
        """What all of that took."""
        spent = Tokens.none()
        for response in self.said():
            spent = spent.plus(self._used(response))
        return spent

    def said(self) -> list[ModelResponse]:
        """The responses of the model to what it was told."""
        return [_response(entry["said"]) for entry in self.entries if "said" in entry]

    def pending(self) -> ToolCallPart | None:
        """The first call that nothing came of yet."""
        said = self.said()
        heard = {entry["heard"] for entry in self.entries if "heard" in entry}
        calls = said[-1].tool_calls if said else []
        return next((call for call in calls if call_key(len(said), call) not in heard), None)

    def key_of(self, call: ToolCallPart) -> str:
        """A name for the call that no other of this answer has, whatever the provider calls it."""
        return call_key(len(self.said()), call)

    def begun(self, key: str) -> dict[str, Any] | None:
        """The note of what was begun for a call; None if nothing was."""
        return next((entry["note"] for entry in self.entries if entry.get("began") == key), None)

    def messages(self) -> list[ModelMessage]:
        """Everything that was said, as the model is to be told now."""
        return list(self._messages())

    def _messages(self) -> Iterator[ModelMessage]:
        results: list[ToolReturnPart] = []
        for entry in self.entries:
            if "heard" in entry:
                results.append(_result(entry))
            elif "said" in entry:
                if results:
                    yield ModelRequest(parts=results)
                results = []
                yield _response(entry["said"])
            elif "told" in entry:
                yield from ModelMessagesTypeAdapter.validate_python(entry["told"])
        if results:
            yield ModelRequest(parts=results)

    def _used(self, response: ModelResponse) -> PiUsage:
        used = response.usage
        return PiUsage(
            run_id=self.answer.pk,
            input=as_tokens(used.input_tokens - used.cache_read_tokens - used.cache_write_tokens),
            output=as_tokens(used.output_tokens),
            cache_read=as_tokens(used.cache_read_tokens),
            cache_write=as_tokens(used.cache_write_tokens),
            usd=None,
            model=response.model_name or "",
        )

    # Writing down

    def note_told(self, instructions: str, messages: Sequence[ModelMessage]) -> None:
        told = ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")
        with inside(self.answer.house_id):
            self.add({"told": told, "instructions": instructions})

    def note_said(self, response: ModelResponse) -> None:
        """The model has answered, and that cost something."""
        (said,) = ModelMessagesTypeAdapter.dump_python([response], mode="json")
        answer = self.answer
        with inside(answer.house_id):
            self.add({"said": said})
            Spending.objects.note_for(
                answer.pk,
                answer.thread,
                self.tokens,
                bot=answer.agent,
                asked_by=answer.asked_by,
                recipe=answer.recipe,
            )

    def add(self, entry: dict[str, Any], *told: Event) -> None:
        """One more entry, and what the thread is told of it. Needs a transaction. Raises `TakenOver`."""
        entries = [*self.entries, {name: self.clean(value) for name, value in entry.items()}]
        if not self.answer.note(done=entries):
            raise TakenOver
        self.entries = entries
        for event in told:
            announce(self.answer.thread, event, by=self.answer.agent)


def call_key(turn: int, call: ToolCallPart) -> str:
    """Providers repeat their ids; within one response they do not."""
    return f"{turn}-{call.tool_call_id}"


def said_in(response: ModelResponse) -> str:
    return joined(part.content for part in response.parts if isinstance(part, TextPart))


def joined(texts: Iterator[str]) -> str:
    """As one text, in paragraphs of their own."""
    return "\n\n".join(text for text in texts if text)


def _response(said: dict[str, Any]) -> ModelResponse:
    (response,) = ModelMessagesTypeAdapter.validate_python([said])
    assert isinstance(response, ModelResponse)
    return response


def _result(entry: dict[str, Any]) -> ToolReturnPart:
    return ToolReturnPart(tool_name=entry["tool"], content=entry["text"], tool_call_id=entry["call"])
