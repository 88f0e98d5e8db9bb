"""codex, through `codex app-server`: requests and notifications, a JSON object to a line."""

import hashlib
from typing import Any

import orjson

from threads.runtimes import codex_exec, saying
from threads.runtimes.adapter import Launch, Task
from threads.runtimes.codex_items import finish, start
from threads.runtimes.launch import DOOR, KEY, PROGRAMS, TREE, scratch, state, told
from threads.runtimes.listening import Listening
from threads.runtimes.outcome import ABORTED, BROKEN, DONE, ERROR

RETRIES = 7  # 0.2, 0.4, 0.8, 1.6, 3, 6 and 13 seconds
REFUSED = (401, 403)  # it asks again with the same key; once more is enough to know
PATIENCE = 12  # troubles without anything between them; it waits for a network for as long as there is none
INITIALIZE, THREAD, TURN, INTERRUPT = 1, 2, 3, 4  # names of requests
UNHEARD = ["item/agentMessage/delta", "item/reasoning/textDelta", "item/reasoning/summaryTextDelta"]
UNHEARD += ["item/reasoning/summaryPartAdded", "item/plan/delta", "turn/diff/updated", "turn/plan/updated"]
UNHEARD += ["account/rateLimits/updated", "remoteControl/status/changed", "thread/status/changed", "thread/started"]
UNHEARD += [
    "item/fileChange/patchUpdated",
    "item/fileChange/outputDelta",
    "thread/settings/updated",
    "thread/compacted",
]
SILENT = ["thread/", "account/", "skills/", "model/", "mcpServer/", "hook/", "app/", "project/", "warning", "item/"]
SILENT += ["deprecationNotice", "configWarning", "turn/", "remoteControl/", "modelProvider/", "fs/", "process/"]
SILENT += ["serverRequest/", "guardianWarning", "autoApprovalReview/"]

CONFIG = f"""\
model_provider = "arbe"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
project_doc_max_bytes = 0
cli_auth_credentials_store = "file"

[model_providers.arbe]
name = "arbe"
base_url = "{DOOR}/model"
env_key = "ARBE_MODEL_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = {RETRIES}

[analytics]
enabled = false

[features]
plugins = false
apps = false

[skills]
include_instructions = false

[history]
persistence = "none"
"""


