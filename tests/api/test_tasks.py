"""Tasks over the API: who is given one, on which machine, who asks in whose name, and what waits in which order."""

import pytest

from houses.credentials import Token
from houses.giving import give
from houses.run_tokens import mint, new_text
from houses.tenancy import inside
from sandboxes.models import Environment, Sandbox
from tests.api.conftest import Api, token_of
from tests.threads.test_delegating import at_work
from tests.threads.test_delegating import pia as pia  # noqa: PLC0414  # a fixture, for here too
from tests.threads.test_delegating import programs as programs  # noqa: PLC0414
from threads.models import Command, InboxEntry, Thread, WaitingMessage


@pytest.fixture
def task(api, kitchen, pia):
    """The child thread of a task that Pia has been given."""
    return api.ok("POST", f"threads/{kitchen['thread']}/tasks/", {"bot": "Pia", "text": "Count."}, 201)["id"]


@pytest.fixture
def run(oak, ada, task):
    with inside(oak, ada):
        run = Command.objects.runs().get(thread=task)
        at_work(run)
        return run


def its_own(oak, run, thread):
    """The API as the run of a bot reaches it, whose token keeps it in that thread."""
    with inside(oak):
        text = new_text()
        mint(run.bot, run.pk, text, thread_id=thread, seconds=60, calls=True)
        assert Token.objects.filter(run=run.pk).exists()
    return Api(oak, text)


def test_without_a_name_a_task_is_for_the_bot_that_drives_the_thread(api, kitchen, oak, ada, pia, task, run):
    below = api.ok("POST", f"threads/{task}/tasks/", {"text": "Count again."}, 201)
    with inside(oak, ada):
        assert Command.objects.runs().get(thread=below["id"]).bot_id == pia.pk
    where = f"threads/{kitchen['thread']}/tasks/"
    assert api.refused("POST", where, {"text": "Count."}) == (400, "invalid")
    assert "say which one" in api("POST", where, {"text": "Count."}).json()["detail"]


def test_only_the_run_itself_asks_in_its_name(api, oak, ada, bo, pia, task, run):
    question = {"on": "Ada", "question": "Which?"}
    for agent in (bo, ada):
        refused = Api(oak, token_of(agent, oak)).refused("POST", f"threads/{task}/questions/", question)
        assert refused == (403, "forbidden")
    assert its_own(oak, run, task).ok("POST", f"threads/{task}/questions/", question, 201)["id"] == run.pk
    with inside(oak, ada):
        assert [one.text for one in InboxEntry.objects.filter(agent=ada, kind="waiting")] == ["Which?"]


def test_nor_does_it_in_the_name_of_another_run_of_its_bot(oak, ada, pia, task, run):
    with inside(oak, ada):
        below = Thread.objects.get(pk=task).delegate("Count less.", bot=pia, by=ada)
        at_work(Command.objects.runs().get(thread=below))
    asked = its_own(oak, run, task).refused(
        "POST", f"threads/{below.pk}/questions/", {"on": "Ada", "question": "Which?"}
    )
    assert asked == (403, "forbidden")


def test_what_waits_is_told_in_the_order_it_was_said(api, oak, ada, task, run):
    for number in range(5):
        api.ok("POST", f"threads/{task}/messages/", {"text": str(number)}, 201)
    seen, cursor = [], ""
    while cursor is not None:
        page = api.ok("GET", f"threads/{task}/waiting-messages/?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen, cursor = [*seen, *(one["text"] for one in page["results"])], page["next"]
    assert seen == ["0", "1", "2", "3", "4"]
    with inside(oak, ada):
        assert [one.text for one in WaitingMessage.objects.still_waiting()] == seen


def test_a_machine_is_for_whoever_may_write_in_every_thread_on_it(oak, ada, bo, kitchen, pia):
    with inside(oak, ada):
        sandbox = Sandbox.objects.born(Environment.objects.get(pk=kitchen["environment"]))
        Sandbox.objects.filter(pk=sandbox.pk).update(status="live")
        first, second = (Thread.objects.begin_in(oak, by=ada, sandbox=sandbox) for _ in range(2))
    bos = Api(oak, token_of(bo, oak))
    wanted = {"bot": "Pia", "text": "Count.", "sandbox": sandbox.pk}
    where = f"threads/{kitchen['thread']}/tasks/"
    assert bos.ok("POST", where, wanted, 201)
    for given, refused in (("r", (403, "forbidden")), ("none", (404, "not_found"))):
        for hidden in (first, second):
            with inside(oak, ada):
                give(bo, hidden, given, by=ada)
            assert bos.refused("POST", where, wanted) == refused
            with inside(oak, ada):
                give(bo, hidden, "rw", by=ada)
    assert bos.ok("POST", where, wanted, 201)
