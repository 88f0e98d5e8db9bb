"""The log of changes: complete, signed, without a secret value, and nobody's to change."""

import secrets
from datetime import timedelta

import psycopg
import pytest
from django.apps import apps
from django.db import ProgrammingError, connection, connections, transaction
from django.utils import timezone

from houses.audit import Audited, renew
from houses.giving import give, withdraw
from houses.models import Grant, Member, Memory, Mutation, Secret, Token
from houses.mutations import ARBE
from houses.refusals import Refused
from houses.retelling import retell
from houses.tenancy import inside
from sandboxes.models import Environment
from threads.models import Thread


def last(table):
    return Mutation.objects.chosen(table=table).newest_first()[0]


def test_a_new_row_is_written_down_whole_by_whoever_made_it(oak, ada):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
        row = last("threads")
    assert (row.action, row.row_id, row.agent_id, row.house_id) == ("insert", thread.pk, ada.pk, oak.pk)
    assert row.before is None and row.after["name"] == "Soup" and row.after["stream_id"] == thread.stream_id


def test_of_a_changed_row_only_what_changed_is_written_down(oak, ada, bo):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
    with inside(oak, bo):
        Thread.objects.filter(pk=thread.pk).update(name="Stew", tags=["hot"])
        row = last("threads")
    assert (row.before, row.after) == ({"name": "Soup", "tags": []}, {"name": "Stew", "tags": ["hot"]})
    assert row.agent_id == bo.pk


def test_what_becomes_null_and_what_was_null_is_told_apart(oak, ada):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
        Thread.objects.filter(pk=thread.pk).update(name=None)
        assert (last("threads").before, last("threads").after) == ({"name": "Soup"}, {"name": None})
        Thread.objects.filter(pk=thread.pk).update(name='a "quoted" \\ name')
        assert (last("threads").before, last("threads").after) == ({"name": None}, {"name": 'a "quoted" \\ name'})


def test_saying_the_same_again_or_touching_what_is_ignored_is_no_change(oak, ada):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
        before = Mutation.objects.count()
        Thread.objects.filter(pk=thread.pk).update(name="Soup", updated_at=timezone.now())
        assert Mutation.objects.count() == before


def test_a_deleted_row_is_written_down_as_it_was(oak, ada, bo):
    with inside(oak, ada):
        Member.objects.get(agent=bo).leave(by=ada)
        row = last("members")
    assert (row.action, row.row_id, row.after) == ("delete", f"{oak.pk} {bo.pk}", None)
    assert row.before["role"] == "member"


def test_a_row_with_another_key_is_another_row(oak, ada, bo, cy):
    with inside(oak, ada):
        Member.objects.filter(agent=bo).update(agent=cy)
        gone, come = sorted(Mutation.objects.newest_first()[:2], key=lambda row: row.action)
    assert (gone.action, gone.row_id, gone.after) == ("delete", f"{oak.pk} {bo.pk}", None)
    assert (come.action, come.row_id, come.before) == ("insert", f"{oak.pk} {cy.pk}", None)
    assert gone.before["role"] == come.after["role"] == "member"


def test_a_hidden_column_alone_is_a_change_that_says_nothing_of_it(oak, ada):
    with inside(oak, ada):
        secret = Secret.objects.put("API_KEY", "first", by=ada)
        Secret.objects.filter(pk=secret.pk).update(vault_secret_id=ada.pk)
        row = last("secrets")
    assert (row.action, row.before, row.after) == ("update", {}, {})


def test_a_bulk_update_after_many_single_ones_is_not_compared_row_with_row(oak, ada):
    """The plan of the first, for one row, would be a nested loop: a hundred million comparisons."""
    with inside(oak, ada):
        Member.objects.filter(agent=ada).update(role="owner")
        for number in range(12):
            Environment.objects.filter(name=str(number)).update(name="none")
        thread = Thread.objects.open_in(oak, by=ada, name="0")
        for number in range(12):
            Thread.objects.filter(pk=thread.pk).update(name=f"n{number}")
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_nestloop")
            assert cursor.fetchone() == ("on",)
            cursor.execute("SELECT proconfig FROM pg_proc WHERE proname = 'threads_are_audited'")
            assert "enable_nestloop=off" in cursor.fetchone()[0]


