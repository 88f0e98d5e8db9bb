"""Two who say the same at once: the second waits for the first, and finds that it was said."""

import threading

import psycopg
import pytest
from django.db import connections

from artifacts.models import Artifact
from houses.models import ActivationPolicy, Agent, Memory, Secret, SecretBinding
from houses.refusals import NotFound
from houses.tenancy import inside
from tests.houses.furniture import sql
from tests.houses.test_records import resource_of

VALUE = "correct-horse-battery-staple"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def during(house, by, first, second):
    """What comes of `second`, said by the same agent after `first` was said and before that is committed."""
    came = []

    def other():
        try:
            me = Agent.objects.get(pk=by.pk)
            with inside(house, me):
                came.append(second(me))
        except Exception as error:  # noqa: BLE001  # it is raised where the test waits
            came.append(error)
        finally:
            connections.close_all()

    running = threading.Thread(target=other)
    with inside(house, by):
        first(by)
        running.start()
        while running.is_alive() and sql(WAITING) == [(0,)]:
            running.join(0.01)
    running.join()
    if isinstance(came[0], Exception):
        raise came[0]
    return came[0]


def twice(house, by, verb):
    return during(house, by, verb, verb)


def remembered(by):
    return Memory.objects.remember("Five o'clock.", by=by)


def kept(by):
    return Artifact.objects.keep(kind="url", external_id="https://bread.example", by=by)


def activated(by):
    bot = Agent.objects.get(name="Scribe")
    return ActivationPolicy.objects.create_for(bot, trigger="interval", config={"ms": 1000}, by=by)


@pytest.mark.parametrize("verb", [remembered, kept, activated])
def test_what_two_say_at_once_is_there_once(committed, oak, ada, scribe, verb):
    one = twice(oak, ada, verb)
    with inside(oak, ada):
        assert list(type(one).objects.all()) == [one]


def test_of_two_new_values_at_once_the_second_replaces_the_first(committed, oak, ada):
    secret = twice(oak, ada, lambda by: Secret.objects.put("KEY", VALUE, by=by))
    assert secret.version == 2
    with inside(oak, ada):
        assert Secret.objects.get().reveal() == VALUE


def test_a_value_that_came_while_its_secret_was_being_forgotten_is_forgotten_too(committed, running, oak, ada):
    with inside(oak, ada):
        read_before = Secret.objects.put("KEY", VALUE, by=ada)
    during(oak, ada, lambda by: Secret.objects.put("KEY", "another", by=by), lambda by: read_before.forget(by=by))
    with inside(oak, ada):
        assert not Secret.objects.exists()
    with psycopg.connect(running.postgres.url, dbname="arbe") as admin:
        assert admin.execute("SELECT count(*) FROM vault.sealed").fetchone() == (0,)


def test_a_binding_and_a_policy_that_are_saved_twice_are_saved_once(committed, oak, ada, scribe):
    with inside(oak, ada):
        bread = resource_of(oak, ada)
        Secret.objects.put("KEY", VALUE, by=ada)
        binding = SecretBinding.objects.create_in(oak, "baker", secret="KEY", by=ada)
        policy = activated(ada)
    given = {"name": "baker", "resources": [bread.pk]}
    twice(oak, ada, lambda by: binding.change(secret="KEY", agents=[scribe.pk], by=by, **given))
    twice(oak, ada, lambda by: policy.change(trigger="interval", config={"ms": 1000}, by=by, **given))
    with inside(oak, ada):
        one = SecretBinding.objects.get()
        assert (one.resource_ids, one.agent_ids) == ([bread.pk], [scribe.pk])
        assert ActivationPolicy.objects.get().resource_ids == [bread.pk]


def test_what_was_removed_meanwhile_is_not_there_to_be_changed(oak, ada):
    with inside(oak, ada):
        one = resource_of(oak, ada)
        one.remove(by=ada)
        with pytest.raises(NotFound, match="removed it just now"):
            one.change(name="Rye", kind="x", external_id="x", by=ada)
