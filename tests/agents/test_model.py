"""The scripted model itself: in all three ways of speaking it says the same, and says it again for the same request."""

import json
import threading

import httpx
import pytest

from tests.agents.model import KEY, Model
from tests.agents.scenarios import say, shell, tool

CHAT, RESPONSES, MESSAGES = "openai-completions", "openai-responses", "anthropic-messages"
PATHS = {CHAT: "/chat/completions", RESPONSES: "/responses", MESSAGES: "/messages"}
APIS = pytest.mark.parametrize("api", PATHS)


@pytest.fixture
def model():
    model = Model().start()
    yield model
    model.stop()


def asked(api, said, stream=False, tools=("bash",), **more):
    """A request: `said` are what a user said (a text) and calls with their results (a pair of them)."""
    body = {"model": "any", "stream": stream, **more}
    named = [{"name": name, "parameters": {}} for name in tools]
    if api == RESPONSES:
        body["tools"] = [{"type": "function", **one} for one in named]
        body["input"] = [item for one in said for item in _items(one)]
    elif api == CHAT:
        body["tools"] = [{"type": "function", "function": one} for one in named]
        body["messages"] = [message for one in said for message in _messages(one)]
    else:
        body["tools"] = named
        body["messages"] = [message for one in said for message in _blocks(one)]
    return body


