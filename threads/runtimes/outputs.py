"""What a tool prints while it runs: what is new of it, and not more than somebody can read."""

from threads.runtimes.saying import ROOM

OVERLAP = 256  # characters by which two windows of the same output are fitted together
GLIMPSE = 4 * 1024  # characters shown of each ROOM, once a tool has printed more than that


class Printed:
    """The output of one call. It is shown whole up to ROOM, and by its last lines from time to time after that."""

    def __init__(self) -> None:
        self.shown = 0
        self._seen = ""  # the end of it, as the program last told the whole
        self._held = ""
        self._held_length = 0

    def more(self, said: str) -> str:
        """What to show now that this was printed."""
        room = max(ROOM - self.shown, 0)
        now, rest = said[:room], said[room:]
        self.shown += len(now)
        if rest:
            self._held = (self._held + rest)[-GLIMPSE:]
            self._held_length += len(rest)
        if self._held_length < ROOM:
            return now
        skipped = self._held_length - len(self._held)
        now += f"\n… {skipped:,} characters …\n{self._held}" if skipped else self._held
        self._held, self._held_length = "", 0
        return now

    def whole(self, said: str) -> str:
        """What to show now that all of it, or its end, is this."""
        new = self._after(said)
        self._seen = said[-ROOM:]
        return self.more(new)

    def _after(self, said: str) -> str:
        if said.startswith(self._seen):
            return said[len(self._seen) :]
        end = self._seen[-OVERLAP:]
        at = said.rfind(end)
        return said[at + len(end) :] if at >= 0 else said
