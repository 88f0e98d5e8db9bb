"""What a bot says, as it says it: gathered into parts that are appended to the stream once, without secrets.

Every part says where in the whole text it begins. Whoever takes over asks the model again for what it had not said to
the end, and tells that from its beginning: readers who heard the first half of another version cut it off there.
The part that may or may not have arrived is appended again as an empty one; the stream knows it if it has it.
"""

import time
from collections import Counter
from typing import TypeVar

from houses.tenancy import inside, need_not_last
from sandboxes.redaction import Redactor
from streams.client import Producer, streams
from streams.outbox import is_behind, relay
from threads.answering.watch import TakenOver
from threads.answers import LONGEST, Answer
from threads.run_events import AnswerPart

T = TypeVar("T")
EVERY = 0.1  # seconds between two parts
AT_ONCE = 8_000  # bytes that do not wait so long


class Telling:
    """The text of one answer so far: `settled` is what the model said to the end, `told` all that readers have."""

    def __init__(self, answer: Answer, settled: str) -> None:
        self.answer = answer
        self.redactor = Redactor({})
        self.hits: Counter[str] = Counter()
        self.settled = self.told = settled
        self._waiting = b""
        self._last = 0.0

    @property
    def is_full(self) -> bool:
        return len(self.told) + len(self._waiting) > LONGEST

    def hide(self, values: dict[str, str]) -> None:
        """Values that nobody is to see from here on."""
        self.redactor = Redactor({name: value.encode() for name, value in values.items()})

    def clean(self, value: T) -> T:
        """A text, or what is made up of texts, as everybody may see it and as the database keeps it."""
        kept, hits = self.redactor.clean(value)
        self.hits.update(hits)
        return kept

    def resume(self) -> None:
        """Somebody else told something before; what they had not told to the end is cut off."""
        if self.answer.sequence >= 0:
            relay(self.answer.house_id, self.answer.thread.stream_id)
            self._append("")

    def say(self, text: str) -> None:
        """Some more of it."""
        self._waiting += text.encode(errors="replace")
        self.flush()

    def flush(self, *, final: bool = False) -> None:
        """Tell what has gathered, if it is time for that."""
        due = time.monotonic() - self._last >= EVERY or len(self._waiting) >= AT_ONCE
        if not self._waiting or not (due or final):
            return
        size, text, hits = self.redactor.split(self._waiting, final)
        if not text and not size:
            return
        self.hits.update(hits)
        self._waiting, self._last = self._waiting[size:], time.monotonic()
        self._note()
        self._append(text.replace("\0", ""))

    def settle(self, text: str) -> None:
        """The model has said that to the end: all of it is told."""
        self.flush(final=True)
        self.settled = self.told = text

    def again(self) -> None:
        """What was told of this response does not count: the model is asked again."""
        self._waiting = b""
        if self.told != self.settled:
            self.told = self.settled
            self._note()
            self._append("")

    def _note(self) -> None:
        """Rows first, then the stream; and what led to this comes before it."""
        answer = self.answer
        with inside(answer.house_id):
            need_not_last()
            mine = answer.note_part()
            behind = mine and is_behind(answer.thread.stream_id)
        if not mine:
            raise TakenOver
        if behind:
            relay(answer.house_id, answer.thread.stream_id)

    def _append(self, text: str) -> None:
        answer = self.answer
        part = AnswerPart(answer_id=answer.pk, text=text, start=len(self.told))
        event = {"type": part.kind, "payload": part.payload, "author_agent_id": str(answer.agent_id)}
        producer = Producer(f"answer {answer.pk}", epoch=0, seq=answer.sequence)
        streams().append(answer.house_id, answer.thread.stream_id, [event], producer)
        self.told += text
