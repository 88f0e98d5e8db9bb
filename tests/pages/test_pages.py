"""Pages: who gets them, what they say, and what they cost."""

import re

import pytest
from django.urls import reverse

from houses.tenancy import inside

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada_browses(client_of, ada):
    return client_of(ada)


@pytest.fixture
def addresses(at, thread, repository, environment):
    return [
        at("house"),
        at("thread", thread.pk),
        at("files"),
        at("repository", repository.pk),
        at("tree", repository.pk, "data"),
        at("file", repository.pk, "data/weather.csv"),
        at("raw", repository.pk, "data/weather.csv"),
        at("file_new", repository.pk),
        at("file_edit", repository.pk, "data/weather.csv"),
        at("made"),
        at("environments"),
        at("environment_new"),
        at("environment", environment.pk),
        at("members"),
        at("secrets"),
        at("thread_completions", thread.pk),
    ]


def test_members_see_every_page_and_next_door_there_is_nothing(client_of, ada, bo, cy, thread, addresses, log_of):
    log_of(thread, ada, ("message", {"text": "hello"}))
    for address in addresses:
        assert client_of(ada).get(address).status_code == 200, address
        assert client_of(bo).get(address).status_code == 200, address
        assert client_of(cy).get(address).status_code == 404, address


def test_a_stranger_is_asked_to_sign_in(client, at):
    answer = client.get(at("house"))
    assert answer.status_code == 302
    assert answer.url.startswith("/sign-in/?next=/houses/")


def test_next_door_nothing_can_be_done(client_of, cy, elm, at, thread):
    cys = client_of(cy)
    assert cys.post(at("thread_composer", thread.pk), {"text": "hello"}).status_code == 404
    own_door = reverse("thread_composer", args=[elm.pk, thread.pk])
    assert cys.post(own_door, {"text": "hello"}).status_code == 404


def test_saying_needs_no_environment_and_running_says_that_it_does(ada_browses, oak, ada, at, thread):
    composer = at("thread_composer", thread.pk)
    assert ada_browses.post(composer, {"text": "hello"}).status_code == 302
    refused = ada_browses.post(composer, {"text": "$ ls"}, headers={"HX-Request": "true"})
    assert refused.status_code == 409
    assert "pick one under Settings" in refused.content.decode()
    assert "<html" not in refused.content.decode()
    with inside(oak, ada):
        assert thread.commands.count() == 0


def test_a_refusal_is_a_page_with_its_sentence(ada_browses, at, thread):
    answer = ada_browses.post(at("thread_composer", thread.pk), {"text": "$ ls"})
    assert answer.status_code == 409
    assert "That cannot be done" in answer.content.decode() and "no_environment" in answer.content.decode()


def test_the_composer_runs_what_begins_with_a_dollar(ada_browses, oak, ada, at, thread, environment):
    assert ada_browses.post(at("thread_composer", thread.pk), {"text": "$ echo 1\necho 2"}).status_code == 302
    with inside(oak, ada):
        assert thread.commands.get().text == "echo 1\necho 2"


def test_words_after_make_are_speech(ada_browses, oak, ada, at, thread):
    from streams.models import Outbox

    ada_browses.post(at("thread_composer", thread.pk), {"text": "make it shorter please"})
    with inside(oak, ada):
        assert Outbox.objects.order_by("-position").first().payload == {"text": "make it shorter please"}


def test_a_target_nobody_made_is_refused_in_words(ada_browses, at, thread, repository):
    answer = ada_browses.post(at("thread_composer", thread.pk), {"text": "make report.md"})
    assert answer.status_code == 404
    assert "Nobody has made" in answer.content.decode()


def test_a_thread_is_pinned_named_tagged_and_closed(ada_browses, oak, ada, at, thread):
    ada_browses.post(at("thread_pin", thread.pk), {"pinned": "1"})
    ada_browses.post(at("thread_name", thread.pk), {"name": "Rain"})
    ada_browses.post(at("thread_tags", thread.pk), {"tags": "rain, report"})
    ada_browses.post(at("thread_closed", thread.pk), {"closed": "1"})
    with inside(oak, ada):
        thread.refresh_from_db()
    assert (thread.name, thread.tags, thread.is_closed) == ("Rain", ["rain", "report"], True)
    assert thread.pinned_at is not None


