import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from houses.tenancy import inside
from streams.client import streams
from streams.models import Outbox
from tests.api.conftest import Api, token_of
from tests.services import hang_up
from threads.models import Command


def kinds(house) -> list[str]:
    """What was announced, in order; the relay to the stream waits for a commit that a test does not make."""
    with inside(house):
        return list(Outbox.objects.order_by("announced_at", "position").values_list("kind", flat=True))


def test_a_thread_is_opened_named_pinned_tagged_closed_and_reopened(api, kitchen, oak):
    path = f"threads/{kitchen['thread']}/"
    assert api.ok("PATCH", path, {"name": "Stew"})["name"] == "Stew"
    assert api.ok("PUT", path + "pin/")["pinned_at"]
    assert api.ok("DELETE", path + "pin/")["pinned_at"] is None
    assert api.ok("PUT", path + "tags/", ["hot", "#soup", "hot"])["tags"] == ["hot", "soup"]
    assert api.ok("PUT", path + "closing/")["status"] == "closed"
    assert api.refused("POST", path + "messages/", {"text": "hello?"}) == (409, "thread_closed")
    assert api.ok("DELETE", path + "closing/")["status"] == "open"
    api.ok("POST", path + "messages/", {"text": "hello"}, 201)
    verbs = ["opened", "renamed", "pinned", "unpinned", "tagged", "closed", "reopened"]
    assert kinds(oak) == [f"thread_{verb}" for verb in verbs] + ["message"]


def test_a_bot_speaks_with_its_token(kitchen, oak, scribe, ada):
    bot = Api(oak, token_of(scribe, oak, by=ada))
    bot.ok("POST", f"threads/{kitchen['thread']}/messages/", {"text": "I am a bot."}, 201)
    with inside(oak):
        assert Outbox.objects.get(kind="message").author_id == scribe.pk


def test_threads_are_found_by_pin_tag_status_and_parent(api, kitchen):
    soup = kitchen["thread"]
    child = api.ok("POST", "threads/", {"name": "Stock", "parent": soup}, 201)
    api.ok("PUT", f"threads/{soup}/pin/")
    api.ok("PUT", f"threads/{soup}/tags/", ["hot"])
    api.ok("PUT", f"threads/{child['id']}/closing/")

    def found(query: str) -> list[str]:
        return [thread["name"] for thread in api.ok("GET", f"threads/?{query}")["results"]]

    assert sorted(found("")) == ["Soup", "Stock"]
    assert found("pinned=true") == found("tag=hot") == found("status=open") == found("parent=none") == ["Soup"]
    assert found("pinned=false") == found("status=closed") == found(f"parent={soup}") == ["Stock"]
    assert [one["name"] for one in api.ok("GET", f"threads/{soup}/")["children"]] == ["Stock"]


def test_threads_come_in_pages(api):
    names = [api.ok("POST", "threads/", {"name": str(number)}, 201)["name"] for number in range(5)]
    seen, query = [], "limit=2"
    while query:
        page = api.ok("GET", f"threads/?{query}")
        seen += [thread["name"] for thread in page["results"]]
        query = page["next"] and f"limit=2&cursor={page['next'].replace('+', '%2B')}"
    assert sorted(seen) == names


def test_a_command_is_run_looked_at_and_stopped(api, kitchen):
    path = f"threads/{kitchen['thread']}/commands/"
    command = api.ok("POST", path, {"text": "sleep 60"}, 201)
    assert (command["status"], command["environment"]) == ("queued", kitchen["environment"])
    assert api.ok("GET", path)["results"] == [command] == [api.ok("GET", f"{path}{command['id']}/")]
    assert api.ok("PUT", f"{path}{command['id']}/stop/")["status"] == "cancelled"
    assert api.refused("GET", f"{path}{command['id']}/stop/") == (405, "method_not_allowed")


