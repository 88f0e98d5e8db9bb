"""Asking the model of a bot, by whichever API, at whichever address, with its key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic_ai import ToolDefinition
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from houses.bots import CHAT, MESSAGES
from threads.answering.reaching import client, refusal_in

PATIENCE = 300.0  # seconds that a model may think before it says anything more
LONGEST_TURN = 8192  # tokens of one response, where the API wants that to be said
NO_KEY = "arbe"  # providers on one's own machine want something there
# What the libraries raise, where a provider answers what nobody expects.
ODD = (AgentRunError, httpx2.HTTPError, OSError)
ODDER = (ValueError, TypeError, LookupError, AttributeError)


class Unanswered(Exception):
    """The provider did not answer as it should; `error` is what the libraries made of that."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a model is asked."""

    instructions: str
    messages: Sequence[ModelMessage]
    tools: Sequence[ToolDefinition]


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Where the model is. The key is held here for the moment, and nowhere else."""

    model: str
    api: str
    address: str
    key: str
    inside_too: bool

    def __repr__(self) -> str:
        return f"{self.model} at {self.address}"

    async def respond(self, asked: Asked, tell: Callable[[str], None]) -> ModelResponse:
        """The whole response; its text is told as it comes. Raises `Unanswered`, `Refused`."""
        try:
            return await self._respond(asked, tell)
        except (*ODD, *ODDER, _library_error(self.api)) as error:
            if refused := refusal_in(error):
                raise refused from error
            raise Unanswered(error) from error

    async def _respond(self, asked: Asked, tell: Callable[[str], None]) -> ModelResponse:
        async with client(inside_too=self.inside_too, patience=PATIENCE) as connections:
            parameters = ModelRequestParameters(
                function_tools=list(asked.tools), instruction_parts=[InstructionPart(content=asked.instructions)]
            )
            settings = ModelSettings(max_tokens=LONGEST_TURN) if self.api == MESSAGES else None
            async with model_request_stream(
                self._model(connections),
                list(asked.messages),
                model_settings=settings,
                model_request_parameters=parameters,
            ) as stream:
                paragraphs = _Paragraphs()
                async for event in stream:
                    if text := paragraphs.text_of(event):
                        tell(text)
                return stream.get()

    def _model(self, connections: httpx2.AsyncClient) -> Model:
        known: dict[str, Any] = {
            "api_key": self.key or NO_KEY,
            "base_url": self.address,
            "http_client": connections,
            "max_retries": 0,  # somebody may want to stop it meanwhile
        }
        return _through_anthropic(self.model, known) if self.api == MESSAGES else _through_openai(self, known)


# Each library takes tens of megabytes: only those are loaded that some bot needs.


def _through_anthropic(model: str, known: dict[str, Any]) -> Model:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=AsyncAnthropic(**known)))


def _through_openai(one: Provider, known: dict[str, Any]) -> Model:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(openai_client=AsyncOpenAI(**known))
    return (OpenAIChatModel if one.api == CHAT else OpenAIResponsesModel)(one.model, provider=provider)


def _library_error(api: str) -> type[Exception]:
    if api == MESSAGES:
        from anthropic import AnthropicError

        return AnthropicError
    from openai import OpenAIError

    return OpenAIError


class _Paragraphs:
    """Texts of one response, with what stands between them."""

    def __init__(self) -> None:
        self._index: int | None = None

    def text_of(self, event: object) -> str:
        text, index = "", 0
        if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
            text, index = event.part.content, event.index
        elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
            text, index = event.delta.content_delta, event.index
        if not text:
            return ""
        between = "\n\n" if self._index not in (None, index) else ""
        self._index = index
        return between + text
