"""claude-code, with JSON lines in both directions."""

import re
from collections import Counter
from typing import Any

import orjson

from threads.runtimes import saying
from threads.runtimes.adapter import Launch, Task
from threads.runtimes.launch import DOOR, KEY, PROGRAMS, state, told
from threads.runtimes.listening import Listening
from threads.runtimes.outcome import ABORTED, DONE, ERROR, LENGTH

RETRIES = 6  # 0.5, 1, 2, 4, 9 and 19 seconds
REFUSED = (401, 403)  # it asks again with the same key; once more is enough to know
STREAMS = ("-p", "--output-format", "stream-json", "--input-format", "stream-json", "--verbose")
ISOLATED = ("--setting-sources", "", "--strict-mcp-config", "--disable-slash-commands")  # from files in the tree
SILENT = {"rate_limit_event", "stream_event", "tool_progress", "auth_status", "command_lifecycle", "keep_alive"}
SILENT |= {"control_response", "control_cancel_request", "tool_use_summary", "prompt_suggestion"}
EXIT = re.compile(r"Exit code (\d{1,9})\n?")
# It refuses to resume a session that is not there, which may have died with its machine: then it begins anew.
RESUME = """\
session=$1; shift
for file in "$CLAUDE_CONFIG_DIR"/projects/*/"$session".jsonl; do
  [ -n "$session" ] && [ -s "$file" ] && exec "$0" "$@" --resume "$session"
done
exec "$0" "$@"
"""
OF_A_MESSAGE = {
    "read": "input_tokens",
    "wrote": "output_tokens",
    "cached": "cache_read_input_tokens",
    "kept": "cache_creation_input_tokens",
}
OF_A_RESULT = {
    "read": "inputTokens",
    "wrote": "outputTokens",
    "cached": "cacheReadInputTokens",
    "kept": "cacheCreationInputTokens",
}


