"""OpenAI's responses."""

import json
from collections.abc import Iterator
from typing import Any

from tests.agents.dialects.wire import Piece, Telling, fresh, text_of, words
from tests.agents.scenarios import Answer, Told


class Responses:
    """Reads what a request says, and writes an answer: at once, or streamed."""

    name, path = "openai-responses", "/responses"

    @staticmethod
    def read(body: dict[str, Any]) -> Told:
        telling, said = Telling(), body.get("input") or []
        for item in [{"role": "user", "content": said}] if isinstance(said, str) else said:
            if item.get("type", "message").endswith("_call_output"):
                telling.result(item.get("output"))
            elif item.get("role") == "user":
                telling.user(text_of(item.get("content")))
        tools = {}
        for one in body.get("tools") or []:
            for tool in one.get("tools", []) if one.get("type") == "namespace" else [one]:
                tools[tool.get("name", tool.get("type"))] = tool
        return telling.told(tools)

    @staticmethod
    def whole(given: Answer, model: str) -> dict[str, Any]:
        output: list[dict[str, Any]] = []
        if given.text:
            said = {"type": "output_text", "text": given.text, "annotations": []}
            output.append(
                {"type": "message", "id": fresh("msg"), "role": "assistant", "status": "completed", "content": [said]}
            )
        for call in given.calls:
            words_of = {"name": call.tool, "arguments": json.dumps(call.arguments)}
            output.append(
                {
                    "type": "function_call",
                    "id": fresh("fc"),
                    "call_id": fresh("call"),
                    **words_of,
                    "status": "completed",
                }
            )
        cut = given.stop == "length"
        ended = {"incomplete_details": {"reason": "max_output_tokens"} if cut else None}
        return {
            **Responses._head(model),
            **ended,
            "status": "incomplete" if cut else "completed",
            "output": output,
            "usage": Responses._usage(given),
        }

    @staticmethod
    def stream(given: Answer, model: str) -> Iterator[Piece]:
        for number, (kind, what) in enumerate(Responses._pieces(given, model)):
            yield kind, {"type": kind, "sequence_number": number, **what}

    @staticmethod
    def _pieces(given: Answer, model: str) -> Iterator[tuple[str, dict[str, Any]]]:
        whole = Responses.whole(given, model)
        begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        yield "response.created", {"response": begun}
        yield "response.in_progress", {"response": begun}
        for at, item in enumerate(whole["output"]):
            yield from (
                Responses._message(given, at, item) if item["type"] == "message" else Responses._function(at, item)
            )
            if given.hangs or given.cut:
                return
            yield "response.output_item.done", {"output_index": at, "item": item}
        yield f"response.{whole['status']}", {"response": whole}

    @staticmethod
    def _message(given: Answer, at: int, item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        where, part = {"item_id": item["id"], "output_index": at, "content_index": 0}, item["content"][0]
        begun = {**item, "status": "in_progress", "content": []}
        yield "response.output_item.added", {"output_index": at, "item": begun}
        yield "response.content_part.added", {**where, "part": {**part, "text": ""}}
        for word in words(given.text):
            yield "response.output_text.delta", {**where, "delta": word}
        if given.hangs or given.cut:
            return
        yield "response.output_text.done", {**where, "text": part["text"]}
        yield "response.content_part.done", {**where, "part": part}

    @staticmethod
    def _function(at: int, item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        where = {"item_id": item["id"], "output_index": at}
        begun = {**item, "status": "in_progress", "arguments": ""}
        yield "response.output_item.added", {"output_index": at, "item": begun}
        yield "response.function_call_arguments.delta", {**where, "delta": item["arguments"]}
        yield "response.function_call_arguments.done", {**where, "arguments": item["arguments"], "name": item["name"]}

    @staticmethod
    def _head(model: str) -> dict[str, Any]:
        plain = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None}
        return {"id": fresh("resp"), "object": "response", "created_at": 0, "model": model, **plain}

    @staticmethod
    def _usage(given: Answer) -> dict[str, Any]:
        came, went = given.tokens
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        return {"input_tokens": came, "output_tokens": went, "total_tokens": came + went, **details}
