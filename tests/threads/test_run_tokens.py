"""The token of a run: it speaks while the run goes on, is never shown, and is dead when the run rests."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from houses.credentials import BadToken
from houses.models import Member, Secret, SecretDelivery, Token
from houses.refusals import Forbidden
from houses.tenancy import inside
from tests.houses.furniture import sql
from threads import jobs
from threads.following.starting import start
from threads.models import Command


@pytest.fixture
def online(environment, oak, ada, settings):
    """Where runs reach arbe."""
    settings.SANDBOX_NETWORK = True
    with inside(oak, ada):
        environment.change(name="online", config={"network": True}, secret_bindings=[], by=ada)


@pytest.fixture
def token_of(oak):
    """The text of the token that a run was given, from where only its follower looks."""

    def text(command):
        with inside(oak):
            return Command.objects.get(pk=command.pk).handing().values["ARBE_TOKEN"]

    return text


@pytest.fixture
def going(worker, online, thread, ada, machines):
    """A command that runs until it is ended; it never rests by itself while the test looks."""
    command = worker.ask(thread, "echo here; sleep 600", by=ada)
    aside = worker.aside(command)
    worker.until(command, "here")
    yield command
    worker.stop(command, by=ada)
    aside.join()


def speaks(text):
    return Token.objects.read(text)


def is_dead(text):
    with pytest.raises(BadToken):
        speaks(text)
    return True


def test_a_command_finds_its_token_and_its_place_and_output_hides_the_token(worker, online, thread, oak, ada, settings):
    settings.ARBE_URL = "https://arbe.example"
    text = "echo $ARBE_URL $ARBE_HOUSE $ARBE_THREAD; echo ${#ARBE_TOKEN} $ARBE_TOKEN; printf $ARBE_TOKEN | base64 -w0"
    command = worker.run(thread, text, by=ada)
    first, second, third = worker.output(command).splitlines()
    assert first == f"https://arbe.example {oak.pk} {thread.pk}"
    assert second == f"{len(f'arbe_{oak.pk}_') + 43} [secret ARBE_TOKEN]" and third == "[secret ARBE_TOKEN]"
    assert command.redactions == {"ARBE_TOKEN": 2}
    assert f"arbe_{oak.pk}_" not in json.dumps(worker.told(thread))


def test_the_token_works_while_the_run_goes_on_and_is_dead_after(worker, online, thread, oak, ada, machines):
    command = worker.ask(thread, "printf %s $ARBE_TOKEN > caught; echo here; sleep 600", by=ada)
    aside = worker.aside(command)
    worker.until(command, "here")
    worker.again(command)
    text = next((machines.root / command.sandbox_id).rglob("caught")).read_text()
    client = Client(headers={"Authorization": f"Bearer {text}"})
    assert client.get(f"/api/houses/{oak.pk}/threads/").status_code == 200
    spoken = speaks(text)
    assert (spoken.agent, spoken.bits, spoken.run, spoken.run_thread) == (ada, "rw", command.pk, thread.pk)
    worker.stop(command, by=ada)
    aside.join()
    assert client.get(f"/api/houses/{oak.pk}/threads/").status_code == 401 and is_dead(text)
    with inside(oak):
        assert not Token.objects.filter(run=command.pk).exists()  # nobody reads an ended one


def test_a_run_that_cannot_reach_arbe_is_given_none(worker, thread, environment, oak, ada):
    with inside(oak, ada):
        Secret.objects.put("API_KEY", "correct-horse", by=ada)
        environment.change(name="plain", config={}, secret_bindings=[{"name": "API_KEY"}], by=ada)
    text = "echo [$ARBE_TOKEN] $ARBE_HOUSE $API_KEY"
    assert worker.output(worker.run(thread, text, by=ada)) == f"[] {oak.pk} [secret API_KEY]\n"
    with inside(oak):
        made = sql("SELECT count(*) FROM mutations WHERE table_name = 'tokens'")
        assert made == [(0,)] and not Token.objects.exists()


def test_it_reads_and_writes_but_runs_manages_and_mints_nothing(going, thread, oak, token_of):
    client = Client(headers={"Authorization": f"Bearer {token_of(going)}"})

    def status(method, path, body):
        return client.generic(method, f"/api/houses/{oak.pk}/{path}", json.dumps(body), "application/json").status_code

    assert status("POST", f"threads/{thread.pk}/messages/", {"text": "hello"}) == 201
    assert status("POST", f"threads/{thread.pk}/commands/", {"text": "true"}) == 403
    assert status("PUT", "secrets/API_KEY/", {"value": "mine"}) == 403
    assert status("POST", "tokens/", {"name": "for later"}) == 403
    with inside(oak):
        assert not Token.objects.lasting().exists() and not Secret.objects.exists()


def test_it_ends_with_the_wall_limit_and_with_the_membership(going, oak, ada, bo, token_of, environment):
    text = token_of(going)
    with inside(oak, ada):
        until = Token.objects.get(run=going.pk).expires_at - going.created_at
        assert timedelta(0) < until - timedelta(seconds=environment.limits.wall_seconds) < timedelta(minutes=15)
        Member.objects.filter(agent=bo).update(role="owner")
        Member.objects.of(ada).leave(by=bo)
    assert is_dead(text)
    with inside(oak, bo):
        Member.objects.create(house=oak, agent=ada, role="owner")


def test_it_is_not_among_ones_own_tokens(going, oak, ada, client_of):
    with inside(oak, ada):
        assert not Token.objects.known_to(ada).exists()
    assert f"run {going.pk}" not in client_of(ada).get("/you/").content.decode()
    assert f"run {going.pk}" not in client_of(ada).get(f"/houses/{oak.pk}/settings/members/").content.decode()


def test_a_takeover_mints_no_other_and_hides_the_same(worker, online, thread, oak, ada, token_of):
    command = worker.ask(thread, "sleep 0.2; echo $ARBE_TOKEN", by=ada)
    worker.killed(command, "_pour", "call")
    before = token_of(command)
    assert speaks(before)
    claimed = worker.claim(command)
    assert start(claimed)["ARBE_TOKEN"] == before
    with inside(oak):
        assert Token.objects.filter(run=command.pk).count() == 1
    worker.lapse(command)
    worker.follow(command)
    assert worker.output(command) == "[secret ARBE_TOKEN]\n" and is_dead(before)


def test_whoever_is_killed_before_it_started_left_no_token(worker, online, thread, oak, ada):
    command = worker.ask(thread, "echo hello", by=ada)
    worker.killed(command, "Command.note_start", "return")
    with inside(oak):
        assert not Token.objects.exists() and not SecretDelivery.objects.exists()
    worker.follow(command)
    assert worker.output(command) == "hello\n"


def test_it_is_dead_when_the_machine_is(worker, online, thread, oak, ada, machines, token_of):
    command = worker.ask(thread, "sleep 600", by=ada)
    worker.killed(command, "_pour", "call")
    text = token_of(command)
    worker.gone(command, machines)
    worker.follow(command)
    assert command.is_over and is_dead(text)


def test_the_sweep_ends_what_was_left_behind_and_nothing_else(going, worker, thread, oak, ada, token_of):
    text = token_of(going)
    with inside(oak):
        left = Token.objects.create(
            house=oak, agent=ada, name="run gone", digest="x", run="gone", expires_at=timezone.now() + timedelta(1)
        )
    assert jobs.sweep_tokens() == 1
    with inside(oak):
        assert not Token.objects.filter(pk=left.pk).exists()
    assert speaks(text) and jobs.sweep_tokens() == 0


def test_what_a_run_received_is_written_down_with_how_often_it_was_hidden(worker, thread, environment, oak, ada):
    with inside(oak, ada):
        Secret.objects.put("API_KEY", "correct-horse", by=ada)
        Secret.objects.put("API_KEY", "correct-horse-2", by=ada)
        Secret.objects.put("OTHER", "another-value", by=ada)
        bindings = [{"name": "API_KEY"}, {"name": "NOT_THERE", "required": False}, {"name": "OTHER"}]
        environment.change(name="plain", config={}, secret_bindings=bindings, by=ada)
    command = worker.run(thread, "echo $API_KEY; echo $API_KEY", by=ada)
    with inside(oak):
        rows = SecretDelivery.objects.order_by("name").values_list("name", "version", "command_id", "redactions")
        assert list(rows) == [("API_KEY", 2, command.pk, 2), ("OTHER", 1, command.pk, 0)]
        one = SecretDelivery.objects.first()
        assert (one.agent, one.thread_id, one.environment_id) == (ada, thread.pk, environment.pk)


def test_a_worker_that_takes_over_writes_it_down_once(worker, thread, environment, oak, ada):
    with inside(oak, ada):
        Secret.objects.put("API_KEY", "correct-horse", by=ada)
        environment.change(name="plain", config={}, secret_bindings=[{"name": "API_KEY"}], by=ada)
    command = worker.ask(thread, "sleep 0.2; echo $API_KEY", by=ada)
    worker.killed(command, "_pour", "call")
    worker.follow(command)
    with inside(oak):
        assert SecretDelivery.objects.get().redactions == 1


def test_its_value_is_in_no_table_while_it_runs(going, oak, token_of):
    secret = token_of(going).split("_", 2)[2]
    with inside(oak):
        for table in ("tokens", "mutations", "commands", "outbox"):
            assert secret not in str(sql(f"SELECT * FROM {table}"))


def test_the_token_of_a_run_cannot_be_rotated_by_anybody(going, oak, ada):
    with inside(oak, ada):
        one = Token.objects.get(run=going.pk)
        mine, _ = Token.objects.mint(ada, "laptop", by=ada)
        for refused in (lambda: mine.rotate(by=ada, asked_with=one), lambda: mine.revoke(by=ada, asked_with=one)):
            with pytest.raises(Forbidden):
                refused()
