"""`inside(house)`: it nests, it restores, it belongs to one thread, and nothing lazy gets past its end."""

import threading

import pytest
from django.db import connection, transaction
from django.template import engines
from django.template.response import TemplateResponse

from houses.models import House, Member
from houses.tenancy import as_agent, current_house, inside
from tests.houses.furniture import sql


def database_house():
    return sql("SELECT coalesce(current_setting('app.house_id', true), '')")[0][0]


def where():
    """The house we are inside of, as Python and as the database say."""
    assert current_house() == database_house()
    return current_house()


def test_outside_one_is_nowhere(oak):
    assert where() == ""


def test_a_house_or_its_id_will_do(oak, ada):
    for by in (None, ada, ada.pk, str(ada.pk)):
        with inside(oak.pk, by):
            assert House.objects.get() == oak


def test_it_nests_and_on_the_way_out_the_outer_house_is_back(oak, elm):
    with inside(oak):
        with inside(elm):
            assert where() == elm.pk and list(House.objects.all()) == [elm]
        assert where() == oak.pk and list(House.objects.all()) == [oak]
    assert where() == ""


def test_the_outer_house_is_back_after_an_exception(oak, elm):
    with inside(oak):
        with pytest.raises(ZeroDivisionError), inside(elm):
            _ = 1 / 0
        assert where() == oak.pk and list(House.objects.all()) == [oak]


def test_the_outer_house_is_back_after_the_database_said_no(oak, elm):
    with inside(oak):
        with pytest.raises(Exception, match="row-level security"), inside(elm):
            House.objects.create(pk="nowhere", name="-")
        assert where() == oak.pk


def test_an_exception_takes_everything_back(committed, oak):
    with pytest.raises(ZeroDivisionError), inside(oak):
        _ = House.objects.update(name="Ash") / 0
    with inside(oak):
        assert House.objects.get().name == "Oak"
    assert where() == "" and not connection.in_atomic_block


def test_within_an_agents_own_view_no_house_is_entered(oak, ada):
    with inside(oak, ada), as_agent(ada):
        assert where() == "" and list(House.objects.all()) == [oak]


def test_nothing_stays_on_the_connection(committed, oak):
    with inside(oak):
        pass
    assert database_house() == "" and sql("SELECT current_setting('app.agent_id', true)") == [("",)]
    with transaction.atomic():
        assert not House.objects.exists()


def test_two_threads_are_in_two_houses(committed, oak, elm):
    seen, meet = {}, threading.Barrier(2, timeout=10)

    def look(house):
        with inside(house):
            meet.wait()
            seen[house.name] = [found.name for found in House.objects.all()]
            meet.wait()
        connection.close()

    threads = [threading.Thread(target=look, args=[house]) for house in (oak, elm)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert seen == {"Oak": ["Oak"], "Elm": ["Elm"]}


def test_a_new_thread_is_outside(committed, oak):
    seen = []

    def look():
        seen.append((current_house(), House.objects.count()))
        connection.close()

    with inside(oak):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [("", 0)]


# What is lazy


def test_a_question_that_is_asked_too_late_finds_nothing(oak, elm):
    with inside(oak):
        houses = House.objects.all()
    assert list(houses) == []


def test_a_question_is_answered_for_the_house_it_is_asked_in(oak, elm):
    with inside(oak):
        houses = House.objects.all()
    with inside(elm):
        assert list(houses) == [elm]


def test_what_was_read_inside_stays_read(oak):
    with inside(oak):
        members = list(Member.objects.select_related("agent"))
    assert [str(member) for member in members] == ["Ada (owner)"]


def test_a_relation_followed_too_late_is_an_error_not_a_leak(oak):
    with inside(oak):
        member = Member.objects.get()
    with pytest.raises(House.DoesNotExist):
        _ = member.house


def test_a_template_rendered_too_late_is_empty(rf, oak):
    page = engines["django"].from_string("{% for house in houses %}{{ house }}{% endfor %}")
    with inside(oak):
        late = TemplateResponse(rf.get("/"), page, {"houses": House.objects.all()})
        early = TemplateResponse(rf.get("/"), page, {"houses": House.objects.all()}).render()
    assert (early.content, late.render().content) == (b"Oak", b"")


def test_a_generator_that_is_drawn_too_late_is_empty(oak):
    def names():
        yield from House.objects.values_list("name", flat=True)

    with inside(oak):
        late = names()
    assert list(late) == []
