"""Which program is spoken to in which way."""

from collections.abc import Callable, Mapping

from threads.runtimes.adapter import CLAUDE_CODE, CODEX, PI, Adapter, Task
from threads.runtimes.claude_code import ClaudeCode
from threads.runtimes.codex import Codex
from threads.runtimes.pi import Pi

ADAPTERS: Mapping[str, Callable[[Task], Adapter]] = {PI: Pi, CLAUDE_CODE: ClaudeCode, CODEX: Codex}


def adapter(runtime: str, task: Task) -> Adapter:
    """A new one, which has heard nothing yet."""
    return ADAPTERS[runtime](task)