class ClaudeCode(Listening):
    """One run of claude-code. A message that it has taken in while it works is read back to us when it reads it."""

    noise = re.compile(rb"\[claude-code:unrecognized_model\]")

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._told = Counter[str]()  # of the tokens that the next result will count
        self._message = ""
        self._tools: dict[str, str] = {}

    def launch(self) -> Launch:
        task, folder = self.task, state(self.task, "claude")
        begins = ("/bin/sh", "-c", RESUME, f"{PROGRAMS}/claude", task.session if task.resumes else "")
        skips = ("--dangerously-skip-permissions", "--replay-user-messages")
        says = ("--model", task.model, "--append-system-prompt", told(task))
        return Launch(
            argv=(*begins, *STREAMS, *ISOLATED, *skips, *says),
            env={
                "CLAUDE_CONFIG_DIR": folder,
                "ANTHROPIC_BASE_URL": f"{DOOR}/model",
                "ANTHROPIC_API_KEY": KEY,
                "IS_SANDBOX": "1",
                "CLAUDE_CODE_MAX_RETRIES": str(RETRIES),
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",  # it would not be tried again after that
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_TELEMETRY": "1",
                "DISABLE_ERROR_REPORTING": "1",
            },
        )

    def opening(self) -> tuple[bytes, ...]:
        return (_said(self.task.prompt),)

    def steer(self, text: str) -> bytes | None:
        return _said(text)

    def interrupt(self) -> bytes | None:
        return _line({"type": "control_request", "request_id": "interrupt", "request": {"subtype": "interrupt"}})

    def understand(self, said: dict[str, Any]) -> bool:
        kind = saying.text(said, "type")
        known = {
            "system": self._system,
            "assistant": self._assistant,
            "user": self._user,
            "result": self._result,
            "control_request": self._request,
        }.get(kind)
        if known is not None:
            known(said)
        return known is not None or kind in SILENT

    def _system(self, said: dict[str, Any]) -> None:
        kind = saying.text(said, "subtype")
        if kind == "init":
            self.names_session(saying.text(said, "session_id"))
            self.begins()
        elif kind == "api_retry":
            status, attempt = saying.whole(said, "error_status"), saying.amount(said, "attempt")
            why = saying.text(said, "error").replace("_", " ") + (f" ({status})" if status else "")
            seconds = saying.amount(said, "retry_delay_ms") / 1000
            self.tries_again(attempt, saying.amount(said, "max_retries") or None, seconds, why)
            if status in REFUSED and attempt >= 2:
                self.ends(ERROR, why, status)

    def _assistant(self, said: dict[str, Any]) -> None:
        """One block of a message; the message's name and usage are the same in all of them."""
        message = saying.fields(said, "message")
        if said.get("is_api_error_message") is True or saying.text(message, "model") == "<synthetic>":
            return  # the result says it again
        self._spent_so_far(message)
        is_ours = not saying.text(said, "parent_tool_use_id")  # not that of an agent of its own
        for block in saying.several(message, "content"):
            if saying.text(block, "type") == "tool_use":
                call_id, tool = saying.text(block, "id"), saying.text(block, "name")
                self._tools[call_id] = tool
                self.calls(call_id, tool, saying.fields(block, "input"))
            elif saying.text(block, "type") == "text" and is_ours:
                self.says(saying.text(block, "text"))

    def _user(self, said: dict[str, Any]) -> None:
        message = saying.fields(said, "message")
        if said.get("isReplay") is True:
            self.takes(saying.content(message, "content"))
            return
        for block in saying.several(message, "content"):
            if saying.text(block, "type") == "tool_result":
                self._tool_result(block)

    def _tool_result(self, block: dict[str, Any]) -> None:
        text, is_error = saying.content(block, "content"), block.get("is_error") is True
        call_id = saying.text(block, "tool_use_id")
        code = EXIT.match(text) if is_error else None
        self.hears_back(
            call_id,
            self._tools.pop(call_id, ""),
            text[code.end() :] if code else text,
            is_error=is_error,
            exit_code=int(code[1]) if code else None,
        )

    def _result(self, said: dict[str, Any]) -> None:
        self._spent(said)
        reason, answer = saying.text(said, "terminal_reason"), saying.text(said, "result")
        over = saying.amount(said, "queued_turn_count") == 0  # else it goes on with what it was told meanwhile
        if said.get("is_error") is not True:
            if answer.strip():
                self.said, self.answered = answer, True
            cut = saying.text(said, "stop_reason") == "max_tokens"
            self.ends(LENGTH if cut else DONE, over=over)
        elif reason.startswith("aborted"):
            self.ends(ABORTED, over=over)
        else:
            errors = said.get("errors")
            named = [one for one in errors if isinstance(one, str)] if isinstance(errors, list) else []
            self.ends(ERROR, answer or "; ".join(named), saying.whole(said, "api_error_status"), over=over)

    def _spent_so_far(self, message: dict[str, Any]) -> None:
        """What a message says of its tokens as it begins, so that a limit is noticed in time."""
        name = saying.text(message, "id")
        if name == self._message:
            return
        self._message = name
        spent = {ours: saying.amount(message, "usage", theirs) for ours, theirs in OF_A_MESSAGE.items()}
        self._told.update(spent)
        self.spends(**spent, model=saying.text(message, "model"))

    def _spent(self, said: dict[str, Any]) -> None:
        """What it cost since the last result, less what messages have told of it."""
        models = saying.fields(said, "model_usage_since_last_result")
        whole = Counter[str]()
        for usage in models.values():
            whole.update({ours: saying.amount(usage, theirs) for ours, theirs in OF_A_RESULT.items()})
        rest = {name: max(whole[name] - self._told[name], 0) for name in OF_A_RESULT}
        known = [saying.decimal(usage, "costUSD") for usage in models.values() if _is_priced(usage)]
        usd = sum(cost or 0.0 for cost in known) if known and len(known) == len(models) else None
        self._told.clear()
        self.spends(**rest, usd=usd, model=next(iter(models), ""))

    def _request(self, said: dict[str, Any]) -> None:
        """It asks for something that only a person could say."""
        refusal = {"subtype": "error", "request_id": saying.text(said, "request_id"), "error": "Nobody is there."}
        self.now.send.append(_line({"type": "control_response", "response": refusal}))


def _is_priced(usage: Any) -> bool:
    """It makes a price up for models that it does not know."""
    return saying.text(usage, "costBasis") != "unknown"


def _said(text: str) -> bytes:
    """A message that begins with a slash would be taken for a command of the program."""
    text = f"\n{text}" if text.startswith("/") else text
    return _line({"type": "user", "message": {"role": "user", "content": text}})


def _line(said: dict[str, Any]) -> bytes:
    return orjson.dumps(said) + b"\n"
