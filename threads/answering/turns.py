"""One call of a tool: begun once, seen through by whoever has the answer then, and its result told and kept."""

from typing import Any

from django.db import transaction
from pydantic_ai.messages import ToolCallPart

from houses.refusals import Refused
from houses.tenancy import inside
from threads.answering.calling import Begun, Callee, Result, Work, as_data, cut
from threads.answering.hands import Hands
from threads.answering.journal import Journal
from threads.answering.watch import Stopped
from threads.rights import NoLongerAllowed
from threads.run_events import AnswerCalled, AnswerHeard

SHOWN = 4_000  # characters of an argument that the thread is shown


def call(journal: Journal, hands: Hands, work: Work, wanted: ToolCallPart) -> None:
    """See one call through, wherever it was left. Raises `TakenOver`, and what ends the answer."""
    key, note, again = journal.key_of(wanted), None, False
    tool = hands.tools.get(wanted.tool_name)
    arguments = _arguments(wanted)
    if (note := journal.begun(key)) is not None:
        again = True
    else:
        with inside(work.answer.house_id):
            work.answer.hold()
            came = _begin(tool, work, arguments)
            told = AnswerCalled(
                answer_id=work.answer.pk, call_id=key, tool=wanted.tool_name, arguments=_shown(arguments)
            )
            note = came.note if isinstance(came, Begun) else None
            journal.add({"began": key, "note": note or {}}, told)
            if isinstance(came, Result):
                _hear(journal, wanted, key, came)
                return
    assert tool is not None and isinstance(arguments, dict)
    result = _finish(tool, work, arguments, note or {}, again=again, key=key)
    with inside(work.answer.house_id):
        _hear(journal, wanted, key, result)


def _begin(tool: Callee | None, work: Work, arguments: Any) -> Result | Begun:
    """Begun, or refused, in a transaction whose other half writes it down."""
    if tool is None:
        return Result("There is no such tool here, or you may not use it.", is_error=True)
    if not isinstance(arguments, dict):
        return Result("The arguments of this call are no JSON object.", is_error=True)
    try:
        with transaction.atomic():
            work.require_tool(tool.row)
            return tool.begin(work, arguments)
    except Refused as refused:
        return Result(refused.detail, is_error=True)


def _finish(
    tool: Callee, work: Work, arguments: dict[str, Any], note: dict[str, Any], *, again: bool, key: str
) -> Result:
    try:
        return tool.finish(work, arguments, note, again=again, key=key)
    except (Stopped, NoLongerAllowed):
        raise
    except Refused as refused:
        return Result(refused.detail, is_error=True)


def _hear(journal: Journal, wanted: ToolCallPart, key: str, result: Result) -> None:
    """What it came to is kept for the model, and told to the thread. Needs a transaction."""
    text = cut(journal.clean(result.text))
    entry = {
        "heard": key,
        "call": wanted.tool_call_id,
        "tool": wanted.tool_name,
        "text": as_data(wanted.tool_name, text),
    }
    told = AnswerHeard(answer_id=journal.answer.pk, call_id=key, text=text, is_error=result.is_error)
    journal.add(entry, told)


def _arguments(wanted: ToolCallPart) -> Any:
    try:
        return wanted.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError):
        return None


def _shown(arguments: Any) -> dict[str, Any]:
    if not isinstance(arguments, dict):
        return {}
    return {name: cut(value, SHOWN) if isinstance(value, str) else value for name, value in arguments.items()}
