"""What models have cost, what that is worth, and where it ends."""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from houses.giving import give
from houses.models import Agent, Budget, Member
from houses.tenancy import inside
from threads.agent_events import PiUsage
from threads.limits import month_begins, month_of
from threads.models import Command, Spending, Thread
from threads.spending import OverBudget, Spent, Tokens

OPENAI = {"model": "gpt-5", "address": "https://api.openai.com/v1"}
FREE = {"model": "llama", "address": "http://127.0.0.1:11434"}


def usage(given=0, said=0, read=0, written=0, usd=None, model=""):
    return PiUsage(run_id="x", input=given, output=said, cache_read=read, cache_write=written, usd=usd, model=model)


def used(*all_of_it) -> Tokens:
    tokens = Tokens.none()
    for one in all_of_it:
        tokens = tokens.plus(one)
    return tokens


@pytest.fixture
def thread(oak, ada):
    with inside(oak, ada):
        return Thread.objects.open_in(oak, by=ada, name="work")


@pytest.fixture
def painter(oak, ada):
    bot = Agent.objects.create_bot("Painter", "codex")
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=bot, role="member")
    return bot


@pytest.fixture
def environment(oak, ada):
    from artifacts.models import Repository
    from sandboxes.models import Environment

    with inside(oak, ada):
        repository = Repository.objects.create_in(oak, "work", by=ada)
        config = {"repository": repository.pk}
        return Environment.objects.create_in(oak, "plain", by=ada, config=config, secret_bindings=[])


@pytest.fixture
def begin(oak, ada, thread, environment):
    """`begin(bot, above=run)`: the row of a run, of which nothing runs."""

    def begin(bot, above=None, recipe=OPENAI, where=thread):
        recipe = {**recipe, "above": above.pk if above else ""}
        return Command.objects.create(
            house=oak, thread=where, agent=ada, bot=bot, recipe=recipe, text="x", environment=environment
        )

    return begin


# Tokens and prices


def test_a_request_is_priced_by_what_its_provider_takes():
    tokens = used(usage(1_000_000, 100_000))
    assert tokens.cost(**OPENAI) == (Decimal("2.25"), "genai-prices")
    cached = used(usage(0, 0, read=1_000_000))
    assert cached.cost(**OPENAI) == (Decimal("0.125"), "genai-prices")


def test_nobody_knows_the_price_of_a_model_of_ones_own_or_one_that_is_not_listed():
    for model, address in [("gpt-5", "http://127.0.0.1:1"), ("mine", "https://api.openai.com/v1"), ("", "")]:
        assert used(usage(1000)).cost(model, address) == (None, "")
    assert Tokens.none().cost(**OPENAI) == (None, "")


def test_the_programs_own_figure_comes_first_and_a_zero_is_none():
    assert used(usage(10, usd=0.5), usage(5, usd=0.25)).cost(**OPENAI) == (Decimal("0.75"), "program")
    assert used(usage(10), usage(usd=0.01)).cost(**FREE) == (Decimal("0.01"), "program")
    assert used(usage(1_000_000, usd=0.0)).cost(**OPENAI) == (Decimal("1.25"), "genai-prices")


def test_each_request_is_priced_for_itself_as_long_ones_cost_more():
    sonnet = {"model": "claude-sonnet-4-5", "address": "https://api.anthropic.com"}
    many, one = used(*[usage(100_000)] * 5), used(usage(500_000))
    assert many.input == one.input
    assert many.cost(**sonnet)[0] < one.cost(**sonnet)[0]


def test_the_model_that_answered_counts_else_the_one_that_was_asked():
    asked = used(usage(1_000_000, model="gpt-5-nano"))
    assert asked.model == "gpt-5-nano" and asked.cost(**OPENAI)[0] == Decimal("0.05")
    assert used(usage(1_000_000, model="gpt-5-of-tomorrow")).cost(**OPENAI)[0] == Decimal("1.25")


# Rows


def test_a_run_is_one_row_that_grows_and_never_shrinks(oak, ada, scribe, begin):
    with inside(oak, ada):
        run, first, more = begin(scribe), used(usage(10, 1)), used(usage(10, 1), usage(20, 2, 3, 4))
        Spending.objects.note(run, more)
        Spending.objects.note(run, first)  # a worker that was overtaken
        Spending.objects.note(run, more)
        row = Spending.objects.get()
        assert (row.spent.tokens, row.agent, row.asked_by, row.model) == (40, scribe, ada, "gpt-5")
        told = Spending.objects.told(run.pk)
        assert {**told, "usd": None} == {"input": 30, "output": 3, "cache_read": 3, "cache_write": 4, "usd": None}
        assert told["usd"] == float(row.usd) > 0
        assert Spending.objects.told("nowhere") == {
            "input": 0, "output": 0, "cache_read": 0, "cache_write": 0, "usd": None
        }  # fmt: skip