def test_the_questions_of_the_log(oak, ada, bo):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
    with inside(oak, bo):
        Thread.objects.filter(pk=thread.pk).update(name="Stew")
        log = Mutation.objects.all()
        mine = log.chosen(table="threads", row=thread.pk).newest_first()
        assert [row.action for row in mine] == ["update", "insert"]
        assert {row.agent_id for row in log.chosen(agent=bo.pk)} == {bo.pk}
        assert {row.agent_id for row in log.chosen(agent=ARBE)} <= {None}
        assert {row.action for row in log.chosen(action="update")} == {"update"}
        before, after = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
        assert log.chosen(since=before, until=after).count() == log.count() > 3
        assert log.chosen(since=after).count() == log.chosen(until=before).count() == 0
        newest, older = log.newest_first()[:2]
        assert log.before(newest.pk).newest_first()[0] == older


def test_the_log_of_a_house_is_seen_from_inside_alone(oak, elm, ada, cy):
    with inside(elm, cy):
        assert set(Mutation.objects.values_list("house_id", flat=True)) == {elm.pk}
    assert Mutation.objects.count() == 0


CHANGES = {
    "update": "UPDATE mutations SET agent_id = NULL",
    "delete": "DELETE FROM mutations",
    "truncate": "TRUNCATE mutations",
    "insert": "INSERT INTO mutations (table_name, row_id, action) VALUES ('threads', '1', 'insert')",
    "disable": "ALTER TABLE threads DISABLE TRIGGER ALL",
    "replace": "CREATE OR REPLACE FUNCTION threads_are_audited() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
}


@pytest.mark.parametrize("how", CHANGES)
def test_the_app_changes_no_line_of_the_log(oak, ada, how):
    with inside(oak, ada), pytest.raises(ProgrammingError), transaction.atomic():
        connection.cursor().execute(CHANGES[how])


@pytest.mark.parametrize("how", [name for name in CHANGES if name != "insert"])
def test_operators_change_no_line_of_the_log(running, django_db_setup, how):
    with psycopg.connect(running.urls.operator) as operator, pytest.raises(psycopg.Error):
        operator.execute(CHANGES[how])


@pytest.mark.parametrize("verb", ["save", "delete", "bulk", "filter"])
def test_nor_does_django(oak, ada, verb):
    with inside(oak, ada):
        row = Mutation.objects.newest_first()[0]
        verbs = {
            "save": row.save,
            "delete": row.delete,
            "bulk": lambda: Mutation.objects.bulk_create([Mutation(table_name="x", row_id="1", action="insert")]),
            "filter": lambda: Mutation.objects.update(action="delete"),
        }
        with pytest.raises(ProgrammingError), transaction.atomic():
            verbs[verb]()


def test_a_refused_change_leaves_no_line(oak, ada, bo):
    with inside(oak, ada):
        before = Mutation.objects.count()
    with pytest.raises(Refused), inside(oak, bo):
        Member.objects.get(agent=ada).change_role("member", by=bo)
    with inside(oak, ada):
        assert Mutation.objects.count() == before


def test_no_value_that_is_to_be_hidden_is_in_any_line(oak, ada, scribe, running):
    """A canary in every place that keeps something secret, then every column of every table that the app may read."""
    canary = f"canary{secrets.token_hex(8)}"
    ada.set_password(canary)
    ada.save(update_fields=["password"])
    with inside(oak, ada):
        Secret.objects.put("API_KEY", canary, by=ada)
        Secret.objects.put("API_KEY", f"{canary} again", by=ada)
        token, text = Token.objects.mint(scribe, "for the canary", by=ada)
        Memory.objects.create(
            house=oak, agent=ada, kind=canary, subject=canary, text=canary, tags=[canary], source=canary
        )
        Memory.objects.update(text=f"{canary} again")
        hidden = [canary, token.digest, text.split("_", 2)[2], ada.password]
        for model in (one for one in apps.get_models() if one._meta.managed):
            table, own = model._meta.db_table, {"memories": canary, "tokens": token.digest, "agents": ada.password}
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT string_agg(t::text, E'\\n') FROM \"{table}\" t")
                (everything,) = cursor.fetchone()
            leaked = [word for word in hidden if word in (everything or "")]
            assert leaked == ([own[table]] if table in own else []), table