def test_the_work_begins_once_the_transaction_is_over(api, kitchen, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as after:
        api.ok("POST", f"threads/{kitchen['thread']}/commands/", {"text": "date"}, 201)
    assert len(after) == 1  # a worker is called; the relay was due already


def test_a_thread_is_stopped_with_everything_in_it(api, kitchen, oak):
    path = f"threads/{kitchen['thread']}/"
    for _ in range(2):
        api.ok("POST", path + "commands/", {"text": "sleep 60"}, 201)
    api.ok("PUT", path + "stop/")
    with inside(oak):
        assert set(Command.objects.values_list("status", flat=True)) == {"cancelled"}


def test_without_an_environment_nothing_runs(api):
    thread = api.ok("POST", "threads/", {}, 201)["id"]
    assert api.refused("POST", f"threads/{thread}/commands/", {"text": "date"}) == (409, "no_environment")
    assert api.refused("GET", f"threads/{thread}/plan/?target=a") == (409, "no_environment")


def test_a_missing_required_secret_is_said_before_anything_starts(api, kitchen):
    recipe = {"name": "Locked", "secret_bindings": [{"name": "API_KEY"}]}
    locked = api.ok("POST", "environments/", recipe, 201)["id"]
    path = f"threads/{kitchen['thread']}/commands/"
    assert api.refused("POST", path, {"text": "date", "environment": locked}) == (409, "missing_secret")
    assert api.ok("GET", path)["results"] == []


def test_what_belongs_to_another_thread_is_not_found_in_this_one(api, kitchen):
    other = api.ok("POST", "threads/", {}, 201)["id"]
    command = api.ok("POST", f"threads/{other}/commands/", {"text": "date"}, 201)["id"]
    assert api.refused("GET", f"threads/{kitchen['thread']}/commands/{command}/") == (404, "not_found")


def test_a_list_costs_the_same_however_long_it_is(api, kitchen, django_assert_num_queries):
    path = f"threads/{kitchen['thread']}/commands/"
    with CaptureQueriesContext(connection) as empty:
        api.ok("GET", path)
        queries = len(empty)
    for _ in range(5):
        api.ok("POST", path, {"text": "date"}, 201)
    with django_assert_num_queries(queries):
        assert len(api.ok("GET", path)["results"]) == 5


@pytest.fixture
def stream(living, settings, api, kitchen, oak):
    """The thread's stream with three events on it, on a real server."""
    settings.STREAMS_URL, settings.STREAMS_KEY = living.url, "arbe"
    stream_id = api.ok("GET", f"threads/{kitchen['thread']}/")["stream"]
    streams().create(oak.pk, stream_id)
    for number in range(3):
        streams().append(oak.pk, stream_id, [{"type": "message", "payload": {"text": str(number)}}])
    yield f"threads/{kitchen['thread']}/events/"
    hang_up()


def texts(page) -> list[str]:
    return [event["payload"]["text"] for event in page["events"]]


def test_events_are_read_forwards_and_backwards(api, stream):
    everything = api.ok("GET", stream)
    assert texts(everything) == ["0", "1", "2"] and everything["prev"] is None
    first, *_ = everything["events"]
    assert texts(api.ok("GET", f"{stream}?after={first['seq']}")) == ["1", "2"]
    assert texts(api.ok("GET", f"{stream}?after=-1&limit=1")) == ["0"]
    last = api.ok("GET", f"{stream}?limit=1")
    assert texts(last) == ["2"]
    assert texts(api.ok("GET", f"{stream}?before={last['prev']}")) == ["0", "1"]
    assert api.refused("GET", f"{stream}?after=-1&before=now") == (400, "invalid")
    assert api.refused("GET", f"{stream}?after=yesterday") == (400, "invalid")
    assert api.refused("GET", f"{stream}?after=nowhere") == (400, "invalid")


def test_a_thread_whose_stream_waits_to_be_made_has_no_events(api, stream):
    other = api.ok("POST", "threads/", {}, 201)["id"]
    assert api.ok("GET", f"threads/{other}/events/")["events"] == []


@pytest.mark.usefixtures("committed")
def test_what_was_said_is_on_the_stream_when_the_answer_comes(api, living, settings):
    settings.STREAMS_URL, settings.STREAMS_KEY = living.url, "arbe"
    thread = api.ok("POST", "threads/", {"name": "Soup"}, 201)["id"]
    api.ok("POST", f"threads/{thread}/messages/", {"text": "hello"}, 201)
    assert [event["type"] for event in api.ok("GET", f"threads/{thread}/events/")["events"]] == [
        "thread_opened",
        "message",
    ]
    hang_up()
