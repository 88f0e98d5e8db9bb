"""What is said of a provider that does not answer as it should."""

import asyncio

import pytest
from pydantic_ai.messages import ModelRequest, UserPromptPart

from houses.bots import CHAT, MESSAGES, RESPONSES
from tests.agents.scenarios import say
from threads.answering import thinking
from threads.answering.thinking import Asked, Provider, Unanswered
from threads.answering.troubles import trouble


def asked(model, scenario, api=CHAT):
    """What came of it."""
    address = model.root if api == MESSAGES else model.url
    provider = Provider(model="any", api=api, address=address, key=model.key, inside_too=True)
    question = ModelRequest(parts=[UserPromptPart(say(scenario))])
    with pytest.raises(Unanswered) as found:
        asyncio.run(provider.respond(Asked(instructions="", messages=[question], tools=[]), lambda _text: None))
    return trouble(found.value.error, "Sage", {"address": address, "model": "any", "key_secret": "MODEL_KEY"})


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize(
    ("scenario", "code", "again"),
    [
        ("http400", "provider_refused", False),
        ("http401", "provider_auth", False),
        ("http429", "provider_down", True),
        ("http500", "provider_down", True),
        ("cut", "provider_down", True),
    ],
)
def test_every_way_of_speaking_fails_in_the_same_words(model, api, scenario, code, again):
    found = asked(model, scenario, api)
    assert (found.code, found.again) == (code, again) and found.sentence.endswith(".")


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES])
def test_one_that_says_nothing_for_too_long_is_not_asked_again(model, api, monkeypatch):
    monkeypatch.setattr(thinking, "PATIENCE", 0.2)
    found = asked(model, "hang", api)
    assert (found.code, found.again) == ("provider_down", False) and "said nothing" in found.sentence


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES])
def test_one_that_is_not_there_may_come_back(model, api):
    model.stop()
    found = asked(model, "plain", api)
    assert (found.code, found.again) == ("provider_down", True)
