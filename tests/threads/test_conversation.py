"""What people do with a thread itself: each verb once, each told, and the log alone would give the same thread."""

import pytest

from houses.models import House
from houses.refusals import Invalid, NotFound, Refused, TooLarge
from houses.tenancy import inside
from sandboxes.environments import MissingSecret
from sandboxes.models import Environment
from streams.envelope import LONGEST_MESSAGE
from streams.models import Outbox
from threads.conversation import ThreadIsClosed
from threads.models import Command, Thread
from threads.working import NoEnvironment

VERBS = {
    "thread_renamed": lambda thread, by: thread.rename("Weather", by=by),
    "thread_pinned": lambda thread, by: thread.pin(by=by),
    "thread_tagged": lambda thread, by: thread.tag(["b", "#a", "a"], by=by),
    "thread_closed": lambda thread, by: thread.close(by=by),
}
BACK = {
    "thread_pinned": ("thread_unpinned", lambda thread, by: thread.unpin(by=by)),
    "thread_closed": ("thread_reopened", lambda thread, by: thread.reopen(by=by)),
}


@pytest.fixture
def here(oak, ada, thread):
    """Inside Oak, without a stream server: what would be told waits in the outbox."""
    with inside(oak, ada):
        yield thread


def waiting(thread):
    return list(Outbox.objects.filter(stream=thread.stream_id).order_by("position").values_list("kind", flat=True))


def fold(events):
    """The thread, as somebody knows it who only heard the stream."""
    known = {"name": None, "pinned": False, "tags": [], "status": "open"}
    for event in events:
        match event["type"], event["payload"]:
            case (("thread_opened" | "thread_renamed"), {"name": name}):
                known["name"] = name
            case ("thread_pinned" | "thread_unpinned") as kind, _:
                known["pinned"] = kind == "thread_pinned"
            case "thread_tagged", {"tags": tags}:
                known["tags"] = tags
            case ("thread_closed" | "thread_reopened") as kind, _:
                known["status"] = "closed" if kind == "thread_closed" else "open"
    return known


def row(thread):
    thread.refresh_from_db()
    return {
        "name": thread.name,
        "pinned": thread.pinned_at is not None,
        "tags": thread.tags,
        "status": thread.status,
    }


def test_opening_is_told(here):
    assert (here.name, here.status, here.tags) == ("work", "open", [])
    assert waiting(here) == ["thread_opened"]


@pytest.mark.parametrize("kind", VERBS)
def test_saying_it_twice_does_it_once(here, ada, kind):
    VERBS[kind](here, ada)
    VERBS[kind](here, ada)
    VERBS[kind](Thread.objects.get(pk=here.pk), ada)
    assert waiting(here) == ["thread_opened", kind]


@pytest.mark.parametrize("kind", BACK)
def test_taking_it_back_twice_does_it_once(here, ada, kind):
    back, verb = BACK[kind]
    verb(here, ada)
    assert waiting(here) == ["thread_opened"]
    VERBS[kind](here, ada)
    verb(here, ada)
    verb(here, ada)
    assert waiting(here) == ["thread_opened", kind, back]


def test_a_stale_copy_does_not_say_it_again(here, ada):
    stale = Thread.objects.get(pk=here.pk)
    here.pin(by=ada)
    stale.pin(by=ada)
    assert waiting(here) == ["thread_opened", "thread_pinned"]


def test_whoever_heard_the_stream_knows_the_thread(told, thread, oak, ada, bo):
    for verb in [*VERBS.values(), *[verb for _, verb in BACK.values()]]:
        with inside(oak, bo):
            verb(thread, bo)
        with inside(oak):
            assert fold(told(thread)) == row(thread)
    with inside(oak, bo):
        thread.tag([], by=bo)
        thread.rename("  ", by=bo)
    with inside(oak):
        assert fold(told(thread)) == row(thread) == {"name": None, "pinned": False, "tags": [], "status": "open"}


def test_a_message_is_told_with_its_author(told, thread, oak, bo):
    with inside(oak, bo):
        thread.say("hello **there**", by=bo)
    last = told(thread)[-1]
    assert (last["type"], last["payload"], last["author_agent_id"]) == (
        "message",
        {"text": "hello **there**"},
        str(bo.pk),
    )


def test_saying_something_makes_it_recent(oak, ada, committed):
    with inside(oak, ada):
        older, _ = (Thread.objects.open_in(oak, by=ada, name=name) for name in ("older", "newer"))
    with inside(oak, ada):
        older.say("hello", by=ada)
    with inside(oak):
        assert [thread.name for thread in Thread.objects.recent()] == ["older", "newer"]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", Invalid),
        (" \n\t", Invalid),
        ("\0", Invalid),
        ("half \ud800 a pair", Invalid),
        ("x" * (LONGEST_MESSAGE + 1), TooLarge),
        ("é" * (LONGEST_MESSAGE // 2 + 1), TooLarge),
        ("\x01" * LONGEST_MESSAGE, TooLarge),
        ("x" * 10_000_000, TooLarge),
    ],
)
def test_what_a_stream_cannot_keep_is_refused_and_leaves_nothing(here, ada, text, refusal):
    with pytest.raises(refusal):
        here.say(text, by=ada)
    assert waiting(here) == ["thread_opened"]


