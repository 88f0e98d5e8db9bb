"""Anthropic's messages."""

import json
from collections.abc import Iterator
from typing import Any

from tests.agents.dialects.wire import Piece, Telling, fresh, text_of, words
from tests.agents.scenarios import MARKER, Answer, Told


class Messages:
    """Reads what a request says, and writes an answer: at once, or streamed."""

    name, path = "anthropic-messages", "/messages"

    @staticmethod
    def read(body: dict[str, Any]) -> Told:
        telling = Telling()
        for message in body.get("messages", []):
            content = message["content"]
            # What a user says while claude works comes from the system, with a word on how to take it.
            if message["role"] == "assistant" or (message["role"] == "system" and not MARKER.search(text_of(content))):
                continue
            for part in content if isinstance(content, list) else []:
                if part.get("type") == "tool_result":
                    telling.result(part.get("content"))
            telling.user(text_of(content))
        return telling.told({one.get("name", one.get("type")): one for one in body.get("tools") or []})

    @staticmethod
    def whole(given: Answer, model: str) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": given.text}] if given.text else []
        content += [
            {"type": "tool_use", "id": fresh("toolu"), "name": call.tool, "input": call.arguments}
            for call in given.calls
        ]
        return {**Messages._head(given, model), "content": content, "stop_reason": Messages._end(given)}

    @staticmethod
    def stream(given: Answer, model: str) -> Iterator[Piece]:
        def piece(kind: str, **what: Any) -> Piece:
            return kind, {"type": kind, **what}

        whole = Messages.whole(given, model)
        yield piece("message_start", message=Messages._head(given, model))
        for at, block in enumerate(whole["content"]):
            if block["type"] == "text":
                yield piece("content_block_start", index=at, content_block={"type": "text", "text": ""})
                deltas = [{"type": "text_delta", "text": word} for word in words(block["text"])]
            else:
                yield piece("content_block_start", index=at, content_block={**block, "input": {}})
                deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
            for delta in deltas:
                yield piece("content_block_delta", index=at, delta=delta)
            if given.hangs or given.cut:
                return
            yield piece("content_block_stop", index=at)
        ended = {"stop_reason": Messages._end(given), "stop_sequence": None}
        yield piece("message_delta", delta=ended, usage={"output_tokens": given.tokens[1]})
        yield piece("message_stop")

    @staticmethod
    def _head(given: Answer, model: str) -> dict[str, Any]:
        came, went = given.tokens
        cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        return {
            "id": fresh("msg"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": came, "output_tokens": went, **cached},
        }

    @staticmethod
    def _end(given: Answer) -> str:
        return "tool_use" if given.calls else {"stop": "end_turn", "length": "max_tokens"}[given.stop]
