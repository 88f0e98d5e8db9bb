"""Bots as houses set them up, where their questions may go, and what they may spend."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from houses.arrivals import welcome_bot, welcome_bot_set_up
from houses.bots import ALWAYS, CHAT, MESSAGES, RESPONSES, NotReady
from houses.budgets import LIMITS
from houses.giving import give
from houses.models import Agent, Bot, Budget, Member, Mutation, Secret
from houses.refusals import Forbidden, Invalid, NotFound, Refused, TooLarge
from houses.tenancy import inside

LOCAL = "http://127.0.0.1:11434/v1"
GIVEN = {"model": "gpt-5", "address": "https://api.openai.com/v1"}


def set_up(agent, by, **given):
    return Bot.objects.set_up(agent, by=by, **GIVEN | given)


def test_a_bot_is_set_up_once_however_often_it_is_said(oak, ada, scribe):
    with inside(oak, ada):
        first = set_up(scribe, ada, system_prompt="  Write well. ", answers=ALWAYS)
        log = Mutation.objects.filter(table_name="bots")
        told = log.count()
        assert set_up(scribe, ada, system_prompt="Write well.", answers=ALWAYS) == first
        assert log.count() == told
        again = set_up(scribe, ada, model="gpt-6")
        again.refresh_from_db()
        assert (again.pk, again.model, again.system_prompt, again.answers) == (first.pk, "gpt-6", "", "mention")
        assert log.count() == told + 1


def test_whoever_has_x_on_the_house_sets_bots_up_and_forgets_that(oak, ada, bo, scribe):
    with inside(oak, bo), pytest.raises(Forbidden):
        set_up(scribe, bo)
    with inside(oak, ada):
        bot = set_up(scribe, ada)
        give(bo, oak, "rwx", by=ada)
    with inside(oak, bo):
        set_up(scribe, bo, model="gpt-6")
        bot.forget(by=bo)
        bot.forget(by=bo)
        assert Bot.objects.of(scribe) is None
        give(bo, oak, "rw", by=ada)
        with pytest.raises(Forbidden):
            bot.forget(by=bo)


def test_people_and_strangers_are_not_set_up(oak, ada, bo):
    stranger = Agent.objects.create_bot("Stranger", "pi")
    with inside(oak, ada):
        with pytest.raises(Invalid, match="Bo is a person"):
            set_up(bo, ada)
        with pytest.raises(NotFound):
            set_up(stranger, ada)
    with pytest.raises(IntegrityError, match="a_bot_is_a_member"), inside(oak, ada):
        Bot.objects.create(house=oak, agent=stranger)


def test_a_bot_that_leaves_is_set_up_no_more(oak, ada, scribe):
    with inside(oak, ada):
        set_up(scribe, ada)
        Budget.objects.limit(scribe, run_tokens=5, by=ada)
        Member.objects.of(scribe).leave(by=ada)
        assert not Bot.objects.exists() and not Budget.objects.exists()


def test_a_new_bot_comes_in_and_is_set_up_or_does_not_come(oak, ada, bo):
    with inside(oak, ada):
        bot = welcome_bot_set_up(
            oak, "Painter", "claude-code", by=ada, model="opus", address="https://api.anthropic.com"
        )
        assert (bot.api, str(bot.agent), Member.objects.of(bot.agent).role) == (MESSAGES, "Painter", "member")
    with pytest.raises(Invalid), inside(oak, ada):
        welcome_bot_set_up(oak, "Poet", "claude-code", by=ada, api=CHAT, **GIVEN)
    with pytest.raises(Forbidden), inside(oak, bo):
        welcome_bot_set_up(oak, "Poet", "pi", by=bo, **GIVEN)
    assert not Agent.objects.filter(name="Poet").exists()


@pytest.mark.parametrize(
    ("runtime", "given", "spoken"),
    [
        ("pi", "", CHAT),
        ("pi", MESSAGES, MESSAGES),
        ("chat", RESPONSES, RESPONSES),
        ("codex", "", RESPONSES),
        ("claude-code", "", MESSAGES),
        ("codex", CHAT, None),
        ("claude-code", RESPONSES, None),
        ("pi", "grpc", None),
    ],
)
def test_a_bot_speaks_what_its_program_speaks(oak, ada, runtime, given, spoken):
    with inside(oak, ada):
        agent = welcome_bot(oak, "Painter", runtime, by=ada).agent
        if spoken is None:
            with pytest.raises(Invalid, match=r"^api: "):
                set_up(agent, ada, api=given)
        else:
            assert set_up(agent, ada, api=given).api == spoken


def test_what_keeps_a_bot_from_thinking_is_said(oak, ada, scribe):
    with inside(oak, ada):
        bot = set_up(scribe, ada, model="")
        with pytest.raises(NotReady, match="Scribe has no model yet; choose one under Settings → Agents"):
            bot.ready()
        set_up(scribe, ada, key_secret="OPENAI_API_KEY")
        with pytest.raises(NotReady, match="the secret OPENAI_API_KEY, which this house does not have"):
            Bot.objects.of(scribe).ready()
        Secret.objects.put("OPENAI_API_KEY", "correct-horse", by=ada)
        bot = Bot.objects.of(scribe)
        bot.ready()
        assert not bot.misses_key and bot.problem == ""
        assert "correct-horse" not in str(bot.frozen())
        assert bot.frozen()["key_secret"] == "OPENAI_API_KEY"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"key_secret": "sk-live-1234"}, "the name of a secret"),
        ({"key_secret": "ARBE_TOKEN"}, "the name of a secret"),
        ({"answers": "sometimes"}, "answers: this is one of mention, always"),
        ({"model": "x" * 201}, "model: this is longer"),
        ({"system_prompt": "\0"}, "system_prompt: this is text"),
        ({"system_prompt": "x" * 32_769}, "system_prompt: this is longer"),
    ],
)
def test_what_cannot_be_kept_is_refused(oak, ada, scribe, given, sentence):
    with inside(oak, ada), pytest.raises(Invalid, match=sentence):
        set_up(scribe, ada, **given)


def test_a_prompt_of_32_kb_fits_and_is_counted_in_bytes(oak, ada, scribe):
    with inside(oak, ada):
        assert len(set_up(scribe, ada, system_prompt="x" * 32_768).system_prompt) == 32_768
        with pytest.raises(TooLarge):
            set_up(scribe, ada, system_prompt="ä" * 16_385)


PUBLIC = [
    "https://api.openai.com/v1",
    "https://openrouter.ai/api/v1/",
    "https://1.1.1.1",
    "https://[2606:4700::1111]/v1",
]
INSIDE = [
    LOCAL,
    "http://localhost:8080",
    "http://ollama:11434",
    "http://gpu.lan/v1",
    "https://192.168.1.7",
    "http://[::1]:1",
]
NOWHERE = [
    *(
        "http://api.openai.com/v1",
        "http://8.8.8.8/v1",
        "ftp://api.openai.com",
        "api.openai.com",
        "https://",
        "https:///v1",
    ),
    *("https://me:pass@api.openai.com", "https://api.openai.com/v1?key=x", "https://api.openai.com/#x", "https://a b"),
    *("http://169.254.169.254/latest", "http://[fe80::1]", "http://0.0.0.0", "http://2130706433", "http://127.1:80"),
    *("http://[fd00:ec2::254]", "https://168.63.129.16", "http://192.0.0.192", "http://100.100.100.200"),
    *("http://[2002:a9fe:a9fe::]", "http://[::ffff:8.8.8.8]", "http://[2002:808:808::]"),
    *("http://0x7f000001", "https://x.example:0", "https://x.example:99999", "https://x%2eexample", "https://x\\y"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_asked_over_https(oak, ada, scribe, settings, address):
    settings.LOCAL_MODELS = False
    with inside(oak, ada):
        assert set_up(scribe, ada, address=address).address == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        *INSIDE,
        "http://[::ffff:127.0.0.1]:11434",
        "https://10.1.2.3",
        "https://localhost",
        "https://[2002:7f00:1::]",
        "https://[fec0::1]",
        "https://192.0.0.1",
    ],
)
def test_an_address_inside_is_asked_where_the_operator_says_so(oak, ada, scribe, settings, address):
    with inside(oak, ada):
        assert set_up(scribe, ada, address=address).address == address
        settings.LOCAL_MODELS = False
        with pytest.raises(Forbidden, match="its operator can allow"):
            set_up(scribe, ada, address=address)


def test_what_the_operator_closes_afterwards_is_asked_no_more(oak, ada, scribe, settings):
    with inside(oak, ada):
        bot = set_up(scribe, ada, address=LOCAL)
        bot.ready()
        settings.LOCAL_MODELS = False
        with pytest.raises(NotReady, match="its operator can allow"):
            bot.ready()


@pytest.mark.parametrize("address", NOWHERE)
def test_odd_addresses_and_those_of_nobody_are_refused(oak, ada, scribe, address):
    with inside(oak, ada), pytest.raises(Refused, match=r"^address: "):
        set_up(scribe, ada, address=address)


def test_many_bots_are_looked_up_at_once(oak, ada):
    with inside(oak, ada):
        Secret.objects.put("KEY", "x", by=ada)
        agents = [welcome_bot(oak, f"Bot {n}", "pi", by=ada).agent for n in range(9)]
        for agent, key in zip(agents[:6], ["KEY", "NONE"] * 3, strict=True):
            set_up(agent, ada, key_secret=key)
        with CaptureQueriesContext(connection) as asked:
            bots = Bot.objects.of_each(agents)
            told = [(bot.is_set_up, bool(bot.problem)) for bot in bots]
        assert told == [(True, False), (True, True)] * 3 + [(False, True)] * 3
        assert len(asked) == 2


def test_limits_are_of_a_bot_or_of_the_house(oak, ada, bo, scribe):
    with inside(oak, ada):
        one = Budget.objects.limit(scribe, run_tokens=1000, month_usd=Decimal("2.5"), by=ada)
        assert Budget.objects.limit(scribe, run_tokens=1000, month_usd=Decimal("2.50"), by=ada) == one
        whole = Budget.objects.limit(None, month_tokens=0, by=ada)
        assert Budget.objects.limit(None, month_tokens=7, by=ada) == whole
        assert {str(budget) for budget in Budget.objects.all()} == {"Scribe", "the house"}
        assert Budget.objects.of(scribe).month_usd == Decimal("2.5") and Budget.objects.of(None).month_tokens == 7
        with pytest.raises(Invalid, match="Bo is a person"):
            Budget.objects.limit(bo, run_tokens=1, by=ada)
        one.lift(by=ada)
        one.lift(by=ada)
        assert Budget.objects.of(scribe) is None and Budget.objects.get() == whole
    with inside(oak, bo):
        for ask in (lambda: Budget.objects.limit(scribe, run_tokens=1, by=bo), lambda: whole.lift(by=bo)):
            with pytest.raises(Forbidden):
                ask()


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("most", [Decimal(-1), Decimal("1e30"), Decimal("NaN"), Decimal("Infinity")])
def test_odd_limits_are_refused(oak, ada, scribe, name, most):
    most = most if "usd" in name else -1 if not most.is_finite() else int(most)
    with inside(oak, ada), pytest.raises(Invalid, match=rf"^{name}: "):
        Budget.objects.limit(scribe, by=ada, **{name: most})
