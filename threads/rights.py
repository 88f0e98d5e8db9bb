"""What work in a thread takes: w on the thread, and x on the tool that does it. Asked before, and while it goes on."""

from houses.agents import Agent
from houses.refusals import Forbidden, Refused
from houses.rights import Right, refusal, rights
from houses.scopes import R, Scope, W, X
from houses.tools import Tool


class NoLongerAllowed(Refused):
    """Whoever asked for this work may not have it done any more."""

    code = "no_longer_allowed"


def require_work(agent: Agent, thread: Scope, tool: str) -> None:
    """Refuse whoever may not write in the thread, or not call the tool; one question for both."""
    held = rights(agent, [thread, Tool(pk=tool)])
    if not {R, W} <= set(held[thread.pk].bits):
        raise refusal(held[thread.pk].bits, W, thread)
    if X not in held[tool].bits:
        raise Forbidden(
            f"You may not use the tool `{tool}` here: that takes x on it, which somebody with x on the house can grant."
        )


def require_still(agent: Agent, thread: Scope, tool: str, *, bot: Agent | None = None) -> None:
    """Refuse work whoever asked for which may not have it done any more, or the bot that does it may not do any more.

    The tool is for whoever asks; a bot that works on a thread writes in it.
    """
    may = rights(agent, [thread, Tool(pk=tool)])
    _require_here(agent, may[thread.pk], "who asked for it")
    if X not in may[tool].bits:
        raise NoLongerAllowed(f"Stopped: {agent}, who asked for it, may not use the tool `{tool}` any more.")
    if bot is not None:
        _require_here(bot, rights(bot, [thread])[thread.pk], "who does it")


def _require_here(agent: Agent, may: Right, who: str) -> None:
    if not may.role:
        raise NoLongerAllowed(f"Stopped: {agent}, {who}, is not in this house any more.")
    if W not in may.bits:
        raise NoLongerAllowed(f"Stopped: {agent}, {who}, may not write in this thread any more.")
