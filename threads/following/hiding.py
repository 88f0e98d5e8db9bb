"""What the events of a run may say: no secret shows in them, also where a tool prints it in pieces."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sandboxes.redaction import Redactor
from streams.events import Event
from threads.agent_events import PiToolOutput, PiToolResult

CALLS = 1000  # that are held at once

Told = tuple[str, dict[str, Any]]  # the kind of an event, and what it says


class Hiding:
    """Of one run. The same events in the same order come to the same, whoever takes over."""

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self._held: dict[str, bytes] = {}  # by call: the end of what it printed, where a secret may have begun

    def told(self, event: Event, hits: Counter[str]) -> Iterator[Told]:
        """The event as everybody may see it; what was held of a tool's output comes before its result."""
        if isinstance(event, PiToolOutput):
            yield from self._printed(event, hits, final=False)
            return
        if isinstance(event, PiToolResult) and event.call_id in self._held:
            rest = PiToolOutput(run_id=event.run_id, call_id=event.call_id, text="")
            yield from self._printed(rest, hits, final=True)
        yield event.kind, self._clean(event.payload, hits)

    def _printed(self, piece: PiToolOutput, hits: Counter[str], *, final: bool) -> Iterator[Told]:
        raw = self._held.pop(piece.call_id, b"") + piece.text.encode(errors="replace")
        size, text, found = self.redactor.split(raw, final)
        hits.update(found)
        if size < len(raw):
            if len(self._held) >= CALLS:  # somebody calls without end; the results have it all
                self._held.clear()
            self._held[piece.call_id] = raw[size:]
        if size:
            shown = text if found else raw[:size].decode(errors="replace")
            yield piece.kind, self._clean(piece.payload | {"text": ""}, hits) | {"text": shown}

    def _clean(self, payload: dict[str, Any], hits: Counter[str]) -> dict[str, Any]:
        """The fields of an event have our names, which stay, whatever somebody's secret is."""
        cleaned = {name: self.redactor.clean(value) for name, value in payload.items()}
        for _, found in cleaned.values():
            hits.update(found)
        return {name: value for name, (value, _) in cleaned.items()}
