"""Runs over the API: one of them, and what stops it or an answer."""

import pytest

from houses.finding import agent_named
from houses.models import Agent, Member
from houses.refusals import Invalid, NotFound
from houses.tenancy import inside
from tests.api.conftest import Api, token_of
from tests.api.test_tasks import run as run  # noqa: PLC0414  # fixtures, for here too
from tests.api.test_tasks import task as task  # noqa: PLC0414
from tests.threads.test_delegating import pia as pia  # noqa: PLC0414
from tests.threads.test_delegating import programs as programs  # noqa: PLC0414
from threads.models import Answer


def test_a_run_is_found_and_stopped_by_its_address_and_is_no_command(api, oak, bo, kitchen, task, run):
    where = f"threads/{task}/runs/{run.pk}/"
    told = api.ok("GET", where)
    assert (told["bot"]["name"], told["prompt"], told["status"]) == ("Pia", "Count.", "running")
    assert api.ok("GET", f"threads/{task}/commands/")["results"] == []
    command = api.ok("POST", f"threads/{kitchen['thread']}/commands/", {"text": "true"}, 201)["id"]
    assert api.refused("GET", f"threads/{kitchen['thread']}/runs/{command}/") == (404, "not_found")
    assert api.refused("GET", f"threads/{kitchen['thread']}/runs/{run.pk}/") == (404, "not_found")
    readers = Api(oak, token_of(bo, oak))
    api.ok("PUT", f"grants/thread/{task}/{bo.pk}/", {"bits": "r"})
    assert readers.ok("GET", where) == told and readers.refused("PUT", f"{where}stop/") == (403, "forbidden")
    api.ok("PUT", f"{where}stop/")
    with inside(oak):
        run.refresh_from_db()
        assert str(run.stop_asked_by) == "Ada"


def test_an_answer_is_stopped(api, oak, ada, bo, kitchen):
    with inside(oak, ada):
        sage = Agent.objects.create_bot("Sage", "chat")
        Member.objects.create(house=oak, agent=sage, role="member")
        one = Answer.objects.create(house=oak, thread_id=kitchen["thread"], agent=sage, asked_by=ada, text="?")
    where = f"threads/{kitchen['thread']}/answers/{one.pk}/stop/"
    api.ok("PUT", f"grants/thread/{kitchen['thread']}/{bo.pk}/", {"bits": "r"})
    assert Api(oak, token_of(bo, oak)).refused("PUT", where) == (403, "forbidden")
    told = api.ok("PUT", where)
    assert (told["bot"]["name"], told["status"], told["reason"]) == (
        "Sage", "cancelled", "Stopped by Ada before it began.",
    )  # fmt: skip
    assert api.ok("PUT", where) == told
    assert api.refused("PUT", f"threads/{kitchen['thread']}/answers/nothing/stop/") == (404, "not_found")


@pytest.mark.parametrize("word", ["ada", "@Ada"])
def test_a_name_that_two_have_is_refused_and_any_other_way_of_writing_it_is_not(oak, ada, bo, word):
    with inside(oak, ada):
        assert agent_named(word) == ada == agent_named(str(ada.pk))
        with pytest.raises(NotFound):
            agent_named("Cy")
        bo.rename("Ada")
        with pytest.raises(Invalid, match="2 agents of this house are called"):
            agent_named(word)
