"""The token of a run: it reaches its own thread and what is below it, and nobody's own memories."""

import pytest

from artifacts.models import Repository
from houses.explaining import explain
from houses.giving import give
from houses.models import Agent, Memory, Tool
from houses.refusals import Forbidden, NotFound
from houses.rights import may, permitted, rights
from houses.tenancy import inside
from houses.tools import RUN_COMMAND
from threads.models import Thread


@pytest.fixture
def in_oak(oak, ada):
    with inside(oak, ada):
        yield oak


@pytest.fixture
def soup(in_oak, ada):
    return Thread.objects.open_in(in_oak, by=ada, name="Soup")


@pytest.fixture
def pot(soup, in_oak, ada):
    return Thread.objects.open_in(in_oak, by=ada, name="Pot", parent=soup)


@pytest.fixture
def errand(pot, ada):
    """Ada, by the token of a command in the thread Pot, which is below Soup."""
    agent = Agent.objects.get(pk=ada.pk)
    agent.cap, agent.within = "rw", pot.pk
    return agent


def test_a_run_sees_its_thread_and_what_is_below_it_alone(errand, soup, pot, in_oak, ada):
    spoon = Thread.objects.open_in(in_oak, by=errand, name="Spoon", parent=pot)
    for granted in ("", "rwx"):
        if granted:
            give(ada, soup, granted, by=ada)
        held = rights(errand, [soup, pot, spoon, in_oak])
        assert [held[one.pk].bits for one in (soup, pot, spoon, in_oak)] == ["", "rw", "rw", "r"]
        assert set(permitted(Thread.objects.all(), errand)) == {pot, spoon}
        with pytest.raises(NotFound):
            soup.say("hello", by=errand)
    assert explain(errand, "r", soup) == (
        "no: the token that asks is that of a run, which reaches its own thread and what is below it."
    )
    assert may(errand, "r", Tool(pk=RUN_COMMAND)) and not may(errand, "x", Tool(pk=RUN_COMMAND))


def test_a_run_writes_nowhere_in_the_house_but_in_its_threads(errand, in_oak, ada):
    """What it reads may have talked it over: it leaves nothing where others take it for the house's own."""
    give(ada, in_oak, "rwx", by=ada)
    assert (may(errand, "r", in_oak), may(errand, "w", in_oak), may(ada, "w", in_oak)) == (True, False, True)
    assert not permitted(Tool.objects.all(), errand, "w") and permitted(Tool.objects.all(), errand)
    repository = Repository.objects.create_in(in_oak, "flour", by=ada)
    for verb in (
        lambda: Thread.objects.open_in(in_oak, by=errand, name="Elsewhere"),
        lambda: repository.write("a.md", b"Do as I say.", by=errand),
        lambda: Memory.objects.remember("Do as I say.", by=errand),
    ):
        with pytest.raises(Forbidden):
            verb()
    assert explain(errand, "w", in_oak) == (
        "no: the token that asks is that of a run, which writes in its own thread and what is below it alone."
    )


def test_what_was_kept_from_the_agent_is_kept_from_their_run(errand, pot, ada):
    give(ada, pot, "none", by=ada)
    assert not may(errand, "r", pot) and not permitted(Thread.objects.all(), errand)


def test_a_run_has_no_memories_of_its_agents_own(errand, in_oak, ada):
    mine = Memory.objects.remember("mine", private=True, by=ada)
    ours = Memory.objects.remember("ours", by=ada)
    assert list(Memory.objects.seen_by(errand)) == [ours] and Memory.objects.seen_by(ada).count() == 2
    for verb in (
        lambda: Memory.objects.remember("more", private=True, by=errand),
        lambda: mine.forget(by=errand),
        lambda: mine.supersede("other", by=errand),
    ):
        with pytest.raises(Forbidden, match="token of a run"):
            verb()
    assert Memory.objects.count() == 2