def test_a_thread_of_many_events_opens_at_its_end_and_reads_backwards(ada_browses, ada, at, thread, log_of):
    log_of(thread, ada, *[("message", {"text": f"number {n}."}) for n in range(400)])
    page = ada_browses.get(at("thread", thread.pk)).content.decode()
    assert "number 399." in page and "number 250." in page and "number 249." not in page
    earlier = re.search(r'hx-get="([^"]+)"', page)[1].replace("&amp;", "&")
    more = ada_browses.get(earlier, headers={"HX-Request": "true"}).content.decode()
    assert "number 249." in more and "number 250." not in more and "<html" not in more


def test_any_entry_has_an_address(ada_browses, ada, at, thread, log_of):
    log_of(thread, ada, *[("message", {"text": f"number {n}."}) for n in range(400)])
    oldest = ada_browses.get(at("thread", thread.pk)).content.decode()
    earlier = re.search(r'hx-get="([^"]+)"', oldest)[1]
    seq = re.search(r'id="e-(\d+_\d+)"', ada_browses.get(earlier).content.decode())[1]
    page = ada_browses.get(at("thread", thread.pk), {"at": seq}).content.decode()
    assert f'id="e-{seq}"' in page and "number 399." not in page


def test_output_that_began_on_an_earlier_page_has_its_command(ada_browses, oak, ada, at, thread, environment, log_of):
    with inside(oak, ada):
        command = thread.run("yes", by=ada)
    chunk = {"command_id": command.pk, "start": 0, "end": 2, "text": "y\n", "style": ""}
    log_of(thread, ada, *[("command_output", chunk)] * 3)
    page = ada_browses.get(at("thread", thread.pk)).content.decode()
    assert page.count(f'id="card-{command.pk}"') == 1 and "y\n" in page
    assert "The beginning is on an earlier page." in page


def test_a_log_that_cannot_be_read_says_so(ada_browses, at, thread, settings):
    settings.STREAMS_URL = "http://127.0.0.1:1"
    answer = ada_browses.get(at("thread", thread.pk))
    assert answer.status_code == 503
    assert "cannot be read right now" in answer.content.decode()


def test_a_thread_costs_the_same_however_much_was_said(
    ada_browses, ada, at, thread, environment, log_of, django_assert_max_num_queries
):
    log_of(thread, ada, *[("message", {"text": "x"})] * 150)
    with django_assert_max_num_queries(41):  # five of them ask who may
        ada_browses.get(at("thread", thread.pk))


def test_every_page_forbids_scripts_that_are_not_ours(ada_browses, at):
    answer = ada_browses.get(at("house"))
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|onclick=", answer.content.decode())


def test_ten_megabytes_of_speech_are_refused(ada_browses, at, thread):
    answer = ada_browses.post(at("thread_composer", thread.pk), {"text": "x" * 10_000_000})
    assert answer.status_code == 413
    assert "upload" in answer.content.decode()
    assert ada_browses.post(at("thread_composer", thread.pk), {"text": "x" * 300_000}).status_code == 413


def test_a_nul_is_refused_and_not_a_failure(ada_browses, at, thread):
    assert ada_browses.get(at("house"), {"find": "a\0b"}).status_code == 400
    assert ada_browses.get("/houses/a%00b/").status_code == 400
    assert ada_browses.post(at("thread_name", thread.pk), {"name": "a\0b"}).status_code == 400


def test_a_thread_is_found_by_its_name(ada_browses, at, thread):
    assert "Weather</b>" in ada_browses.get(at("house"), {"find": "weath"}).content.decode()
    assert "No thread is called anything like" in ada_browses.get(at("house"), {"find": "coffee"}).content.decode()
