"""The house's own tools: one request, or a server of many tools. Where they go, what they carry, what they may say."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from houses.models import Resource, Secret, SecretBinding, SecretDelivery, Tool
from houses.tenancy import inside
from tests.agents.scenarios import say, tool
from tests.services import wait_for

TIDES = {"type": "object", "properties": {"port": {"type": "string"}, "day": {"type": "string"}}, "required": ["port"]}


class Elsewhere(ThreadingHTTPServer):
    """Keeps what it is asked; answers with `says`."""

    daemon_threads = True

    def __init__(self):
        self.asked, self.says, self.status, self.headers = [], "High water at six.", 200, {"Content-Type": "text/plain"}
        super().__init__(("127.0.0.1", 0), _Exchange)
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Exchange(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        content = self.server.says.encode()
        self.send_response(self.server.status)
        for name, value in {**self.server.headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815  # as the library names them


@pytest.fixture
def elsewhere():
    server = Elsewhere()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def local(settings):
    settings.LOCAL_TOOLS = True


@pytest.fixture
def owned(oak, ada):
    """`owned("tides", kind="http", config={…})`: a tool of Oak."""

    def made(name, **given):
        with inside(oak, ada):
            return Tool.objects.create_in(oak, name, by=ada, **given)

    return made


@pytest.fixture
def heard(talk):
    return lambda: [event["payload"] for event in talk.events("thread_answer_heard")]


def please(*steps):
    return f"@Sage {say('chain', steps=list(steps), then='Done: {result}')}"


def test_a_request_goes_where_the_house_said_with_what_the_model_said(
    talk, sage, ada, owned, local, elsewhere, heard, model
):
    owned("tides", kind="http", schema=TIDES, config={"url": elsewhere.url + "/{port}/tides"})
    talk.ask(please(tool("tides", port="../St Ives/x", day="mon & tue")), by=ada)
    ((method, path, headers, _),) = elsewhere.asked
    assert (method, path) == ("GET", "/..%2FSt%20Ives%2Fx/tides?day=mon+%26+tue")
    assert headers["Idempotency-Key"].startswith(talk.finished()[0]["answer_id"])
    assert heard()[0]["text"] == "200 OK\nHigh water at six." and not heard()[0]["is_error"]
    assert model.requests[1].told.results[0].startswith('<data from="tides">')


def test_what_is_posted_goes_in_the_body(talk, sage, ada, owned, local, elsewhere):
    owned("book", kind="http", schema=TIDES, config={"method": "POST", "url": elsewhere.url + "/book"})
    talk.ask(please(tool("book", port="Ives", day="mon")), by=ada)
    ((method, path, _, body),) = elsewhere.asked
    assert (method, path, json.loads(body)) == ("POST", "/book", {"port": "Ives", "day": "mon"})


@pytest.mark.parametrize("arguments", [{}, {"port": 3}, {"port": ".."}, {"port": ""}])
def test_what_the_schema_or_the_address_does_not_take_is_not_asked(
    talk, sage, ada, owned, local, elsewhere, heard, arguments
):
    owned("tides", kind="http", schema=TIDES, config={"url": elsewhere.url + "/{port}"})
    talk.ask(please(tool("tides", **arguments)), by=ada)
    assert elsewhere.asked == [] and heard()[0]["is_error"] and "arguments" in heard()[0]["text"]


def test_nothing_inside_is_reached_unless_the_installation_says_so(talk, sage, ada, owned, elsewhere, heard):
    owned("tides", kind="http", schema=TIDES, config={"url": elsewhere.url + "/{port}"})
    talk.ask(please(tool("tides", port="a")), by=ada)
    assert elsewhere.asked == [] and "not on the public internet" in heard()[0]["text"]


def test_a_model_inside_is_not_reached_where_the_installation_says_so(talk, sage, ada, model, settings):
    talk.say("@Sage?", by=ada)
    settings.LOCAL_MODELS = False
    ended = talk.answer()
    assert ended["status"] == "failed" and "not on the public internet" in ended["reason"] and model.requests == []


def test_nobody_is_followed_elsewhere(talk, sage, ada, owned, local, elsewhere, heard):
    elsewhere.status, elsewhere.headers = 302, {"Location": elsewhere.url + "/admin"}
    owned("tides", kind="http", schema=TIDES, config={"url": elsewhere.url + "/{port}"})
    talk.ask(please(tool("tides", port="a")), by=ada)
    assert len(elsewhere.asked) == 1 and "leads elsewhere" in heard()[0]["text"] and heard()[0]["is_error"]


def test_a_secret_goes_along_only_if_a_binding_gives_it_to_the_bot(
    talk, sage, oak, ada, owned, local, elsewhere, heard
):
    config = {"url": elsewhere.url + "/{port}", "headers": {"Authorization": "Bearer ${TIDES_KEY}"}}
    owned("tides", kind="http", schema=TIDES, config=config)
    with inside(oak, ada):
        Secret.objects.put("TIDES_KEY", "tides-7d1f0c", by=ada)
    talk.ask(please(tool("tides", port="a")), by=ada)
    assert elsewhere.asked == [] and "Settings → Bindings" in heard()[0]["text"]
    with inside(oak, ada):
        api = Resource.objects.create_in(oak, "tide tables", kind="api", external_id="tides", by=ada)
        _let_operate(api, sage, ada)
        SecretBinding.objects.create_in(oak, "tides", secret="TIDES_KEY", resources=[api.pk], agents=[sage.pk], by=ada)
    elsewhere.says = "You said Bearer tides-7d1f0c."
    talk.ask(please(tool("tides", port="a")), by=ada)
    assert elsewhere.asked[0][2]["Authorization"] == "Bearer tides-7d1f0c"
    assert heard()[1]["text"] == "200 OK\nYou said Bearer [secret TIDES_KEY]."
    assert "tides-7d1f0c" not in str([event for event in talk.events() if event["type"].startswith("thread_answer")])
    with inside(oak):
        assert SecretDelivery.objects.of("TIDES_KEY").count() == 1


def _let_operate(resource, bot, by):
    from houses.giving import give

    give(bot, resource, "rwx", by=by)


@pytest.mark.parametrize(("method", "times", "text"), [("GET", 1, "High water"), ("POST", 0, "nobody knows")])
@pytest.mark.usefixtures("sage", "local")
def test_what_may_have_taken_effect_is_not_said_again(talk, ada, owned, elsewhere, heard, method, times, text):
    owned("tides", kind="http", schema=TIDES, config={"method": method, "url": elsewhere.url + "/tides"})
    talk.say(please(tool("tides", port="a")), by=ada)
    talk.killed(talk.waiting()[0], "Called.finish", "call")
    assert talk.answer()["status"] == "completed"
    assert len(elsewhere.asked) == times and text in heard()[0]["text"]


# Servers of many tools


@pytest.fixture
def harbour(unused_tcp_port):
    """An MCP server; `harbour.calls` is what it was asked."""
    server = MCPServer("harbour")
    server.calls = []

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    def tides(port: str) -> str:
        """When the tide turns."""
        server.calls.append(port)
        return f"High water at {port} is at six."

    @server.tool()
    def sink(ship: str) -> str:
        """Not to be said twice."""
        server.calls.append(ship)
        raise ToolError("It does not sink.")

    app = server.streamable_http_app()
    running = uvicorn.Server(uvicorn.Config(app, port=unused_tcp_port, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    wait_for(running, thread)
    server.url = f"http://127.0.0.1:{unused_tcp_port}/mcp"
    yield server
    running.should_exit = True
    thread.join()


def test_the_tools_of_a_server_are_offered_by_its_name_and_called(talk, sage, ada, owned, local, harbour, heard, model):
    owned("harbour", kind="mcp", config={"url": harbour.url})
    talk.ask(please(tool("harbour__tides", port="Ives"), tool("harbour__sink", ship="Ada")), by=ada)
    offered = {one["function"]["name"]: one["function"] for one in model.requests[0].body["tools"]}
    assert offered["harbour__tides"]["description"] == "When the tide turns."
    first, second = heard()
    assert (first["text"], first["is_error"]) == ("High water at Ives is at six.", False)
    assert second["is_error"] and "It does not sink" in second["text"] and harbour.calls == ["Ives", "Ada"]


@pytest.mark.parametrize(("name", "given", "times"), [("tides", {"port": "a"}, 1), ("sink", {"ship": "a"}, 0)])
@pytest.mark.usefixtures("sage", "local")
def test_a_tool_of_a_server_is_called_again_only_if_it_says_that_it_can_be(
    talk, ada, owned, harbour, heard, name, given, times
):
    owned("harbour", kind="mcp", config={"url": harbour.url})
    talk.say(please(tool(f"harbour__{name}", **given)), by=ada)
    talk.killed(talk.waiting()[0], "Offered.finish", "call")
    talk.answer()
    assert len(harbour.calls) == times and heard()[0]["is_error"] == (not times)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_server_that_is_away_takes_nothing_but_its_tools_along(talk, sage, ada, owned, settings, model, is_open):
    settings.LOCAL_TOOLS = is_open
    owned("harbour", kind="mcp", config={"url": "http://127.0.0.1:1/mcp"})
    assert talk.ask("@Sage?", by=ada)["status"] == "completed"
    told = model.requests[0].body["messages"][0]["content"]
    assert "cannot be reached right now: harbour" in told
    assert "now: harbour." in told and "internet" not in told  # no word of a server is an instruction
