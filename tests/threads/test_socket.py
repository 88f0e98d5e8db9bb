"""The live page only tells: whatever is sent up a thread's socket is nothing to the thread."""

import json

from tests.threads.test_watching import away, door, grant, hears, live, say  # noqa: F401  # fixtures, and what they need


async def test_what_is_sent_up_a_socket_tells_nothing(live, told, ada, thread):  # noqa: F811  # pytest hands it over
    socket = await away(live, ada)
    assert (await socket.connect())[0]
    await hears(socket, "opened")
    for kind in ("thread_closed", "signal.make", "message", "deploy.done"):
        await socket.send_to(text_data=json.dumps({"type": kind, "payload": {"text": "from the socket"}}))
        await socket.send_to(text_data=json.dumps({"events": [{"type": kind, "payload": {}}]}))
    await away(say, thread, ada, "still there?")
    assert await hears(socket, "still there?")
    await socket.disconnect()
    assert [event["type"] for event in await away(told, thread)] == ["thread_opened", "message"]