def test_what_just_fits_is_said(here, ada):
    here.say("x" * LONGEST_MESSAGE, by=ada)
    here.say("a\0b", by=ada)
    assert Outbox.objects.get(position=2).payload == {"text": "ab"}


def test_nothing_is_said_or_done_in_a_closed_thread(here, ada, environment):
    here.close(by=ada)
    for verb in (lambda: here.say("x", by=ada), lambda: here.run("x", by=ada), lambda: here.make("x", by=ada)):
        with pytest.raises(ThreadIsClosed):
            verb()
    here.reopen(by=ada)
    here.say("x", by=ada)
    assert waiting(here) == ["thread_opened", "thread_closed", "thread_reopened", "message"]


def test_a_driven_thread_is_stopped_not_closed(here, ada, scribe):
    Thread.objects.filter(pk=here.pk).update(agent=scribe, status="idle")
    here.refresh_from_db()
    with pytest.raises(Refused, match="A bot drives this thread"):
        here.close(by=ada)


@pytest.mark.parametrize(
    "tags", [["a b"], ["a,b"], ["x" * 51], ["t" + str(n) for n in range(31)], ["a\0b"], ["\ud800"]]
)
def test_a_tag_is_a_word(here, ada, tags):
    with pytest.raises(Invalid):
        here.tag(tags, by=ada)


def test_tags_are_a_set(here, ada):
    here.tag([" b", "#a", "a", "", "#"], by=ada)
    assert here.tags == ["a", "b"]
    assert Thread.objects.tagged("a").get() == here and not Thread.objects.tagged("c").exists()


@pytest.mark.parametrize("name", ["a\0b", "a\x07b", "\ud800ab", " a\n\tb "])
def test_a_title_is_one_line_that_can_be_kept(here, ada, name):
    here.rename(name, by=ada)
    assert here.name in ("ab", "a b")


def test_a_long_title_is_cut(here, ada):
    here.rename("x" * 1000, by=ada)
    assert here.name == "x" * 200


def test_pinned_threads_are_places(here, ada, oak):
    Thread.objects.open_in(oak, by=ada, name="another").pin(by=ada)
    here.pin(by=ada)
    assert [thread.name for thread in Thread.objects.pinned()] == ["another", "work"]


def test_a_child_is_announced_on_its_parent_after_its_own_row(here, ada, oak):
    child = Thread.objects.open_in(oak, by=ada, name="part", parent=here)
    assert (waiting(child), waiting(here)) == (["thread_opened"], ["thread_opened", "agent_spawn"])
    assert Outbox.objects.get(kind="agent_spawn").payload == {"child_thread_id": child.pk, "bot_id": None}
    assert here not in Thread.objects.recent().exclude(pk=here.pk) and child not in Thread.objects.recent()


def test_a_child_is_of_its_parents_house(here, elm, cy):
    with pytest.raises(NotFound), inside(elm, cy):
        Thread.objects.open_in(elm, by=cy, parent=here)


# Which recipe


def test_the_calls_environment_then_the_threads_then_the_houses(here, oak, ada, environment):
    def another(name):
        config = {"repository": environment.config["repository"]}
        return Environment.objects.create_in(oak, name, by=ada, config=config, secret_bindings=[])

    own, explicit = another("own"), another("explicit")
    assert here.resolve_environment() == environment
    here.environment = own
    assert here.resolve_environment() == own
    assert here.resolve_environment(explicit) == explicit
    assert Thread.objects.open_in(oak, by=ada, parent=here).resolve_environment() == own


@pytest.mark.parametrize("default", [None, "gone"])
def test_without_any_recipe_it_says_what_to_do(here, oak, ada, default):
    House.objects.update(default_environment_id=default)
    for verb in (here.run, here.make):
        with pytest.raises(NoEnvironment, match="Settings → Environments"):
            verb("true", by=ada)
    assert waiting(here) == ["thread_opened"] and not Command.objects.exists()


def test_a_missing_secret_is_refused_before_anything_has_started(here, ada, environment, running):
    environment.secret_bindings = [{"name": "API_KEY", "required": True}]
    environment.save()
    with pytest.raises(MissingSecret, match="API_KEY"):
        here.run("true", by=ada)
    assert waiting(here) == ["thread_opened"] and not Command.objects.exists()


def test_a_secret_that_may_be_missing_may_be(here, ada, environment):
    environment.secret_bindings = [{"name": "API_KEY", "required": False}]
    environment.save()
    assert here.run("true", by=ada).status == "queued"


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "x" * (LONGEST_MESSAGE + 1)])
def test_a_command_that_cannot_be_kept_is_refused_and_leaves_nothing(here, ada, environment, text):
    with pytest.raises(Refused):
        here.run(text, by=ada)
    assert waiting(here) == ["thread_opened"] and not Command.objects.exists()
