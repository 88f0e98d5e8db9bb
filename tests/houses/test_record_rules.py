"""Bindings, policies, and what an agent can do because of them."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from houses.aims import shown
from houses.capabilities import resolve_capabilities, resolve_policies, resolve_secrets
from houses.giving import give, withdraw
from houses.models import ActivationPolicy, Memory, Secret, SecretBinding, Tool
from houses.refusals import Forbidden, Invalid, NotFound, Refused
from houses.tenancy import inside
from houses.triggers import in_words
from streams.models import Stream
from tests.houses.test_records import resource_of, tool_of
from threads.models import Thread


@pytest.fixture
def key(oak, ada):
    with inside(oak, ada):
        return Secret.objects.put("KEY", "correct-horse-battery-staple", by=ada)


def test_a_binding_is_made_once_changed_and_removed(oak, ada, bo, scribe, key):
    with inside(oak, ada):
        bread, cake = resource_of(oak, ada), resource_of(oak, ada, external_id="cake")
        given = {"secret": "KEY", "resources": [bread.pk], "agents": [scribe.pk]}
        one = SecretBinding.objects.create_in(oak, "baker", by=ada, **given)
        assert SecretBinding.objects.create_in(oak, "baker", by=ada, **given) == one
        with pytest.raises(Refused, match="already has a binding"):
            SecretBinding.objects.create_in(oak, "baker", secret="KEY", by=ada)
        one.change(name="baker", secret="KEY", resources=[cake.pk], agents=[bo.pk, scribe.pk], by=ada)
        assert one.resource_ids == [cake.pk] and one.agent_ids == sorted([bo.pk, scribe.pk])
        bread.remove(by=ada)
        cake.remove(by=ada)
        assert SecretBinding.objects.get().resource_ids == []
    with inside(oak, bo):
        with pytest.raises(Forbidden):
            SecretBinding.objects.create_in(oak, "mine", secret="KEY", by=bo)
        with pytest.raises(Forbidden):
            one.remove(by=bo)
    with inside(oak, ada):
        one.remove(by=ada)
        assert not SecretBinding.objects.exists() and Secret.objects.exists()


def test_what_a_manager_may_not_see_of_a_binding_stays_as_it_is(oak, ada, bo, key):
    with inside(oak, ada):
        bread, cake = resource_of(oak, ada), resource_of(oak, ada, external_id="cake")
        one = SecretBinding.objects.create_in(oak, "b", secret="KEY", resources=[bread.pk, cake.pk], by=ada)
        give(bo, oak, "rwx", by=ada)
        give(bo, cake, "none", by=ada)
    with inside(oak, bo):
        (seen,) = SecretBinding.objects.shown_to(bo)
        assert [bound.resource_id for bound in seen.seen] == [bread.pk]
        seen.change(name="b", secret="KEY", resources=[], by=bo)
        with pytest.raises(NotFound):
            seen.change(name="b", secret="KEY", resources=[cake.pk], by=bo)
    with inside(oak, ada):
        assert SecretBinding.objects.get(pk=one.pk).resource_ids == [cake.pk]


def policy_of(agent, by, **more):
    given = {"trigger": "cron", "config": {"expression": "0 9 * * 1"}} | more
    return ActivationPolicy.objects.create_for(agent, by=by, **given)


def test_a_policy_is_made_once_switched_and_removed(oak, ada, bo, scribe):
    with inside(oak, ada):
        bread = resource_of(oak, ada)
        one = policy_of(scribe, ada, resources=[bread.pk], tools=["make", "recall"])
        assert policy_of(scribe, ada, resources=[bread.pk], tools=["make", "recall"]) == one
        assert one.config == {"expression": "0 9 * * 1", "zone": "UTC"} and one.resource_ids == [bread.pk]
    with inside(oak, scribe):
        one.switch(False, by=scribe)
        with pytest.raises(Forbidden):
            one.switch(True, by=scribe)
        with pytest.raises(Forbidden):
            policy_of(scribe, scribe)
    with inside(oak, bo), pytest.raises(Forbidden):
        one.remove(by=bo)
    with inside(oak, ada):
        one.switch(True, by=ada)
        one.remove(by=ada)
        assert not ActivationPolicy.objects.exists()


def test_policies_are_for_bots_of_the_house(oak, ada, cy, elm, scribe):
    with inside(oak, ada), pytest.raises(Invalid, match="for bots"):
        policy_of(ada, ada)
    with inside(elm, cy), pytest.raises(NotFound):
        policy_of(scribe, cy)


@pytest.mark.parametrize(
    ("trigger", "config"),
    [
        ("cron", {"expression": "0 9 * * 1", "zone": "Europe/Berlin"}),
        ("interval", {"ms": 1000}),
        ("webhook", {"path": "/hooks/my-agent"}),
        ("mention", {}),
        ("ambient", {"delay_ms": 0}),
        ("full-moon", {"above": {"the": ["sea"]}}),
    ],
)
def test_a_trigger_has_its_particulars(oak, ada, scribe, trigger, config):
    with inside(oak, ada):
        one = policy_of(scribe, ada, trigger=trigger, config=config)
        assert config.items() <= one.config.items() and in_words(one.trigger, one.config)


@pytest.mark.parametrize(
    ("trigger", "config"),
    [
        ("cron", {}),
        ("cron", {"expression": "sometimes"}),
        ("cron", {"expression": "61 * * * *"}),
        ("cron", {"expression": "* * * * * *"}),
        ("cron", {"expression": "0 0 31 2 *"}),
        ("cron", {"expression": "0 9 * * 1", "zone": "Mars/Olympus"}),
        ("cron", {"expression": "0 9 * * 1", "zone": "../../etc/passwd"}),
        ("cron", {"expression": "0 9 * * 1", "zone": "Europe"}),
        ("cron", {"expression": "0 9 * * 1", "colour": "red"}),
        ("interval", {"ms": 999}),
        ("interval", {"ms": "1000"}),
        ("interval", {"ms": True}),
        ("interval", {"ms": 10**15}),
        ("webhook", {"path": "/admin/"}),
        ("webhook", {"path": "/hooks/../admin"}),
        ("webhook", {"path": "/hooks/a\n"}),
        ("stream-event", {}),
        ("stream-event", {"stream_id": "x", "filter": []}),
        ("github-event", {"events": ["push"]}),
        ("mention", {"scope_ids": "x"}),
        ("ambient", {"delay_ms": -1}),
        ("full-moon", {"token": "x"}),
        ("Full Moon", {}),
    ],
)
def test_particulars_that_mean_nothing_are_refused(oak, ada, scribe, trigger, config):
    with inside(oak, ada):
        with pytest.raises(Invalid):
            policy_of(scribe, ada, trigger=trigger, config=config)
        assert not ActivationPolicy.objects.exists()


def test_a_trigger_points_at_what_is_of_the_house(oak, elm, ada, cy, scribe):
    with inside(elm, cy):
        theirs = resource_of(elm, cy), Thread.objects.open_in(elm, by=cy), tool_of(elm, cy)
    with inside(oak, ada):
        bread, soup = resource_of(oak, ada), Thread.objects.open_in(oak, by=ada)
        assert Stream.objects.filter(pk=soup.stream_id).exists()
        for resource, thread, tool, fine in ((bread, soup, Tool(pk="make"), True), (*theirs, False)):
            for more in (
                {"trigger": "github-event", "config": {"resource": resource.pk, "events": ["push"]}},
                {"trigger": "stream-event", "config": {"stream_id": thread.stream_id, "filter": {"type": "message"}}},
                {"trigger": "mention", "config": {"scope_ids": [thread.pk, oak.pk]}},
                {"trigger": "ambient", "config": {"scope_ids": [thread.pk]}},
                {"resources": [resource.pk]},
                {"tools": [tool.pk]},
            ):
                if fine:
                    policy_of(scribe, ada, **more)
                    continue
                with pytest.raises(NotFound):
                    policy_of(scribe, ada, **more)


def test_what_a_manager_may_not_see_of_a_policy_is_not_told_and_stays_as_it_is(oak, ada, bo, scribe):
    with inside(oak, ada):
        bread, loaf, soup = resource_of(oak, ada), tool_of(oak, ada), Thread.objects.open_in(oak, by=ada)
        for trigger, config in (
            ("github-event", {"resource": bread.pk, "events": ["push"]}),
            ("stream-event", {"stream_id": soup.stream_id}),
            ("mention", {"scope_ids": [oak.pk, soup.pk]}),
        ):
            policy_of(scribe, ada, trigger=trigger, config=config, tools=["make", loaf.pk])
        give(bo, oak, "rwx", by=ada)
        for scope in (bread, loaf, soup):
            give(bo, scope, "none", by=ada)
    with inside(oak, bo):
        before = {one.pk: (one.config, one.tool_ids) for one in ActivationPolicy.objects.all()}
        for one in ActivationPolicy.objects.all():
            ((config, tools),) = shown([(one.trigger, one.config, one.tool_ids)], bo)
            assert not {bread.pk, soup.pk, soup.stream_id} & set(str(config).split("'")) and tools == ["make"]
            one.change(trigger=one.trigger, config=config, tools=tools, by=bo)
            with pytest.raises(NotFound):
                policy_of(scribe, bo, trigger=one.trigger, config=one.config)
        assert {one.pk: (one.config, one.tool_ids) for one in ActivationPolicy.objects.all()} == before


def test_capabilities_are_the_tools_and_the_resources_that_one_has_x_on(oak, ada, scribe):
    with inside(oak, ada):
        bread, loaf = resource_of(oak, ada), tool_of(oak, ada)
        can = resolve_capabilities(scribe)
        assert loaf in can.tools and Tool.objects.get(pk="make") in can.tools and can.resources == ()
        give(scribe, bread, "x", by=ada)
        give(scribe, loaf, "rw", by=ada)
        give(scribe, Tool.objects.get(pk="make"), "none", by=ada)
        can = resolve_capabilities(scribe)
        assert can.resources == (bread,)
        assert not {"make", loaf.pk} & {one.pk for one in can.tools} and can.tools
        assert set(resolve_capabilities(ada).tools) == set(Tool.objects.all())


def test_a_policy_resolves_to_what_its_bot_still_has_x_on(oak, ada, scribe):
    with inside(oak, ada):
        bread, cake = resource_of(oak, ada), resource_of(oak, ada, external_id="cake")
        off = policy_of(scribe, ada, trigger="interval", config={"ms": 1000}, enabled=False)
        one = policy_of(scribe, ada, resources=[bread.pk, cake.pk], tools=["make", "recall"])
        give(scribe, cake, "rx", by=ada)
        give(scribe, Tool.objects.get(pk="make"), "r", by=ada)
        (resolved,) = resolve_policies(scribe)
        assert resolved.policy == one != off
        assert [tool.pk for tool in resolved.tools] == ["recall"] and resolved.resources == (cake,)
        withdraw(scribe, cake, by=ada)
        assert resolve_policies(scribe)[0].resources == ()


def test_a_secret_takes_a_binding_that_names_the_agent_and_a_resource_it_has_x_on(oak, ada, bo, scribe, key):
    with inside(oak, ada):
        bread, cake = resource_of(oak, ada), resource_of(oak, ada, external_id="cake")
        Secret.objects.put("OTHER", "value of another", by=ada)
        create = SecretBinding.objects.create_in
        binding = create(oak, "both", secret="KEY", resources=[bread.pk, cake.pk], agents=[scribe.pk], by=ada)
        create(oak, "no agent", secret="OTHER", resources=[bread.pk], by=ada)
        create(oak, "no resource", secret="OTHER", agents=[scribe.pk], by=ada)
        assert resolve_secrets(scribe, [bread, cake]) == []
        give(scribe, bread, "rx", by=ada)
        give(bo, bread, "rx", by=ada)
        (one,) = resolve_secrets(scribe, [bread, cake])
        assert (one.binding, one.secret, one.resources) == (binding, key, (bread,))
        assert "correct-horse" not in repr(one)
        assert resolve_secrets(scribe, [cake]) == [] and resolve_secrets(scribe, []) == []
        assert resolve_secrets(bo, [bread]) == []
        give(scribe, bread, "rw", by=ada)
        assert resolve_secrets(scribe, [bread]) == []


def test_resolving_costs_the_same_for_one_and_for_many(oak, ada, scribe, key):
    def counted():
        with CaptureQueriesContext(connection) as asked:
            can = resolve_capabilities(scribe)
            resolve_policies(scribe)
            resolve_secrets(scribe, can.resources)
        return len(asked)

    with inside(oak, ada):
        counts = []
        for number in range(12):
            one = resource_of(oak, ada, external_id=f"{number}")
            give(scribe, one, "rx", by=ada)
            tool_of(oak, ada, f"tool{number}")
            policy_of(scribe, ada, name=f"{number}", resources=[one.pk], tools=["make"])
            SecretBinding.objects.create_in(
                oak, f"{number}", secret="KEY", resources=[one.pk], agents=[scribe.pk], by=ada
            )
            counts.append(counted())
    assert counts[0] == counts[-1] <= 24, counts


def test_a_token_that_may_only_read_writes_nothing_not_even_what_is_ones_own(oak, ada, bo, scribe):
    with inside(oak, ada):
        policy = policy_of(scribe, ada)
    with inside(oak, bo):
        mine = Memory.objects.remember("Secretly rye.", private=True, by=bo)
        bo.cap = "r"
        for verb in (
            lambda: Memory.objects.remember("More.", private=True, by=bo),
            lambda: mine.supersede("Wheat.", by=bo),
            lambda: mine.forget(by=bo),
        ):
            with pytest.raises(Forbidden):
                verb()
        assert [one.text for one in Memory.objects.recall()] == ["Secretly rye."]
    with inside(oak, scribe):
        scribe.cap = "r"
        with pytest.raises(Forbidden):
            policy.switch(False, by=scribe)