def test_noting_costs_one_statement_once_the_row_is_there(oak, ada, scribe, begin):
    with inside(oak, ada):
        run = begin(scribe)
        Spending.objects.note(run, used(usage(1)))
        with CaptureQueriesContext(connection) as asked:
            Spending.objects.note(run, used(usage(1), usage(1)))
        assert len(asked) == 1


def test_sums_are_of_runs_threads_bots_and_the_house(oak, ada, scribe, painter, thread, begin):
    with inside(oak, ada):
        child = Thread.objects.open_in(oak, by=ada, parent=thread)
        below = Thread.objects.open_in(oak, by=ada, parent=child)
        for bot, where, recipe in [(scribe, thread, OPENAI), (scribe, child, FREE), (painter, below, OPENAI)]:
            Spending.objects.note(begin(bot, where=where, recipe=recipe), used(usage(1_000_000)))
        Spending.objects.filter(agent=painter).update(at=month_begins() - timedelta(days=1))
        spending = Spending.objects
        assert spending.all().total() == Spent(input=3_000_000, usd=Decimal("2.5"), runs=3, unpriced=1)
        assert spending.this_month().total().input == 2_000_000
        assert spending.of_thread(child).total().input == 2_000_000 == spending.of_bot(scribe).total().input
        assert spending.of_thread(below).total().usd == Decimal("1.25")
        assert spending.none().total() == Spent()
        by = spending.by("thread_id", [thread.pk, child.pk])
        assert {pk: one.usd for pk, one in by.items()} == {thread.pk: Decimal("1.25"), child.pk: None}
        assert {bot: one.runs for bot, one in spending.by("agent_id").items()} == {scribe.pk: 2, painter.pk: 1}


def test_a_month_is_the_calendars():
    assert month_of("2027-12").isoformat() == "2027-12-01T00:00:00+00:00"


def test_december_ends_with_the_year(oak, ada, scribe, begin):
    with inside(oak, ada):
        Spending.objects.note(begin(scribe), used(usage(1)))
        for day, counts in (("2026-12-01", 1), ("2026-12-31", 1), ("2027-01-01", 0), ("2026-11-30", 0)):
            Spending.objects.update(at=f"{day}T00:00:00Z")
            assert Spending.objects.in_month(month_of("2026-12")).count() == counts


def test_what_was_spent_out_of_sight_is_not_counted_for_members(oak, ada, bo, scribe, thread, begin):
    with inside(oak, ada):
        secretly = Thread.objects.open_in(oak, by=ada, name="secretly")
        give(bo, secretly, "none", by=ada)
        for where in (thread, secretly):
            Spending.objects.note(begin(scribe, where=where), used(usage(5)))
        assert Spending.objects.visible_to(ada).total().input == 10
    with inside(oak, bo):
        assert Spending.objects.visible_to(bo).total().input == 5


# Limits


def test_where_nothing_is_limited_one_query_says_so(oak, ada, scribe, begin):
    with inside(oak, ada):
        run = begin(scribe)
        with CaptureQueriesContext(connection) as asked:
            Spending.objects.require_left(scribe, run=run.pk)
            assert Spending.objects.left(scribe) == []
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("of_house", "limit", "sentence"),
    [
        (False, {"run_tokens": 100}, "This run has used 100 of the 100 tokens that one run of Scribe may use"),
        (True, {"run_tokens": 99}, "This run has used 100 of the 99 tokens that one run may use in this house"),
        (False, {"month_tokens": 100}, "Scribe has used 100 of the 100 tokens that it may use in a month"),
        (True, {"month_tokens": 1}, "This house has used 100 of the 1 tokens that it may use in a month"),
        (False, {"run_usd": Decimal("0.0001")}, "This run has used $0.0001 of the $0.0001"),
        (True, {"month_usd": Decimal(0)}, "This house has used $0.0001 of the $0.00"),
    ],
)
def test_a_limit_that_is_reached_stops_and_says_whose_it_is(oak, ada, scribe, begin, of_house, limit, sentence):
    with inside(oak, ada):
        run = begin(scribe)
        Spending.objects.note(run, used(usage(50), usage(30)))
        Budget.objects.limit(None if of_house else scribe, by=ada, **limit)
        Spending.objects.note(run, used(usage(50), usage(50)))
        with pytest.raises(OverBudget) as stopped:
            Spending.objects.require_left(scribe, run=run.pk)
        assert stopped.value.detail.startswith(sentence), stopped.value.detail
        assert stopped.value.detail.endswith("; whoever manages the house can change that under Settings → Agents.")
        assert stopped.value.code == "budget"
        Budget.objects.limit(
            None if of_house else scribe, by=ada, **{name: 1000 * (most + 1) for name, most in limit.items()}
        )
        Spending.objects.require_left(scribe, run=run.pk)