def _items(one):
    if isinstance(one, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": one}]}]
    return [
        {"type": "function_call", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": one[0]},
    ]


def _messages(one):
    if isinstance(one, str):
        return [{"role": "user", "content": one}]
    return [{"role": "assistant", "tool_calls": []}, {"role": "tool", "tool_call_id": "c", "content": one[0]}]


def _blocks(one):
    if isinstance(one, str):
        return [{"role": "user", "content": one}]
    result = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": one[0]}]}
    reminder = {"type": "text", "text": "<system-reminder>Mind the step.</system-reminder>"}
    return [{"role": "assistant", "content": []}, {"role": "user", "content": [result, reminder]}]


def answered(model, api, *said, stream=False, **more):
    """Text and calls of the answer, as its kind of client would read them."""
    body = asked(api, said, stream, **more)
    with httpx.stream("POST", model.url + PATHS[api], json=body, timeout=30) as response:
        raw = response.read().decode()
    assert response.status_code == 200, raw
    if not stream:
        return _read(api, json.loads(raw))
    events = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: {")]
    return _gathered(api, events)


def _read(api, whole):
    if api == CHAT:
        message = whole["choices"][0]["message"]
        called = [one["function"] for one in message.get("tool_calls", [])]
        return message["content"] or "", [(one["name"], json.loads(one["arguments"])) for one in called]
    if api == MESSAGES:
        text = "".join(one["text"] for one in whole["content"] if one["type"] == "text")
        return text, [(one["name"], one["input"]) for one in whole["content"] if one["type"] == "tool_use"]
    text = "".join(one["content"][0]["text"] for one in whole["output"] if one["type"] == "message")
    called = [one for one in whole["output"] if one["type"] == "function_call"]
    return text, [(one["name"], json.loads(one["arguments"])) for one in called]


def _gathered(api, events):
    if api == CHAT:
        deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
        called = [one["function"] for delta in deltas for one in delta.get("tool_calls", [])]
        text = "".join(delta.get("content") or "" for delta in deltas)
        return text, [(one["name"], json.loads(one["arguments"])) for one in called]
    if api == RESPONSES:
        text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
        whole = next((event["response"] for event in events if event["type"] == "response.completed"), {"output": []})
        assert text == _read(api, whole)[0]
        return text, _read(api, whole)[1]
    text, calls = "", []
    for event in events:
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            calls.append([event["content_block"]["name"], ""])
        delta = event.get("delta", {})
        text += delta.get("text", "")
        if delta.get("type") == "input_json_delta":
            calls[-1][1] += delta["partial_json"]
    return text, [(name, json.loads(arguments)) for name, arguments in calls]


@APIS
@pytest.mark.parametrize("stream", [False, True])
def test_it_calls_a_tool_and_then_says_what_came_of_it(model, api, stream):
    prompt = f"Please:\n{say('shell', command='ls -l | head')} Thank you."
    assert answered(model, api, prompt, stream=stream) == ("", [("bash", {"command": "ls -l | head"})])
    assert answered(model, api, prompt, ["total 0"], stream=stream) == ("It printed: total 0", [])


@APIS
@pytest.mark.parametrize("stream", [False, True])
def test_it_calls_several_tools_at_once_in_order(model, api, stream):
    steps = [[tool("make", path="a b.md"), tool("read_file", path="[[c]]")], shell("true")]
    prompt = say("chain", steps=steps, then="All of it.")
    assert answered(model, api, prompt, stream=stream)[1] == [
        ("make", {"path": "a b.md"}),
        ("read_file", {"path": "[[c]]"}),
    ]
    assert answered(model, api, prompt, ["1"], ["2"], stream=stream)[1] == [("bash", {"command": "true"})]
    assert answered(model, api, prompt, ["1"], ["2"], ["3"], stream=stream) == ("All of it.", [])


@APIS
def test_a_report_says_what_the_file_says(model, api):
    prompt = say("report", file="sales.csv", report="sum.md")
    assert answered(model, api, prompt)[1] == [("bash", {"command": "cat sales.csv"})]
    ((_, arguments),) = answered(model, api, prompt, ["name,count\napples,40\npears,2\n"])[1]
    assert arguments["command"].endswith("> sum.md") and "2 rows, 42 in all" in arguments["command"]
    assert answered(model, api, prompt, ["apples,40\npears,2"], [""]) == ("sum.md says: 42.", [])


@APIS
def test_whatever_was_said_last_counts(model, api):
    said = [say("write"), ["done"], f"No, rather: {say('plain', text='as you wish')}"]
    assert answered(model, api, *said) == ("as you wish", [])
    assert answered(model, api, *said, "And now?") == ("Hello from the model.", [])
    assert answered(model, api, *said[:2], say("count"))[0].startswith("I was told 2 things")


@APIS
def test_every_request_is_kept_with_its_key(model, api):
    header = {"x-api-key": KEY} if api == MESSAGES else {"authorization": f"Bearer {KEY}"}
    httpx.post(model.url + PATHS[api], json=asked(api, ["who? [[say:plain]]"], tools=["bash", "make"]), headers=header)
    (kept,) = model.heard(scenario="plain", api=api)
    assert (kept.key, kept.model, sorted(kept.told.tools), kept.turn) == (KEY, "any", ["bash", "make"], 0)
    assert kept.user == "who? [[say:plain]]"


@APIS
def test_a_wrong_key_opens_nothing(model, api):
    model.key = KEY
    refused = httpx.post(model.url + PATHS[api], json=asked(api, ["hello"]), headers={"authorization": "Bearer arbe"})
    assert refused.status_code == 401 and "opens nothing" in refused.json()["error"]["message"]


def test_a_model_is_named_for_a_scenario(model):
    body = asked(CHAT, ["no marker here"]) | {"model": "say-http429"}
    assert httpx.post(model.url + PATHS[CHAT], json=body).status_code == 429


@pytest.mark.parametrize(("scenario", "reason"), [("length", "length"), ("empty", "stop")])
def test_an_answer_can_be_cut_or_empty(model, scenario, reason):
    whole = httpx.post(model.url + PATHS[CHAT], json=asked(CHAT, [say(scenario)])).json()
    assert whole["choices"][0]["finish_reason"] == reason
    assert bool(whole["choices"][0]["message"]["content"]) is (scenario == "length")


@APIS
def test_a_stream_can_break_off(model, api):
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        httpx.post(model.url + PATHS[api], json=asked(api, [say("cut")], stream=True))


def test_what_is_held_is_answered_when_it_is_let_go(model):
    heard = []
    asking = threading.Thread(target=lambda: heard.append(answered(model, CHAT, say("hold", name="a"), stream=True)))
    asking.start()
    model.awaits(scenario="hold")
    assert heard == []
    model.let_go("a")
    asking.join(30)
    assert heard == [("I was let go.", [])]


def test_it_goes_and_comes_again_at_the_same_place(model):
    def ask():
        with pytest.raises(httpx.RemoteProtocolError):
            answered(model, MESSAGES, say("hang"), stream=True)
        cut.set()

    cut = threading.Event()
    threading.Thread(target=ask).start()
    model.awaits(scenario="hang")
    model.stop()
    assert cut.wait(30)
    with pytest.raises(httpx.ConnectError):
        answered(model, CHAT, "anybody?")
    model.start()
    assert answered(model, CHAT, "anybody?")[0] == "Hello from the model."


def test_what_it_costs_is_as_was_told(model):
    body = asked(CHAT, [say("plain", tokens_in=1000, tokens_out=50)])
    usage = httpx.post(model.url + PATHS[CHAT], json=body).json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (1000, 50)
