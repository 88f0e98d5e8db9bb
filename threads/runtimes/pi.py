"""pi, through `--mode rpc`; what `--mode json` prints is the same."""

import re
from typing import Any

import orjson

from threads.runtimes import saying
from threads.runtimes.adapter import Launch, Task
from threads.runtimes.launch import DOOR, KEY, PROGRAMS, state, told
from threads.runtimes.listening import Listening
from threads.runtimes.outcome import ABORTED, BROKEN, DONE, ERROR, LENGTH

RETRIES = {"enabled": True, "maxRetries": 4, "baseDelayMs": 2000}  # 2, 4, 8 and 16 seconds
ISOLATED = ("--no-approve", "--offline", "-nc", "-ns", "-ne", "-np", "--no-mcp")  # from files in the tree
SILENT = {"agent_start", "turn_start", "turn_end", "agent_end", "message_start", "message_update", "queue_update"}
SILENT |= {"entry_appended", "auto_retry_end", "compaction_start", "compaction_end", "session_info_changed"}
SILENT |= {"thinking_level_changed", "extension_error", "summarization_retry_scheduled"}
SILENT |= {"summarization_retry_attempt_start", "summarization_retry_finished"}
MESSAGES = "anthropic-messages"
DIALOGS = ("select", "confirm", "input", "editor")


class Pi(Listening):
    """One run of pi. It goes on until it is settled, which is after its retries and all that it was told meanwhile."""

    noise = re.compile(rb"Warning: No project session found with id ")

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._how = ""  # its last message ended
        self._error = ""

    def launch(self) -> Launch:
        task, folder = self.task, state(self.task, "pi")
        # It knows what a provider takes by the address, which is the door's here: so only what all of them take.
        plain = {} if task.api == MESSAGES else {"supportsStore": False, "supportsDeveloperRole": False}
        model = {"id": task.model, "name": task.model, "compat": plain}
        provider = {"baseUrl": f"{DOOR}/model", "api": task.api, "apiKey": KEY, "models": [model]}
        settings = {
            "defaultProvider": "arbe",
            "defaultModel": task.model,
            "defaultProjectTrust": "never",
            "enableInstallTelemetry": False,
            "retry": RETRIES,
        }
        session = ("--session-id", task.session or task.thread_id)
        says = ("--append-system-prompt", f"{folder}/told.md")
        model_words = ("--provider", "arbe", "--model", task.model)
        return Launch(
            argv=(f"{PROGRAMS}/pi", "--mode", "rpc", *ISOLATED, *session, *model_words, *says),
            env={"PI_CODING_AGENT_DIR": folder, "PI_OFFLINE": "1", "PI_TELEMETRY": "0"},
            files={
                f"{folder}/models.json": orjson.dumps({"providers": {"arbe": provider}}).decode(),
                f"{folder}/settings.json": orjson.dumps(settings).decode(),
                f"{folder}/told.md": told(task),
            },
        )

    def opening(self) -> tuple[bytes, ...]:
        return (_command("prompt", message=self.task.prompt),)

    def steer(self, text: str) -> bytes | None:
        return _command("steer", message=text)

    def interrupt(self) -> bytes | None:
        return _command("clear_queue") + _command("abort")

    def understand(self, said: dict[str, Any]) -> bool:
        kind = saying.text(said, "type")
        if kind in SILENT:
            if kind == "agent_start":
                self.begins()
            return True
        known = {
            "session": self._session,
            "response": self._response,
            "message_end": self._message,
            "tool_execution_start": self._tool_start,
            "tool_execution_update": self._tool_update,
            "tool_execution_end": self._tool_end,
            "auto_retry_start": self._retry,
            "agent_settled": self._settled,
            "extension_ui_request": self._dialog,
        }.get(kind)
        if known is not None:
            known(said)
        return known is not None

    def _session(self, said: dict[str, Any]) -> None:
        self.names_session(saying.text(said, "id"))

    def _response(self, said: dict[str, Any]) -> None:
        """Only a task that is refused ends the run; pi names no session in this mode, as it has the name we gave it."""
        if saying.text(said, "command") != "prompt":
            return
        if said.get("success") is True:
            self.names_session(self.task.session or self.task.thread_id)
        elif self.last is None and not self._spoke_of_work:
            self.ends(BROKEN, saying.text(said, "error"))

    @property
    def _spoke_of_work(self) -> bool:
        return self.answered or self._prompt_was_heard

    def _message(self, said: dict[str, Any]) -> None:
        message = saying.fields(said, "message")
        role = saying.text(message, "role")
        if role == "user":
            self.takes(saying.content(message, "content"))
        if role != "assistant":
            return
        self._how = how = saying.text(message, "stopReason")
        self._error = saying.text(message, "errorMessage")
        if how != "error":  # it is said again, and whole, when it is tried again
            self.says(saying.content(message, "content"))
        elif half := saying.content(message, "content").strip():
            self.said = half
        usage = saying.fields(message, "usage")
        cost = saying.decimal(usage, "cost", "total")
        self.spends(
            read=saying.amount(usage, "input"),
            wrote=saying.amount(usage, "output"),
            cached=saying.amount(usage, "cacheRead"),
            kept=saying.amount(usage, "cacheWrite"),
            usd=cost or None,  # zero is what it says when it does not know
            model=saying.text(message, "model"),
        )

    def _tool_start(self, said: dict[str, Any]) -> None:
        self.calls(saying.text(said, "toolCallId"), saying.text(said, "toolName"), saying.fields(said, "args"))

    def _tool_update(self, said: dict[str, Any]) -> None:
        self.prints(saying.text(said, "toolCallId"), saying.content(said, "partialResult", "content"), whole=True)

    def _tool_end(self, said: dict[str, Any]) -> None:
        thousandths = saying.decimal(said, "durationMs")
        self.hears_back(
            saying.text(said, "toolCallId"),
            saying.text(said, "toolName"),
            saying.content(said, "result", "content"),
            is_error=said.get("isError") is True,
            exit_code=saying.whole(said, "result", "structuredContent", "exit_code"),
            seconds=None if thousandths is None else thousandths / 1000,
        )

    def _retry(self, said: dict[str, Any]) -> None:
        self.tries_again(
            saying.amount(said, "attempt"),
            saying.amount(said, "maxAttempts") or None,
            saying.amount(said, "delayMs") / 1000,
            saying.text(said, "errorMessage"),
        )

    def _settled(self, said: dict[str, Any]) -> None:
        how = self._how
        if said.get("aborted") is True or how == "aborted":
            self.ends(ABORTED)
        elif how in ("error", "length"):
            self.ends(LENGTH if how == "length" else ERROR, self._error)
        else:
            self.ends(DONE)

    def _dialog(self, said: dict[str, Any]) -> None:
        """Nobody is there to answer."""
        if saying.text(said, "method") in DIALOGS:
            answer = {"type": "extension_ui_response", "id": saying.text(said, "id"), "cancelled": True}
            self.now.send.append(orjson.dumps(answer) + b"\n")


def _command(kind: str, **more: str) -> bytes:
    return orjson.dumps({"id": kind, "type": kind, **more}) + b"\n"