class Codex(Listening):
    """One run of codex. What it is asked next follows from what it answered."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._resumes = bool(task.resumes and task.session)
        self._thread = ""
        self._turn = ""
        self._refusals = 0
        self._troubles = 0  # since it last did something

    def launch(self) -> Launch:
        folder = state(self.task, "codex")
        model = f"model = {orjson.dumps(self.task.model).decode()}\n"
        return Launch(
            argv=(f"{PROGRAMS}/codex", "app-server"),
            env={
                "CODEX_HOME": folder,
                "CODEX_SQLITE_HOME": scratch(self.task, "codex"),  # an index of the session, large and always open
                "ARBE_MODEL_KEY": KEY,
                "RUST_LOG": "off",
            },
            files={f"{folder}/config.toml": model + CONFIG},
        )

    def opening(self) -> tuple[bytes, ...]:
        who = {"name": "arbe", "title": "arbe", "version": "1"}
        wants = {"optOutNotificationMethods": UNHEARD}
        return (_line(INITIALIZE, "initialize", {"clientInfo": who, "capabilities": wants}),)

    def steer(self, text: str) -> bytes | None:
        if not self._turn:
            return None
        name = "steer " + hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
        more = {"threadId": self._thread, "expectedTurnId": self._turn, "input": _input(text)}
        return _line(name, "turn/steer", more)

    def interrupt(self) -> bytes | None:
        if not self._turn:
            return None
        return _line(INTERRUPT, "turn/interrupt", {"threadId": self._thread, "turnId": self._turn})

    def understand(self, said: dict[str, Any]) -> bool:
        method = saying.text(said, "method")
        if not method:
            return codex_exec.understand(self, said) if "type" in said else self._answer(said)
        if "id" in said:
            self._request(said)
            return True
        known = {
            "turn/started": self._turn_started,
            "turn/completed": self._turn_completed,
            "item/started": self._item_started,
            "item/completed": self._item_completed,
            "item/commandExecution/outputDelta": self._output,
            "thread/tokenUsage/updated": self._usage,
            "error": self._troubled,
        }.get(method)
        if known is not None:
            known(saying.fields(said, "params"))
        return known is not None or method.startswith(tuple(SILENT))

    def _answer(self, said: dict[str, Any]) -> bool:
        """To one of our requests; each leads to the next."""
        name = said.get("id")
        if "error" in said:
            if name == THREAD and self._resumes:
                self._resumes = False  # the session is not there any more: it begins anew
                self.now.send.append(self._enter())
            elif name in (INITIALIZE, THREAD, TURN):
                self.ends(BROKEN, saying.text(said, "error", "message"))
            return name is not None
        if name == INITIALIZE:
            self.now.send.append(orjson.dumps({"method": "initialized", "params": {}}) + b"\n")
            self.now.send.append(self._enter())
        elif name == THREAD and not self._thread:
            self._thread = saying.text(said, "result", "thread", "id")
            self.names_session(self._thread)
            self.now.send.append(
                _line(TURN, "turn/start", {"threadId": self._thread, "input": _input(self.task.prompt)})
            )
        return name is not None and "result" in said

    def _enter(self) -> bytes:
        """The session: the one before, or a new one."""
        task = self.task
        place = {"cwd": TREE, "model": task.model, "modelProvider": "arbe", "developerInstructions": told(task)}
        if self._resumes:
            return _line(THREAD, "thread/resume", {"threadId": task.session, "excludeTurns": True, **place})
        return _line(THREAD, "thread/start", place)

    def _request(self, said: dict[str, Any]) -> None:
        """It asks for something that only a person could say."""
        refusal = {"code": -32601, "message": "Nobody is there to answer."}
        self.now.send.append(orjson.dumps({"id": said["id"], "error": refusal}) + b"\n")

    def _turn_started(self, said: dict[str, Any]) -> None:
        self._turn = saying.text(said, "turn", "id")
        self.begins()

    def _turn_completed(self, said: dict[str, Any]) -> None:
        how = saying.text(said, "turn", "status")
        if how == "completed":
            self.ends(DONE)
        elif how == "interrupted":
            self.ends(ABORTED)
        else:
            error = saying.fields(said, "turn", "error")
            self.ends(ERROR, saying.text(error, "message"), _status(error))
        self._turn = ""

    def _item_started(self, said: dict[str, Any]) -> None:
        start(self, saying.fields(said, "item"))

    def _item_completed(self, said: dict[str, Any]) -> None:
        self._troubles = 0
        finish(self, saying.fields(said, "item"))

    def _output(self, said: dict[str, Any]) -> None:
        self.prints(saying.text(said, "itemId"), saying.text(said, "delta"))

    def _usage(self, said: dict[str, Any]) -> None:
        """Of the last request. Whoever resumes is told once more what the turn before has cost."""
        if not self._turn or saying.text(said, "turnId") != self._turn:
            return
        last = saying.fields(said, "tokenUsage", "last")
        cached, kept = saying.amount(last, "cachedInputTokens"), saying.amount(last, "cacheWriteInputTokens")
        read = max(saying.amount(last, "inputTokens") - cached - kept, 0)
        self.spends(read=read, wrote=saying.amount(last, "outputTokens"), cached=cached, kept=kept)

    def _troubled(self, said: dict[str, Any]) -> None:
        """The provider did not answer as it should. Without another attempt, the turn says so when it ends."""
        if said.get("willRetry") is not True:
            return
        error = saying.fields(said, "error")
        message, status = saying.text(error, "message"), _status(error)
        why = saying.text(error, "additionalDetails") or message
        self._troubles += 1
        attempt, _, attempts = message.rpartition(" ")[2].partition("/")
        self.tries_again(_count(attempt) or self._troubles, _count(attempts), None, why)
        self._refusals = self._refusals + 1 if status in REFUSED else 0
        if self._refusals >= 2 or self._troubles >= PATIENCE:
            self.ends(ERROR, why, status)


def _status(error: dict[str, Any]) -> int | None:
    """The provider's, from inside what kind of error it is."""
    for kind in saying.fields(error, "codexErrorInfo").values():
        if (status := saying.whole(kind, "httpStatusCode")) is not None:
            return status
    return 401 if saying.text(error, "codexErrorInfo") == "unauthorized" else None


def _count(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdigit() and len(word) < 6 else None


def _input(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _line(name: int | str, method: str, params: dict[str, Any]) -> bytes:
    return orjson.dumps({"id": name, "method": method, "params": params}) + b"\n"
