"""What the key of a house is put in for, and what an agent asks for in vain."""

import json

import pytest

from tests.agents.scenarios import say

ASK = """python3 - <<'E'
import os, urllib.error, urllib.request
for method, path in ("DELETE", "files/file-1"), ("GET", "responses/resp_1"), ("GET", "models"):
    asked = urllib.request.Request(os.environ["ARBE_DOOR"] + "/model/" + path, method=method)
    try:
        print(urllib.request.urlopen(asked).status)
    except urllib.error.HTTPError as refused:
        print(refused.status, refused.read().decode())
E"""


@pytest.mark.parametrize("agent", ["pi"], indirect=True)
def test_the_key_is_put_in_for_what_a_model_is_asked_and_nothing_else(crew, bot, thread, ada):
    run = crew.done(thread, say("shell", command=ASK), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    first, second, third = crew.payload(run, "pi.tool_result")["text"].strip().splitlines()
    for line in first, second:
        status, _, body = line.partition(" ")
        assert status == "403" and "POST /chat/completions" in json.loads(body)["error"]["message"]
    assert third == "200"