def test_every_column_of_an_audited_table_is_in_its_function(db):
    with connections["default"].cursor() as cursor:
        for model in apps.get_models():
            for rule in model._meta.constraints:
                if isinstance(rule, Audited):
                    cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = %s", [rule.name])
                    (source,) = cursor.fetchone()
                    wanted = {field.column for field in model._meta.concrete_fields} - {"house_id", *rule.hidden}
                    assert {column for column in wanted if f'"{column}"' not in source} == set(), rule.name


@pytest.mark.django_db(databases=["default", "owner"], transaction=False)
def test_functions_follow_a_column_that_was_added(running, django_db_setup, oak, ada):
    with connections["owner"].cursor() as owner:
        owner.execute("SET LOCAL lock_timeout = '2s'")
        name = "repositories_are_audited"
        owner.execute("ALTER TABLE repositories ADD COLUMN colour text")
        renew("owner")
        owner.execute("SELECT prosrc FROM pg_proc WHERE proname = %s", [name])
        assert '"colour"' in owner.fetchone()[0]


# What people read


def sentences(house, agent, **which):
    with inside(house, agent):
        return [told.sentence for told in retell(Mutation.objects.filter(**which).newest_first())]


def test_a_change_is_a_sentence(oak, ada):
    with inside(oak, ada):
        environment = Environment.objects.create(house=oak, name="Python", config={})
        Environment.objects.filter(pk=environment.pk).update(config={"setup": "pip install"})
    assert sentences(oak, ada, table_name="environments")[:2] == [
        "Ada changed environment “Python”: config",
        "Ada added environment “Python”",
    ]


def test_members_and_grants_are_told_by_name(oak, ada, bo):
    with inside(oak, ada):
        soup = Thread.objects.open_in(oak, by=ada, name="Soup")
        give(bo, soup, "r", by=ada)
        withdraw(bo, soup, by=ada)
        Member.objects.get(agent=bo).leave(by=ada)
        assert Grant.objects.count() == 0
    assert sentences(oak, ada, table_name="grants") == [
        "Ada withdrew r of Bo on thread “Soup”",
        "Ada gave Bo r on thread “Soup”",
    ]
    assert sentences(oak, ada, table_name="members")[0] == "Ada removed member “Bo”"


def test_ids_of_agents_permissions_and_kinds_are_words_in_the_fields(oak, ada, bo):
    with inside(oak, ada):
        give(bo, Thread.objects.open_in(oak, by=ada, name="Soup"), "r", by=ada)
        (told,) = retell(Mutation.objects.chosen(table="grants"))
        fields = {change.name: change.after for change in told.changes}
    assert (fields["user"], fields["granted by"], fields["permission"], fields["content type"]) == (
        "Bo", "Ada", "r", "thread",
    )  # fmt: skip


def test_what_nobody_asked_for_was_arbe(oak, ada):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
    with inside(oak):
        Thread.objects.filter(pk=thread.pk).update(name="Stew")
    assert sentences(oak, ada, table_name="threads")[0] == "arbe changed thread “Stew”: name"


def test_telling_of_many_costs_no_more_queries_than_of_few(oak, ada, django_assert_max_num_queries):
    with inside(oak, ada):
        for number in range(12):
            Thread.objects.open_in(oak, by=ada, name=str(number))
        rows = list(Mutation.objects.newest_first())
        with django_assert_max_num_queries(8):
            assert len(retell(rows)) == len(rows) > 12


def test_the_api_pages_and_filters_the_log(oak, ada, bo, client_of):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
        Thread.objects.filter(pk=thread.pk).update(name="Stew")
    at = f"/api/houses/{oak.pk}/mutations/"
    client = client_of(ada)
    whole = client.get(at, {"limit": 200}).json()["results"]
    seen, cursor = [], {}
    while True:
        page = client.get(at, {"limit": 2, **cursor}).json()
        seen += page["results"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == whole and len(whole) > 3
    mine = client.get(at, {"row": thread.pk, "action": "update"}).json()["results"]
    assert [(one["before"], one["after"], one["agent"]) for one in mine] == [
        ({"name": "Soup"}, {"name": "Stew"}, str(ada.pk))
    ]
    assert [one["table"] for one in client.get(at, {"agent": str(bo.pk)}).json()["results"]] == ["members"]
    assert client_of(bo).get(at).status_code == 403