def test_the_limit_of_a_run_is_no_limit_of_the_next_one(oak, ada, scribe, begin):
    with inside(oak, ada):
        Budget.objects.limit(scribe, run_tokens=10, by=ada)
        Spending.objects.note(begin(scribe), used(usage(50)))
        Spending.objects.require_left(scribe, run=begin(scribe).pk)
        Spending.objects.require_left(scribe)


def test_what_is_handed_on_counts_against_whoever_handed_it_on(oak, ada, scribe, painter, begin):
    with inside(oak, ada):
        top = begin(scribe)
        middle = begin(painter, above=top)
        lowest = begin(painter, above=middle)
        Budget.objects.limit(scribe, run_tokens=100, by=ada)
        Spending.objects.note(middle, used(usage(30)))
        Spending.objects.note(lowest, used(usage(60)))
        for run, bot, above in [(top, scribe, ""), (middle, painter, top.pk), (lowest, painter, middle.pk)]:
            Spending.objects.require_left(bot, above=above, run=run.pk)
        Spending.objects.note(top, used(usage(10)))
        for run, bot, above, whose in [
            (top, scribe, "", "This run has used 100 of"),
            (
                lowest,
                painter,
                middle.pk,
                "The run of Scribe that handed this on has used, with all it handed on, 100 of the 100",
            ),
        ]:
            with pytest.raises(OverBudget, match=whose):
                Spending.objects.require_left(bot, above=above, run=run.pk)
        Spending.objects.require_left(painter, run=begin(painter).pk)  # one that nobody handed on


def test_a_month_of_a_bot_counts_what_it_handed_on(oak, ada, scribe, painter, begin):
    with inside(oak, ada):
        top = begin(scribe)
        below = begin(painter, above=top)
        Spending.objects.note(top, used(usage(1)))
        Spending.objects.note(below, used(usage(99)))
        Budget.objects.limit(scribe, month_tokens=100, by=ada)
        with pytest.raises(OverBudget, match="Scribe has used 100 of"):
            Spending.objects.require_left(painter, above=top.pk, run=below.pk)
        Spending.objects.require_left(painter)
        Spending.objects.update(at=month_begins() - timedelta(seconds=1))
        Spending.objects.require_left(scribe)


def test_what_is_left_is_told_with_the_tightest_first_in_two_queries(oak, ada, scribe, painter, begin):
    with inside(oak, ada):
        Budget.objects.limit(None, month_tokens=1000, month_usd=Decimal(1), by=ada)
        Budget.objects.limit(scribe, month_tokens=100, run_tokens=5, by=ada)
        Budget.objects.limit(painter, month_tokens=1, by=ada)
        Spending.objects.note(begin(scribe), used(usage(60)))
        with CaptureQueriesContext(connection) as asked:
            left = Spending.objects.left(scribe)
        assert len(asked) == 2
        assert [(one.whose, one.unit, int(one.left)) for one in left][:2] == [
            ("bot", "tokens", 40),
            ("house", "tokens", 940),
        ]
        assert {(one.whose, one.unit) for one in left} == {("bot", "tokens"), ("house", "tokens"), ("house", "usd")}


def test_the_limits_next_door_hold_nobody_here(oak, elm, ada, cy, scribe, begin):
    with inside(elm, cy):
        Budget.objects.limit(None, month_tokens=0, run_tokens=0, by=cy)
    with inside(oak, ada):
        Spending.objects.require_left(scribe, run=begin(scribe).pk)


def test_answers_are_noted_like_runs(oak, ada, scribe, thread):
    with inside(oak, ada):
        answer = SimpleNamespace(pk="answer", thread=thread)
        Spending.objects.note_for(answer.pk, thread, used(usage(7)), bot=scribe, asked_by=ada, recipe=OPENAI)
        Budget.objects.limit(scribe, run_tokens=7, by=ada)
        with pytest.raises(OverBudget, match="This run"):
            Spending.objects.require_left(scribe, run="answer")


def test_figures_that_somebody_made_up_are_noted_as_high_as_they_can_be(oak, ada, scribe, begin):
    with inside(oak, ada):
        run = begin(scribe)
        Spending.objects.note(run, used(*[usage(10**9, 10**9, usd=1e12)] * 3))
        spent = Spending.objects.of_run(run.pk).total()
    assert (spent.input, spent.usd) == (3 * 10**9, Decimal("999999.99999999"))


def test_a_price_has_a_highest_too():
    assert used(*[usage(10**9, 10**9)] * 1000).cost(**OPENAI)[0] == Decimal("999999.99999999")
