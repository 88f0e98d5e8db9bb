"""OpenAI's chat completions."""

import json
from collections.abc import Iterator
from typing import Any

from tests.agents.dialects.wire import Piece, Telling, fresh, text_of, words
from tests.agents.scenarios import Answer, Told


class Chat:
    """Reads what a request says, and writes an answer: at once, or streamed."""

    name, path = "openai-completions", "/chat/completions"

    @staticmethod
    def read(body: dict[str, Any]) -> Told:
        telling = Telling()
        for message in body.get("messages", []):
            if message["role"] == "user":
                telling.user(text_of(message["content"]))
            elif message["role"] == "tool":
                telling.result(message["content"])
        return telling.told({one["function"]["name"]: one["function"] for one in body.get("tools") or []})

    @staticmethod
    def whole(given: Answer, model: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": given.text or None}
        if given.calls:
            message["tool_calls"] = Chat._calls(given)
        choice = {"index": 0, "message": message, "finish_reason": Chat._end(given)}
        return {**Chat._head(model, "chat.completion"), "choices": [choice], "usage": Chat._usage(given)}

    @staticmethod
    def stream(given: Answer, model: str) -> Iterator[Piece]:
        head = Chat._head(model, "chat.completion.chunk")

        def piece(delta: dict[str, Any], end: str | None = None) -> Piece:
            return "", {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}

        yield piece({"role": "assistant", "content": ""})
        for word in words(given.text):
            yield piece({"content": word})
        for at, call in enumerate(Chat._calls(given)):
            yield piece({"tool_calls": [{"index": at, **call}]})
        if given.hangs or given.cut:
            return
        yield piece({}, Chat._end(given))
        yield "", {**head, "choices": [], "usage": Chat._usage(given)}
        yield "", "[DONE]"

    @staticmethod
    def _head(model: str, kind: str) -> dict[str, Any]:
        return {"id": fresh("chatcmpl"), "object": kind, "created": 0, "model": model}

    @staticmethod
    def _calls(given: Answer) -> list[dict[str, Any]]:
        return [
            {
                "id": fresh("call"),
                "type": "function",
                "function": {"name": call.tool, "arguments": json.dumps(call.arguments)},
            }
            for call in given.calls
        ]

    @staticmethod
    def _end(given: Answer) -> str:
        return "tool_calls" if given.calls else given.stop

    @staticmethod
    def _usage(given: Answer) -> dict[str, int]:
        came, went = given.tokens
        return {"prompt_tokens": came, "completion_tokens": went, "total_tokens": came + went}
